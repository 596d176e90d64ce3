/* Message interceptors: headers that the broker puts into what clients publish, before it is
 * routed, and into what they get. Runs on the channel's shard. */
#include "amqp/intercept.h"

#include "amqp/hook.h"
#include "base/clock.h"
#include "base/props.h"
#include "base/table.h"
#include "base/wire_cursor.h"

/* In place of headers; true: they have changed. */
static bool put(struct buf *headers, struct slice name, const struct table_value *value,
                enum intercept how)
{
    struct table_value there;
    struct buf more = BUF_INIT;
    if (how == INTERCEPT_OFF ||
        (how == INTERCEPT_KEEP && table_find(buf_slice(headers), name, &there)))
        return false;
    table_replace(buf_slice(headers), name, value, &more);
    buf_fini(headers);
    *headers = more;
    return true;
}

static void put_timestamp(struct channel *ch, struct msg **msg, uint64_t ms, enum intercept how)
{
    uint8_t seconds[sizeof(uint64_t)];
    uint64_t ignored;
    if (how == INTERCEPT_OFF ||
        (how == INTERCEPT_KEEP && props_timestamp(msg_properties(*msg), &ignored)))
        return;
    wire_store_u64(seconds, ms / 1000);
    publish_replace_property(ch, msg, AMQP_PROP_TIMESTAMP, slice_of(seconds, sizeof seconds));
}

void intercept_publish(struct channel *ch, struct msg **msg)
{
    const struct amqp_options *o = &ch->amqp->options;
    uint64_t ms = clock_wall_ms();
    struct table_value time = table_value_i64((int64_t)ms);
    struct table_value node = table_value_str(slice_str(o->node_name));
    struct buf headers = BUF_INIT;
    buf_append_slice(&headers, props_headers(msg_properties(*msg)));
    bool changed = put(&headers, SLICE("timestamp_in_ms"), &time, o->intercept.timestamp);
    changed |= put(&headers, SLICE("x-routed-by"), &node, o->intercept.routing_node);
    if (changed)
        publish_replace_property(ch, msg, AMQP_PROP_HEADERS, buf_slice(&headers));
    buf_fini(&headers);
    put_timestamp(ch, msg, ms, o->intercept.timestamp);
}

bool intercept_ask(struct channel *ch, struct msg **msg, struct failure *why)
{
    struct amqp_hook *hook = ch->amqp->hook;
    struct amqp_publisher by = {.user = ch->connection->user, .vhost = ch->connection->vhost};
    return !hook->on_publish(hook, &by, msg, why);
}

void intercept_delivery(struct channel *ch, struct msg **msg)
{
    struct table_value time = table_value_i64((int64_t)clock_wall_ms());
    struct buf headers = BUF_INIT;
    buf_append_slice(&headers, props_headers(msg_properties(*msg)));
    put(&headers, SLICE("x-opt-rabbitmq-sent-time"), &time, INTERCEPT_OVERWRITE);
    publish_replace_property(ch, msg, AMQP_PROP_HEADERS, buf_slice(&headers));
    buf_fini(&headers);
}
