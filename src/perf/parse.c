/* Cuts a peer's input into frames, and content into messages. Body frames are not kept: their first
 * octets give the stamp, the rest is skipped, also while it is still on its way. */
#include "perf/peer.h"

#include <sysexits.h>

static bool bad_frame(struct peer *p, const char *what)
{
    peer_fail(p, EX_PROTOCOL, "the broker sent a bad frame: %s", what);
    return false;
}

static void message_done(struct peer *p)
{
    p->in_content = false;
    if (p->ops->on_message != NULL)
        p->ops->on_message(p, &p->msg);
}

/* Consumer tags are "q" and the queue's number in decimal. */
static uint32_t queue_of_tag(const uint8_t *tag, uint32_t len)
{
    uint32_t n = 0;

    for (uint32_t i = 1; i < len; i++)
        n = n * 10 + (uint32_t)(tag[i] - '0');
    return n;
}

static bool on_deliver(struct peer *p, const uint8_t *args, size_t len)
{
    uint32_t tag_len = args[0];

    if (len < 1U + tag_len + 9)
        return bad_frame(p, "basic.deliver is too short");
    p->msg.queue = queue_of_tag(args + 1, tag_len);
    p->msg.tag = get_u64(args + 1 + tag_len);
    p->msg.redelivered = args[1 + tag_len + 8] != 0;
    return true;
}

static bool on_get_ok(struct peer *p, const uint8_t *args, size_t len)
{
    if (len < 9 + 1 + 1 + 4)
        return bad_frame(p, "basic.get-ok is too short");
    p->msg.queue = 0;
    p->msg.tag = get_u64(args);
    p->msg.redelivered = args[8] != 0;
    p->message_count = get_u32(args + len - 4);
    return true;
}

static bool on_method_frame(struct peer *p, const uint8_t *payload, size_t len)
{
    if (len < 4)
        return bad_frame(p, "a method frame without a method");
    if (p->in_content)
        return bad_frame(p, "a method inside a message");

    uint32_t method = get_u32(payload);
    const uint8_t *args = payload + 4;
    len -= 4;
    switch (method) {
    case BASIC_DELIVER:
    case BASIC_GET_OK:
    case BASIC_RETURN:
        if (len == 0)
            return bad_frame(p, "a content method without arguments");
        p->msg.method = method;
        p->in_content = p->want_header = true;
        if (method == BASIC_DELIVER)
            return on_deliver(p, args, len);
        return method != BASIC_GET_OK || on_get_ok(p, args, len);
    case BASIC_ACK:
    case BASIC_NACK:
        if (len < 9)
            return bad_frame(p, "basic.ack is too short");
        if (p->ops->on_confirm != NULL)
            p->ops->on_confirm(p, get_u64(args), args[8] & 1, method == BASIC_NACK);
        return true;
    default:
        peer_on_method(p, method, args, len);
        return p->state != PEER_CLOSED;
    }
}

static bool on_header_frame(struct peer *p, const uint8_t *payload, size_t len)
{
    if (!p->in_content || !p->want_header)
        return bad_frame(p, "a content header out of place");
    if (len < 14)
        return bad_frame(p, "a content header that is too short");
    p->want_header = false;
    p->msg.size = p->msg.left = get_u64(payload + 4);
    p->msg.have = 0;
    if (p->msg.size == 0)
        message_done(p);
    return true;
}

static bool body_frame_done(struct peer *p, uint64_t size)
{
    p->msg.left -= size;
    if (p->msg.left == 0)
        message_done(p);
    return p->state != PEER_CLOSED;
}

/* Takes what is there of a body frame. Returns the octets used, 0 if more are needed first. */
static size_t on_body_frame(struct peer *p, const uint8_t *d, size_t n, uint32_t size)
{
    uint32_t want = STAMP_SIZE - p->msg.have;

    if (!p->in_content || p->want_header || size > p->msg.left) {
        bad_frame(p, "a body frame out of place or longer than announced");
        return 0;
    }
    want = want < size ? want : size;
    if (n < 7U + want)
        return 0;
    memcpy(p->msg.stamp + p->msg.have, d + 7, want);
    p->msg.have += want;
    if (n >= (size_t)size + FRAME_OVERHEAD) {
        if (d[7 + size] != FRAME_END)
            bad_frame(p, "no end octet");
        else
            body_frame_done(p, size);
        return (size_t)size + FRAME_OVERHEAD;
    }
    p->frame_left = size;
    p->skip = (uint64_t)size + FRAME_OVERHEAD - n;
    return n;
}

static size_t skip_body(struct peer *p, const uint8_t *d, size_t n)
{
    size_t take = n < p->skip ? n : (size_t)p->skip;

    p->skip -= take;
    if (p->skip == 0) {
        if (d[take - 1] != FRAME_END)
            bad_frame(p, "no end octet");
        else
            body_frame_done(p, p->frame_left);
    }
    return take;
}

/* A whole frame other than a body; false if the peer is done. */
static bool on_frame(struct peer *p, const uint8_t *d, uint32_t size)
{
    if (d[7 + size] != FRAME_END)
        return bad_frame(p, "no end octet");
    switch (d[0]) {
    case FRAME_METHOD:
        return on_method_frame(p, d + 7, size);
    case FRAME_HEADER:
        return on_header_frame(p, d + 7, size);
    case FRAME_HEARTBEAT:
        return true;
    default:
        return bad_frame(p, "unknown frame type");
    }
}

bool peer_parse(struct peer *p)
{
    uint8_t *d = p->in.data + p->in.off;
    uint8_t *end = p->in.data + p->in.len;

    while (d < end && p->state != PEER_CLOSED) {
        size_t n = (size_t)(end - d);
        if (p->skip > 0) {
            d += skip_body(p, d, n);
            continue;
        }
        if (n < 7)
            break;
        if (d[0] == 'A' && d[1] == 'M')
            return bad_frame(p, "a protocol header: another protocol version is wanted there");
        uint32_t size = get_u32(d + 3);
        if (size > p->frame_max)
            return bad_frame(p, "longer than the negotiated frame size");
        if (d[0] == FRAME_BODY) {
            size_t used = on_body_frame(p, d, n, size);
            if (used == 0)
                break;
            d += used;
            continue;
        }
        if (n < (size_t)size + FRAME_OVERHEAD)
            break;
        if (!on_frame(p, d, size))
            break;
        d += (size_t)size + FRAME_OVERHEAD;
    }
    if (p->state == PEER_CLOSED)
        return false;
    p->in.off = (size_t)(d - p->in.data);
    return true;
}
