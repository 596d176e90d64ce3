/* Events of connections, channels and consumers for the event exchange, with the keys and headers
 * that RabbitMQ gives them. */
#include "broker/events.h"
#include "amqp/channel_priv.h"
#include "base/table.h"
#include "meta/events.h"

#include <arpa/inet.h>
#include <inttypes.h>

/* {127,0,0,1}; what is no address stays as it is. */
static void put_address(struct buf *table, struct slice key, const char *text)
{
    struct buf out = BUF_INIT;
    uint8_t bytes[16];
    if (text && inet_pton(AF_INET, text, bytes) == 1) {
        buf_printf(&out, "{%u,%u,%u,%u}", bytes[0], bytes[1], bytes[2], bytes[3]);
    } else if (text && inet_pton(AF_INET6, text, bytes) == 1) {
        for (unsigned i = 0; i < sizeof bytes; i += 2)
            buf_printf(&out, "%c%u", i ? ',' : '{', bytes[i] << 8 | bytes[i + 1]);
        buf_append_byte(&out, '}');
    } else if (text) {
        buf_append_str(&out, text);
    }
    table_put_str(table, key, buf_slice(&out));
    buf_fini(&out);
}

/* Takes the value. */
static void put_value(struct buf *table, const char *name, struct value v)
{
    struct slice key = slice_str(name);
    switch (v.type) {
    case VALUE_BOOL:
        table_put_bool(table, key, v.boolean);
        break;
    case VALUE_INT:
        table_put_i64(table, key, v.integer);
        break;
    case VALUE_TEXT:
        table_put_str(table, key, v.bytes);
        break;
    case VALUE_TABLE:
        meta_event_put_args(table, key, v.bytes);
        break;
    default:
        table_put_str(table, key, SLICE_EMPTY);
    }
    value_fini(&v);
}

static void put_columns(struct buf *table, const void *object, const char *const *columns,
                        struct value (*get)(const void *object, const char *column))
{
    for (; *columns; columns++)
        put_value(table, *columns, get(object, *columns));
}

static void put_actor(struct buf *table, const struct connection *c)
{
    table_put_str(table, SLICE("user_who_performed_action"), c->user);
}

static void emit(const struct connection *c, const char *key, struct buf *table)
{
    events_emit(c->amqp->shard, key, buf_slice(table));
    buf_fini(table);
}

void event_login(const struct connection *c, struct slice user, const char *error)
{
    const struct stream_info *info = stream_get_info(c->stream);
    struct buf table = BUF_INIT;
    if (!events_on(c->amqp->shard))
        return;
    table_put_str(&table, SLICE("connection_type"), SLICE("network"));
    table_put_str(&table, SLICE("name"), user);
    put_address(&table, SLICE("host"), info->local_host);
    put_address(&table, SLICE("peer_host"), info->peer_host);
    put_value(&table, "peer_port", connection_column(c, "peer_port"));
    table_put_str(&table, SLICE("connection_name"), slice_str(info->name));
    table_put_str(&table, SLICE("protocol"), SLICE("{0,9,1}"));
    table_put_str(&table, SLICE("auth_mechanism"), c->mechanism);
    table_put_bool(&table, SLICE("ssl"), info->tls);
    if (error)
        table_put_str(&table, SLICE("error"), slice_str(error));
    emit(c, error ? "user.authentication.failure" : "user.authentication.success", &table);
}

void event_connection(const struct connection *c, bool created)
{
    static const char *const all[] = {"pid",
                                      "name",
                                      "user_provided_name",
                                      "port",
                                      "peer_port",
                                      "ssl",
                                      "peer_cert_subject",
                                      "peer_cert_issuer",
                                      "peer_cert_validity",
                                      "auth_mechanism",
                                      "ssl_protocol",
                                      "ssl_key_exchange",
                                      "ssl_cipher",
                                      "ssl_hash",
                                      "protocol",
                                      "user",
                                      "vhost",
                                      "timeout",
                                      "frame_max",
                                      "channel_max",
                                      "connected_at",
                                      "client_properties",
                                      NULL};
    static const char *const few[] = {"pid", "name", "user_provided_name", "client_properties",
                                      NULL};
    const struct stream_info *info = stream_get_info(c->stream);
    struct buf table = BUF_INIT;
    if (!events_on(c->amqp->shard))
        return;
    put_columns(&table, c, created ? all : few, connection_column);
    table_put_str(&table, SLICE("node"), slice_str(c->amqp->options.node_name));
    if (created) {
        table_put_str(&table, SLICE("type"), SLICE("network"));
        put_address(&table, SLICE("host"), info->local_host);
        put_address(&table, SLICE("peer_host"), info->peer_host);
        put_actor(&table, c);
    }
    emit(c, created ? "connection.created" : "connection.closed", &table);
}

void event_channel(const struct channel *ch, bool created)
{
    static const char *const all[] = {"pid", "name", "connection", "number", "user", "vhost", NULL};
    static const char *const few[] = {"pid", NULL};
    struct buf table = BUF_INIT;
    if (!events_on(ch->amqp->shard))
        return;
    put_columns(&table, ch, created ? all : few, channel_column);
    put_actor(&table, ch->connection);
    emit(ch->connection, created ? "channel.created" : "channel.closed", &table);
}

void event_consumer(const struct channel *ch, const struct channel_consumer *cc, bool created)
{
    struct buf table = BUF_INIT;
    if (!events_on(ch->amqp->shard))
        return;
    table_put_str(&table, SLICE("consumer_tag"), cc->tag);
    put_value(&table, "channel", channel_column(ch, "pid"));
    table_put_str(&table, SLICE("queue"), cc->def->name);
    table_put_str(&table, SLICE("vhost"), cc->def->vhost);
    if (created) {
        table_put_bool(&table, SLICE("exclusive"), cc->exclusive);
        table_put_bool(&table, SLICE("ack_required"), !cc->no_ack);
        table_put_i64(&table, SLICE("prefetch_count"), cc->no_ack ? 0 : ch->prefetch);
        meta_event_put_args(&table, SLICE("arguments"), cc->args);
    }
    put_actor(&table, ch->connection);
    emit(ch->connection, created ? "consumer.created" : "consumer.deleted", &table);
}
