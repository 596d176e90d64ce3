/* Life of a channel, its dispatch of methods and ops, and the order of its answers.
 *
 * A method that needs an answer from elsewhere (a queue, the metadata master) is sent on at once as
 * long as everything still outstanding went to the same place, whose answers keep their order. Any
 * other method that answers waits: its frame is offered again when nothing is outstanding. */
#include "amqp/channel_priv.h"

#include "base/mem.h"
#include "base/wire_fast.h"
#include "meta/tally.h"
#include "shard/slot.h"

#include <stdio.h>
#include <stdlib.h>

static enum step (*const handlers[AMQP_METHODS_LEN])(struct channel *ch, const void *args) = {
#define X(name, index, sync, content) [index] = on_##name,
    AMQP_CLIENT_METHODS(X)
#undef X
};

/* ---- errors ---- */

/* What the channel holds outside goes back: consumers, messages, requests. */
static void let_go(struct channel *ch)
{
    tx_fini(ch);
    timeout_forget(ch);
    consumers_drop(ch);
    settle_all(ch, SETTLE_FAILED);
    settle_flush(ch);
    content_fini(ch);
    while (ch->pending.count) {
        struct pending p = pending_pop(ch);
        pending_fini(&p);
    }
    meta_drop_held(ch);
    ch->outstanding = 0;
    confirms_fini(&ch->confirms);
}

enum step channel_fail(struct channel *ch, const struct failure *why)
{
    struct connection *c = ch->connection;
    if (why->hard || err_info(why->code)->scope == ERR_SCOPE_CONNECTION) {
        connection_fail(c, why, ch->method);
        return STEP_DONE;
    }
    char text[256];
    unsigned len = failure_reply_text(why, text);
    log_error(CHANNEL, &ch->log, "closing the channel of user '%.*s', vhost '%.*s': %u %s",
              SLICE_ARG(c->user), SLICE_ARG(c->vhost), err_info(why->code)->amqp_code, text);
    struct amqp_channel_close close = {.reply_code = err_info(why->code)->amqp_code,
                                       .reply_text = slice_of(text, len),
                                       .class_id = ch->method ? ch->method->class_id : 0,
                                       .method_id = ch->method ? ch->method->method_id : 0};
    channel_send(ch, AMQP_CHANNEL_CLOSE, &close);
    ch->state = CH_CLOSING;
    /* answers to what it asked before find nobody: a fresh address */
    slot_free(ch->amqp->shard, ch->addr);
    let_go(ch);
    if (c->body_channel == ch)
        c->body_channel = NULL; /* the rest of the frame is dropped */
    ch->addr = channel_address(ch);
    connection_resume(c);
    return STEP_DONE;
}

enum step channel_failf(struct channel *ch, enum err code, const char *fmt, ...)
{
    char text[512];
    struct failure why;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    enum err e = failure_set(&why, code, "%s", text);
    (void)e;
    return channel_fail(ch, &why);
}

/* ---- waiting ---- */

bool channel_may_ask(const struct channel *ch, struct addr target)
{
    return !ch->outstanding || (ch->outstanding < CHANNEL_REQUESTS && !addr_is_none(target) &&
                                addr_eq(ch->target, target));
}

bool channel_is_idle(const struct channel *ch)
{
    return !ch->outstanding;
}

void channel_asked(struct channel *ch, struct addr target)
{
    ch->target = target;
    ch->outstanding++;
}

void channel_answered(struct channel *ch)
{
    ch->outstanding--;
    if (ch->outstanding == 0 || ch->outstanding == CHANNEL_REQUESTS / 2)
        connection_resume(ch->connection);
}

struct addr channel_meta_addr(const struct channel *ch)
{
    return meta_addr(shard_node(ch->amqp->shard));
}

void pending_push(struct channel *ch, struct pending p)
{
    struct pending_fifo *f = &ch->pending;
    if (f->count == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 4;
        struct pending *items = mem_alloc(cap * sizeof *items);
        for (size_t i = 0; i < f->count; i++)
            items[i] = f->items[(f->head + i) & (f->cap - 1)];
        free(f->items);
        *f = (struct pending_fifo){items, 0, f->count, cap};
    }
    f->items[(f->head + f->count++) & (f->cap - 1)] = p;
}

struct pending pending_pop(struct channel *ch)
{
    struct pending_fifo *f = &ch->pending;
    struct pending p = f->items[f->head];
    f->head = (f->head + 1) & (f->cap - 1);
    f->count--;
    return p;
}

void pending_fini(struct pending *p)
{
    if (p->def)
        queue_def_unref(&p->def);
    slice_free(&p->name);
    if (p->declare)
        meta_request_free(&p->declare);
}

/* ---- names ---- */

struct vhost *channel_vhost(struct channel *ch)
{
    uint64_t version = routing_version(ch->amqp->routing);
    if (ch->vhost_version != version) {
        ch->vhost = routing_find_vhost(ch->amqp->routing, ch->connection->vhost);
        ch->tally = ch->vhost ? tally_for_vhost(ch->vhost) : NULL;
        ch->vhost_version = version;
    }
    return ch->vhost;
}

void channel_count(struct channel *ch, enum broker_total what, uint64_t n)
{
    _Static_assert(TOTAL_ACKED + 1 == VHOST_OWN, "what virtual hosts count comes first");
    ch->amqp->totals[what] += n;
    ch->done[what] += n;
    if (channel_vhost(ch))
        tally_count(ch->tally, what, n);
}

bool channel_queue_name(struct channel *ch, struct slice given, struct slice *ret_name,
                        struct failure *why)
{
    if (given.len) {
        *ret_name = given;
        return true;
    }
    if (ch->last_queue.len) {
        *ret_name = ch->last_queue;
        return true;
    }
    enum err e = failure_set(why, ERR_NOT_FOUND, "no previously declared queue");
    (void)e;
    return false;
}

struct target_queue *channel_find_queue(struct channel *ch, struct slice name, struct failure *why)
{
    struct vhost *vhost = channel_vhost(ch);
    struct target_queue *q = vhost ? vhost_find_queue(vhost, name) : NULL;
    enum err e;
    if (!q) {
        e = failure_set(why, ERR_NOT_FOUND, "no queue '%.*s' in vhost '%.*s'", SLICE_ARG(name),
                        SLICE_ARG(ch->connection->vhost));
        (void)e;
        return NULL;
    }
    return meta_check_owner(q->def, ch->connection->id, why) ? NULL : q;
}

enum step channel_readable_queue(struct channel *ch, struct slice given,
                                 struct target_queue **ret_queue)
{
    struct failure why;
    struct slice name;
    struct target_queue *q = NULL;
    *ret_queue = NULL;
    if (!given.len && !channel_is_idle(ch))
        return STEP_WAIT;
    if (channel_queue_name(ch, given, &name, &why) &&
        !channel_check(ch, ACCESS_READ, "queue", name, &why))
        q = channel_find_queue(ch, name, &why);
    if (!q)
        return channel_is_idle(ch) ? channel_fail(ch, &why) : STEP_WAIT;
    if (!channel_may_ask(ch, q->def->addr))
        return STEP_WAIT;
    *ret_queue = q;
    return STEP_DONE;
}

void channel_set_last_queue(struct channel *ch, struct slice name)
{
    if (slice_eq(ch->last_queue, name))
        return;
    slice_free(&ch->last_queue);
    ch->last_queue = slice_dup(name);
}

enum err channel_check(struct channel *ch, enum access_right right, const char *resource,
                       struct slice name, struct failure *why)
{
    return access_check(ch->amqp->routing, ch->access, ch->connection->user, ch->connection->vhost,
                        right, resource, name, why);
}

/* ---- ops ---- */

/* Further publishes stay in the stream, as all that follows them, until the queue goes on. */
static void on_publish_wait(struct channel *ch, const struct op *op)
{
    if (!(op->flags & OP_PUBLISH_GO_ON))
        ch->publish_waits++;
    else if (!--ch->publish_waits)
        connection_resume(ch->connection);
}

static void on_op(void *object, struct op *op)
{
    struct channel *ch = object;
    switch (op->kind) {
    case OP_DELIVER:
        channel_on_deliver(ch, op);
        break;
    case OP_TX_COMMITTED:
        tx_committed(ch, op);
        break;
    case OP_CONFIRM:
        channel_on_confirm(ch, op);
        break;
    case OP_PUBLISH_WAIT:
        on_publish_wait(ch, op);
        break;
    case OP_UNROUTABLE:
        channel_on_unroutable(ch, op);
        break;
    case OP_GET_OK:
        channel_on_got(ch, op);
        break;
    case OP_GET_EMPTY:
        queue_on_got_empty(ch, op);
        break;
    case OP_QUERY_REPLY:
        queue_on_reply(ch, op);
        break;
    case OP_META_REPLY:
        meta_on_reply(ch, op);
        break;
    case OP_CONSUME_REPLY:
        channel_on_consume_reply(ch, op);
        break;
    case OP_CANCEL_OK:
        channel_on_cancel_ok(ch, op);
        break;
    case OP_CANCELLED:
        channel_on_cancelled(ch, op);
        break;
    default:
        break;
    }
}

static const struct actor_type channel_type = {"channel", on_op};

struct addr channel_address(struct channel *ch)
{
    return slot_new(ch->amqp->shard, &channel_type, ch);
}

struct channel *channel_at(struct shard *shard, struct addr addr)
{
    return slot_find(shard, addr, &channel_type);
}

static void send_ack(void *arg, uint64_t seq, bool multiple, bool refused)
{
    struct channel *ch = arg;
    if (refused) {
        channel_send(ch, AMQP_BASIC_NACK,
                     &(struct amqp_basic_nack){.delivery_tag = seq, .multiple = multiple});
        return;
    }
    struct stream *s = ch->connection->stream;
    uint8_t *p = stream_reserve(s, WIRE_FRAME_OVERHEAD + WIRE_FAST_ACK_SIZE), *start = p;
    p = wire_fast_put_frame(p, AMQP_FRAME_METHOD, (uint16_t)ch->number, WIRE_FAST_ACK_SIZE);
    p = wire_fast_put_basic_ack(p, seq, multiple);
    *p++ = AMQP_FRAME_END;
    stream_commit(s, (size_t)(p - start));
    ch->connection->frames_out++;
    if (!addr_is_none(ch->connection->trace_to))
        connection_trace(ch->connection, false, ch->number, &amqp_methods[AMQP_BASIC_ACK],
                         &(struct amqp_basic_ack){.delivery_tag = seq, .multiple = multiple});
}

static void on_turn_end(struct deferred *d)
{
    struct channel *ch = list_entry(d, struct channel, turn_end);
    settle_flush(ch);
    uint64_t waiting = confirms_waiting(&ch->confirms);
    confirms_flush(&ch->confirms, send_ack, ch);
    if (waiting != confirms_waiting(&ch->confirms))
        channel_count(ch, TOTAL_CONFIRMED, waiting - confirms_waiting(&ch->confirms));
    channel_give_credit(ch);
}

/* ---- life ---- */

static struct slice consumer_key(const void *object)
{
    return ((const struct channel_consumer *)object)->tag;
}

static struct channel *channel_new(struct connection *c, unsigned number)
{
    struct channel *ch = NEW(struct channel);
    ch->connection = c;
    ch->amqp = c->amqp;
    ch->number = number;
    ch->addr = channel_address(ch);
    ch->active_ms = shard_now_ms(c->amqp->shard);
    ch->access = access_cache_new();
    hash_init(&ch->by_tag, consumer_key);
    list_init(&ch->credits_due);
    list_init(&ch->timeouts.link);
    deferred_init(&ch->turn_end, on_turn_end);
    snprintf(ch->number_text, sizeof ch->number_text, "%u", number);
    ch->log = (struct log_context){.parent = &c->log, .key = "channel", .value = ch->number_text};
    channel_table_set(&c->channels, number, ch);
    listing_add(c->amqp->shard, LISTING_CHANNELS, &ch->listed, ch);
    c->amqp->totals[TOTAL_CHANNELS_OPENED]++;
    event_channel(ch, true);
    return ch;
}

unsigned channel_number(const struct channel *ch)
{
    return ch->number;
}

void channel_free(struct channel *ch)
{
    struct connection *c = ch->connection;
    deferred_cancel(&ch->turn_end);
    let_go(ch);
    event_channel(ch, false);
    deferred_cancel(&ch->turn_end);
    slot_free(ch->amqp->shard, ch->addr);
    listing_remove(ch->amqp->shard, LISTING_CHANNELS, &ch->listed);
    ch->amqp->totals[TOTAL_CHANNELS_CLOSED]++;
    channel_table_set(&c->channels, ch->number, NULL);
    if (c->body_channel == ch)
        c->body_channel = NULL;
    unacked_tags_fini(&ch->unacked);
    hash_fini(&ch->by_tag);
    free(ch->consumers);
    free(ch->pending.items);
    free(ch->settles.slots);
    slice_free(&ch->last_queue);
    slice_free(&ch->publish.name);
    buf_fini(&ch->content.names);
    access_cache_free(&ch->access);
    access_close_channel(&c->tenancy);
    free(ch);
}

/* ---- methods ---- */

static enum step open_channel(struct connection *c, unsigned number, const struct wire_method *m)
{
    if (c->channel_max && c->channels.count >= c->channel_max)
        return connection_failf(
            c, m, ERR_NOT_ALLOWED,
            "number of channels opened (%u) has reached the negotiated channel_max (%u)",
            c->channels.count, c->channel_max);
    struct failure why;
    if (access_open_channel(c->amqp->routing, &c->tenancy, c->user, &why)) {
        connection_fail(c, &why, NULL);
        return STEP_DONE;
    }
    if (!addr_is_none(c->trace_to))
        connection_trace(c, true, number, m, &(struct amqp_channel_open){0});
    struct channel *ch = channel_new(c, number);
    channel_send(ch, AMQP_CHANNEL_OPEN_OK, &(struct amqp_channel_open_ok){0});
    return STEP_DONE;
}

/* While a close is under way only its end matters. */
static enum step closing_method(struct channel *ch, const struct wire_method *m)
{
    if (m->index == AMQP_CHANNEL_CLOSE)
        channel_send(ch, AMQP_CHANNEL_CLOSE_OK, &(struct amqp_channel_close_ok){0});
    else if (m->index == AMQP_CHANNEL_CLOSE_OK)
        channel_free(ch);
    return STEP_DONE;
}

/* Room for the arguments of any method. */
union channel_args {
    struct amqp_exchange_declare exchange_declare;
    struct amqp_queue_declare queue_declare;
    struct amqp_basic_consume basic_consume;
    struct amqp_exchange_bind exchange_bind;
    unsigned char any[192];
};

static bool decode_fast(const struct wire_method *m, struct slice args, void *decoded)
{
    switch (m->index) {
    case AMQP_BASIC_ACK:
        return wire_fast_basic_ack(args, decoded);
    case AMQP_BASIC_PUBLISH:
        return wire_fast_basic_publish(args, decoded);
    default:
        return false;
    }
}

static enum step run_method(struct channel *ch, const struct wire_method *m, struct slice args)
{
    union channel_args decoded;
    struct connection *c = ch->connection;
    if (!decode_fast(m, args, &decoded)) {
        struct failure why;
        enum wire_err e = wire_decode(m, args, &decoded);
        if (e) {
            enum err code = wire_failure(e, args, &why);
            (void)code;
            connection_fail(c, &why, m);
            return STEP_DONE;
        }
    }
    if (!addr_is_none(c->trace_to) && !c->waiting)
        connection_trace(c, true, ch->number, m, &decoded);
    ch->method = m;
    if (m->index == AMQP_BASIC_PUBLISH)
        content_begin(ch, (const struct amqp_basic_publish *)(const void *)&decoded,
                      wire_fast_publish_names(args));
    return handlers[m->index](ch, &decoded);
}

enum step channel_method(struct connection *c, unsigned number, const struct wire_method *m,
                         struct slice args)
{
    struct channel *ch = channel_table_find(&c->channels, number);
    if (!ch) {
        if (m->index == AMQP_CHANNEL_OPEN)
            return open_channel(c, number, m);
        if (m->index == AMQP_CHANNEL_CLOSE_OK || m->index == AMQP_CHANNEL_CLOSE)
            return m->index == AMQP_CHANNEL_CLOSE
                       ? connection_failf(c, m, ERR_CHANNEL_ERROR, "expected 'channel.open'")
                       : STEP_DONE;
        return connection_failf(c, m, ERR_CHANNEL_ERROR, "expected 'channel.open'");
    }
    if (ch->state == CH_CLOSING)
        return closing_method(ch, m);
    if (!handlers[m->index])
        return connection_failf(c, m, ERR_COMMAND_INVALID, "unimplemented method");
    if (ch->content.expects != CONTENT_NONE)
        return content_interrupted(ch);
    ch->active_ms = shard_now_ms(ch->amqp->shard);
    return run_method(ch, m, args);
}
