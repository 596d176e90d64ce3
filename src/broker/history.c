/* Copies come from all shards, and each shard learns of a binding in its own time. One that was
 * routed before its shard knew of a binding is passed on from here; one that was routed by it
 * already, but was here first, is left out of what the binding gets. */
#include "broker/history.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/table.h"
#include "broker/announce.h"
#include "broker/durable.h"
#include "broker/msg.h"
#include "broker/ops.h"
#include "broker/route.h"
#include "meta/meta.h"
#include "shard/slot.h"

#include <stdlib.h>

enum { LENGTH = 20 };
/* All shards know of a change within that time. */
enum { LATE_MS = 10000 };

struct histories {
    struct shard *shard;
    struct routing *routing;
    struct routing_listener listener;
    struct list list;
    struct route route;
};

struct entry {
    struct msg *msg; /* one reference */
    uint32_t version;
};

/* A binding that not all shards may know yet. */
struct late {
    struct slice destination; /* owned */
    bool to_exchange;
    uint32_t version;
    uint64_t until_ms;
};

struct history {
    struct list link;
    struct histories *all;
    struct queue_def *def; /* a reference */
    struct entry *entries; /* a ring: the oldest is at at */
    size_t at, count, cap, most;
    struct late *late;
    size_t late_count, late_cap;
};

/* ---- passing on ---- */

static struct msg *own_copy(struct msg *m)
{
    return m->store_id ? msg_with_header(m, msg_header(m)) : msg_ref_n(m, 1);
}

static void send(struct history *h, struct msg *m, struct slice destination, bool to_exchange)
{
    struct shard *shard = h->all->shard;
    struct vhost *vhost = routing_find_vhost(h->all->routing, h->def->vhost);
    struct exchange *x = vhost && to_exchange ? vhost_find_exchange(vhost, destination) : NULL;
    struct target_queue *queue =
        vhost && !to_exchange ? vhost_find_queue(vhost, destination) : NULL;
    if (x) {
        announce(shard, &h->all->route, vhost, x, own_copy(m));
    } else if (queue) {
        struct op op = {.to = queue->addr,
                        .kind = OP_ENQUEUE,
                        .flags = m->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0};
        struct msg *copy = own_copy(m);
        durable_prepare(shard, copy, &queue->def, 1);
        *op_body(&op, struct op_enqueue) = (struct op_enqueue){.msg = copy, .channel = ADDR_NONE};
        post(&op);
    }
}

static bool is_before(uint32_t version, uint32_t other)
{
    return (int32_t)(version - other) < 0;
}

/* ---- what comes ---- */

/* Room for most at last. */
static void grow(struct history *h)
{
    size_t cap = h->cap ? 2 * h->cap : 8;
    cap = cap < h->most ? cap : h->most;
    struct entry *entries = mem_alloc(cap * sizeof *entries);
    for (size_t i = 0; i < h->count; i++)
        entries[i] = h->entries[(h->at + i) % h->cap];
    free(h->entries);
    h->entries = entries;
    h->cap = cap;
    h->at = 0;
}

static void keep(struct history *h, const struct entry *e)
{
    if (h->count == h->most) {
        msg_unref(h->entries[h->at].msg);
        h->at = (h->at + 1) % h->cap;
        h->count--;
    } else if (h->count == h->cap) {
        grow(h);
    }
    h->entries[(h->at + h->count++) % h->cap] = *e;
}

static void drop_late(struct history *h, size_t i)
{
    slice_free(&h->late[i].destination);
    h->late[i] = h->late[--h->late_count];
}

static void on_message(struct history *h, struct op *op)
{
    const struct op_enqueue *in = op_body(op, const struct op_enqueue);
    struct entry e = {in->msg, op->n ? op->n : (uint32_t)routing_version(h->all->routing)};
    uint64_t now = shard_now_ms(h->all->shard);
    if (op->flags & OP_ENQUEUE_CONFIRM) {
        struct op ok = {.to = in->channel, .kind = OP_CONFIRM};
        *op_body(&ok, struct op_confirm) = (struct op_confirm){in->seq, in->seq};
        post(&ok);
    }
    for (size_t i = h->late_count; i-- > 0;) {
        if (h->late[i].until_ms <= now)
            drop_late(h, i);
        else if (is_before(e.version, h->late[i].version))
            send(h, e.msg, h->late[i].destination, h->late[i].to_exchange);
    }
    keep(h, &e);
}

static void history_free(struct history *h)
{
    for (size_t i = 0; i < h->count; i++)
        msg_unref(h->entries[(h->at + i) % h->cap].msg);
    while (h->late_count)
        drop_late(h, h->late_count - 1);
    slot_free(h->all->shard, h->def->addr);
    list_remove(&h->link);
    queue_def_unref(&h->def);
    free(h->entries);
    free(h->late);
    free(h);
}

static void on_op(void *object, struct op *op)
{
    struct history *h = object;
    bug_on(op->kind != OP_ENQUEUE && op->kind != OP_QUEUE_DESTROY);
    if (op->kind == OP_ENQUEUE)
        on_message(h, op);
    else
        history_free(h);
}

static const struct actor_type history_type = {"history", on_op};

/* ---- what is bound ---- */

static void on_bound(struct history *h, struct slice destination, bool to_exchange)
{
    uint32_t version = (uint32_t)routing_version(h->all->routing);
    for (size_t i = 0; i < h->count; i++) {
        const struct entry *e = &h->entries[(h->at + i) % h->cap];
        if (is_before(e->version, version))
            send(h, e->msg, destination, to_exchange);
    }
    MEM_GROW(h->late, h->late_cap, h->late_count + 1);
    h->late[h->late_count++] = (struct late){.destination = slice_dup(destination),
                                             .to_exchange = to_exchange,
                                             .version = version,
                                             .until_ms = shard_now_ms(h->all->shard) + LATE_MS};
}

static void on_change(void *arg, const struct meta_change *change)
{
    struct histories *all = arg;
    if (meta_change_kind(change) != CHANGE_BOUND || list_empty(&all->list))
        return;
    struct vhost *vhost = routing_find_vhost(all->routing, meta_change_vhost(change));
    struct exchange *x = vhost ? vhost_find_exchange(vhost, meta_change_source(change)) : NULL;
    struct target_queue *line = x ? exchange_find_line(x) : NULL;
    if (!line || line->addr.shard != shard_index(all->shard))
        return;
    struct history *h = slot_find(all->shard, line->addr, &history_type);
    if (h)
        on_bound(h, meta_change_name(change), meta_change_to_exchange(change));
}

/* ---- the whole ---- */

struct histories *histories_new(struct shard *shard)
{
    struct histories *all = NEW(struct histories);
    all->shard = shard;
    all->routing = routing_of(shard);
    list_init(&all->list);
    route_init(&all->route);
    all->listener = (struct routing_listener){.on_change = on_change, .arg = all};
    routing_listen(all->routing, &all->listener);
    return all;
}

void histories_free(struct histories **all)
{
    struct histories *a = *all;
    *all = NULL;
    while (!list_empty(&a->list))
        history_free(list_entry(a->list.next, struct history, link));
    route_fini(&a->route);
    free(a);
}

void history_new(struct histories *all, struct queue_def *def)
{
    struct history *h = NEW(struct history);
    int64_t length = LENGTH;
    table_find_int(def->args, SLICE("x-recent-history-length"), &length);
    h->all = all;
    h->def = def;
    h->most = (size_t)length;
    list_append(&all->list, &h->link);
    slot_assign(all->shard, def->addr, &history_type, h);
}
