/* The node's table of op kinds, and what becomes of an op whose target is gone. */
#include "broker/broker.h"
#include "broker/msg.h"
#include "broker/queue/consumers.h"
#include "broker/queue/waiting.h"
#include "meta/def.h"
#include "meta/meta.h"
#include "shard/slot.h"

#include <stdlib.h>

#include "broker/ops.h"

void queue_release_create(struct op *op)
{
    queue_def_unref(&op_body(op, struct op_queue_create)->def);
}

/* A message for a queue that is no more is confirmed, as RabbitMQ does. */
void queue_release_enqueue(struct op *op)
{
    struct op_enqueue *in = op_body(op, struct op_enqueue);
    if (op->flags & OP_ENQUEUE_CONFIRM) {
        struct op ok = {.to = in->channel, .kind = OP_CONFIRM};
        ok.flags = op_enqueue_is_letter(op) ? OP_CONFIRM_NACK : 0;
        *op_body(&ok, struct op_confirm) = (struct op_confirm){in->seq, in->seq};
        post(&ok);
    }
    msg_unref(in->msg);
}

void queue_release_barrier(struct op *op)
{
    const struct op_enqueue *in = op_body(op, struct op_enqueue);
    struct op ok = {.to = in->channel, .kind = OP_CONFIRM};
    *op_body(&ok, struct op_confirm) = (struct op_confirm){in->seq, in->seq};
    post(&ok);
}

void session_release_reply(struct op *op)
{
    struct msg *msg = op_body(op, struct op_reply)->msg;
    if (msg)
        msg_unref(msg);
}

/* The channel is gone before it saw the message: back to its place. */
void queue_release_deliver(struct op *op)
{
    struct op_deliver *in = op_body(op, struct op_deliver);
    if (in->slot != SLOT_NO_ACK) {
        struct op back = {
            .to = in->queue, .kind = OP_SETTLE, .flags = SETTLE_RETURN_UNSEEN, .n = 1};
        op_body(&back, struct op_settle)->inline_slots[0] = in->slot;
        post(&back);
    }
    msg_unref(in->msg);
}

void queue_release_settle(struct op *op)
{
    free(op_body(op, struct op_settle)->slots);
}

void queue_release_consume(struct op *op)
{
    struct consume_request *r = op_body(op, struct op_consume)->request;
    struct op reply = {.to = r->channel, .kind = OP_CONSUME_REPLY, .n = r->number};
    *op_body(&reply, struct op_consumer) = (struct op_consumer){
        .channel = r->channel, .code = ERR_NOT_FOUND, .why = CONSUME_REFUSED_GONE};
    post(&reply);
    consume_request_free(&r);
}

/* The channel closed while its consumer was being made. */
void queue_release_consume_reply(struct op *op)
{
    struct op_consumer *in = op_body(op, struct op_consumer);
    if (in->code)
        return;
    struct op cancel = {.to = in->queue, .kind = OP_CANCEL, .flags = OP_CANCEL_SILENT};
    *op_body(&cancel, struct op_consumer) = *in;
    post(&cancel);
}

void queue_release_cancel(struct op *op)
{
    struct op_consumer *in = op_body(op, struct op_consumer);
    if (op->flags & OP_CANCEL_SILENT)
        return;
    struct op ok = {.to = in->channel, .kind = OP_CANCEL_OK, .n = op->n};
    *op_body(&ok, struct op_consumer) = *in;
    post(&ok);
}

void queue_release_query(struct op *op)
{
    struct op reply = {.kind = OP_QUERY_REPLY, .n = op->kind};
    struct op_queue_query *answer = op_body(&reply, struct op_queue_query);
    *answer = *op_body(op, struct op_queue_query);
    reply.to = answer->reply_to;
    answer->code = ERR_NOT_FOUND;
    answer->why = QUEUE_REFUSED_GONE;
    if (!addr_is_none(reply.to))
        post(&reply);
}

void session_release_text(struct op *op)
{
    free(op_body(op, struct op_text)->text);
}

static const struct op_kind kinds[] = {
#define OP(symbol, label, release) {label, release},
#include "meta/ops.def"
#undef OP
};

const struct op_kind *broker_op_kinds(void)
{
    return kinds;
}
