/* The master's exchanges: declaring, deleting, those that delete themselves. */
#include "base/bug.h"
#include "base/mem.h"
#include "meta/meta_priv.h"

#include <stdlib.h>

static void publish_exchange(struct meta *m, enum meta_change_kind kind, struct exchange_def *def)
{
    struct meta_change *change = change_new(kind);
    change->exchange = def;
    meta_publish(m, change);
}

void meta_add_exchange(struct meta *m, const struct exchange_def *like, struct addr near)
{
    struct exchange_def def = *like;
    const struct exchange_type *type = exchange_type_get(def.type);
    struct queue_def named = {
        .vhost = def.vhost, .name = def.name, .args = def.args, .durable = def.durable};
    if (type->delays) {
        def.line = meta_new_line(m, &named, LINE_OF_EXCHANGE, def.line_id, near);
    } else if (type->recalls) {
        named.durable = false;
        def.line = meta_new_line(m, &named, LINE_OF_HISTORY, 0, near);
    } else if (type->sifts) {
        named.durable = type->sifts(def.args, def.durable);
        def.line = meta_new_line(m, &named, LINE_OF_VALUES, named.durable ? def.line_id : 0, near);
    }
    struct meta_change *change = change_new(CHANGE_EXCHANGE_ADDED);
    change->exchange = exchange_def_new(&def);
    meta_record(m, change);
    if (def.line)
        meta_start_line(m, def.line);
    queue_def_unref(&def.line);
    meta_distribute(m, change);
}

static void delete_exchange(struct meta *m, struct exchange *x, struct orphans *orphans)
{
    struct exchange_def *def = exchange_def_ref(x->def);
    orphans_note(orphans, &x->in);
    publish_exchange(m, CHANGE_EXCHANGE_REMOVED, exchange_def_ref(def));
    if (def->line)
        meta_drop_queue(m, def->line);
    exchange_def_unref(&def);
}

/* --- auto-delete --- */

void orphans_note_one(struct orphans *o, const struct exchange *x)
{
    if (!x->def->auto_delete || (o->count && o->defs[o->count - 1] == x->def))
        return;
    MEM_GROW(o->defs, o->cap, o->count + 1);
    o->defs[o->count++] = exchange_def_ref(x->def);
}

void orphans_note(struct orphans *o, const struct list *bounds_in)
{
    list_each (it, bounds_in)
        orphans_note_one(o, list_entry(it, struct bound, by_destination)->source);
}

void orphans_reap(struct meta *m, struct orphans *o)
{
    while (o->count) {
        struct exchange_def *def = o->defs[--o->count];
        struct vhost *vhost = routing_find_vhost(m->local, def->vhost);
        struct exchange *x = vhost_find_exchange(vhost, def->name);
        if (x && x->def == def && list_empty(&x->out))
            delete_exchange(m, x, o);
        exchange_def_unref(&def);
    }
    free(o->defs);
    *o = (struct orphans){0};
}

/* --- verbs --- */

static enum err check_limit(struct meta *m, const struct meta_request *rq, struct failure *why)
{
    int64_t most = limits_get(&m->limits, LIMIT_EXCHANGES);
    if (most < 0 ||
        !limits_reached(&m->limits, LIMIT_EXCHANGES, meta_count(m->node, META_EXCHANGES)))
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "cannot declare exchange '%.*s' in vhost '%.*s': exchange limit of %lld is "
                       "reached",
                       SLICE_ARG(rq->name), SLICE_ARG(rq->vhost), (long long)most);
}

static enum err create_exchange(struct meta *m, struct meta_request *rq,
                                const struct exchange_type *type)
{
    enum err err = check_limit(m, rq, &rq->why);
    if (!err && !(rq->flags & META_TRUSTED))
        err = meta_check_name("exchange", rq->name, &rq->why);
    if (!err)
        err = meta_check_target(m, rq, "exchange", rq->name, "alternate-exchange", &rq->why);
    if (!err && type->validate)
        err = type->validate(type, rq->args, &rq->why);
    if (err)
        return err;
    struct exchange_def like = {
        .vhost = rq->vhost,
        .name = rq->name,
        .type = rq->type,
        .args = rq->args,
        .user = rq->user,
        .durable = rq->flags & META_DURABLE,
        .auto_delete = rq->flags & META_AUTO_DELETE,
        .internal = rq->flags & META_INTERNAL,
    };
    rq->created = true;
    meta_add_exchange(m, &like, rq->reply_to);
    return ERR_NONE;
}

static enum err look_up(const struct vhost *vhost, struct meta_request *rq)
{
    enum err err = meta_check_default_exchange(rq->name, &rq->why);
    if (!err && !vhost_find_exchange(vhost, rq->name))
        err = meta_not_found("exchange", rq->name, rq->vhost, &rq->why);
    return err;
}

enum err meta_exchange_declare(struct meta *m, struct meta_request *rq)
{
    const struct vhost *vhost = meta_get_vhost(m, rq, &rq->why);
    if (!vhost)
        return rq->why.code;
    meta_clean(&rq->name);
    if (rq->name.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "exchange name is too long");
    if (rq->flags & META_PASSIVE)
        return look_up(vhost, rq);
    const struct exchange_type *type = exchange_type_find(rq->type);
    const struct exchange *x = vhost_find_exchange(vhost, rq->name);
    if (!type && x && slice_eq(x->def->type, rq->type))
        type = x->type; /* of a plug-in that is not there */
    else if (!type || (type->internal_only && !(rq->flags & META_TRUSTED)))
        return failure_set(&rq->why, ERR_COMMAND_INVALID, "%s exchange type '%.*s'",
                           rq->type.len ? "unknown" : "invalid", SLICE_ARG(rq->type));
    enum err err = meta_check_default_exchange(rq->name, &rq->why);
    if (!err)
        err = meta_check_right(m, rq, ACCESS_CONFIGURE, "exchange", rq->name, &rq->why);
    if (err)
        return err;
    if (x)
        return meta_check_exchange(x->def, rq->type, rq->flags, rq->args, &rq->why);
    return create_exchange(m, rq, type);
}

enum err meta_exchange_delete(struct meta *m, struct meta_request *rq)
{
    struct vhost *vhost = meta_get_vhost(m, rq, &rq->why);
    if (!vhost)
        return rq->why.code;
    meta_clean(&rq->name);
    enum err err = meta_check_default_exchange(rq->name, &rq->why);
    if (err)
        return err;
    if (slice_starts(rq->name, SLICE("amq.")))
        return failure_set(&rq->why, ERR_ACCESS_REFUSED,
                           "deletion of system exchange '%.*s' in vhost '%.*s' not allowed",
                           SLICE_ARG(rq->name), SLICE_ARG(rq->vhost));
    err = meta_check_right(m, rq, ACCESS_CONFIGURE, "exchange", rq->name, &rq->why);
    if (err)
        return err;
    struct exchange *x = vhost_find_exchange(vhost, rq->name);
    if (!x)
        return ERR_NONE;
    if ((rq->flags & META_IF_UNUSED) && !list_empty(&x->out))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "exchange '%.*s' in vhost '%.*s' in use", SLICE_ARG(rq->name),
                           SLICE_ARG(rq->vhost));
    struct orphans orphans = {0};
    delete_exchange(m, x, &orphans);
    orphans_reap(m, &orphans);
    return ERR_NONE;
}
