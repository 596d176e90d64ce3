/* The methods of class queue. What exists is asked of its queue, what is to be made or bound of the
 * metadata master. */
#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "meta/limits.h"

#include <stdlib.h>

static unsigned declare_flags(const struct amqp_queue_declare *in)
{
    return (in->passive ? META_PASSIVE : 0) | (in->durable ? META_DURABLE : 0) |
           (in->exclusive ? META_EXCLUSIVE : 0) | (in->auto_delete ? META_AUTO_DELETE : 0);
}

static struct meta_request *declare_request(struct channel *ch, const struct amqp_queue_declare *in,
                                            struct slice name)
{
    struct meta_request *r = channel_meta_request(ch, META_QUEUE_DECLARE);
    r->flags |= declare_flags(in);
    meta_request_set_name(&r->name, name);
    meta_request_set(&r->args, in->arguments);
    return r;
}

static void post_declare(struct channel *ch, struct meta_request *r, bool no_wait)
{
    ch->method = &amqp_methods[AMQP_QUEUE_DECLARE];
    if (r->flags & META_EXCLUSIVE)
        ch->connection->has_exclusive = true;
    channel_meta_post(ch, r, no_wait);
}

static void post_query(struct channel *ch, enum op_symbol kind, struct queue_def *def,
                       unsigned flags, struct pending pending)
{
    struct op op = {.to = def->addr, .kind = (uint16_t)kind, .flags = (uint16_t)flags};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = ch->addr, .connection = ch->connection->id};
    pending.kind = (uint16_t)kind;
    pending.def = queue_def_ref(def);
    pending_push(ch, pending);
    settle_flush(ch);
    post(&op);
}

static void declare_ok(struct channel *ch, struct slice name, uint32_t messages, uint32_t consumers,
                       bool no_wait)
{
    channel_set_last_queue(ch, name);
    ch->amqp->totals[TOTAL_QUEUES_DECLARED]++;
    if (!no_wait)
        channel_send(ch, AMQP_QUEUE_DECLARE_OK,
                     &(struct amqp_queue_declare_ok){
                         .queue = name, .message_count = messages, .consumer_count = consumers});
}

static enum step no_queue(struct channel *ch, struct slice name)
{
    return channel_failf(ch, ERR_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'", SLICE_ARG(name),
                         SLICE_ARG(ch->connection->vhost));
}

/* The pseudo-queue is always there; a reply address as long as its channel listens. */
static enum step declare_reply(struct channel *ch, const struct amqp_queue_declare *in)
{
    struct addr target;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (slice_eq_str(in->queue, "amq.rabbitmq.reply-to")) {
        declare_ok(ch, in->queue, 0, 1, in->no_wait);
        return STEP_DONE;
    }
    if (!reply_ask(ch, in->queue, &target))
        return no_queue(ch, in->queue);
    pending_push(ch, (struct pending){
                         .kind = OP_STAT, .no_wait = in->no_wait, .name = slice_dup(in->queue)});
    channel_asked(ch, target);
    return STEP_DONE;
}

static enum step declare_known(struct channel *ch, const struct amqp_queue_declare *in,
                               struct queue_def *def)
{
    struct failure why;
    uint64_t me = ch->connection->id;
    if (!channel_may_ask(ch, def->addr))
        return STEP_WAIT;
    bool refused =
        in->passive ? meta_check_owner(def, me, &why) != ERR_NONE
                    : channel_check(ch, ACCESS_CONFIGURE, "queue", def->name, &why) ||
                          (!limits_relaxed_for(shard_node(ch->amqp->shard), def, in->arguments) &&
                           meta_check_queue(def, declare_flags(in), in->arguments, me, &why));
    if (refused)
        return channel_is_idle(ch) ? channel_fail(ch, &why) : STEP_WAIT;
    struct pending p = {.no_wait = in->no_wait};
    if (!in->passive)
        p.declare = declare_request(ch, in, def->name);
    post_query(ch, OP_STAT, def, 0, p);
    channel_asked(ch, def->addr);
    return STEP_DONE;
}

enum step on_queue_declare(struct channel *ch, const void *args)
{
    const struct amqp_queue_declare *in = args;
    uint8_t room[256];
    struct slice name = meta_clean_name(in->queue, room);
    if (slice_starts(name, SLICE("amq.rabbitmq.reply-to")))
        return declare_reply(ch, in);
    struct vhost *vhost = channel_vhost(ch);
    struct target_queue *q = vhost && name.len ? vhost_find_queue(vhost, name) : NULL;
    if (q)
        return declare_known(ch, in, q->def);
    if (!channel_may_ask(ch, channel_meta_addr(ch)))
        return STEP_WAIT;
    post_declare(ch, declare_request(ch, in, name), in->no_wait);
    return STEP_DONE;
}

/* ---- bind, unbind ---- */

static enum step bind(struct channel *ch, enum meta_verb verb, struct slice queue,
                      struct slice exchange, struct slice key, struct slice arguments, bool no_wait)
{
    struct failure why;
    struct slice name;
    if (!channel_may_ask(ch, channel_meta_addr(ch)) || (!queue.len && !channel_is_idle(ch)))
        return STEP_WAIT;
    if (!channel_queue_name(ch, queue, &name, &why))
        return channel_fail(ch, &why);
    struct meta_request *r = channel_meta_request(ch, verb);
    meta_request_set_name(&r->name, name);
    meta_request_set_name(&r->source, exchange);
    /* neither queue nor key given: the key is the queue's name (a rule of AMQP 0-8 that lives on)
     */
    meta_request_set(&r->key, !queue.len && !key.len ? name : key);
    meta_request_set(&r->args, arguments);
    channel_meta_post(ch, r, no_wait);
    return STEP_DONE;
}

enum step on_queue_bind(struct channel *ch, const void *args)
{
    const struct amqp_queue_bind *in = args;
    return bind(ch, META_BIND, in->queue, in->exchange, in->routing_key, in->arguments,
                in->no_wait);
}

enum step on_queue_unbind(struct channel *ch, const void *args)
{
    const struct amqp_queue_unbind *in = args;
    return bind(ch, META_UNBIND, in->queue, in->exchange, in->routing_key, in->arguments, false);
}

/* ---- purge, delete ---- */

enum step on_queue_purge(struct channel *ch, const void *args)
{
    const struct amqp_queue_purge *in = args;
    struct target_queue *q;
    enum step step = channel_readable_queue(ch, in->queue, &q);
    if (!q)
        return step;
    if (q->def->type == QUEUE_STREAM)
        return channel_refuse_stream(ch, "queue.purge", q->def);
    post_query(ch, OP_PURGE, q->def, 0, (struct pending){.no_wait = in->no_wait});
    channel_asked(ch, q->def->addr);
    return STEP_DONE;
}

/* Its answer comes by way of the master, so nothing may be asked before it came. */
enum step on_queue_delete(struct channel *ch, const void *args)
{
    const struct amqp_queue_delete *in = args;
    struct failure why;
    struct slice name;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (!channel_queue_name(ch, in->queue, &name, &why) ||
        channel_check(ch, ACCESS_CONFIGURE, "queue", name, &why))
        return channel_fail(ch, &why);
    struct target_queue *q = channel_find_queue(ch, name, &why);
    if (!q && why.code != ERR_NOT_FOUND)
        return channel_fail(ch, &why);
    if (!q) {
        if (!in->no_wait)
            channel_send(ch, AMQP_QUEUE_DELETE_OK, &(struct amqp_queue_delete_ok){0});
        return STEP_DONE;
    }
    unsigned flags =
        (in->if_unused ? OP_DELETE_IF_UNUSED : 0) | (in->if_empty ? OP_DELETE_IF_EMPTY : 0);
    post_query(ch, OP_DELETE, q->def, flags, (struct pending){.no_wait = in->no_wait});
    channel_asked(ch, ADDR_NONE);
    return STEP_DONE;
}

/* ---- answers ---- */

static enum amqp_method method_of(uint16_t kind)
{
    switch (kind) {
    case OP_STAT:
        return AMQP_QUEUE_DECLARE;
    case OP_PURGE:
        return AMQP_QUEUE_PURGE;
    case OP_DELETE:
        return AMQP_QUEUE_DELETE;
    default:
        return AMQP_BASIC_GET;
    }
}

static void refused(struct channel *ch, const struct pending *p, const struct op_queue_query *in)
{
    struct slice name = p->def ? p->def->name : p->name;
    ch->outstanding--;
    ch->method = &amqp_methods[method_of(p->kind)];
    if (in->why == QUEUE_REFUSED_GONE)
        no_queue(ch, name);
    else
        channel_failf(ch, ERR_PRECONDITION_FAILED, "queue '%.*s' in vhost '%.*s' %s",
                      SLICE_ARG(name), SLICE_ARG(ch->connection->vhost),
                      in->why == QUEUE_REFUSED_IN_USE ? "in use" : "not empty");
}

static void send_answer(struct channel *ch, const struct pending *p,
                        const struct op_queue_query *in)
{
    if (p->kind == OP_STAT)
        declare_ok(ch, p->def ? p->def->name : p->name, in->messages, in->consumers, p->no_wait);
    else if (p->no_wait)
        return;
    else if (p->kind == OP_PURGE)
        channel_send(ch, AMQP_QUEUE_PURGE_OK,
                     &(struct amqp_queue_purge_ok){.message_count = in->messages});
    else
        channel_send(ch, AMQP_QUEUE_DELETE_OK,
                     &(struct amqp_queue_delete_ok){.message_count = in->messages});
}

void queue_on_reply(struct channel *ch, struct op *op)
{
    struct op_queue_query *in = op_body(op, struct op_queue_query);
    struct pending p = pending_pop(ch);
    if (in->code && p.declare && in->why == QUEUE_REFUSED_GONE) {
        /* it went away meanwhile: declared anew; answers of the master that came go on waiting */
        struct meta_request *r = p.declare;
        p.declare = NULL;
        ch->outstanding--;
        if (p.counts)
            ch->held.again = r;
        post_declare(ch, r, p.no_wait);
        ch->target = ADDR_NONE;
        pending_fini(&p);
        return;
    }
    struct shard *shard = ch->amqp->shard;
    struct addr me = ch->addr;
    bool counts = p.counts;
    if (in->code && p.kind == OP_DELETE && in->why == QUEUE_REFUSED_GONE) {
        in->messages = 0;
        send_answer(ch, &p, in);
        channel_answered(ch);
    } else if (in->code) {
        refused(ch, &p, in);
    } else {
        send_answer(ch, &p, in);
        channel_answered(ch);
    }
    pending_fini(&p);
    if (counts && channel_at(shard, me) == ch)
        meta_answer_held(ch);
}

/* A queue was declared by the master; one that was there already tells its counts itself, and
 * answers that come meanwhile wait. */
void queue_on_declared(struct channel *ch, struct meta_request **request, bool no_wait)
{
    struct meta_request *r = *request;
    if (r->created) {
        declare_ok(ch, r->queue->name, 0, 0, no_wait);
        channel_answered(ch);
        return;
    }
    struct queue_def *def = r->queue;
    struct pending p = {.no_wait = no_wait, .counts = true};
    r->queue = NULL;
    if (!(r->flags & META_PASSIVE)) {
        p.declare = r;
        *request = NULL;
    }
    post_query(ch, OP_STAT, def, 0, p);
    ch->target = ADDR_NONE;
    ch->held.counting = true;
    queue_def_unref(&def);
}
