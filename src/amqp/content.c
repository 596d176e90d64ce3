/* A publish as it comes: method, content header, body frames; then it is a message. */
#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "base/props.h"

#include <stdlib.h>

void content_begin(struct channel *ch, const struct amqp_basic_publish *in, struct slice names)
{
    struct incoming *co = &ch->content;
    co->mandatory = in->mandatory;
    buf_clear(&co->names);
    buf_append_slice(&co->names, names);
}

void content_fini(struct channel *ch)
{
    struct incoming *co = &ch->content;
    if (co->msg) {
        if (co->msg->flags & MSG_BODY_APART)
            msg_set_body(co->msg, co->body);
        msg_unref(co->msg);
        co->msg = NULL;
    }
    co->body = NULL;
    co->body_cap = 0;
    co->expects = CONTENT_NONE;
}

/* A frame that is not the one the content needs. The method blamed is the publish, if one is open.
 */
enum step content_interrupted(struct channel *ch)
{
    switch (ch->content.expects) {
    case CONTENT_HEADER:
        return connection_failf(
            ch->connection, ch->method, ERR_UNEXPECTED_FRAME,
            "expected content header for class 60, got non content header frame instead");
    case CONTENT_BODY:
        return connection_failf(ch->connection, ch->method, ERR_UNEXPECTED_FRAME,
                                "expected content body, got non content body frame instead");
    default:
        return connection_failf(ch->connection, NULL, ERR_UNEXPECTED_FRAME,
                                "expected method frame, got non method frame instead");
    }
}

static void complete(struct channel *ch)
{
    struct incoming *co = &ch->content;
    struct msg *msg = co->msg;
    if (msg->flags & MSG_BODY_APART)
        msg_set_body(msg, co->body);
    co->msg = NULL;
    co->body = NULL;
    co->body_cap = 0;
    co->expects = CONTENT_NONE;
    channel_publish(ch, msg, co->mandatory);
}

static enum step accept_header(struct channel *ch, const struct content_header *h,
                               struct slice payload)
{
    struct incoming *co = &ch->content;
    bool inline_body = h->body_size <= BODY_FIRST_ALLOCATION;
    co->msg = msg_new(buf_slice(&co->names), payload, h->body_size, inline_body);
    if (props_delivery_mode(h->props) == 2)
        co->msg->flags |= MSG_PERSISTENT;
    co->received = 0;
    co->expects = CONTENT_BODY;
    if (!h->body_size)
        complete(ch);
    return STEP_DONE;
}

static enum step judge_header(struct channel *ch, const struct content_header *h,
                              struct slice payload)
{
    struct connection *c = ch->connection;
    uint64_t limit = c->amqp->options.max_message_size;
    if (h->class_id != AMQP_CLASS_BASIC)
        return connection_failf(
            c, ch->method, ERR_UNEXPECTED_FRAME,
            "expected content header for class 60, got one for class %u instead", h->class_id);
    if (h->weight != 0)
        return content_interrupted(ch);
    if (h->body_size <= limit)
        return accept_header(ch, h, payload);
    ch->content.expects = CONTENT_NONE;
    return channel_failf(ch, ERR_PRECONDITION_FAILED,
                         "message size %llu is larger than configured max size %llu",
                         (unsigned long long)h->body_size, (unsigned long long)limit);
}

enum step channel_header(struct connection *c, unsigned number, struct slice payload)
{
    struct channel *ch = channel_table_find(&c->channels, number);
    struct content_header h;
    if (!ch)
        return connection_failf(c, NULL, ERR_UNEXPECTED_FRAME,
                                "expected method frame, got non method frame instead");
    if (ch->state == CH_CLOSING)
        return STEP_DONE;
    if (ch->content.expects != CONTENT_HEADER)
        return content_interrupted(ch);
    if (content_header_decode(payload, &h))
        return connection_failf(c, NULL, ERR_FRAME_ERROR, "type 2: a content header of %zu octets",
                                payload.len);
    enum wire_err e = props_check(h.props);
    if (e)
        return connection_failf(c, NULL, ERR_INTERNAL_ERROR, "malformed content header: %s",
                                wire_err_text(e));
    return judge_header(ch, &h, payload);
}

struct channel *channel_body_begin(struct connection *c, unsigned number, uint32_t size)
{
    struct channel *ch = channel_table_find(&c->channels, number);
    if (!ch) {
        connection_failf(c, NULL, ERR_UNEXPECTED_FRAME,
                         "expected method frame, got non method frame instead");
        return NULL;
    }
    if (ch->state == CH_CLOSING)
        return NULL;
    if (ch->content.expects != CONTENT_BODY) {
        content_interrupted(ch);
        return NULL;
    }
    if (size > ch->content.msg->body_len - ch->content.received) {
        connection_failf(c, ch->method, ERR_FRAME_ERROR,
                         "the content body is larger than the content header announced");
        return NULL;
    }
    return ch;
}

/* A large body's buffer grows with what has come, so an announced length costs nothing. */
static uint8_t *body_room(struct incoming *co, size_t n)
{
    if (!(co->msg->flags & MSG_BODY_APART))
        return co->msg->body + co->received;
    if (co->received + n > co->body_cap) {
        size_t cap = co->body_cap ? co->body_cap : BODY_FIRST_ALLOCATION;
        while (cap < co->received + n)
            cap *= 2;
        if (cap > co->msg->body_len)
            cap = co->msg->body_len;
        co->body = mem_realloc(co->body, cap);
        co->body_cap = cap;
    }
    return co->body + co->received;
}

void channel_body(struct channel *ch, struct slice part)
{
    struct incoming *co = &ch->content;
    memcpy(body_room(co, part.len), part.data, part.len);
    co->received += part.len;
}

void channel_body_end(struct channel *ch)
{
    if (ch->content.msg && ch->content.received == ch->content.msg->body_len)
        complete(ch);
}
