/* Direct reply-to: a consumer of the pseudo-queue gets what is published to the address of its
 * channel. The address travels through clients, who can make up any: so nothing is posted to it,
 * but to the front of the shard that it names, which looks for a channel there. */
#include "amqp/channel_priv.h"
#include "base/props.h"
#include "shard/slot.h"

#include <stdio.h>
#include <stdlib.h>

static const char reply_prefix[] = "amq.rabbitmq.reply-to";

/* The prefix, a dot, the channel's address and its secret in hex. */
static bool parse(struct slice key, struct addr *ret_addr, uint64_t *ret_secret)
{
    char hex[33];
    size_t prefix = sizeof reply_prefix - 1;
    if (key.len != prefix + 1 + 32 || !slice_starts(key, SLICE("amq.rabbitmq.reply-to.")))
        return false;
    memcpy(hex, key.data + prefix + 1, 32);
    hex[32] = '\0';
    if (strspn(hex, "0123456789abcdef") != 32)
        return false;
    *ret_secret = strtoull(hex + 16, NULL, 16);
    hex[16] = '\0';
    uint64_t raw = strtoull(hex, NULL, 16);
    *ret_addr = (struct addr){.slot = (uint32_t)raw,
                              .gen = (uint16_t)(raw >> 32),
                              .shard = (uint8_t)(raw >> 48),
                              .node = (uint8_t)(raw >> 56)};
    return !addr_is_none(*ret_addr);
}

/* Fills what the key tells; false if it is no address on this node. */
static bool address(struct channel *ch, struct slice key, struct op *ret_op)
{
    struct node *node = shard_node(ch->amqp->shard);
    struct op_reply *out = op_body(ret_op, struct op_reply);
    if (!parse(key, &out->listener, &out->secret) || out->listener.shard >= node_shard_count(node))
        return false;
    ret_op->kind = OP_REPLY;
    ret_op->to = amqp_of(node_shard(node, out->listener.shard))->addr;
    return true;
}

bool reply_rewrite(struct channel *ch, struct msg **msg, struct failure *why)
{
    char text[64];
    struct slice props = msg_properties(*msg);
    if (!(props_flags(props) & AMQP_PROP_REPLY_TO) ||
        !slice_eq_str(props_reply_to(props), reply_prefix))
        return true;
    if (!ch->reply_consumer) {
        enum err e =
            failure_set(why, ERR_PRECONDITION_FAILED, "fast reply consumer does not exist");
        (void)e;
        return false;
    }
    int n = snprintf(text, sizeof text, "%s.%016llx%016llx", reply_prefix,
                     (unsigned long long)addr_u64(ch->addr), (unsigned long long)ch->reply_secret);
    publish_replace_property(ch, msg, AMQP_PROP_REPLY_TO, slice_of(text, (size_t)n));
    return true;
}

bool reply_post(struct channel *ch, struct slice key, struct msg *msg, bool checked, uint64_t seq)
{
    struct op op = {.flags = checked ? OP_REPLY_CHECKED : 0};
    if (!address(ch, key, &op))
        return false;
    struct op_reply *out = op_body(&op, struct op_reply);
    out->msg = msg_ref_n(msg, 1);
    out->asker = ch->addr;
    out->seq = seq;
    post(&op);
    return true;
}

bool reply_ask(struct channel *ch, struct slice key, struct addr *ret_target)
{
    struct op op = {.flags = 0};
    if (!address(ch, key, &op))
        return false;
    op_body(&op, struct op_reply)->asker = ch->addr;
    post(&op);
    *ret_target = op.to;
    return true;
}

static void answer(const struct op_reply *in, bool listens)
{
    struct op op = {.to = in->asker, .kind = OP_QUERY_REPLY, .n = OP_STAT};
    struct op_queue_query *out = op_body(&op, struct op_queue_query);
    out->consumers = 1;
    if (!listens) {
        out->code = ERR_NOT_FOUND;
        out->why = QUEUE_REFUSED_GONE;
    }
    post(&op);
}

static void send_back(const struct op_reply *in)
{
    struct op back = {.to = in->asker, .kind = OP_UNROUTABLE};
    *op_body(&back, struct op_reply) = *in;
    post(&back);
}

static void confirm(const struct op_reply *in)
{
    struct op ok = {.to = in->asker, .kind = OP_CONFIRM};
    *op_body(&ok, struct op_confirm) = (struct op_confirm){in->seq, in->seq};
    post(&ok);
}

void reply_on_op(struct amqp_shard *a, struct op *op)
{
    struct op_reply *in = op_body(op, struct op_reply);
    struct channel *ch = channel_at(a->shard, in->listener);
    bool listens = ch && ch->reply_consumer && in->secret == ch->reply_secret;
    bool checked = op->flags & OP_REPLY_CHECKED;
    if (!in->msg) {
        answer(in, listens);
        return;
    }
    if (!listens && checked) {
        send_back(in);
        return;
    }
    if (listens)
        deliver_reply(ch, in->msg);
    if (checked && in->seq)
        confirm(in);
    msg_unref(in->msg);
}

void channel_on_unroutable(struct channel *ch, struct op *op)
{
    struct op_reply *in = op_body(op, struct op_reply);
    if (ch->state == CH_OPEN)
        publish_return(ch, in->msg);
    msg_unref(in->msg);
    if (ch->mode != MODE_CONFIRM)
        return;
    confirms_answer(&ch->confirms, in->seq, in->seq, false);
    shard_defer(ch->amqp->shard, DEFER_POST, &ch->turn_end);
}
