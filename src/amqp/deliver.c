/* Deliveries: delivery tags, frames, and the credit that goes back to the queues. */
#include "amqp/channel_priv.h"
#include "amqp/intercept.h"
#include "base/props.h"
#include "base/wire_fast.h"

static void unref_msg(void *msg)
{
    msg_unref(msg);
}

/* ---- frames ---- */

static uint8_t *put_header(uint8_t *p, unsigned channel, const struct msg *msg)
{
    p = wire_fast_put_frame(p, AMQP_FRAME_HEADER, (uint16_t)channel, msg->header_len);
    memcpy(p, msg_header(msg).data, msg->header_len);
    p += msg->header_len;
    *p++ = AMQP_FRAME_END;
    return p;
}

/* Body frames that refer to the message rather than copy it. */
static void write_body(struct channel *ch, const struct msg *msg, uint32_t frame_payload)
{
    struct stream *s = ch->connection->stream;
    struct slice left = msg_body(msg);
    while (left.len) {
        size_t n = left.len < frame_payload ? left.len : frame_payload;
        uint8_t head[WIRE_FRAME_HEADER_SIZE];
        wire_fast_put_frame(head, AMQP_FRAME_BODY, (uint16_t)ch->number, (uint32_t)n);
        stream_write(s, head, sizeof head);
        if (n > BODY_COPY_MAX)
            stream_write_ref(s, slice_of(left.data, n), unref_msg,
                             msg_ref_n((struct msg *)(uintptr_t)msg, 1));
        else
            stream_write(s, left.data, n);
        stream_write(s, "\xce", 1);
        left.data += n;
        left.len -= n;
    }
}

static uint32_t frame_payload_max(const struct channel *ch)
{
    uint32_t max = ch->connection->frame_max;
    return max ? max - WIRE_FRAME_OVERHEAD : UINT32_MAX - WIRE_FRAME_OVERHEAD;
}

void deliver_content(struct channel *ch, const struct msg *msg)
{
    struct stream *s = ch->connection->stream;
    uint8_t head[WIRE_FRAME_HEADER_SIZE];
    wire_fast_put_frame(head, AMQP_FRAME_HEADER, (uint16_t)ch->number, msg->header_len);
    stream_write(s, head, sizeof head);
    stream_write(s, msg_header(msg).data, msg->header_len);
    stream_write(s, "\xce", 1);
    write_body(ch, msg, frame_payload_max(ch));
    ch->connection->frames_out += 2;
}

/* The room that method and header take, each as a frame. */
static size_t heads_size(const struct msg *msg, size_t method_size)
{
    return method_size + msg->header_len + 2 * WIRE_FRAME_OVERHEAD;
}

static void trace_out(struct channel *ch, enum amqp_method method, const void *args)
{
    if (!addr_is_none(ch->connection->trace_to))
        connection_trace(ch->connection, false, ch->number, &amqp_methods[method], args);
}

/* Header and body behind a method that was put at p within one reservation. */
static void finish_content(struct channel *ch, const struct msg *msg, uint8_t *start, uint8_t *p,
                           size_t room)
{
    struct stream *s = ch->connection->stream;
    uint32_t payload = frame_payload_max(ch);
    ch->connection->frames_out += 3;
    if (msg->header_len + WIRE_FRAME_OVERHEAD + (size_t)(p - start) > room) {
        stream_commit(s, (size_t)(p - start));
        deliver_content(ch, msg);
        return;
    }
    p = put_header(p, ch->number, msg);
    bool copies = msg->body_len <= BODY_COPY_MAX && msg->body_len <= payload;
    if (copies && msg->body_len) {
        p = wire_fast_put_frame(p, AMQP_FRAME_BODY, (uint16_t)ch->number, (uint32_t)msg->body_len);
        memcpy(p, msg->body, msg->body_len);
        p += msg->body_len;
        *p++ = AMQP_FRAME_END;
    }
    stream_commit(s, (size_t)(p - start));
    if (!copies)
        write_body(ch, msg, payload);
}

static size_t reservation(const struct msg *msg, size_t method_size)
{
    size_t room = heads_size(msg, method_size);
    if (msg->body_len <= BODY_COPY_MAX)
        room += msg->body_len + WIRE_FRAME_OVERHEAD;
    /* a header of many kilobytes goes another way: finish_content */
    return room <= STREAM_RESERVE_MAX ? room : method_size + WIRE_FRAME_OVERHEAD;
}

static void send_deliver(struct channel *ch, const struct channel_consumer *cc,
                         const struct msg *msg, uint64_t tag, bool redelivered)
{
    size_t size = WIRE_FAST_DELIVER_SIZE(cc->tag.len, msg->names_len);
    size_t room = reservation(msg, size);
    uint8_t *start = stream_reserve(ch->connection->stream, room), *p = start;
    p = wire_fast_put_frame(p, AMQP_FRAME_METHOD, (uint16_t)ch->number, (uint32_t)size);
    p = wire_fast_put_basic_deliver(p, cc->tag, tag, redelivered, msg_names(msg));
    *p++ = AMQP_FRAME_END;
    finish_content(ch, msg, start, p, room);
    trace_out(ch, AMQP_BASIC_DELIVER,
              &(struct amqp_basic_deliver){.consumer_tag = cc->tag,
                                           .delivery_tag = tag,
                                           .redelivered = redelivered,
                                           .exchange = msg_exchange(msg),
                                           .routing_key = msg_routing_key(msg)});
}

static void send_get_ok(struct channel *ch, const struct msg *msg, uint64_t tag, bool redelivered,
                        uint32_t left)
{
    size_t size = WIRE_FAST_GET_OK_SIZE(msg->names_len);
    size_t room = reservation(msg, size);
    uint8_t *start = stream_reserve(ch->connection->stream, room), *p = start;
    p = wire_fast_put_frame(p, AMQP_FRAME_METHOD, (uint16_t)ch->number, (uint32_t)size);
    p = wire_fast_put_basic_get_ok(p, tag, redelivered, msg_names(msg), left);
    *p++ = AMQP_FRAME_END;
    finish_content(ch, msg, start, p, room);
    trace_out(ch, AMQP_BASIC_GET_OK,
              &(struct amqp_basic_get_ok){.delivery_tag = tag,
                                          .redelivered = redelivered,
                                          .exchange = msg_exchange(msg),
                                          .routing_key = msg_routing_key(msg),
                                          .message_count = left});
}

/* ---- credit ---- */

static void post_credit(struct channel_consumer *cc, uint32_t n, uint16_t flags)
{
    struct op op = {.to = cc->def->addr, .kind = OP_CREDIT, .n = n, .flags = flags};
    *op_body(&op, struct op_consumer) = (struct op_consumer){
        .consumer = cc->queue_number, .serial = cc->serial, .queue = cc->def->addr};
    post(&op);
}

void channel_give_credit(struct channel *ch)
{
    if (stream_is_full(ch->connection->stream))
        return;
    while (!list_empty(&ch->credits_due)) {
        struct channel_consumer *cc =
            list_entry(ch->credits_due.next, struct channel_consumer, due);
        list_remove(&cc->due);
        post_credit(cc, cc->credit_due, 0);
        cc->credit_due = 0;
    }
}

void connection_drained(void *connection)
{
    struct connection *c = connection;
    struct channel *ch;
    for (unsigned n = 0; (ch = channel_table_next(&c->channels, n)); n = ch->number + 1)
        channel_give_credit(ch);
    connection_resume(c);
}

static void owe_credit(struct channel *ch, struct channel_consumer *cc)
{
    if (++cc->credit_due < cc->portion)
        return;
    if (list_empty(&cc->due))
        list_append(&ch->credits_due, &cc->due);
    shard_defer(ch->amqp->shard, DEFER_POST, &ch->turn_end);
}

/* ---- channel-wide prefetch ---- */

static bool limit_reached(const struct channel *ch)
{
    return ch->global_prefetch && ch->unacked.live - ch->unacked.fetched >= ch->global_prefetch;
}

void channel_unpause(struct channel *ch)
{
    if (limit_reached(ch))
        return;
    settle_flush(ch);
    ch->any_paused = false;
    for (uint32_t n = 0; n < ch->consumer_cap; n++) {
        struct channel_consumer *cc = ch->consumers[n];
        if (!cc || !cc->paused)
            continue;
        cc->paused = false;
        post_credit(cc, 0, OP_CREDIT_RESUME);
    }
}

/* ---- ops ---- */

void deliver_reply(struct channel *ch, struct msg *msg)
{
    struct msg *copy = msg_ref_n(msg, 1);
    intercept_outgoing(ch, &copy);
    send_deliver(ch, ch->reply_consumer, copy, ++ch->delivery_tag, false);
    msg_unref(copy);
}

void channel_on_deliver(struct channel *ch, struct op *op)
{
    struct op_deliver *in = op_body(op, struct op_deliver);
    struct channel_consumer *cc = op->n < ch->consumer_cap ? ch->consumers[op->n] : NULL;
    if (!cc || (!cc->unlimited && limit_reached(ch))) {
        if (in->slot != SLOT_NO_ACK)
            settle_add(ch, in->queue, in->slot, SETTLE_RETURN_UNSEEN);
        if (cc)
            cc->paused = ch->any_paused = true;
        msg_unref(in->msg);
        return;
    }
    uint64_t tag = ++ch->delivery_tag;
    ch->active_ms = shard_now_ms(ch->amqp->shard);
    if (in->slot != SLOT_NO_ACK) {
        struct unacked_tag *e = unacked_tags_add(&ch->unacked, tag, in->queue, in->slot,
                                                 op->flags & OP_DELIVER_STORED ? TAG_STORED : 0);
        if (cc->timeout_ms)
            timeout_start(ch, e, cc->timeout_ms);
    }
    channel_count(ch, in->slot == SLOT_NO_ACK ? TOTAL_DELIVERED_NO_ACK : TOTAL_DELIVERED, 1);
    if (op->flags & OP_DELIVER_REDELIVERED)
        channel_count(ch, TOTAL_REDELIVERED, 1);
    intercept_outgoing(ch, &in->msg);
    send_deliver(ch, cc, in->msg, tag, op->flags & OP_DELIVER_REDELIVERED);
    if (ch->amqp->tracing)
        firehose_delivered(ch, in->msg, cc->def, op->flags & OP_DELIVER_REDELIVERED);
    owe_credit(ch, cc);
    msg_unref(in->msg);
}

void channel_on_got(struct channel *ch, struct op *op)
{
    struct op_deliver *in = op_body(op, struct op_deliver);
    struct pending p = pending_pop(ch);
    uint64_t tag = ++ch->delivery_tag;
    if (in->slot != SLOT_NO_ACK) {
        struct unacked_tag *e =
            unacked_tags_add(&ch->unacked, tag, in->queue, in->slot,
                             TAG_FETCHED | (op->flags & OP_DELIVER_STORED ? TAG_STORED : 0));
        uint64_t timeout_ms = timeout_of(ch->amqp, p.def, SLICE_EMPTY);
        if (timeout_ms)
            timeout_start(ch, e, timeout_ms);
    }
    if (ch->amqp->tracing)
        firehose_delivered(ch, in->msg, p.def, op->flags & OP_DELIVER_REDELIVERED);
    pending_fini(&p);
    channel_count(ch, in->slot == SLOT_NO_ACK ? TOTAL_GOT_NO_ACK : TOTAL_GOT, 1);
    if (op->flags & OP_DELIVER_REDELIVERED)
        channel_count(ch, TOTAL_REDELIVERED, 1);
    intercept_outgoing(ch, &in->msg);
    send_get_ok(ch, in->msg, tag, op->flags & OP_DELIVER_REDELIVERED, in->remaining);
    msg_unref(in->msg);
    channel_answered(ch);
}
