/* The growing writer of proto.h and the names of methods. Owned by whoever owns the octets; aborts
 * when memory is gone, as a command-line tool may. */
#include "perf/proto.h"

#include <stdio.h>
#include <stdlib.h>

void octets_fini(struct octets *o)
{
    free(o->data);
    *o = (struct octets){0};
}

void octets_grow(struct octets *o, size_t more)
{
    if (o->off > 0) {
        memmove(o->data, o->data + o->off, o->len - o->off);
        o->len -= o->off;
        o->off = 0;
    }
    if (o->cap - o->len >= more)
        return;

    size_t cap = o->cap < 256 ? 256 : o->cap;
    while (cap - o->len < more)
        cap *= 2;
    o->data = realloc(o->data, cap);
    if (o->data == NULL) {
        fprintf(stderr, "jackalope-perf: out of memory\n");
        abort();
    }
    o->cap = cap;
}

void put_u8(struct octets *o, uint8_t v)
{
    *octets_add(o, 1) = v;
}

void put_u16(struct octets *o, uint16_t v)
{
    set_u16(octets_add(o, 2), v);
}

void put_u32(struct octets *o, uint32_t v)
{
    set_u32(octets_add(o, 4), v);
}

void put_u64(struct octets *o, uint64_t v)
{
    set_u64(octets_add(o, 8), v);
}

void put_bytes(struct octets *o, const void *p, size_t n)
{
    if (n > 0)
        memcpy(octets_add(o, n), p, n);
}

void put_shortstr(struct octets *o, const char *s)
{
    size_t n = strnlen(s, SHORTSTR_MAX);

    put_u8(o, (uint8_t)n);
    put_bytes(o, s, n);
}

/* Marks count from `off`, since growing may move the octets to the front. */
size_t table_begin(struct octets *o)
{
    put_u32(o, 0);
    return octets_left(o);
}

void table_end(struct octets *o, size_t mark)
{
    set_u32(o->data + o->off + mark - 4, (uint32_t)(octets_left(o) - mark));
}

void table_str(struct octets *o, const char *key, const char *value)
{
    size_t n = strlen(value);

    put_shortstr(o, key);
    put_u8(o, 'S');
    put_u32(o, (uint32_t)n);
    put_bytes(o, value, n);
}

void table_long(struct octets *o, const char *key, int64_t value)
{
    put_shortstr(o, key);
    put_u8(o, 'l');
    put_u64(o, (uint64_t)value);
}

void table_bool(struct octets *o, const char *key, bool value)
{
    put_shortstr(o, key);
    put_u8(o, 't');
    put_u8(o, value);
}

size_t method_begin(struct octets *o, uint16_t channel, enum method id)
{
    put_u8(o, FRAME_METHOD);
    put_u16(o, channel);
    put_u32(o, 0);
    size_t mark = octets_left(o);
    put_u32(o, id);
    return mark;
}

void method_end(struct octets *o, size_t mark)
{
    set_u32(o->data + o->off + mark - 4, (uint32_t)(octets_left(o) - mark));
    put_u8(o, FRAME_END);
}

void method_empty(struct octets *o, uint16_t channel, enum method id)
{
    method_end(o, method_begin(o, channel, id));
}

const char *method_name(uint32_t id)
{
    static const struct {
        uint32_t id;
        const char *name;
    } names[] = {
        {CONNECTION_START, "connection.start"},
        {CONNECTION_START_OK, "connection.start-ok"},
        {CONNECTION_SECURE, "connection.secure"},
        {CONNECTION_TUNE, "connection.tune"},
        {CONNECTION_TUNE_OK, "connection.tune-ok"},
        {CONNECTION_OPEN, "connection.open"},
        {CONNECTION_OPEN_OK, "connection.open-ok"},
        {CONNECTION_CLOSE, "connection.close"},
        {CONNECTION_CLOSE_OK, "connection.close-ok"},
        {CONNECTION_BLOCKED, "connection.blocked"},
        {CONNECTION_UNBLOCKED, "connection.unblocked"},
        {CHANNEL_OPEN, "channel.open"},
        {CHANNEL_OPEN_OK, "channel.open-ok"},
        {CHANNEL_FLOW, "channel.flow"},
        {CHANNEL_FLOW_OK, "channel.flow-ok"},
        {CHANNEL_CLOSE, "channel.close"},
        {CHANNEL_CLOSE_OK, "channel.close-ok"},
        {EXCHANGE_DECLARE, "exchange.declare"},
        {EXCHANGE_DECLARE_OK, "exchange.declare-ok"},
        {EXCHANGE_DELETE, "exchange.delete"},
        {EXCHANGE_DELETE_OK, "exchange.delete-ok"},
        {QUEUE_DECLARE, "queue.declare"},
        {QUEUE_DECLARE_OK, "queue.declare-ok"},
        {QUEUE_BIND, "queue.bind"},
        {QUEUE_BIND_OK, "queue.bind-ok"},
        {QUEUE_PURGE, "queue.purge"},
        {QUEUE_PURGE_OK, "queue.purge-ok"},
        {QUEUE_DELETE, "queue.delete"},
        {QUEUE_DELETE_OK, "queue.delete-ok"},
        {QUEUE_UNBIND, "queue.unbind"},
        {QUEUE_UNBIND_OK, "queue.unbind-ok"},
        {BASIC_QOS, "basic.qos"},
        {BASIC_QOS_OK, "basic.qos-ok"},
        {BASIC_CONSUME, "basic.consume"},
        {BASIC_CONSUME_OK, "basic.consume-ok"},
        {BASIC_CANCEL, "basic.cancel"},
        {BASIC_CANCEL_OK, "basic.cancel-ok"},
        {BASIC_PUBLISH, "basic.publish"},
        {BASIC_RETURN, "basic.return"},
        {BASIC_DELIVER, "basic.deliver"},
        {BASIC_GET, "basic.get"},
        {BASIC_GET_OK, "basic.get-ok"},
        {BASIC_GET_EMPTY, "basic.get-empty"},
        {BASIC_ACK, "basic.ack"},
        {BASIC_REJECT, "basic.reject"},
        {BASIC_RECOVER, "basic.recover"},
        {BASIC_RECOVER_OK, "basic.recover-ok"},
        {BASIC_NACK, "basic.nack"},
        {CONFIRM_SELECT, "confirm.select"},
        {CONFIRM_SELECT_OK, "confirm.select-ok"},
        {TX_SELECT, "tx.select"},
        {TX_SELECT_OK, "tx.select-ok"},
        {TX_COMMIT, "tx.commit"},
        {TX_COMMIT_OK, "tx.commit-ok"},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].id == id)
            return names[i].name;
    return "unknown";
}
