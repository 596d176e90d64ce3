/* The master's queues: declaring, deleting, the exclusive queues of a connection, the addresses. */
#include "base/bug.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/table.h"
#include "meta/args.h"
#include "meta/meta_priv.h"
#include "shard/slot.h"

#include <stdlib.h>

/* A connection with exclusive queues. */
struct owner {
    uint64_t connection;
    struct list queues; /* struct queue_def.owned */
};

static struct slice owner_key(const void *object)
{
    const struct owner *o = object;
    return slice_of(&o->connection, sizeof o->connection);
}

static struct owner *find_owner(struct meta *m, uint64_t connection)
{
    return hash_find(&m->owners, slice_of(&connection, sizeof connection));
}

static void own(struct meta *m, struct queue_def *def)
{
    struct owner *o = find_owner(m, def->owner);
    if (!o) {
        o = NEW(struct owner);
        o->connection = def->owner;
        list_init(&o->queues);
        hash_add(&m->owners, o);
    }
    list_append(&o->queues, &def->owned);
}

static void disown(struct meta *m, struct queue_def *def)
{
    struct owner *o = find_owner(m, def->owner);
    list_remove(&def->owned);
    if (!list_empty(&o->queues))
        return;
    hash_remove(&m->owners, owner_key(o));
    free(o);
}

/* --- addresses --- */

static struct queue_def **slot_of(struct meta *m, struct addr addr)
{
    struct slot_index *index = &m->slots[addr.shard];
    size_t i = addr.slot & 0x7fffffff;
    if (i >= index->cap) {
        size_t old = index->cap;
        MEM_GROW(index->queues, index->cap, i + 1);
        memset(index->queues + old, 0, (index->cap - old) * sizeof *index->queues);
    }
    return &index->queues[i];
}

static unsigned emptiest_shard(struct meta *m)
{
    unsigned best = m->next_shard % m->shards;
    for (unsigned k = 1; k < m->shards; k++) {
        unsigned i = (m->next_shard + k) % m->shards;
        if (m->slots[i].count < m->slots[best].count)
            best = i;
    }
    return best;
}

/* An exclusive queue lives where its connection does. Any other too, unless that shard has more
 * queues than the emptiest and an eighth: what declares a queue often uses it, and an answer from
 * another shard takes two wakes. */
static unsigned choose_home(struct meta *m, const struct meta_request *rq, bool exclusive)
{
    bool known = !addr_is_none(rq->reply_to) && rq->reply_to.shard < m->shards;
    unsigned best = emptiest_shard(m);
    size_t fewest = m->slots[best].count;
    if (known && (exclusive || m->slots[rq->reply_to.shard].count <= fewest + fewest / 8))
        return rq->reply_to.shard;
    m->next_shard = best + 1;
    return best;
}

static void make_actor(struct meta *m, struct queue_def *def)
{
    struct op op = {.to = m->makers[def->addr.shard], .kind = OP_QUEUE_CREATE};
    if (addr_is_none(op.to))
        return;
    op_body(&op, struct op_queue_create)->def = queue_def_ref(def);
    post(&op);
}

static void end_actor(const struct queue_def *def)
{
    struct op op = {.to = def->addr, .kind = OP_QUEUE_DESTROY};
    post(&op);
}

static struct meta_change *change_of_queue(enum meta_change_kind kind, struct queue_def *def)
{
    struct meta_change *change = change_new(kind);
    change->queue = queue_def_ref(def);
    return change;
}

/* Takes the reference. */
static void enter(struct meta *m, struct queue_def *def)
{
    *slot_of(m, def->addr) = def;
    m->slots[def->addr.shard].count++;
}

/* Takes the reference. The store knows of a queue before its shard can. */
static void add_queue(struct meta *m, struct queue_def *def)
{
    enter(m, def);
    if (def->owner)
        own(m, def);
    struct meta_change *change = change_of_queue(CHANGE_QUEUE_ADDED, def);
    meta_record(m, change);
    make_actor(m, def);
    if (def->line)
        meta_start_line(m, def->line);
    meta_distribute(m, change);
}

struct queue_def *meta_new_line(struct meta *m, const struct queue_def *like, enum line_of of,
                                uint64_t id, struct addr near)
{
    struct meta_request asker = {.reply_to = near};
    struct queue_def line = {.vhost = like->vhost,
                             .name = like->name,
                             .args = like->args,
                             .durable = like->durable,
                             .exclusive = like->exclusive,
                             .line_of = of,
                             .id = id ? id : meta_new_queue_id(m)};
    struct queue_def *def = queue_def_new(&line);
    unsigned home = of == LINE_OF_QUEUE ? near.shard : choose_home(m, &asker, false);
    def->addr = slot_reserve(m->node, home);
    return def;
}

void meta_start_line(struct meta *m, struct queue_def *line)
{
    enter(m, queue_def_ref(line));
    make_actor(m, line);
}

/* A queue delays by itself; an earlier release gave a line to one with all levels of priority. */
static void give_line(struct meta *m, struct queue_def *def)
{
    if (def->line_id)
        def->line = meta_new_line(m, def, LINE_OF_QUEUE, def->line_id, def->addr);
}

void meta_drop_queue(struct meta *m, struct queue_def *def)
{
    if (def->line)
        meta_drop_queue(m, def->line);
    m->churn.queues_deleted += !def->line_of;
    *slot_of(m, def->addr) = NULL;
    m->slots[def->addr.shard].count--;
    if (def->owner)
        disown(m, def);
    end_actor(def);
    slot_release(m->node, def->addr);
    queue_def_unref(&def);
}

static void delete_queue(struct meta *m, struct queue_def *def)
{
    struct orphans orphans = {0};
    struct vhost *vhost = routing_find_vhost(m->local, def->vhost);
    orphans_note(&orphans, &vhost_find_queue(vhost, def->name)->bindings);
    meta_publish(m, change_of_queue(CHANGE_QUEUE_REMOVED, def));
    meta_drop_queue(m, def);
    orphans_reap(m, &orphans);
}

/* --- verbs --- */

/* With the default type of the vhost or the node, where the declaration has none and may have that
 * one. */
static void add_default_type(struct meta *m, const struct vhost *vhost,
                             const struct queue_def *like, struct buf *out)
{
    struct table_value ignored;
    int type = vhost->def->has_queue_type
                   ? (int)vhost->def->queue_type
                   : atomic_load_explicit(&m->limits.default_type, memory_order_relaxed);
    if (type < 0 || table_find(like->args, SLICE("x-queue-type"), &ignored))
        return;
    if (type != QUEUE_CLASSIC && (!like->durable || like->auto_delete))
        return;
    buf_append_slice(out, like->args);
    table_put_str(out, SLICE("x-queue-type"),
                  slice_str(args_queue_type_name((enum queue_type)type)));
}

static enum err check_new(struct meta *m, const struct meta_request *rq,
                          const struct queue_def *like, struct failure *why)
{
    enum err err = meta_check_target(m, rq, "queue", like->name, "x-dead-letter-exchange", why);
    if (!err)
        err = args_check_queue(like->vhost, like->name, like->args, why);
    return err;
}

static enum err check_limit(struct meta *m, const struct queue_def *like, struct failure *why)
{
    const struct vhost *vhost = routing_find_vhost(m->local, like->vhost);
    int64_t most = limits_get(&m->limits, LIMIT_QUEUES);
    if (most >= 0 && limits_reached(&m->limits, LIMIT_QUEUES, meta_count(m->node, META_QUEUES)))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "cannot declare queue '%.*s': queue limit in cluster (%lld) is reached",
                           SLICE_ARG(like->name), (long long)most);
    if (vhost->max_queues < 0 || vhost->queues.count < (uint64_t)vhost->max_queues)
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "cannot declare queue '%.*s': queue limit in vhost '%.*s' (%lld) is reached",
                       SLICE_ARG(like->name), SLICE_ARG(like->vhost), (long long)vhost->max_queues);
}

static enum err create_queue(struct meta *m, struct meta_request *rq, const struct queue_def *like)
{
    enum err err = check_limit(m, like, &rq->why);
    if (!err)
        err = check_new(m, rq, like, &rq->why);
    if (err)
        return err;
    struct queue_def *def = queue_def_new(like);
    if (atomic_load_explicit(&m->limits.disabled_types, memory_order_relaxed) >> def->type & 1)
        err = args_refuse_type(def, &rq->why);
    else
        err = args_check_queue_type(def, &rq->why);
    if (err) {
        queue_def_unref(&def);
        return err;
    }
    def->id = meta_new_queue_id(m);
    def->addr = slot_reserve(m->node, choose_home(m, rq, def->exclusive));
    rq->queue = queue_def_ref(def);
    rq->created = true;
    m->churn.queues_created++;
    add_queue(m, def);
    return ERR_NONE;
}

void meta_restore_queue(struct meta *m, const struct queue_def *like)
{
    struct meta_request nobody = {.reply_to = ADDR_NONE};
    struct queue_def *def = queue_def_new(like);
    def->addr = slot_reserve(m->node, choose_home(m, &nobody, false));
    give_line(m, def);
    add_queue(m, def);
}

static enum err choose_name(const struct queue_def *like, struct meta_request *rq)
{
    char name[8 + RANDOM_NAME_SIZE];
    enum queue_type type = args_queue_type(like->args);
    if (type != QUEUE_CLASSIC)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "Cannot declare a server-named queue for type rabbit_%s_queue",
                           args_queue_type_name(type));
    memcpy(name, "amq.gen-", 8);
    random_name(name + 8);
    meta_request_set(&rq->name, slice_str(name));
    return ERR_NONE;
}

static enum err declare(struct meta *m, const struct vhost *vhost, struct meta_request *rq,
                        struct queue_def *like)
{
    enum err err = ERR_NONE;
    if (!rq->name.len)
        err = choose_name(like, rq);
    else if (!(rq->flags & META_TRUSTED))
        err = meta_check_name("queue", rq->name, &rq->why);
    if (!err)
        err = meta_check_right(m, rq, ACCESS_CONFIGURE, "queue", rq->name, &rq->why);
    if (err)
        return err;
    struct target_queue *found = vhost_find_queue(vhost, rq->name);
    if (found) {
        if (!limits_relaxed_for(m->node, found->def, rq->args))
            err = meta_check_queue(found->def, rq->flags, rq->args, rq->connection, &rq->why);
        if (!err)
            rq->queue = queue_def_ref(found->def);
        return err;
    }
    like->name = rq->name;
    return create_queue(m, rq, like);
}

static enum err look_up(const struct vhost *vhost, struct meta_request *rq)
{
    struct target_queue *found = vhost_find_queue(vhost, rq->name);
    if (!found)
        return meta_not_found("queue", rq->name, rq->vhost, &rq->why);
    enum err err = meta_check_owner(found->def, rq->connection, &rq->why);
    if (!err)
        rq->queue = queue_def_ref(found->def);
    return err;
}

enum err meta_queue_declare(struct meta *m, struct meta_request *rq)
{
    const struct vhost *vhost = meta_get_vhost(m, rq, &rq->why);
    struct buf args = BUF_INIT;
    if (!vhost)
        return rq->why.code;
    meta_clean(&rq->name);
    if (rq->name.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "queue name is too long");
    if (rq->flags & META_PASSIVE)
        return look_up(vhost, rq);
    bool exclusive = (rq->flags & META_EXCLUSIVE) && rq->connection;
    struct queue_def like = {
        .vhost = rq->vhost,
        .args = rq->args,
        .owner = exclusive ? rq->connection : 0,
        .durable = (rq->flags & META_DURABLE) && !exclusive,
        .auto_delete = rq->flags & META_AUTO_DELETE,
        .exclusive = exclusive,
    };
    add_default_type(m, vhost, &like, &args);
    if (args.len) {
        like.args = buf_slice(&args);
        like.type_by_default = true;
    }
    enum err err = declare(m, vhost, rq, &like);
    buf_fini(&args);
    return err;
}

enum err meta_queue_delete(struct meta *m, struct meta_request *rq)
{
    struct vhost *vhost = meta_get_vhost(m, rq, &rq->why);
    if (!vhost)
        return rq->why.code;
    struct target_queue *found = vhost_find_queue(vhost, rq->name);
    enum err err = meta_check_right(m, rq, ACCESS_CONFIGURE, "queue", rq->name, &rq->why);
    if (err)
        return err;
    if (!found)
        return meta_not_found("queue", rq->name, rq->vhost, &rq->why);
    if (!(rq->flags & META_TRUSTED))
        err = meta_check_owner(found->def, rq->connection, &rq->why);
    if (!err)
        delete_queue(m, found->def);
    return err;
}

enum err meta_connection_down(struct meta *m, struct meta_request *rq)
{
    struct owner *o;
    while ((o = find_owner(m, rq->connection)))
        delete_queue(m, list_entry(o->queues.next, struct queue_def, owned));
    return ERR_NONE;
}

void meta_on_queue_gone(struct meta *m, const struct op_queue_gone *gone)
{
    struct queue_def *def = *slot_of(m, gone->queue);
    if (def && addr_eq(def->addr, gone->queue))
        delete_queue(m, def);
    if (addr_is_none(gone->reply.reply_to))
        return;
    struct op op = {.to = gone->reply.reply_to, .kind = OP_QUERY_REPLY, .n = OP_DELETE};
    *op_body(&op, struct op_queue_query) = gone->reply;
    meta_answer(m, &op);
}

void meta_queues_init(struct meta *m)
{
    hash_init(&m->owners, owner_key);
}

void meta_queues_fini(struct meta *m)
{
    for (unsigned s = 0; s < m->shards; s++) {
        for (size_t i = 0; i < m->slots[s].cap; i++)
            queue_def_unref(&m->slots[s].queues[i]);
        free(m->slots[s].queues);
    }
    hash_each (i, &m->owners)
        free(hash_at(&m->owners, i));
    hash_fini(&m->owners);
}
