/* The methods of class basic but consume and cancel (consume.c). */
#include "amqp/channel_priv.h"

/* The content follows; a publish may overtake nothing that changes definitions. */
enum step on_basic_publish(struct channel *ch, const void *args)
{
    const struct amqp_basic_publish *in = args;
    if (ch->outstanding && (addr_is_none(ch->target) || addr_eq(ch->target, channel_meta_addr(ch))))
        return STEP_WAIT;
    /* as for any method with an answer: a return or a confirm may follow */
    if ((in->mandatory || ch->mode == MODE_CONFIRM) && stream_is_full(ch->connection->stream))
        return STEP_WAIT;
    if (ch->publish_waits || connection_is_held(ch->connection))
        return STEP_WAIT;
    if (in->immediate)
        return connection_failf(ch->connection, ch->method, ERR_NOT_IMPLEMENTED, "immediate=true");
    ch->content.expects = CONTENT_HEADER;
    return STEP_DONE;
}

enum step on_basic_qos(struct channel *ch, const void *args)
{
    const struct amqp_basic_qos *in = args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (in->prefetch_size)
        return connection_failf(ch->connection, ch->method, ERR_NOT_IMPLEMENTED,
                                "prefetch_size!=0 (%u)", in->prefetch_size);
    if (in->global) {
        ch->global_prefetch = in->prefetch_count;
    } else {
        /* RabbitMQ: a limit for each consumer ends the one for the channel */
        ch->prefetch = in->prefetch_count;
        ch->global_prefetch = 0;
    }
    if (ch->any_paused)
        channel_unpause(ch);
    channel_send(ch, AMQP_BASIC_QOS_OK, &(struct amqp_basic_qos_ok){0});
    return STEP_DONE;
}

enum step on_basic_get(struct channel *ch, const void *args)
{
    const struct amqp_basic_get *in = args;
    struct target_queue *q;
    enum step step = channel_readable_queue(ch, in->queue, &q);
    if (!q)
        return step;
    if (q->def->type == QUEUE_STREAM)
        return channel_refuse_stream(ch, "basic.get", q->def);
    struct op op = {.to = q->def->addr, .kind = OP_GET, .flags = in->no_ack ? OP_GET_NO_ACK : 0};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = ch->addr, .connection = ch->connection->id};
    pending_push(ch, (struct pending){.kind = OP_GET, .def = queue_def_ref(q->def)});
    settle_flush(ch);
    post(&op);
    channel_asked(ch, q->def->addr);
    return STEP_DONE;
}

void queue_on_got_empty(struct channel *ch, struct op *op)
{
    (void)op;
    struct pending p = pending_pop(ch);
    pending_fini(&p);
    channel_count(ch, TOTAL_GOT_EMPTY, 1);
    channel_send(ch, AMQP_BASIC_GET_EMPTY, &(struct amqp_basic_get_empty){0});
    channel_answered(ch);
}

enum step on_basic_ack(struct channel *ch, const void *args)
{
    const struct amqp_basic_ack *in = args;
    return channel_settle(ch, in->delivery_tag, in->multiple, SETTLE_ACK);
}

enum step on_basic_reject(struct channel *ch, const void *args)
{
    const struct amqp_basic_reject *in = args;
    return channel_settle(ch, in->delivery_tag, false, in->requeue ? SETTLE_FAILED : SETTLE_REJECT);
}

enum step on_basic_nack(struct channel *ch, const void *args)
{
    const struct amqp_basic_nack *in = args;
    return channel_settle(ch, in->delivery_tag, in->multiple,
                          in->requeue ? SETTLE_REQUEUE : SETTLE_REJECT);
}

static enum step recover(struct channel *ch, bool requeue)
{
    if (!requeue)
        return connection_failf(ch->connection, ch->method, ERR_NOT_IMPLEMENTED, "requeue=false");
    settle_all(ch, SETTLE_REQUEUE);
    settle_flush(ch);
    return STEP_DONE;
}

enum step on_basic_recover(struct channel *ch, const void *args)
{
    const struct amqp_basic_recover *in = args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (!in->requeue)
        return recover(ch, false);
    recover(ch, true);
    channel_send(ch, AMQP_BASIC_RECOVER_OK, &(struct amqp_basic_recover_ok){0});
    return STEP_DONE;
}

enum step on_basic_recover_async(struct channel *ch, const void *args)
{
    const struct amqp_basic_recover_async *in = args;
    return recover(ch, in->requeue);
}
