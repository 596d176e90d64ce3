/* Events of definitions. Who acted is known while the master handles a request; what the broker
 * does by itself, and a queue that its client deleted, names nobody. */
#include "meta/events.h"

#include "base/table.h"
#include "meta/meta_priv.h"
#include "meta/policy.h"

void meta_set_event_sink(struct node *node,
                         void (*sink)(struct shard *shard, const char *key, struct slice headers))
{
    meta_of(node)->local->events.sink = sink;
}

void meta_event_put_args(struct buf *table, struct slice key, struct slice args)
{
    struct slice name;
    struct table_value value;
    struct buf text = BUF_INIT;
    size_t mark = table_open(table, key, TABLE_ARRAY);
    for (struct table_iter it = table_iter(args); table_next(&it, &name, &value);) {
        const struct table_value quoted = table_value_str(name);
        buf_clear(&text);
        buf_append_byte(&text, '{');
        table_value_print_quoted(&quoted, &text);
        buf_printf(&text, ",%s,", table_type_name(value.type));
        table_value_print_quoted(&value, &text);
        buf_append_byte(&text, '}');
        array_put_str(table, buf_slice(&text));
    }
    table_close(table, mark);
    buf_fini(&text);
}

static void tell(const struct routing *r, const char *key, struct buf *table)
{
    if (r->events.user.len)
        table_put_str(table, SLICE("user_who_performed_action"), r->events.user);
    r->events.sink(r->shard, key, buf_slice(table));
    buf_fini(table);
}

static void put_name(struct buf *table, struct slice name, struct slice vhost)
{
    table_put_str(table, SLICE("name"), name);
    table_put_str(table, SLICE("vhost"), vhost);
}

void event_binding(const struct routing *r, const char *key, const struct binding_def *def)
{
    struct buf table = BUF_INIT;
    if (!r->events.sink)
        return;
    table_put_str(&table, SLICE("source_name"), def->source);
    table_put_str(&table, SLICE("source_kind"), SLICE("exchange"));
    table_put_str(&table, SLICE("destination_name"), def->destination);
    table_put_str(&table, SLICE("destination_kind"),
                  def->to_exchange ? SLICE("exchange") : SLICE("queue"));
    table_put_str(&table, SLICE("routing_key"), def->key);
    meta_event_put_args(&table, SLICE("arguments"), def->args);
    table_put_str(&table, SLICE("vhost"), def->vhost);
    tell(r, key, &table);
}

static void put_exchange(struct buf *table, const struct exchange_def *def)
{
    put_name(table, def->name, def->vhost);
    table_put_str(table, SLICE("type"), def->type);
    table_put_bool(table, SLICE("durable"), def->durable);
    table_put_bool(table, SLICE("auto_delete"), def->auto_delete);
    table_put_bool(table, SLICE("internal"), def->internal);
    meta_event_put_args(table, SLICE("arguments"), def->args);
}

static void put_queue(struct buf *table, const struct queue_def *def)
{
    struct buf owner = BUF_INIT;
    put_name(table, def->name, def->vhost);
    table_put_bool(table, SLICE("durable"), def->durable);
    table_put_bool(table, SLICE("auto_delete"), def->auto_delete);
    meta_event_put_args(table, SLICE("arguments"), def->args);
    if (def->owner)
        buf_printf(&owner, "<%llu>", (unsigned long long)def->owner);
    table_put_str(table, SLICE("owner_pid"), buf_slice(&owner));
    table_put_bool(table, SLICE("exclusive"), def->exclusive);
    buf_fini(&owner);
}

void event_change(const struct routing *r, const struct meta_change *change)
{
    struct buf table = BUF_INIT;
    if (!r->events.sink)
        return;
    switch (change->kind) {
    case CHANGE_EXCHANGE_ADDED:
        put_exchange(&table, change->exchange);
        tell(r, "exchange.created", &table);
        break;
    case CHANGE_QUEUE_ADDED:
        put_queue(&table, change->queue);
        tell(r, "queue.created", &table);
        break;
    case CHANGE_EXCHANGE_REMOVED:
    case CHANGE_QUEUE_REMOVED:
        put_name(&table, meta_change_name(change), meta_change_vhost(change));
        tell(r, change->kind == CHANGE_QUEUE_REMOVED ? "queue.deleted" : "exchange.deleted",
             &table);
        break;
    case CHANGE_VHOST_REMOVED:
        table_put_str(&table, SLICE("name"), change->vhost->name);
        tell(r, "vhost.deleted", &table);
        break;
    default:
        break;
    }
}

/* ---- what is known by its request ---- */

static void tell_vhost(const struct routing *r, const struct meta_request *rq)
{
    struct buf table = BUF_INIT;
    const struct vhost *vhost = routing_find_vhost(r, rq->name);
    if (!rq->created || !vhost)
        return;
    table_put_str(&table, SLICE("name"), rq->name);
    table_put_str(&table, SLICE("description"), vhost->def->description);
    table_put_str(&table, SLICE("tags"), vhost->def->tags);
    table_put_bool(&table, SLICE("tracing"), vhost->def->tracing);
    tell(r, "vhost.created", &table);
}

static void tell_user(const struct routing *r, const char *key, const struct meta_request *rq)
{
    struct buf table = BUF_INIT;
    table_put_str(&table, SLICE("name"), rq->name);
    tell(r, key, &table);
}

static void tell_tags(const struct routing *r, const struct meta_request *rq)
{
    struct buf table = BUF_INIT;
    table_put_str(&table, SLICE("name"), rq->name);
    size_t mark = table_open(&table, SLICE("tags"), TABLE_ARRAY);
    for (size_t i = 0, n; i < rq->type.len; i += n + 1) {
        const uint8_t *comma = memchr(rq->type.data + i, ',', rq->type.len - i);
        n = comma ? (size_t)(comma - rq->type.data) - i : rq->type.len - i;
        array_put_str(&table, slice_of(rq->type.data + i, n));
    }
    table_close(&table, mark);
    tell(r, "user.tags.set", &table);
}

static void tell_user_put(const struct routing *r, const struct meta_request *rq)
{
    bool cleared = rq->hash.data && !rq->hash.len && !rq->key.data;
    if (rq->created)
        tell_user(r, "user.created", rq);
    else if (rq->key.data || rq->hash.data)
        tell_user(r, cleared ? "user.password.cleared" : "user.password.changed", rq);
    if (rq->type.data && (!rq->created || rq->type.len))
        tell_tags(r, rq);
}

static void tell_permission(const struct routing *r, const struct meta_request *rq)
{
    bool topic = rq->verb == META_TOPIC_PERMISSION_SET || rq->verb == META_TOPIC_PERMISSION_CLEAR;
    bool set = rq->verb == META_TOPIC_PERMISSION_SET || rq->verb == META_PERMISSION_SET;
    struct buf table = BUF_INIT;
    table_put_str(&table, SLICE("user"), rq->name);
    table_put_str(&table, SLICE("vhost"), rq->vhost);
    if (set && topic)
        table_put_str(&table, SLICE("exchange"), rq->source);
    if (set && !topic)
        table_put_str(&table, SLICE("configure"), rq->configure);
    if (set) {
        table_put_str(&table, SLICE("write"), rq->write);
        table_put_str(&table, SLICE("read"), rq->read);
    }
    tell(r,
         topic ? set ? "topic.permission.created" : "topic.permission.deleted"
         : set ? "permission.created"
               : "permission.deleted",
         &table);
}

static void put_definition(struct buf *table, struct slice name, struct slice args)
{
    struct table_value value;
    if (table_find(args, SLICE("value"), &value))
        table_put(table, name, &value);
}

static void tell_policy(const struct routing *r, const struct meta_request *rq)
{
    struct buf table = BUF_INIT;
    bool set = rq->verb == META_POLICY_SET;
    put_name(&table, rq->name, rq->vhost);
    if (set) {
        table_put_str(&table, SLICE("pattern"), rq->pattern);
        table_put_str(&table, SLICE("apply-to"), rq->apply_to.data ? rq->apply_to : SLICE("all"));
        put_definition(&table, SLICE("definition"), rq->args);
        table_put_i64(&table, SLICE("priority"), rq->priority);
    }
    if (rq->flags & META_OPERATOR)
        tell(r, set ? "operator.policy.set" : "operator.policy.cleared", &table);
    else
        tell(r, set ? "policy.set" : "policy.cleared", &table);
}

/* The limits as keys of their own. */
static void put_limits(struct buf *table, struct slice args)
{
    struct table_value limits, value;
    struct slice name;
    if (!table_find(args, SLICE("value"), &limits) || limits.type != TABLE_TABLE)
        return;
    for (struct table_iter it = table_iter(limits.bytes); table_next(&it, &name, &value);)
        table_put(table, name, &value);
}

static void tell_limits(const struct routing *r, const struct meta_request *rq)
{
    struct buf table = BUF_INIT;
    bool of_user = rq->verb == META_USER_LIMITS_SET || rq->verb == META_USER_LIMITS_CLEAR;
    bool set = rq->verb == META_USER_LIMITS_SET || rq->verb == META_PARAMETER_SET;
    table_put_str(&table, SLICE("name"), SLICE("limits"));
    if (of_user)
        table_put_str(&table, SLICE("username"), rq->name);
    else
        table_put_str(&table, SLICE("vhost"), rq->vhost);
    if (set)
        put_limits(&table, rq->args);
    if (of_user)
        tell(r, set ? "user.limits.set" : "user.limits.cleared", &table);
    else
        tell(r, set ? "vhost.limits.set" : "vhost.limits.cleared", &table);
}

static void tell_parameter(const struct routing *r, const struct meta_request *rq)
{
    struct buf table = BUF_INIT;
    bool set = rq->verb == META_PARAMETER_SET;
    table_put_str(&table, SLICE("name"), rq->name);
    if (!(rq->flags & META_GLOBAL)) {
        table_put_str(&table, SLICE("component"), rq->source);
        table_put_str(&table, SLICE("vhost"), rq->vhost);
    }
    if (set)
        put_definition(&table, SLICE("value"), rq->args);
    tell(r, set ? "parameter.set" : "parameter.cleared", &table);
}

void event_request(const struct routing *r, const struct meta_request *rq)
{
    if (!r->events.sink)
        return;
    switch (rq->verb) {
    case META_VHOST_PUT:
        tell_vhost(r, rq);
        break;
    case META_USER_PUT:
        tell_user_put(r, rq);
        break;
    case META_USER_DELETE:
        tell_user(r, "user.deleted", rq);
        break;
    case META_PERMISSION_SET:
    case META_PERMISSION_CLEAR:
    case META_TOPIC_PERMISSION_SET:
    case META_TOPIC_PERMISSION_CLEAR:
        tell_permission(r, rq);
        break;
    case META_POLICY_SET:
    case META_POLICY_CLEAR:
        tell_policy(r, rq);
        break;
    case META_PARAMETER_SET:
    case META_PARAMETER_CLEAR:
        tell_parameter(r, rq);
        if (!(rq->flags & META_GLOBAL) && slice_eq_str(rq->source, "vhost-limits"))
            tell_limits(r, rq);
        break;
    case META_USER_LIMITS_SET:
    case META_USER_LIMITS_CLEAR:
        tell_limits(r, rq);
        break;
    default:
        break;
    }
}
