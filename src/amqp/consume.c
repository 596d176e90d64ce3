/* The consumers of a channel: made, cancelled by the client, cancelled by the broker. */
#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/table.h"
#include "broker/queue/consumers.h"
#include "meta/args.h"
#include "meta/limits.h"

#include <stdlib.h>

struct channel_consumer *consumer_find(const struct channel *ch, struct slice tag)
{
    return hash_find(&ch->by_tag, tag);
}

struct channel_consumer *consumer_new(struct channel *ch, struct slice tag, struct queue_def *def)
{
    uint32_t n = 0;
    while (n < ch->consumer_cap && ch->consumers[n])
        n++;
    if (n == ch->consumer_cap) {
        size_t cap = ch->consumer_cap;
        MEM_GROW(ch->consumers, cap, cap + 1);
        memset(ch->consumers + n, 0, (cap - n) * sizeof(*ch->consumers));
        ch->consumer_cap = (uint32_t)cap;
    }
    struct channel_consumer *cc = NEW(struct channel_consumer);
    cc->number = n;
    cc->tag = slice_dup(tag);
    cc->def = def ? queue_def_ref(def) : NULL;
    list_init(&cc->due);
    ch->consumers[n] = cc;
    ch->consumer_count++;
    hash_add(&ch->by_tag, cc);
    return cc;
}

void consumer_free(struct channel *ch, struct channel_consumer *cc)
{
    if (cc->ready && cc->def)
        event_consumer(ch, cc, false);
    list_remove(&cc->due);
    hash_remove(&ch->by_tag, cc->tag);
    ch->consumers[cc->number] = NULL;
    ch->consumer_count--;
    if (ch->reply_consumer == cc)
        ch->reply_consumer = NULL;
    slice_free(&cc->tag);
    slice_free(&cc->args);
    if (cc->def)
        queue_def_unref(&cc->def);
    free(cc);
}

static void post_cancel(struct channel *ch, struct channel_consumer *cc, uint16_t flags)
{
    struct op op = {.to = cc->def->addr, .kind = OP_CANCEL, .flags = flags, .n = cc->number};
    *op_body(&op, struct op_consumer) = (struct op_consumer){.consumer = cc->queue_number,
                                                             .serial = cc->serial,
                                                             .queue = cc->def->addr,
                                                             .channel = ch->addr};
    post(&op);
}

/* Those whose consume-ok is still to come are cancelled when their answer finds nobody. */
void consumers_drop(struct channel *ch)
{
    for (uint32_t n = 0; n < ch->consumer_cap; n++) {
        struct channel_consumer *cc = ch->consumers[n];
        if (!cc)
            continue;
        if (cc->ready && cc->def && !cc->cancelling)
            post_cancel(ch, cc, OP_CANCEL_SILENT);
        consumer_free(ch, cc);
    }
}

/* ---- basic.consume ---- */

static int64_t priority_of(struct slice arguments)
{
    int64_t priority = 0;
    table_find_int(arguments, SLICE("x-priority"), &priority);
    return priority;
}

static enum step consume_replies(struct channel *ch, const struct amqp_basic_consume *in,
                                 struct slice tag)
{
    if (!in->no_ack)
        return channel_failf(ch, ERR_PRECONDITION_FAILED, "reply consumer cannot acknowledge");
    if (ch->reply_consumer)
        return channel_failf(ch, ERR_PRECONDITION_FAILED, "reply consumer already set");
    if (!ch->reply_secret)
        ch->reply_secret = random_u64();
    ch->reply_consumer = consumer_new(ch, tag, NULL);
    ch->reply_consumer->no_ack = ch->reply_consumer->unlimited = true;
    if (!in->no_wait)
        channel_send(ch, AMQP_BASIC_CONSUME_OK,
                     &(struct amqp_basic_consume_ok){.consumer_tag = tag});
    return STEP_DONE;
}

static void post_consume(struct channel *ch, const struct amqp_basic_consume *in,
                         struct channel_consumer *cc)
{
    struct consume_request *r = NEW(struct consume_request);
    r->channel = ch->addr;
    r->number = cc->number;
    r->connection = ch->connection->id;
    r->tag = slice_dup(cc->tag);
    r->queue = slice_dup(cc->def->name);
    r->user = slice_dup(ch->connection->user);
    r->args = slice_dup(in->arguments);
    r->priority = priority_of(in->arguments);
    r->prefetch = in->no_ack ? 0 : ch->prefetch;
    r->window = cc->window;
    r->no_ack = in->no_ack;
    r->exclusive = in->exclusive;
    r->no_wait = in->no_wait;
    struct op op = {.to = cc->def->addr, .kind = OP_CONSUME};
    op_body(&op, struct op_consume)->request = r;
    post(&op);
    channel_asked(ch, cc->def->addr);
}

static enum step refuse_more(struct channel *ch, const struct limits *limits)
{
    return connection_failf(ch->connection, ch->method, ERR_NOT_ALLOWED,
                            "reached maximum (%lld) of consumers per channel",
                            (long long)limits_get(limits, LIMIT_CONSUMERS));
}

enum step channel_refuse_stream(struct channel *ch, const char *what, const struct queue_def *def)
{
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    return connection_failf(ch->connection, ch->method, ERR_NOT_IMPLEMENTED,
                            "%s not supported by stream queues queue '%.*s' in vhost '%.*s'", what,
                            SLICE_ARG(def->name), SLICE_ARG(def->vhost));
}

/* Without limit or acknowledgements a reader of a stream could not be held back. */
static bool is_for_streams(const struct channel *ch, const struct amqp_basic_consume *in)
{
    return ch->prefetch && !in->no_ack && !ch->global_prefetch;
}

static enum step refuse_stream_consumer(struct channel *ch, const struct amqp_basic_consume *in,
                                        const struct queue_def *def)
{
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (!ch->prefetch)
        return channel_failf(ch, ERR_PRECONDITION_FAILED,
                             "consumer prefetch count is not set for 'queue '%.*s' in vhost "
                             "'%.*s''",
                             SLICE_ARG(def->name), SLICE_ARG(def->vhost));
    if (in->no_ack)
        return channel_refuse_stream(ch, "automatic acknowledgement", def);
    return connection_failf(ch->connection, ch->method, ERR_NOT_IMPLEMENTED,
                            "queue '%.*s' in vhost '%.*s' does not support global qos",
                            SLICE_ARG(def->name), SLICE_ARG(def->vhost));
}

enum step on_basic_consume(struct channel *ch, const void *args)
{
    const struct amqp_basic_consume *in = args;
    struct failure why;
    struct slice name;
    char made[sizeof "amq.ctag-" + RANDOM_NAME_SIZE] = "amq.ctag-";
    if (slice_eq_str(in->queue, "amq.rabbitmq.reply-to")) {
        if (!channel_is_idle(ch))
            return STEP_WAIT;
    } else if (!in->queue.len && !channel_is_idle(ch)) {
        return STEP_WAIT;
    } else if (!channel_queue_name(ch, in->queue, &name, &why) ||
               channel_check(ch, ACCESS_READ, "queue", name, &why)) {
        return channel_is_idle(ch) ? channel_fail(ch, &why) : STEP_WAIT;
    }
    struct slice tag = in->consumer_tag;
    if (!tag.len) {
        random_name(made + sizeof "amq.ctag-" - 1);
        tag = slice_str(made);
    } else if (consumer_find(ch, tag)) {
        if (!channel_is_idle(ch)) /* its cancel may be on the way */
            return STEP_WAIT;
        enum err e = failure_set_hard(&why, ERR_NOT_ALLOWED, "attempt to reuse consumer tag '%.*s'",
                                      SLICE_ARG(tag));
        (void)e;
        return channel_fail(ch, &why);
    }
    const struct limits *limits = limits_of_node(shard_node(ch->amqp->shard));
    if (limits_reached(limits, LIMIT_CONSUMERS, ch->consumer_count))
        return channel_is_idle(ch) ? refuse_more(ch, limits) : STEP_WAIT;
    if (slice_eq_str(in->queue, "amq.rabbitmq.reply-to"))
        return consume_replies(ch, in, tag);
    struct target_queue *q = channel_find_queue(ch, name, &why);
    if (!q)
        return channel_is_idle(ch) ? channel_fail(ch, &why) : STEP_WAIT;
    if (!channel_may_ask(ch, q->def->addr))
        return STEP_WAIT;
    if (args_check_consume(q->def, in->arguments, &why))
        return channel_is_idle(ch) ? channel_fail(ch, &why) : STEP_WAIT;
    if (q->def->type == QUEUE_STREAM && !is_for_streams(ch, in))
        return refuse_stream_consumer(ch, in, q->def);
    struct channel_consumer *cc = consumer_new(ch, tag, q->def);
    cc->no_ack = in->no_ack;
    cc->unlimited = in->no_ack || q->def->type == QUEUE_STREAM;
    cc->no_wait = in->no_wait;
    cc->exclusive = in->exclusive;
    cc->args = slice_dup(in->arguments);
    cc->timeout_ms = timeout_of(ch->amqp, q->def, cc->args);
    cc->window = ch->global_prefetch && !in->no_ack ? CONSUMER_WINDOW_GLOBAL : CONSUMER_WINDOW;
    cc->portion =
        cc->window / 8 < CONSUMER_CREDIT_PORTION ? (cc->window + 7) / 8 : CONSUMER_CREDIT_PORTION;
    post_consume(ch, in, cc);
    return STEP_DONE;
}

void channel_on_consume_reply(struct channel *ch, struct op *op)
{
    const struct op_consumer *in = op_body(op, struct op_consumer);
    struct channel_consumer *cc = ch->consumers[op->n];
    if (!in->code) {
        cc->ready = true;
        cc->queue_number = in->consumer;
        cc->serial = in->serial;
        event_consumer(ch, cc, true);
        if (!cc->no_wait)
            channel_send(ch, AMQP_BASIC_CONSUME_OK,
                         &(struct amqp_basic_consume_ok){.consumer_tag = cc->tag});
        channel_answered(ch);
        return;
    }
    struct queue_def *def = queue_def_ref(cc->def);
    consumer_free(ch, cc);
    ch->method = &amqp_methods[AMQP_BASIC_CONSUME];
    ch->outstanding--;
    if (in->why == CONSUME_REFUSED_EXCLUSIVE)
        channel_failf(ch, ERR_ACCESS_REFUSED, "queue '%.*s' in vhost '%.*s' in exclusive use",
                      SLICE_ARG(def->name), SLICE_ARG(def->vhost));
    else
        channel_failf(ch, ERR_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'", SLICE_ARG(def->name),
                      SLICE_ARG(def->vhost));
    queue_def_unref(&def);
}

/* ---- basic.cancel ---- */

enum step on_basic_cancel(struct channel *ch, const void *args)
{
    const struct amqp_basic_cancel *in = args;
    struct channel_consumer *cc = consumer_find(ch, in->consumer_tag);
    struct addr target = cc && cc->def && !cc->cancelling ? cc->def->addr : ADDR_NONE;
    if (!channel_may_ask(ch, target))
        return STEP_WAIT;
    if (addr_is_none(target)) {
        if (cc && !cc->def)
            consumer_free(ch, cc);
        if (!in->no_wait)
            channel_send(ch, AMQP_BASIC_CANCEL_OK,
                         &(struct amqp_basic_cancel_ok){.consumer_tag = in->consumer_tag});
        return STEP_DONE;
    }
    /* its number at the queue is known only once its consume-ok came */
    if (!cc->ready)
        return STEP_WAIT;
    cc->cancelling = true;
    cc->cancel_no_wait = in->no_wait;
    post_cancel(ch, cc, 0);
    channel_asked(ch, target);
    return STEP_DONE;
}

void channel_on_cancel_ok(struct channel *ch, struct op *op)
{
    struct channel_consumer *cc = ch->consumers[op->n];
    if (cc) {
        if (!cc->cancel_no_wait)
            channel_send(ch, AMQP_BASIC_CANCEL_OK,
                         &(struct amqp_basic_cancel_ok){.consumer_tag = cc->tag});
        consumer_free(ch, cc);
    }
    channel_answered(ch);
}

/* The queue is gone. The client hears of it only if it can. */
void channel_on_cancelled(struct channel *ch, struct op *op)
{
    struct channel_consumer *cc = op->n < ch->consumer_cap ? ch->consumers[op->n] : NULL;
    if (!cc)
        return;
    if ((ch->connection->capabilities & CAP_CONSUMER_CANCEL_NOTIFY) && !cc->cancelling)
        channel_send(ch, AMQP_BASIC_CANCEL,
                     &(struct amqp_basic_cancel){.consumer_tag = cc->tag, .no_wait = true});
    if (cc->cancelling)
        return; /* its cancel-ok comes from the op that finds the queue gone */
    consumer_free(ch, cc);
}

/* The client acknowledges a cancel of ours; nothing waits for it. */
enum step on_basic_cancel_ok(struct channel *ch, const void *args)
{
    (void)ch;
    (void)args;
    return STEP_DONE;
}
