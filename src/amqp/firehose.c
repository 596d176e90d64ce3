/* The firehose: copies of what is published and delivered in a vhost that is traced go to
 * amq.rabbitmq.trace, with keys and headers as RabbitMQ has them. What comes through that exchange
 * is never copied again. */
#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/announce.h"

#include <stdlib.h>

static const struct slice exchange_name = {(const uint8_t *)"amq.rabbitmq.trace", 18};

/* NULL: nothing of this channel is traced, or not this message. */
static struct exchange *find_exchange(struct channel *ch, const struct msg *msg)
{
    const struct vhost *vhost = channel_vhost(ch);
    if (!vhost || !vhost_is_traced(vhost) || slice_eq(msg_exchange(msg), exchange_name))
        return NULL;
    return vhost_find_exchange(vhost, exchange_name);
}

static void put_int(struct buf *table, struct slice key, uint64_t n)
{
    if (n <= INT32_MAX)
        table_put_i32(table, key, (int32_t)n);
    else
        table_put_i64(table, key, (int64_t)n);
}

/* Without BCC, which nobody is told; its keys are among routing_keys. */
static void put_headers(struct buf *table, struct slice name, struct slice headers)
{
    size_t mark = table_open(table, name, TABLE_TABLE);
    table_remove(headers, SLICE("BCC"), table);
    table_close(table, mark);
}

/* Numbers as numbers, texts as texts, in RabbitMQ's order: the last first. */
static void put_properties(struct buf *table, struct slice raw)
{
    struct amqp_basic_properties p;
    if (props_decode(raw, &p))
        return;
    const struct {
        enum amqp_property flag;
        const char *name;
        struct slice text;
        uint64_t number;
    } rows[] = {
        {AMQP_PROP_APP_ID, "app_id", p.app_id, 0},
        {AMQP_PROP_USER_ID, "user_id", p.user_id, 0},
        {AMQP_PROP_TYPE, "type", p.type, 0},
        {AMQP_PROP_TIMESTAMP, "timestamp", SLICE_EMPTY, p.timestamp},
        {AMQP_PROP_MESSAGE_ID, "message_id", p.message_id, 0},
        {AMQP_PROP_EXPIRATION, "expiration", p.expiration, 0},
        {AMQP_PROP_REPLY_TO, "reply_to", p.reply_to, 0},
        {AMQP_PROP_CORRELATION_ID, "correlation_id", p.correlation_id, 0},
        {AMQP_PROP_PRIORITY, "priority", SLICE_EMPTY, p.priority},
        {AMQP_PROP_DELIVERY_MODE, "delivery_mode", SLICE_EMPTY, p.delivery_mode},
        {AMQP_PROP_HEADERS, "headers", p.headers, 0},
        {AMQP_PROP_CONTENT_ENCODING, "content_encoding", p.content_encoding, 0},
        {AMQP_PROP_CONTENT_TYPE, "content_type", p.content_type, 0},
    };
    enum { NUMBERS = AMQP_PROP_TIMESTAMP | AMQP_PROP_PRIORITY | AMQP_PROP_DELIVERY_MODE };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice name = slice_str(rows[i].name);
        if (!(p.flags & rows[i].flag))
            continue;
        if (rows[i].flag & NUMBERS)
            put_int(table, name, rows[i].number);
        else if (rows[i].flag == AMQP_PROP_HEADERS)
            put_headers(table, name, rows[i].text);
        else
            table_put_str(table, name, rows[i].text);
    }
}

/* What both kinds of copy say of the message. */
static void put_message(struct channel *ch, struct buf *table, const struct msg *msg,
                        const struct slice *keys, size_t key_count)
{
    table_put_str(table, SLICE("exchange_name"), msg_exchange(msg));
    size_t mark = table_open(table, SLICE("routing_keys"), TABLE_ARRAY);
    for (size_t i = 0; i < key_count; i++)
        array_put_str(table, keys[i]);
    table_close(table, mark);
    mark = table_open(table, SLICE("properties"), TABLE_TABLE);
    put_properties(table, msg_properties(msg));
    table_close(table, mark);
    table_put_str(table, SLICE("node"), slice_str(ch->amqp->options.node_name));
}

static void put_client(struct channel *ch, struct buf *table)
{
    const struct connection *c = ch->connection;
    table_put_str(table, SLICE("vhost"), c->vhost);
    table_put_str(table, SLICE("connection"), slice_str(stream_get_info(c->stream)->name));
    table_put_i32(table, SLICE("channel"), (int32_t)ch->number);
    table_put_str(table, SLICE("user"), c->user);
}

static void send_copy(struct channel *ch, struct exchange *x, struct msg *msg, const char *what,
                      struct slice of, struct slice table)
{
    struct buf key = BUF_INIT, header = BUF_INIT;
    uint8_t names[ANNOUNCE_NAMES_MAX];
    buf_printf(&key, "%s.%.*s", what, SLICE_ARG(of));
    announce_header(&header, msg->body_len,
                    &(struct amqp_basic_properties){.flags = AMQP_PROP_HEADERS, .headers = table});
    size_t len = announce_names(names, exchange_name, buf_slice(&key));
    struct msg *copy = msg_derive(msg, slice_of(names, len), buf_slice(&header), SLICE_EMPTY);
    copy->flags &= (uint16_t)~MSG_PERSISTENT;
    announce(ch->amqp->shard, &ch->amqp->trace_route, channel_vhost(ch), x, copy);
    buf_fini(&key);
    buf_fini(&header);
}

void firehose_published(struct channel *ch, struct msg *msg, const struct route *route)
{
    struct exchange *x = find_exchange(ch, msg);
    struct buf table = BUF_INIT;
    if (!x)
        return;
    put_message(ch, &table, msg, route->keys, route->key_count);
    put_client(ch, &table);
    size_t mark = table_open(&table, SLICE("routed_queues"), TABLE_ARRAY);
    for (size_t i = 0; i < route->count; i++) {
        if (!route->targets[i]->def->line_of)
            array_put_str(&table, route->targets[i]->def->name);
    }
    table_close(&table, mark);
    send_copy(ch, x, msg, "publish", msg_exchange(msg), buf_slice(&table));
    buf_fini(&table);
}

/* The keys as when it was published: its own, those of CC, those of the BCC that was taken off. */
static size_t find_keys(const struct msg *msg, struct slice **ret_keys)
{
    struct slice cc = SLICE_EMPTY, hidden = msg_hidden_keys(msg);
    struct slice headers = props_headers(msg_properties(msg));
    struct table_value v;
    if (headers.len)
        table_find_array(headers, SLICE("CC"), &cc);
    size_t n = 0, cap = 0;
    struct slice *keys = NULL;
    MEM_GROW(keys, cap, 1);
    keys[n++] = msg_routing_key(msg);
    const struct slice lists[] = {cc, hidden};
    for (size_t i = 0; i < 2; i++) {
        for (struct table_iter it = table_iter(lists[i]); array_next(&it, &v);) {
            if (v.type != TABLE_LONGSTR)
                continue;
            MEM_GROW(keys, cap, n + 1);
            keys[n++] = v.bytes;
        }
    }
    *ret_keys = keys;
    return n;
}

void firehose_delivered(struct channel *ch, struct msg *msg, const struct queue_def *queue,
                        bool redelivered)
{
    struct exchange *x = find_exchange(ch, msg);
    struct buf table = BUF_INIT;
    struct slice *keys;
    if (!x)
        return;
    size_t count = find_keys(msg, &keys);
    put_message(ch, &table, msg, keys, count);
    table_put_i32(&table, SLICE("redelivered"), redelivered);
    put_client(ch, &table);
    send_copy(ch, x, msg, "deliver", queue->name, buf_slice(&table));
    free(keys);
    buf_fini(&table);
}
