/* The master's bindings. One is told from another by source, destination, key and arguments. */
#include "base/bug.h"
#include "meta/meta_priv.h"

static const char *kind_of(const struct meta_request *rq)
{
    return rq->flags & META_TO_EXCHANGE ? "exchange" : "queue";
}

/* What is asked of both bind and unbind, before anything is looked up but the source. */
static enum err check_rights(struct meta *m, const struct meta_request *rq,
                             const struct vhost *vhost, struct failure *why)
{
    enum err err = meta_check_right(m, rq, ACCESS_WRITE, kind_of(rq), rq->name, why);
    if (!err && (rq->flags & META_TO_EXCHANGE))
        err = meta_check_default_exchange(rq->name, why);
    if (!err)
        err = meta_check_default_exchange(rq->source, why);
    if (!err)
        err = meta_check_right(m, rq, ACCESS_READ, "exchange", rq->source, why);
    if (err || (rq->flags & META_TRUSTED))
        return err;
    const struct exchange *source = vhost_find_exchange(vhost, rq->source);
    if (source && slice_eq_str(source->def->type, "topic"))
        err = access_check_topic(m->local, NULL, rq->user, rq->vhost, ACCESS_READ, rq->source,
                                 rq->key, why);
    return err;
}

static struct slice identity_of(struct meta *m, const struct meta_request *rq)
{
    buf_clear(&m->scratch);
    binding_identity_put(&m->scratch, rq->flags & META_TO_EXCHANGE, rq->source, rq->name, rq->key,
                         rq->args);
    return buf_slice(&m->scratch);
}

static void publish_binding(struct meta *m, enum meta_change_kind kind, struct binding_def *def)
{
    struct meta_change *change = change_new(kind);
    change->binding = def;
    meta_publish(m, change);
}

/* Rights, and names as they are kept. */
static enum err begin(struct meta *m, struct meta_request *rq, struct vhost **ret_vhost)
{
    struct vhost *vhost = meta_get_vhost(m, rq, &rq->why);
    if (!vhost)
        return rq->why.code;
    meta_clean(&rq->name);
    meta_clean(&rq->source);
    if (rq->key.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "routing key is too long");
    *ret_vhost = vhost;
    return check_rights(m, rq, vhost, &rq->why);
}

/* Whether both ends are there, and the queue is not another connection's. */
static enum err find_ends(const struct meta_request *rq, const struct vhost *vhost,
                          struct exchange **ret_source, struct failure *why)
{
    struct exchange *source = vhost_find_exchange(vhost, rq->source);
    if (!source)
        return meta_not_found("exchange", rq->source, rq->vhost, why);
    const struct target_queue *queue =
        rq->flags & META_TO_EXCHANGE ? NULL : vhost_find_queue(vhost, rq->name);
    if (!queue && (!(rq->flags & META_TO_EXCHANGE) || !vhost_find_exchange(vhost, rq->name)))
        return meta_not_found(kind_of(rq), rq->name, rq->vhost, why);
    *ret_source = source;
    if (source->type->validate_binding) {
        enum err err = source->type->validate_binding(source->type, rq->key, rq->args, why);
        if (err)
            return err;
    }
    if (source->type->validate_destination) {
        struct destination to = {.queue = (struct target_queue *)(uintptr_t)queue};
        if (!queue)
            to.exchange = vhost_find_exchange(vhost, rq->name);
        enum err err = source->type->validate_destination(&to, why);
        if (err)
            return err;
    }
    if (queue && !(rq->flags & META_TRUSTED))
        return meta_check_owner(queue->def, rq->connection, why);
    return ERR_NONE;
}

enum err meta_bind(struct meta *m, struct meta_request *rq)
{
    struct vhost *vhost = NULL;
    struct exchange *source = NULL;
    enum err err = begin(m, rq, &vhost);
    if (!err)
        err = find_ends(rq, vhost, &source, &rq->why);
    if (err)
        return err;
    struct slice identity = identity_of(m, rq);
    if (hash_find(&vhost->bindings, identity))
        return ERR_NONE;
    err = exchange_type_refuse(source->type, source->def->name, source->def->vhost,
                               source->def->type, &rq->why);
    if (err)
        return err;
    struct binding_key key = {.vhost = rq->vhost,
                              .identity = identity,
                              .to_exchange = rq->flags & META_TO_EXCHANGE,
                              .order = ++m->last_binding};
    rq->created = true;
    publish_binding(m, CHANGE_BOUND, binding_def_new(&key, m->shards));
    return ERR_NONE;
}

enum err meta_unbind(struct meta *m, struct meta_request *rq)
{
    struct vhost *vhost = NULL;
    struct orphans orphans = {0};
    enum err err = begin(m, rq, &vhost);
    if (err)
        return err;
    if (rq->name.len > UINT8_MAX || rq->source.len > UINT8_MAX)
        return ERR_NONE;
    struct binding_def *def = hash_find(&vhost->bindings, identity_of(m, rq));
    if (!def)
        return ERR_NONE;
    const struct bound *bound = def->bounds[0];
    if (!def->to_exchange && !(rq->flags & META_TRUSTED))
        err = meta_check_owner(bound->binding.to.queue->def, rq->connection, &rq->why);
    if (err)
        return err;
    orphans_note_one(&orphans, bound->source);
    publish_binding(m, CHANGE_UNBOUND, binding_def_ref(def));
    orphans_reap(m, &orphans);
    return ERR_NONE;
}
