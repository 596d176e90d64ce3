/* The master's vhosts: each is born with its exchanges and takes all it holds with it. */
#include "base/bug.h"
#include "base/mem.h"
#include "meta/args.h"
#include "meta/meta_priv.h"

static const struct {
    const char *name, *type;
    bool internal;
} predeclared[] = {
    {"", "direct", false},
    {"amq.direct", "direct", false},
    {"amq.fanout", "fanout", false},
    {"amq.topic", "topic", false},
    {"amq.headers", "headers", false},
    {"amq.match", "headers", false},
    {"amq.rabbitmq.trace", "topic", true},
};

bool meta_is_predeclared(struct slice exchange)
{
    for (size_t i = 0; i < sizeof predeclared / sizeof predeclared[0]; i++) {
        if (slice_eq_str(exchange, predeclared[i].name))
            return true;
    }
    return false;
}

static void add_exchanges(struct meta *m, struct slice vhost)
{
    for (size_t i = 0; i < sizeof predeclared / sizeof predeclared[0]; i++) {
        struct exchange_def like = {
            .vhost = vhost,
            .name = slice_str(predeclared[i].name),
            .type = slice_str(predeclared[i].type),
            .user = SLICE("rmq-internal"),
            .durable = true,
            .internal = predeclared[i].internal,
        };
        struct meta_change *change = change_new(CHANGE_EXCHANGE_ADDED);
        change->exchange = exchange_def_new(&like);
        meta_publish(m, change);
    }
}

void meta_put_vhost(struct meta *m, const struct vhost_def *like)
{
    const struct vhost *former = routing_find_vhost(m->local, like->name);
    struct vhost_def def = *like;
    def.usage = former ? former->def->usage : NULL;
    struct meta_change *change = change_new(CHANGE_VHOST_ADDED);
    change->vhost = vhost_def_new(&def);
    meta_publish(m, change);
    if (!former)
        add_exchanges(m, like->name);
}

static enum err set_queue_type(struct vhost_def *like, struct meta_request *rq)
{
    if (!rq->queue_type.data)
        return ERR_NONE;
    like->has_queue_type = rq->queue_type.len != 0;
    if (!like->has_queue_type || args_queue_type_parse(rq->queue_type, &like->queue_type))
        return ERR_NONE;
    return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "unsupported queue type '%.*s'",
                       SLICE_ARG(rq->queue_type));
}

enum err meta_vhost_put(struct meta *m, struct meta_request *rq)
{
    const struct vhost *vhost = routing_find_vhost(m->local, rq->name);
    struct vhost_def like = {.name = rq->name};
    if (rq->name.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "virtual host name is too long");
    if (vhost && (rq->flags & META_CREATE_ONLY))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "Virtual host \"%.*s\" already exists", SLICE_ARG(rq->name));
    if (!vhost && (rq->flags & META_MUST_EXIST))
        return failure_set(&rq->why, ERR_NOT_FOUND, "Virtual host \"%.*s\" does not exist",
                           SLICE_ARG(rq->name));
    if (!vhost && limits_reached(&m->limits, LIMIT_VHOSTS, m->local->vhosts.count))
        return failure_set(&rq->why, ERR_COMMAND_INVALID,
                           "cannot create vhost '%.*s': vhost limit of %lld is reached",
                           SLICE_ARG(rq->name), (long long)limits_get(&m->limits, LIMIT_VHOSTS));
    if (vhost) {
        like.description = vhost->def->description;
        like.tags = vhost->def->tags;
        like.has_queue_type = vhost->def->has_queue_type;
        like.queue_type = vhost->def->queue_type;
        like.tracing = vhost->def->tracing;
        like.is_protected = vhost->def->is_protected;
    }
    if (rq->flags & (META_PROTECT | META_UNPROTECT))
        like.is_protected = rq->flags & META_PROTECT;
    if (rq->flags & (META_TRACE_ON | META_TRACE_OFF))
        like.tracing = rq->flags & META_TRACE_ON;
    if (rq->description.data)
        like.description = rq->description;
    if (rq->type.data)
        like.tags = rq->type;
    enum err err = set_queue_type(&like, rq);
    if (err)
        return err;
    rq->created = !vhost;
    meta_put_vhost(m, &like);
    if (rq->created)
        meta_put_vhost_defaults(m, rq->name);
    return ERR_NONE;
}

enum err meta_vhost_delete(struct meta *m, struct meta_request *rq)
{
    struct vhost *vhost = routing_find_vhost(m->local, rq->name);
    if (!vhost)
        return failure_set(&rq->why, ERR_NOT_FOUND, "Virtual host \"%.*s\" does not exist",
                           SLICE_ARG(rq->name));
    if (vhost->def->is_protected)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "Cannot delete this virtual host: it is protected from deletion. To "
                           "lift the protection, inspect and update its metadata");
    hash_each (i, &vhost->queues) {
        struct target_queue *queue = hash_at(&vhost->queues, i);
        meta_drop_queue(m, queue->def);
    }
    hash_each (i, &vhost->exchanges) {
        struct exchange *x = hash_at(&vhost->exchanges, i);
        if (x->def->line)
            meta_drop_queue(m, x->def->line);
    }
    struct meta_change *change = change_new(CHANGE_VHOST_REMOVED);
    change->vhost = vhost_def_ref(vhost->def);
    meta_forget_import(m, rq->name);
    meta_publish(m, change);
    return ERR_NONE;
}
