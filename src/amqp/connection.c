/* Frames in, frames out, and the end of a connection. */
#include "amqp/connection.h"

#include "amqp/channel.h"
#include "amqp/connection_priv.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/wire_fast.h"
#include "meta/meta.h"
#include "meta/tally.h"
#include "shard/slot.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct actor_type connection_type;

/* ---- channel table ---- */

enum { LOW_MAX = 64, PAGE = 256 };

struct channel *channel_table_find(const struct channel_table *t, unsigned number)
{
    if (number < t->low_count)
        return t->low[number];
    if (number < LOW_MAX || !t->pages || !t->pages[number / PAGE])
        return NULL;
    return t->pages[number / PAGE][number % PAGE];
}

static struct channel **table_place(struct channel_table *t, unsigned number)
{
    if (number < LOW_MAX) {
        if (number >= t->low_count) {
            unsigned n = t->low_count ? t->low_count : 2;
            while (n <= number)
                n *= 2;
            t->low = mem_realloc(t->low, n * sizeof(struct channel *));
            memset(t->low + t->low_count, 0, (n - t->low_count) * sizeof(struct channel *));
            t->low_count = n;
        }
        return &t->low[number];
    }
    if (!t->pages)
        t->pages = mem_zalloc(PAGE * sizeof *t->pages);
    if (!t->pages[number / PAGE])
        t->pages[number / PAGE] = mem_zalloc(PAGE * sizeof(struct channel *));
    return &t->pages[number / PAGE][number % PAGE];
}

void channel_table_set(struct channel_table *t, unsigned number, struct channel *ch)
{
    struct channel **place = table_place(t, number);
    t->count += (ch != NULL) - (*place != NULL);
    *place = ch;
}

void channel_table_fini(struct channel_table *t)
{
    for (unsigned i = 0; t->pages && i < PAGE; i++)
        free(t->pages[i]);
    free(t->pages);
    free(t->low);
    *t = (struct channel_table){0};
}

size_t channel_table_memory(const struct channel_table *t)
{
    size_t n = mem_size(t->low) + mem_size(t->pages);
    for (unsigned i = 0; t->pages && i < PAGE; i++)
        n += mem_size(t->pages[i]);
    return n;
}

struct channel *channel_table_next(const struct channel_table *t, unsigned from)
{
    unsigned n = from;
    for (; n < t->low_count; n++) {
        if (t->low[n])
            return t->low[n];
    }
    for (n = n < LOW_MAX ? LOW_MAX : n; t->pages && n < PAGE * PAGE; n++) {
        if (!t->pages[n / PAGE])
            n |= PAGE - 1;
        else if (t->pages[n / PAGE][n % PAGE])
            return t->pages[n / PAGE][n % PAGE];
    }
    return NULL;
}

/* ---- output ---- */

void connection_trace(struct connection *c, bool in, unsigned channel, const struct wire_method *m,
                      const void *args)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%s %u ", in ? ">" : "<", channel);
    wire_print(m, args, &text);
    struct op op = {.to = c->trace_to, .kind = OP_TRACE_LINE};
    op_body(&op, struct op_text)->text = slice_cstr(buf_slice(&text));
    buf_fini(&text);
    post(&op);
}

void connection_send(struct connection *c, unsigned channel, enum amqp_method method,
                     const void *args)
{
    if (c->state == CONN_CLOSED)
        return;
    const struct wire_method *m = &amqp_methods[method];
    struct buf *b = &c->amqp->scratch;
    struct wire_writer wr = wire_writer_buf(b);
    wire_encode(&wr, m, args);
    wire_written(&wr);
    uint8_t head[WIRE_FRAME_HEADER_SIZE];
    wire_fast_put_frame(head, AMQP_FRAME_METHOD, (uint16_t)channel, (uint32_t)b->len);
    stream_write(c->stream, head, sizeof head);
    stream_write(c->stream, b->data, b->len);
    stream_write(c->stream, "\xce", 1);
    buf_clear(b);
    c->frames_out++;
    if (!addr_is_none(c->trace_to))
        connection_trace(c, false, channel, m, args);
}

/* ---- the end ---- */

static void drop_channels(struct connection *c)
{
    struct channel *ch;
    for (unsigned n = 0; (ch = channel_table_next(&c->channels, n)); channel_free(ch))
        n = channel_number(ch);
    c->body_channel = NULL;
    access_leave(&c->tenancy);
}

void connection_finish(struct connection *c, unsigned linger_ms)
{
    if (c->state == CONN_CLOSED)
        return;
    drop_channels(c);
    c->state = CONN_CLOSED;
    timer_stop(&c->timer);
    stream_close(c->stream, linger_ms);
}

void connection_part(struct connection *c)
{
    connection_send(c, 0, AMQP_CONNECTION_CLOSE_OK, &(struct amqp_connection_close_ok){0});
    drop_channels(c);
    c->state = CONN_CLOSED;
    timer_stop(&c->timer);
    stream_leave(c->stream, CLOSE_WAIT_MS);
}

static bool post_down(struct connection *c, struct addr reply_to)
{
    if (!c->has_exclusive)
        return false;
    struct meta_request *r = meta_request_new(META_CONNECTION_DOWN, reply_to);
    r->connection = c->id;
    r->flags = META_TRUSTED;
    meta_post(shard_node(c->amqp->shard), &r);
    c->has_exclusive = false;
    return true;
}

/* The client closes: its exclusive queues go before it hears close-ok. */
void connection_leave(struct connection *c)
{
    drop_channels(c);
    c->state = CONN_LEAVING;
    if (post_down(c, c->addr))
        return;
    connection_part(c);
}

void connection_fail(struct connection *c, const struct failure *why,
                     const struct wire_method *cause)
{
    if (c->state >= CONN_CLOSING)
        return;
    char text[256];
    unsigned len = failure_reply_text(why, text);
    log_error(CONNECTION, &c->log, "closing the connection of user '%.*s', vhost '%.*s': %u %s",
              SLICE_ARG(c->user), SLICE_ARG(c->vhost), err_info(why->code)->amqp_code, text);
    drop_channels(c);
    struct amqp_connection_close close = {.reply_code = err_info(why->code)->amqp_code,
                                          .reply_text = slice_of(text, len),
                                          .class_id = cause ? cause->class_id : 0,
                                          .method_id = cause ? cause->method_id : 0};
    connection_send(c, 0, AMQP_CONNECTION_CLOSE, &close);
    c->state = CONN_CLOSING;
    timer_set(&c->timer, CLOSE_WAIT_MS);
    connection_resume(c);
    if (c->blocked) {
        c->blocked = false;
        stream_resume(c->stream);
    }
}

void connection_tell(void *connection)
{
    struct connection *c = connection;
    uint64_t in = stream_bytes_in(c->stream), out = stream_bytes_out(c->stream);
    struct vhost *vhost = c->vhost.len && (in != c->told_in || out != c->told_out)
                              ? routing_find_vhost(c->amqp->routing, c->vhost)
                              : NULL;
    if (!vhost)
        return;
    tally_count(tally_for_vhost(vhost), VHOST_RECV_OCT, in - c->told_in);
    tally_count(tally_for_vhost(vhost), VHOST_SEND_OCT, out - c->told_out);
    c->told_in = in;
    c->told_out = out;
}

static void count_closed(struct connection *c)
{
    connection_tell(c);
    uint64_t *totals = c->amqp->totals;
    totals[TOTAL_CONNECTIONS_CLOSED]++;
    totals[TOTAL_BYTES_IN] += stream_bytes_in(c->stream);
    totals[TOTAL_BYTES_OUT] += stream_bytes_out(c->stream);
    totals[TOTAL_FRAMES_IN] += c->frames_in;
    totals[TOTAL_FRAMES_OUT] += c->frames_out;
}

static void on_closed(void *arg, const char *why)
{
    struct connection *c = arg;
    if (c->state != CONN_CLOSED && c->state != CONN_CLOSING)
        log_warning(CONNECTION, &c->log, "closed without a closing handshake: %s", why);
    else
        log_info(CONNECTION, &c->log, "closed (user '%.*s', vhost '%.*s')", SLICE_ARG(c->user),
                 SLICE_ARG(c->vhost));
    drop_channels(c);
    if (c->client_properties.data)
        event_connection(c, false);
    post_down(c, ADDR_NONE);
    timer_stop(&c->timer);
    list_remove(&c->alarm.link);
    list_remove(&c->link);
    listing_remove(c->amqp->shard, LISTING_CONNECTIONS, &c->listed);
    c->amqp->count--;
    count_closed(c);
    slot_free(c->amqp->shard, c->addr);
    channel_table_fini(&c->channels);
    slice_free(&c->user);
    slice_free(&c->vhost);
    slice_free(&c->mechanism);
    slice_free(&c->client_properties);
    slice_free(&c->name_given);
    free(c);
}

/* ---- input ---- */

enum { LOST_LINGER_MS = 3000 };

enum step connection_failf(struct connection *c, const struct wire_method *cause, enum err code,
                           const char *fmt, ...)
{
    struct failure why = {.code = code, .hard = true};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why.text, sizeof why.text, fmt, ap);
    va_end(ap);
    connection_fail(c, &why, cause);
    return STEP_DONE;
}

static void frame_fault(struct connection *c, const char *what, struct slice around)
{
    struct buf octets = BUF_INIT;
    for (size_t i = 0; i < around.len && i < 16; i++)
        buf_printf(&octets, "%s%u", i ? "," : "", around.data[i]);
    connection_failf(c, NULL, ERR_FRAME_ERROR, "%s, first 16 octets = <<%s>>", what,
                     buf_cstr(&octets));
    buf_fini(&octets);
}

/* Framing that cannot be followed any more: what comes now is read and dropped. */
static size_t lose_track(struct connection *c, const char *what, struct slice data)
{
    bool closing = c->state >= CONN_CLOSING;
    frame_fault(c, what, data);
    c->unreadable = true;
    connection_finish(c, closing ? 0 : LOST_LINGER_MS);
    return data.len;
}

/* A client that does not read its answers is not read either: what it asks for waits. */
static bool answers_unread(const struct connection *c, const struct wire_method *m)
{
    return c->state == CONN_RUNNING && m->responses_len && m->index != AMQP_CONNECTION_CLOSE &&
           stream_is_full(c->stream);
}

static enum step on_method_frame(struct connection *c, unsigned number, struct slice payload)
{
    if (payload.len < 4) {
        frame_fault(c, "type 1: a method frame without its ids", payload);
        return STEP_DONE;
    }
    uint16_t class_id = wire_load_u16(payload.data), method_id = wire_load_u16(payload.data + 2);
    const struct wire_method *m = amqp_method_find(class_id, method_id);
    if (!m)
        return connection_failf(c, NULL, ERR_COMMAND_INVALID, "unknown method {%u,%u}", class_id,
                                method_id);
    struct slice args = slice_of(payload.data + 4, payload.len - 4);
    if (answers_unread(c, m))
        return STEP_WAIT;
    if (number && c->state < CONN_RUNNING)
        return connection_failf(c, m, ERR_UNEXPECTED_FRAME,
                                "%s on channel %u before the connection is open", m->name, number);
    if (number == 0 || c->state != CONN_RUNNING) {
        handshake_method(c, m, args);
        return STEP_DONE;
    }
    return channel_method(c, number, m, args);
}

static enum step on_heartbeat_frame(struct connection *c, unsigned number, struct slice payload)
{
    if (number != 0)
        return connection_failf(c, NULL, ERR_UNEXPECTED_FRAME, "a heartbeat frame on channel %u",
                                number);
    if (payload.len)
        frame_fault(c, "type 8: a heartbeat frame with octets", payload);
    return STEP_DONE;
}

static enum step on_frame(struct connection *c, uint8_t type, unsigned number, struct slice payload)
{
    if (c->state >= CONN_CLOSING && (type != AMQP_FRAME_METHOD || number != 0))
        return STEP_DONE;
    switch (type) {
    case AMQP_FRAME_METHOD:
        return on_method_frame(c, number, payload);
    case AMQP_FRAME_HEARTBEAT:
        return on_heartbeat_frame(c, number, payload);
    case AMQP_FRAME_HEADER:
    case AMQP_FRAME_BODY:
        if (number && c->state == CONN_RUNNING)
            return channel_header(c, number, payload);
        return connection_failf(c, NULL, ERR_UNEXPECTED_FRAME,
                                "expected method frame, got non method frame instead");
    default:
        frame_fault(c, "an unknown frame type", payload);
        return STEP_DONE;
    }
}

/* A body frame is passed on as it comes, so that no frame has to be held whole. */
static size_t on_body_bytes(struct connection *c, struct slice data)
{
    size_t n = 0;
    if (c->body_left > 1) {
        n = c->body_left - 1 < data.len ? c->body_left - 1 : data.len;
        c->body_left -= (uint32_t)n;
        if (c->body_channel)
            channel_body(c->body_channel, slice_of(data.data, n));
    }
    if (c->body_left == 1 && n < data.len) {
        c->body_left = 0;
        if (data.data[n] != AMQP_FRAME_END)
            return lose_track(c, "a frame end is missing", slice_of(data.data + n, data.len - n)) +
                   n;
        if (c->body_channel)
            channel_body_end(c->body_channel);
        n++;
    }
    return n;
}

/* Of methods and headers: what a client says in one may become one record of the journal. */
enum { METHOD_MAX = 4 << 20 };

/* 0: none. */
static uint32_t frame_limit(const struct connection *c, uint8_t type)
{
    uint32_t limit = c->state < CONN_RUNNING ? c->amqp->options.initial_frame_max : c->frame_max;
    if (type != AMQP_FRAME_BODY && (!limit || limit > METHOD_MAX))
        return METHOD_MAX;
    return limit;
}

static size_t on_too_large(struct connection *c, uint8_t type, uint32_t size, struct slice data)
{
    uint32_t limit = frame_limit(c, type);
    char what[96];
    snprintf(what, sizeof what, "type %u: {frame_too_large,%u,%u}", type, size,
             limit - WIRE_FRAME_OVERHEAD);
    return lose_track(c, what, data);
}

/* One frame or a part of a body frame. Returns the bytes used, 0 if more are needed. */
static size_t on_bytes(struct connection *c, struct slice data)
{
    if (c->state == CONN_HEADER)
        return handshake_header(c, data);
    if (c->body_left)
        return on_body_bytes(c, data);
    if (data.len < WIRE_FRAME_HEADER_SIZE)
        return 0;
    uint8_t type = data.data[0];
    unsigned number = wire_load_u16(data.data + 1);
    uint32_t size = wire_load_u32(data.data + 3);
    uint32_t limit = frame_limit(c, type);
    if (limit && size > limit)
        return on_too_large(c, type, size, data);
    if (type == AMQP_FRAME_BODY && c->state == CONN_RUNNING && number) {
        c->frames_in++;
        c->body_channel = channel_body_begin(c, number, size);
        c->body_left = size + 1;
        return WIRE_FRAME_HEADER_SIZE;
    }
    if (data.len < (size_t)size + WIRE_FRAME_OVERHEAD)
        return 0;
    if (data.data[WIRE_FRAME_HEADER_SIZE + size] != AMQP_FRAME_END)
        return lose_track(c, "a frame end is missing", data);
    if (on_frame(c, type, number, slice_of(data.data + WIRE_FRAME_HEADER_SIZE, size)) ==
        STEP_WAIT) {
        c->waiting = true;
        stream_pause(c->stream);
        return 0;
    }
    c->frames_in++;
    return (size_t)size + WIRE_FRAME_OVERHEAD;
}

static size_t on_data(void *arg, struct slice data)
{
    struct connection *c = arg;
    size_t done = 0;
    while (done < data.len && !c->waiting && !c->blocked && !c->unreadable &&
           c->state != CONN_CLOSED) {
        size_t n = on_bytes(c, slice_of(data.data + done, data.len - done));
        if (!n)
            break;
        done += n;
        if (shard_congested(c->amqp->shard) && done < data.len) {
            stream_yield(c->stream);
            break;
        }
    }
    /* what follows broken framing cannot be told apart: it is read and dropped */
    return c->unreadable || c->state == CONN_CLOSED ? data.len : done;
}

static void read_again(struct connection *c)
{
    c->resumed_ms = shard_now_ms(c->amqp->shard);
    stream_resume(c->stream);
}

void connection_resume(struct connection *c)
{
    if (!c->waiting)
        return;
    c->waiting = false;
    read_again(c);
}

/* ---- alarms ---- */

static void block(struct connection *c, const char *reason)
{
    c->blocked = true;
    stream_pause(c->stream);
    if (c->capabilities & CAP_BLOCKED)
        connection_send(c, 0, AMQP_CONNECTION_BLOCKED,
                        &(struct amqp_connection_blocked){.reason = slice_str(reason)});
}

bool connection_is_held(struct connection *c)
{
    const char *reason = broker_alarm(c->amqp->shard);
    c->published = true;
    if (reason && !c->blocked)
        block(c, reason);
    return c->blocked;
}

static void on_alarm(struct alarm_listener *listener, const char *reason)
{
    struct connection *c = list_entry(listener, struct connection, alarm);
    if (c->state != CONN_RUNNING)
        return;
    if (reason && c->published && !c->blocked) {
        block(c, reason);
    } else if (!reason && c->blocked) {
        c->blocked = false;
        if (c->capabilities & CAP_BLOCKED)
            connection_send(c, 0, AMQP_CONNECTION_UNBLOCKED,
                            &(struct amqp_connection_unblocked){0});
        connection_resume(c);
        read_again(c);
    }
}

/* ---- ops, timers ---- */

static void on_meta_reply(struct connection *c, struct op *op)
{
    meta_request_free(&op_body(op, struct op_meta)->request);
    if (c->state == CONN_LEAVING)
        connection_part(c);
}

static void on_session_close(struct connection *c, struct op *op)
{
    struct op_text *in = op_body(op, struct op_text);
    if (c->state == CONN_RUNNING)
        connection_failf(c, NULL, ERR_CONNECTION_FORCED, "%s", in->text);
    else
        connection_finish(c, 0);
    free(in->text);
}

static void on_op(void *object, struct op *op)
{
    struct connection *c = object;
    switch (op->kind) {
    case OP_META_REPLY:
        on_meta_reply(c, op);
        break;
    case OP_SESSION_CLOSE:
        on_session_close(c, op);
        break;
    case OP_SESSION_TRACE:
        c->trace_to = *op_body(op, struct addr);
        break;
    default:
        break;
    }
}

static const struct actor_type connection_type = {"connection", on_op};

const void *connection_at(struct shard *shard, struct addr addr)
{
    return slot_find(shard, addr, &connection_type);
}

static void on_heartbeat(struct connection *c)
{
    uint64_t now = shard_now_ms(c->amqp->shard);
    uint64_t interval = (uint64_t)c->heartbeat_s * 1000;
    uint64_t last = stream_last_read_ms(c->stream);
    if (c->resumed_ms > last)
        last = c->resumed_ms;
    if (c->waiting && stream_last_write_ms(c->stream) > last)
        last = stream_last_write_ms(c->stream); /* not read until it takes what is for it */
    if (!c->blocked && now - last >= 2 * interval) {
        log_error(CONNECTION, &c->log, "missed heartbeats from client, timeout: %us",
                  c->heartbeat_s);
        stream_abort(c->stream, "missed heartbeats");
        return;
    }
    if (now - stream_last_write_ms(c->stream) >= interval / 2 && !stream_pending(c->stream))
        stream_write(c->stream, "\x08\x00\x00\x00\x00\x00\x00\xce", 8);
    connection_arm_heartbeat(c);
}

void connection_arm_heartbeat(struct connection *c)
{
    if (c->heartbeat_s)
        timer_set(&c->timer, (uint64_t)c->heartbeat_s * 1000 / 2);
    else
        timer_stop(&c->timer);
}

static void on_timer(struct timer *t)
{
    struct connection *c = list_entry(t, struct connection, timer);
    switch (c->state) {
    case CONN_RUNNING:
        on_heartbeat(c);
        break;
    case CONN_CLOSING:
    case CONN_LEAVING:
    case CONN_CLOSED:
        connection_finish(c, 0);
        break;
    default:
        log_error(CONNECTION, &c->log,
                  "handshake_timeout: the client did not open the connection in time");
        stream_abort(c->stream, "handshake timeout");
    }
}

void connection_open(struct stream *stream, void *unused)
{
    (void)unused;
    static const struct stream_handler handler = {
        .on_data = on_data, .on_drained = connection_drained, .on_closed = on_closed};
    struct shard *shard = stream_shard(stream);
    struct amqp_shard *amqp = amqp_of(shard);
    struct connection *c = NEW(struct connection);
    c->stream = stream;
    c->amqp = amqp;
    c->id = (uint64_t)(shard_index(shard) + 1) << 32 | ++amqp->next_connection;
    c->frame_max = amqp->options.frame_max;
    c->connected_at_ms = clock_wall_ms();
    c->log = (struct log_context){.key = "connection", .value = stream_get_info(stream)->name};
    c->alarm.on_alarm = on_alarm;
    c->addr = slot_new(shard, &connection_type, c);
    list_append(&amqp->connections, &c->link);
    broker_listen_alarm(shard, &c->alarm);
    listing_add(shard, LISTING_CONNECTIONS, &c->listed, c);
    amqp->count++;
    amqp->totals[TOTAL_CONNECTIONS_OPENED]++;
    timer_init(&c->timer, shard, on_timer);
    timer_set(&c->timer, amqp->options.handshake_timeout_ms);
    stream_set_handler(stream, &handler, c);
    log_debug(CONNECTION, &c->log, "accepted");
    if (amqp->stopping)
        stream_abort(stream, "the broker is stopping");
}
