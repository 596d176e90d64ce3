/* The methods of class exchange, and the answers of the metadata master. */
#include "amqp/channel_priv.h"

#include "base/mem.h"

#include <stdlib.h>

struct meta_request *channel_meta_request(struct channel *ch, enum meta_verb verb)
{
    struct connection *c = ch->connection;
    struct meta_request *r = meta_request_new(verb, ch->addr);
    r->connection = c->id;
    meta_request_set(&r->user, c->user);
    meta_request_set(&r->vhost, c->vhost);
    return r;
}

/* The cookie keeps what the answer needs: the method, and whether the client waits. */
void channel_meta_post(struct channel *ch, struct meta_request *r, bool no_wait)
{
    r->cookie = (uint64_t)ch->method->index << 1 | no_wait;
    channel_asked(ch, channel_meta_addr(ch));
    meta_post(shard_node(ch->amqp->shard), &r);
}

enum step on_exchange_declare(struct channel *ch, const void *args)
{
    const struct amqp_exchange_declare *in = args;
    if (!channel_may_ask(ch, channel_meta_addr(ch)))
        return STEP_WAIT;
    struct meta_request *r = channel_meta_request(ch, META_EXCHANGE_DECLARE);
    r->flags |= (in->passive ? META_PASSIVE : 0) | (in->durable ? META_DURABLE : 0) |
                (in->auto_delete ? META_AUTO_DELETE : 0) | (in->internal ? META_INTERNAL : 0);
    meta_request_set_name(&r->name, in->exchange);
    meta_request_set(&r->type, in->type);
    meta_request_set(&r->args, in->arguments);
    channel_meta_post(ch, r, in->no_wait);
    return STEP_DONE;
}

enum step on_exchange_delete(struct channel *ch, const void *args)
{
    const struct amqp_exchange_delete *in = args;
    if (!channel_may_ask(ch, channel_meta_addr(ch)))
        return STEP_WAIT;
    struct meta_request *r = channel_meta_request(ch, META_EXCHANGE_DELETE);
    r->flags |= in->if_unused ? META_IF_UNUSED : 0;
    meta_request_set_name(&r->name, in->exchange);
    channel_meta_post(ch, r, in->no_wait);
    return STEP_DONE;
}

static enum step bind(struct channel *ch, enum meta_verb verb, const struct amqp_exchange_bind *in)
{
    if (!channel_may_ask(ch, channel_meta_addr(ch)))
        return STEP_WAIT;
    struct meta_request *r = channel_meta_request(ch, verb);
    r->flags |= META_TO_EXCHANGE;
    meta_request_set_name(&r->name, in->destination);
    meta_request_set_name(&r->source, in->source);
    meta_request_set(&r->key, in->routing_key);
    meta_request_set(&r->args, in->arguments);
    channel_meta_post(ch, r, in->no_wait);
    return STEP_DONE;
}

enum step on_exchange_bind(struct channel *ch, const void *args)
{
    return bind(ch, META_BIND, args);
}

enum step on_exchange_unbind(struct channel *ch, const void *args)
{
    const struct amqp_exchange_unbind *in = args;
    return bind(ch, META_UNBIND,
                &(struct amqp_exchange_bind){.destination = in->destination,
                                             .source = in->source,
                                             .routing_key = in->routing_key,
                                             .no_wait = in->no_wait,
                                             .arguments = in->arguments});
}

static void send_ok(struct channel *ch, enum amqp_method asked)
{
    static const unsigned char empty[8];
    static const struct {
        enum amqp_method asked, answer;
    } answers[] = {
        {AMQP_EXCHANGE_DECLARE, AMQP_EXCHANGE_DECLARE_OK},
        {AMQP_EXCHANGE_DELETE, AMQP_EXCHANGE_DELETE_OK},
        {AMQP_EXCHANGE_BIND, AMQP_EXCHANGE_BIND_OK},
        {AMQP_EXCHANGE_UNBIND, AMQP_EXCHANGE_UNBIND_OK},
        {AMQP_QUEUE_BIND, AMQP_QUEUE_BIND_OK},
        {AMQP_QUEUE_UNBIND, AMQP_QUEUE_UNBIND_OK},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        if (answers[i].asked == asked)
            channel_send(ch, answers[i].answer, empty);
    }
}

/* Takes the request. */
static void answer(struct channel *ch, struct meta_request *r)
{
    enum amqp_method asked = (enum amqp_method)(r->cookie >> 1);
    bool no_wait = r->cookie & 1;
    ch->method = &amqp_methods[asked];
    if (r->code) {
        ch->outstanding--;
        channel_fail(ch, &r->why);
    } else if (r->verb == META_QUEUE_DECLARE) {
        queue_on_declared(ch, &r, no_wait);
    } else {
        if (!no_wait)
            send_ok(ch, asked);
        channel_answered(ch);
    }
    meta_request_free(&r);
}

static void hold(struct channel *ch, struct meta_request *r)
{
    MEM_GROW(ch->held.items, ch->held.cap, ch->held.count + 1);
    ch->held.items[ch->held.count++] = r;
}

void meta_on_reply(struct channel *ch, struct op *op)
{
    struct meta_request *r = op_body(op, struct op_meta)->request;
    if (ch->held.counting && r == ch->held.again) {
        ch->held.again = NULL;
        ch->held.counting = false;
        struct shard *shard = ch->amqp->shard;
        struct addr me = ch->addr;
        answer(ch, r);
        if (channel_at(shard, me) == ch && !ch->held.counting)
            meta_answer_held(ch);
    } else if (ch->held.counting) {
        hold(ch, r);
    } else {
        answer(ch, r);
    }
}

void meta_answer_held(struct channel *ch)
{
    struct held_answers held = ch->held;
    struct shard *shard = ch->amqp->shard;
    struct addr me = ch->addr;
    ch->held = (struct held_answers){0};
    for (size_t i = 0; i < held.count; i++) {
        if (channel_at(shard, me) != ch) /* an answer has ended it */
            meta_request_free(&held.items[i]);
        else if (ch->held.counting)
            hold(ch, held.items[i]);
        else
            answer(ch, held.items[i]);
    }
    free(held.items);
}

void meta_drop_held(struct channel *ch)
{
    for (size_t i = 0; i < ch->held.count; i++)
        meta_request_free(&ch->held.items[i]);
    free(ch->held.items);
    ch->held = (struct held_answers){0};
}
