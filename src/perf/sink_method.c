/* The sink's answers to every method but basic.publish: yes, blindly. Arguments are read only where
 * the answer depends on them, and never past the frame. */
#include "perf/sink.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHANNEL_MAX = 2047, SINK_FRAME_MAX = 131072 };

struct sink_channel *sink_channel(struct sink_conn *c, uint16_t number)
{
    if (number >= c->nchannels) {
        uint32_t n = number + 1U;
        c->channels = sink_must(realloc(c->channels, n * sizeof *c->channels));
        memset(c->channels + c->nchannels, 0, (n - c->nchannels) * sizeof *c->channels);
        c->nchannels = n;
    }
    return &c->channels[number];
}

void sink_greet(struct sink_conn *c)
{
    struct octets *o = &c->out;
    size_t mark = method_begin(o, 0, CONNECTION_START);

    put_u8(o, 0);
    put_u8(o, 9);
    size_t table = table_begin(o);
    table_str(o, "product", "jackalope-perf sink");
    table_str(o, "version", PACKAGE_VERSION);
    put_shortstr(o, "capabilities");
    put_u8(o, 'F');
    size_t caps = table_begin(o);
    table_bool(o, "publisher_confirms", true);
    table_bool(o, "basic.nack", true);
    table_end(o, caps);
    table_end(o, table);
    put_u32(o, 5);
    put_bytes(o, "PLAIN", 5);
    put_u32(o, 5);
    put_bytes(o, "en_US", 5);
    method_end(o, mark);
    sink_touch(c);
}

static void tune(struct sink_conn *c)
{
    size_t mark = method_begin(&c->out, 0, CONNECTION_TUNE);

    put_u16(&c->out, CHANNEL_MAX);
    put_u32(&c->out, SINK_FRAME_MAX);
    put_u16(&c->out, 0);
    method_end(&c->out, mark);
}

/* The short string at args + at; an empty one if it does not fit. */
static const uint8_t *shortstr_at(const uint8_t *args, size_t len, size_t at)
{
    static const uint8_t empty[1] = {0};

    if (at >= len || at + 1 + args[at] > len)
        return empty;
    return args + at;
}

static struct sink_queue *named_queue(struct sink_conn *c, const uint8_t *name)
{
    return name[0] == 0 ? c->last_queue : sink_queue_find(c->sink, name + 1, name[0]);
}

static void on_queue_declare(struct sink_conn *c, uint16_t channel, const uint8_t *name)
{
    char made[32];
    struct octets *o = &c->out;

    if (name[0] == 0) {
        int n = snprintf(made, sizeof made, "-amq.gen-%llu", (unsigned long long)++c->sink->named);
        made[0] = (char)(n - 1);
        name = (const uint8_t *)made;
    }
    struct sink_queue *q = sink_queue_declare(c->sink, name + 1, name[0]);
    c->last_queue = q;
    size_t mark = method_begin(o, channel, QUEUE_DECLARE_OK);
    put_u8(o, q->name_len);
    put_bytes(o, q->name, q->name_len);
    put_u32(o, (uint32_t)q->ready);
    put_u32(o, q->nconsumers);
    method_end(o, mark);
}

static void on_queue_bind(struct sink_conn *c, uint16_t channel, const uint8_t *args, size_t len)
{
    const uint8_t *name = shortstr_at(args, len, 2);
    const uint8_t *exchange = shortstr_at(args, len, 2 + 1 + (size_t)name[0]);
    struct sink_queue *q = named_queue(c, name);
    struct sink_exchange *x = sink_exchange_find(c->sink, exchange + 1, exchange[0]);

    if (q != NULL && x != NULL)
        sink_exchange_bind(c->sink, x, q);
    method_empty(&c->out, channel, QUEUE_BIND_OK);
}

static void on_queue_end(struct sink_conn *c, uint16_t channel, const uint8_t *name, bool delete)
{
    struct sink_queue *q = named_queue(c, name);
    uint64_t n = q != NULL ? q->ready : 0;
    size_t mark = method_begin(&c->out, channel, delete ? QUEUE_DELETE_OK : QUEUE_PURGE_OK);

    put_u32(&c->out, (uint32_t)n);
    method_end(&c->out, mark);
    if (q == NULL)
        return;
    if (delete) {
        sink_queue_delete(c->sink, q);
        c->last_queue = NULL;
    } else {
        octets_fini(&q->backlog);
        q->ready = 0;
    }
}

static void on_consume(struct sink_conn *c, uint16_t channel, const uint8_t *args, size_t len)
{
    const uint8_t *name = shortstr_at(args, len, 2);
    const uint8_t *tag = shortstr_at(args, len, 2 + 1 + (size_t)name[0]);
    struct sink_queue *q = named_queue(c, name);
    char made[32];

    if (tag[0] == 0) {
        int n = snprintf(made, sizeof made, "-ctag-%llu", (unsigned long long)++c->sink->named);
        made[0] = (char)(n - 1);
        tag = (const uint8_t *)made;
    }
    size_t mark = method_begin(&c->out, channel, BASIC_CONSUME_OK);
    put_bytes(&c->out, tag, 1U + tag[0]);
    method_end(&c->out, mark);
    if (q == NULL)
        return;
    sink_consume(c, q, channel, tag + 1, tag[0]);
    sink_queue_pump(q);
}

static void on_cancel(struct sink_conn *c, uint16_t channel, const uint8_t *tag)
{
    size_t mark = method_begin(&c->out, channel, BASIC_CANCEL_OK);

    put_bytes(&c->out, tag, 1U + tag[0]);
    method_end(&c->out, mark);
    sink_cancel(c, tag + 1, tag[0]);
}

static bool connection_method(struct sink_conn *c, uint32_t method)
{
    size_t mark;

    switch (method) {
    case CONNECTION_START_OK:
        tune(c);
        return true;
    case CONNECTION_TUNE_OK:
    case CONNECTION_CLOSE_OK:
        return true;
    case CONNECTION_OPEN:
        mark = method_begin(&c->out, 0, CONNECTION_OPEN_OK);
        put_shortstr(&c->out, "");
        method_end(&c->out, mark);
        return true;
    case CONNECTION_CLOSE:
        method_empty(&c->out, 0, CONNECTION_CLOSE_OK);
        c->closing = true;
        return true;
    default:
        return false;
    }
}

static bool channel_method(struct sink_conn *c, uint16_t channel, uint32_t method)
{
    size_t mark;

    switch (method) {
    case CHANNEL_OPEN:
        *sink_channel(c, channel) = (struct sink_channel){0};
        mark = method_begin(&c->out, channel, CHANNEL_OPEN_OK);
        put_u32(&c->out, 0);
        method_end(&c->out, mark);
        return true;
    case CHANNEL_CLOSE:
        method_empty(&c->out, channel, CHANNEL_CLOSE_OK);
        return true;
    case CONFIRM_SELECT:
        c->confirms = c->channels[channel].confirms = true;
        method_empty(&c->out, channel, CONFIRM_SELECT_OK);
        return true;
    case EXCHANGE_DELETE:
    case QUEUE_UNBIND:
    case BASIC_QOS:
    case BASIC_RECOVER:
    case TX_SELECT:
    case TX_COMMIT:
        /* The reply to each is the next method number and has no arguments. */
        method_empty(&c->out, channel, (enum method)(method + 1));
        return true;
    default:
        return false;
    }
}

static bool work_method(struct sink_conn *c, uint16_t channel, uint32_t method, const uint8_t *args,
                        size_t len)
{
    const uint8_t *name = shortstr_at(args, len, 2);

    switch (method) {
    case EXCHANGE_DECLARE:
        sink_exchange_declare(c->sink, name + 1, name[0]);
        method_empty(&c->out, channel, EXCHANGE_DECLARE_OK);
        return true;
    case QUEUE_DECLARE:
        on_queue_declare(c, channel, name);
        return true;
    case QUEUE_BIND:
        on_queue_bind(c, channel, args, len);
        return true;
    case QUEUE_PURGE:
    case QUEUE_DELETE:
        on_queue_end(c, channel, name, method == QUEUE_DELETE);
        return true;
    case BASIC_CONSUME:
        on_consume(c, channel, args, len);
        return true;
    case BASIC_CANCEL:
        on_cancel(c, channel, shortstr_at(args, len, 0));
        return true;
    case BASIC_GET:
        sink_queue_get(c, channel, named_queue(c, name));
        return true;
    default:
        return false;
    }
}

bool sink_method(struct sink_conn *c, uint16_t channel, const uint8_t *payload, size_t len)
{
    uint32_t method = get_u32(payload);

    if (method == BASIC_ACK || method == BASIC_NACK || method == BASIC_REJECT)
        return true;
    sink_touch(c);
    if (method >> 16 == CONNECTION_START >> 16)
        return channel == 0 && connection_method(c, method);
    if (channel == 0 || channel > CHANNEL_MAX)
        return false;
    if (method != CHANNEL_OPEN && channel >= c->nchannels)
        return false;
    if (method == TX_COMMIT || method == QUEUE_DECLARE)
        sink_log_add(c->sink->log, len, true);
    if (method == EXCHANGE_DELETE) {
        const uint8_t *name = shortstr_at(payload + 4, len - 4, 2);
        sink_exchange_delete(c->sink, name + 1, name[0]);
    }
    return channel_method(c, channel, method) ||
           work_method(c, channel, method, payload + 4, len - 4);
}
