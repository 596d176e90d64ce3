/* The start of the master with a store: definitions come back in the order of nouns.def, as if
 * they were made now, but are not recorded again.
 *
 * What cannot be used is left out with a line in the log. If it only hangs (what it names is gone,
 * since a deletion was cut off by the end of the process) it is deleted from the store too, and so
 * are messages of queues that are defined no more. But once something could not be read, nothing
 * is deleted: what hangs may belong to that. */
#include "base/bug.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/mem.h"
#include "meta/meta_priv.h"
#include "meta/meta_store.h"

#include <stdlib.h>

enum { LINES_MAX = 20 }; /* in the log */

struct load {
    struct meta *m;
    struct fold *fold;
    struct store_log *log;
    struct failure *why;
    enum err err;
    enum noun noun;
    struct slice key, value;
    bool unreadable;     /* something is left out that may be put right */
    bool default_stored; /* the vhost that meta_init made */
    size_t loaded, left_out;
    uint64_t *queues; /* their ids, in ascending order once all are there */
    size_t queue_count, queue_cap;
};

/* --- what is left out --- */

static void complain(struct load *l, const char *reason)
{
    struct buf text = BUF_INIT;
    if (l->left_out++ >= LINES_MAX)
        return;
    meta_describe_stored((uint8_t)l->noun, l->key, l->value, &text);
    log_warning(DEFAULT, NULL, "left out at the start: %s: %s", buf_cstr(&text), reason);
    buf_fini(&text);
}

static void leave_out(struct load *l, const char *reason)
{
    l->unreadable = true;
    complain(l, reason);
}

static void hangs(struct load *l, const char *reason)
{
    complain(l, reason);
    if (!l->unreadable)
        record_put_undefine(store_records(l->log), (uint8_t)l->noun, l->key);
}

/* --- nouns --- */

static struct vhost *find_vhost(struct load *l, struct slice name)
{
    struct vhost *vhost = routing_find_vhost(l->m->local, name);
    if (!vhost)
        hangs(l, "the virtual host is gone");
    return vhost;
}

static void load_node(struct load *l, const union stored *s)
{
    l->m->store.seeded |= slice_eq_str(s->node.name, "seeded");
    meta_load_import(l->m, s->node.name);
}

static void load_vhost(struct load *l, const union stored *s)
{
    l->default_stored |= slice_eq_str(s->vhost.name, l->m->options.default_vhost);
    meta_put_vhost(l->m, &s->vhost);
}

static void load_user(struct load *l, const union stored *s)
{
    struct meta_change *change = change_new(CHANGE_USER_PUT);
    change->user = user_def_new(&s->user);
    meta_publish(l->m, change);
}

static void load_permission(struct load *l, const union stored *s)
{
    const struct permission_def *like = &s->permission;
    struct failure why;
    enum err err = ERR_NONE;
    if (!find_vhost(l, like->vhost))
        return;
    if (!access_find_user(l->m->local, like->user)) {
        hangs(l, "the user is gone");
        return;
    }
    for (int i = 0; i < ACCESS_RIGHTS && !err; i++)
        err = pattern_check(like->patterns[i], &why);
    if (err) {
        leave_out(l, why.text);
        return;
    }
    struct meta_change *change =
        change_new(like->topic ? CHANGE_TOPIC_PERMISSION : CHANGE_PERMISSION);
    change->permission = permission_def_new(like);
    meta_publish(l->m, change);
}

#define load_topic_permission load_permission

static void load_policy(struct load *l, const union stored *s)
{
    struct failure why;
    if (!find_vhost(l, s->policy.vhost))
        return;
    if (pattern_check(s->policy.pattern, &why)) {
        leave_out(l, why.text);
        return;
    }
    struct meta_change *change = change_new(CHANGE_POLICY);
    change->policy = policy_def_new(&s->policy);
    meta_publish(l->m, change);
}

#define load_operator_policy load_policy

static void load_parameter(struct load *l, const union stored *s)
{
    const struct parameter_def *like = &s->parameter;
    if (like->kind == PARAMETER_OF_VHOST && !find_vhost(l, like->vhost))
        return;
    if (like->kind == PARAMETER_USER_LIMITS && !access_find_user(l->m->local, like->name)) {
        hangs(l, "the user is gone");
        return;
    }
    struct meta_change *change = change_new(CHANGE_PARAMETER);
    change->parameter = parameter_def_new(like);
    meta_publish(l->m, change);
}

#define load_global_parameter load_parameter
#define load_user_limits      load_parameter

/* They belong to what is defined. */
static void note_contents(struct load *l, uint64_t id)
{
    if (!id)
        return;
    MEM_GROW(l->queues, l->queue_cap, l->queue_count + 1);
    l->queues[l->queue_count++] = id;
}

static void load_exchange(struct load *l, const union stored *s)
{
    const struct exchange_def *like = &s->exchange;
    struct vhost *vhost = find_vhost(l, like->vhost);
    if (!vhost)
        return;
    const struct exchange_type *type = exchange_type_get(like->type);
    struct failure why;
    if (exchange_type_refuse(exchange_type_acting(like->type, like->args), like->name, like->vhost,
                             like->type, &why)) {
        log_warning(DEFAULT, NULL, "%s", why.text); /* kept with its bindings */
    } else if (type->validate && type->validate(type, like->args, &why)) {
        leave_out(l, why.text);
        return;
    }
    if (vhost_find_exchange(vhost, like->name)) {
        leave_out(l, "there is one of that name already");
        return;
    }
    note_contents(l, like->line_id);
    meta_add_exchange(l->m, like, ADDR_NONE);
}

static void load_queue(struct load *l, const union stored *s)
{
    const struct queue_def *like = &s->queue;
    struct vhost *vhost = find_vhost(l, like->vhost);
    if (!vhost)
        return;
    if (vhost_find_queue(vhost, like->name)) {
        leave_out(l, "there is one of that name already");
        return;
    }
    note_contents(l, like->id);
    note_contents(l, like->line_id);
    meta_restore_queue(l->m, like);
}

static void load_binding(struct load *l, const union stored *s)
{
    const struct binding_def *like = &s->binding;
    struct vhost *vhost = find_vhost(l, like->vhost);
    if (!vhost)
        return;
    const struct exchange *source = vhost_find_exchange(vhost, like->source);
    bool there = like->to_exchange ? vhost_find_exchange(vhost, like->destination) != NULL
                                   : vhost_find_queue(vhost, like->destination) != NULL;
    if (!source || !there) {
        hangs(l, "one of its ends is gone");
        return;
    }
    struct failure why;
    if (source->type->validate_binding &&
        source->type->validate_binding(source->type, like->key, like->args, &why)) {
        leave_out(l, why.text);
        return;
    }
    struct buf identity = BUF_INIT;
    binding_identity_put(&identity, like->to_exchange, like->source, like->destination, like->key,
                         like->args);
    if (!hash_find(&vhost->bindings, buf_slice(&identity))) {
        struct binding_key key = {.vhost = like->vhost,
                                  .identity = buf_slice(&identity),
                                  .to_exchange = like->to_exchange,
                                  .order = like->order ? like->order : l->m->last_binding + 1};
        if (key.order > l->m->last_binding)
            l->m->last_binding = key.order;
        struct meta_change *change = change_new(CHANGE_BOUND);
        change->binding = binding_def_new(&key, l->m->shards);
        meta_publish(l->m, change);
    }
    buf_fini(&identity);
}

/* --- all of them --- */

static const struct noun_load {
    enum noun noun;
    void (*load)(struct load *l, const union stored *s);
} loads[] = {
#define NOUN(symbol, name, number, text) {NOUN_##symbol, load_##name},
#include "meta/nouns.def"
#undef NOUN
};

static const struct noun_load *load_of(enum noun noun)
{
    size_t i = 0;
    while (loads[i].noun != noun)
        i++;
    return &loads[i];
}

/* A virtual host without its description is better than none. */
static void on_damaged(struct load *l)
{
    union stored like;
    memset(&like, 0, sizeof like);
    if (l->noun == NOUN_VHOST && meta_store_get_vhost_key(l->key, &like.vhost.name)) {
        leave_out(l, "it cannot be read; the virtual host comes back, its metadata do not");
        load_vhost(l, &like);
    } else {
        leave_out(l, "it cannot be read");
    }
}

static void on_definition(struct slice key, struct slice value, void *arg)
{
    struct load *l = arg;
    union stored like;
    l->key = key;
    l->value = value;
    l->loaded++;
    switch (meta_store_get(l->noun, value, &like)) {
    case STORED_FINE:
        load_of(l->noun)->load(l, &like);
        break;
    case STORED_DAMAGED:
        on_damaged(l);
        break;
    case STORED_NEWER: {
        struct buf text = BUF_INIT;
        meta_describe_stored((uint8_t)l->noun, key, value, &text);
        if (!l->err)
            l->err = failure_set(l->why, ERR_PRECONDITION_FAILED,
                                 "a later version of jackaloped wrote the definitions: %s; this "
                                 "one knows versions up to %d",
                                 buf_cstr(&text), meta_store_version(l->noun));
        buf_fini(&text);
    }
    }
}

/* --- messages of queues that are no more --- */

static int compare_ids(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void look_at_contents(uint64_t id, bool durable, void *arg)
{
    struct load *l = arg;
    (void)durable;
    if (l->queue_count && bsearch(&id, l->queues, l->queue_count, sizeof id, compare_ids))
        return;
    if (l->unreadable)
        log_warning(DEFAULT, NULL,
                    "messages of a queue that is not defined are kept: id %llu, its definition "
                    "may be one that was left out",
                    (unsigned long long)id);
    else
        record_put_drop(store_records(l->log), id);
}

static void drop_strays(struct load *l)
{
    if (l->queue_count)
        qsort(l->queues, l->queue_count, sizeof *l->queues, compare_ids);
    fold_each_queue(l->fold, look_at_contents, l);
}

/* --- the vhost of the configuration: made at the first start, then as any other --- */

static void settle_default_vhost(struct load *l)
{
    struct meta *m = l->m;
    if (l->default_stored)
        return;
    struct meta_change *change = change_new(CHANGE_VHOST_REMOVED);
    struct vhost *vhost = routing_find_vhost(m->local, slice_str(m->options.default_vhost));
    change->vhost = vhost_def_ref(vhost->def);
    meta_publish(m, change);
}

enum err meta_load(struct node *node, struct store *store, struct failure *why)
{
    struct meta *m = meta_of(node);
    struct load l = {
        .m = m, .fold = store_fold(store), .log = store_log_of(node_shard(node, 0)), .why = why};
    m->direct = true;
    enum heap before = heap_enter(HEAP_DEFINITIONS);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0] && !l.err; i++) {
        l.noun = loads[i].noun;
        fold_each_definition(l.fold, (uint8_t)l.noun, on_definition, &l);
        if (l.noun == NOUN_VHOST)
            settle_default_vhost(&l);
    }
    if (!l.err)
        drop_strays(&l);
    heap_enter(before);
    m->direct = false;
    free(l.queues);
    if (l.left_out > LINES_MAX)
        log_warning(DEFAULT, NULL, "left out at the start: %zu definitions in all", l.left_out);
    if (l.err)
        return l.err;
    m->store.log = l.log;
    if (!m->store.seeded && !l.default_stored)
        meta_make_default_vhost(m);
    if (l.loaded)
        log_info(DEFAULT, NULL, "%zu definitions came back", l.loaded - l.left_out);
    return ERR_NONE;
}
