/* A complete message: checks, routing, hand-over to the queues, returns, confirms. */
#include "amqp/channel_priv.h"
#include "amqp/intercept.h"
#include "base/props.h"
#include "base/table.h"
#include "base/wire_fast.h"
#include "broker/durable.h"
#include "meta/tally.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- checks ---- */

/* The exchange of the last publish is kept until definitions or rights change. */
static bool find_exchange(struct channel *ch, struct slice name, struct failure *why)
{
    struct publish_cache *cache = &ch->publish;
    uint64_t version = routing_version(ch->amqp->routing);
    if (cache->version == version && slice_eq(cache->name, name))
        return true;
    cache->version = 0;
    if (channel_check(ch, ACCESS_WRITE, "exchange", name, why))
        return false;
    struct exchange *x = vhost_find_exchange(channel_vhost(ch), name);
    enum err e = ERR_NONE;
    if (!x && name.len) {
        e = failure_set(why, ERR_NOT_FOUND, "no exchange '%.*s' in vhost '%.*s'", SLICE_ARG(name),
                        SLICE_ARG(ch->connection->vhost));
    } else if (x && exchange_get_def(x)->internal) {
        e = failure_set(why, ERR_ACCESS_REFUSED,
                        "cannot publish to internal exchange '%.*s' in vhost '%.*s'",
                        SLICE_ARG(name), SLICE_ARG(ch->connection->vhost));
    } else if (x) {
        e = exchange_type_refuse(exchange_get_type(x), name, ch->connection->vhost,
                                 exchange_get_def(x)->type, why);
    }
    if (e)
        return false;
    if (!slice_eq(cache->name, name)) {
        slice_free(&cache->name);
        cache->name = slice_dup(name);
    }
    cache->exchange = x;
    cache->tally = x ? tally_for_exchange(x) : NULL;
    cache->topic = x && slice_eq_str(exchange_get_def(x)->type, "topic");
    cache->version = version;
    return true;
}

static bool check_user_id(struct channel *ch, struct slice props, struct failure *why)
{
    struct connection *c = ch->connection;
    struct slice user;
    if (!props_find(props, AMQP_PROP_USER_ID, &user) || slice_eq(user, c->user) ||
        (access_user_tags(ch->amqp->routing, c->user) & TAG_IMPERSONATOR))
        return true;
    enum err e = failure_set(why, ERR_PRECONDITION_FAILED,
                             "user_id property set to '%.*s' but authenticated user was "
                             "'%.*s'",
                             SLICE_ARG(user), SLICE_ARG(c->user));
    (void)e;
    return false;
}

static bool bad_expiration(struct failure *why, struct slice text, const char *kind,
                           struct slice what)
{
    enum err e = failure_set(why, ERR_PRECONDITION_FAILED, "invalid expiration '%.*s': {%s%.*s}",
                             SLICE_ARG(text), kind, SLICE_ARG(what));
    return e == ERR_NONE;
}

/* Milliseconds as decimal text, at most ten years, as RabbitMQ bounds it. */
static bool check_expiration(struct slice props, struct failure *why)
{
    static const uint64_t max_ms = 315360000000u;
    struct slice text;
    if (!props_find(props, AMQP_PROP_EXPIRATION, &text))
        return true;
    uint64_t ms = 0;
    size_t i = 0, first = text.len && (text.data[0] == '-' || text.data[0] == '+');
    for (i = first; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        ms = ms > max_ms ? ms : ms * 10 + (uint64_t)(text.data[i] - '0');
    if (i == first) {
        enum err e = failure_set(why, ERR_PRECONDITION_FAILED,
                                 "invalid expiration '%.*s': no_integer", SLICE_ARG(text));
        return e == ERR_NONE;
    }
    if (i < text.len) {
        enum err e = failure_set(why, ERR_PRECONDITION_FAILED,
                                 "invalid expiration '%.*s': {leftover_string,\"%.*s\"}",
                                 SLICE_ARG(text), (int)(text.len - i), (const char *)text.data + i);
        return e == ERR_NONE;
    }
    if (first && text.data[0] == '-' && ms)
        return bad_expiration(why, text, "value_negative,", text);
    return ms <= max_ms || bad_expiration(why, text, "value_too_large,", text);
}

static bool check_properties(struct channel *ch, struct slice props, struct failure *why)
{
    enum { CHECKED = AMQP_PROP_USER_ID | AMQP_PROP_EXPIRATION };
    return !(props_flags(props) & CHECKED) ||
           (check_user_id(ch, props, why) && check_expiration(props, why));
}

static bool check_delivery_mode(struct slice props, struct failure *why)
{
    uint8_t mode = props_delivery_mode(props);
    if (mode == 1 || mode == 2)
        return true;
    enum err e = failure_set(why, ERR_PRECONDITION_FAILED,
                             "invalid message: {delivery_mode_unknown,%u}", mode);
    (void)e;
    return false;
}

/* ---- changing properties ---- */

void publish_replace_property(struct channel *ch, struct msg **msg, enum amqp_property flag,
                              struct slice value)
{
    struct buf *b = &ch->amqp->scratch;
    buf_append(b, msg_header(*msg).data, CONTENT_HEADER_FIXED);
    props_replace(msg_properties(*msg), flag, value, b);
    struct msg *copy = msg_with_header(*msg, buf_slice(b));
    buf_clear(b);
    msg_unref(*msg);
    *msg = copy;
}

/* Its keys stay with the message: they count again when it becomes a dead letter. */
static void strip_bcc(struct channel *ch, struct msg **msg)
{
    struct buf kept = BUF_INIT, *b = &ch->amqp->scratch;
    struct slice props = msg_properties(*msg), headers = props_headers(props), keys = SLICE_EMPTY;
    table_find_array(headers, SLICE("BCC"), &keys);
    table_remove(headers, SLICE("BCC"), &kept);
    buf_append(b, msg_header(*msg).data, CONTENT_HEADER_FIXED);
    props_replace(props, AMQP_PROP_HEADERS, buf_slice(&kept), b);
    struct msg *copy = msg_derive(*msg, msg_names(*msg), buf_slice(b), keys);
    buf_clear(b);
    buf_fini(&kept);
    msg_unref(*msg);
    *msg = copy;
}

/* ---- out ---- */

void publish_return(struct channel *ch, const struct msg *msg)
{
    struct amqp_basic_return ret = {.reply_code = AMQP_REPLY_NO_ROUTE,
                                    .reply_text = SLICE("NO_ROUTE"),
                                    .exchange = msg_exchange(msg),
                                    .routing_key = msg_routing_key(msg)};
    channel_send(ch, AMQP_BASIC_RETURN, &ret);
    deliver_content(ch, msg);
}

void publish_enqueue(struct channel *ch, struct msg *msg, struct addr queue, uint64_t seq,
                     bool confirm)
{
    struct op op = {.to = queue, .kind = OP_ENQUEUE};
    op.n = (uint32_t)ch->publish.version;
    op.flags = (uint16_t)((confirm ? OP_ENQUEUE_CONFIRM : 0) |
                          (msg->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0));
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = msg, .channel = ch->addr, .seq = seq, .waiter = ch->addr};
    post(&op);
}

bool publish_reply(struct channel *ch, struct msg *msg)
{
    return msg_exchange(msg).len == 0 && reply_post(ch, msg_routing_key(msg), msg, false, 0);
}

/* Sends to the reply addresses among the keys; how many. With checked, each answers for seq. */
static uint32_t post_replies(struct channel *ch, const struct route *r, struct msg *msg,
                             bool checked, uint64_t seq)
{
    uint32_t n = 0;
    for (size_t i = 0; i < r->key_count; i++) {
        if (slice_starts(r->keys[i], SLICE("amq.rabbitmq.reply-to.")))
            n += reply_post(ch, r->keys[i], msg, checked, seq);
    }
    return n;
}

static void send_out(struct channel *ch, const struct route *r, struct msg *msg, bool mandatory)
{
    bool confirm = ch->mode == MODE_CONFIRM;
    uint64_t seq = confirm ? ++ch->publish_seq : 0;
    bool checked = mandatory && !r->count;
    uint32_t replies = ch->publish.name.len ? 0 : post_replies(ch, r, msg, checked, seq);
    bool heard = r->count > r->unheard || replies;
    if (!heard)
        channel_count(ch, mandatory ? TOTAL_RETURNED : TOTAL_DROPPED, 1);
    else
        ch->amqp->totals[TOTAL_ROUTED]++;
    if (!heard && mandatory)
        publish_return(ch, msg);
    if (confirm) {
        ch->amqp->totals[TOTAL_PUBLISHED_CONFIRM]++;
        confirms_open(&ch->confirms, seq, (uint32_t)r->count + (checked ? replies : 0));
        shard_defer(ch->amqp->shard, DEFER_POST, &ch->turn_end);
    }
    if (!r->count) {
        msg_unref(msg);
        return;
    }
    settle_flush(ch); /* what the client settled before precedes its confirm */
    durable_prepare_route(ch->amqp->shard, msg, r);
    if (r->count > 1)
        msg_ref_n(msg, (uint32_t)r->count - 1);
    for (size_t i = 0; i < r->count; i++)
        publish_enqueue(ch, msg, r->targets[i]->addr, seq, confirm);
}

/* NULL: it is the default one. */
static struct exchange *named_exchange(const struct channel *ch)
{
    return ch->publish.name.len ? ch->publish.exchange : NULL;
}

/* Behind route_message(): the tallies are those of now. */
static void count_published(struct channel *ch, const struct route *r)
{
    if (ch->tally)
        tally_count(ch->tally, TOTAL_PUBLISHED, 1);
    if (!ch->publish.tally)
        return;
    tally_count(ch->publish.tally, EXCHANGE_IN, 1);
    tally_count(ch->publish.tally, EXCHANGE_OUT, r->count - r->unheard);
}

void channel_publish(struct channel *ch, struct msg *msg, bool mandatory)
{
    struct failure why;
    struct connection *c = ch->connection;
    if (!find_exchange(ch, msg_exchange(msg), &why))
        goto refused;
    if (ch->publish.topic &&
        access_check_topic(ch->amqp->routing, ch->access, c->user, c->vhost, ACCESS_WRITE,
                           ch->publish.name, msg_routing_key(msg), &why))
        goto refused;
    if (!reply_rewrite(ch, &msg, &why) || !check_properties(ch, msg_properties(msg), &why))
        goto refused;
    if (!intercept_incoming(ch, &msg, &why))
        goto refused;
    struct slice props = msg_properties(msg), key = msg_routing_key(msg);
    struct route *r = &ch->amqp->route;
    struct route_input input = {.key = key, .props = props};
    if (props_flags(props) & AMQP_PROP_HEADERS)
        input.headers = props_headers(props);
    if (route_message(r, ch->amqp->routing, channel_vhost(ch), named_exchange(ch), &input, &why) ||
        !check_delivery_mode(props, &why))
        goto refused;
    ch->done[TOTAL_PUBLISHED]++;
    broker_count_published(ch->amqp->totals, msg->body_len);
    count_published(ch, r);
    if (ch->amqp->tracing)
        firehose_published(ch, msg, r);
    struct msg *routed = r->has_bcc ? msg_ref_n(msg, 1) : NULL; /* the keys are its bytes */
    if (routed)
        strip_bcc(ch, &msg);
    if (ch->mode == MODE_TX)
        tx_keep(ch, msg, r, mandatory);
    else
        send_out(ch, r, msg, mandatory);
    if (routed)
        msg_unref(routed);
    return;
refused:
    msg_unref(msg);
    channel_fail(ch, &why);
}

void channel_on_confirm(struct channel *ch, struct op *op)
{
    struct op_confirm *in = op_body(op, struct op_confirm);
    confirms_answer(&ch->confirms, in->first, in->last, op->flags & OP_CONFIRM_NACK);
    shard_defer(ch->amqp->shard, DEFER_POST, &ch->turn_end);
}
