/* Connection life of a peer: connect, handshake, calls, blocked, close. See peer.h. */
#include "perf/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    TRUNC_MIN = 4096, /* discard in the kernel from this many octets on */
    OUR_FRAME_MAX = 131072,
};

void peer_init(struct peer *p, const struct uri *uri, const struct peer_ops *ops,
               struct fault *fault, uint32_t read_size)
{
    *p = (struct peer){.fd = -1,
                       .state = PEER_IDLE,
                       .uri = uri,
                       .ops = ops,
                       .fault = fault,
                       .read_size = read_size,
                       .frame_max = OUR_FRAME_MAX};
}

static void drop_socket(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->events = 0;
    p->state = PEER_CLOSED;
}

void peer_fini(struct peer *p)
{
    drop_socket(p);
    octets_fini(&p->in);
    octets_fini(&p->out);
}

void peer_fail(struct peer *p, int code, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fault_set(p->fault, code, "%s", text);
    drop_socket(p);
}

bool peer_connect(struct peer *p)
{
    static const uint8_t greeting[8] = {'A', 'M', 'Q', 'P', 0, 0, 9, 1};

    p->in.off = p->in.len = p->out.off = p->out.len = 0;
    p->skip = 0;
    p->in_content = false;
    p->frame_max = OUR_FRAME_MAX;
    p->fd = uri_connect(p->uri);
    if (p->fd < 0) {
        peer_fail(p, EX_UNAVAILABLE, "cannot connect: %s", strerror(errno));
        return false;
    }
    p->state = PEER_CONNECTING;
    put_bytes(&p->out, greeting, sizeof greeting);
    return true;
}

bool peer_open(struct peer *p)
{
    return peer_connect(p) && peer_await(p, CHANNEL_OPEN_OK, 1);
}

void peer_close(struct peer *p)
{
    size_t mark = method_begin(&p->out, 0, CONNECTION_CLOSE);

    put_u16(&p->out, 200);
    put_shortstr(&p->out, "done");
    put_u32(&p->out, 0);
    method_end(&p->out, mark);
    p->state = PEER_CLOSING;
}

static void send_start_ok(struct peer *p)
{
    struct octets *o = &p->out;
    size_t user = strlen(p->uri->user);
    size_t password = strlen(p->uri->password);
    size_t mark = method_begin(o, 0, CONNECTION_START_OK);
    size_t table = table_begin(o);

    table_str(o, "product", "jackalope-perf");
    table_str(o, "version", PACKAGE_VERSION);
    put_shortstr(o, "capabilities");
    put_u8(o, 'F');
    size_t caps = table_begin(o);
    table_bool(o, "publisher_confirms", true);
    table_bool(o, "basic.nack", true);
    table_bool(o, "connection.blocked", true);
    table_bool(o, "consumer_cancel_notify", true);
    table_bool(o, "authentication_failure_close", true);
    table_end(o, caps);
    table_end(o, table);
    put_shortstr(o, "PLAIN");
    put_u32(o, (uint32_t)(user + password + 2));
    put_u8(o, 0);
    put_bytes(o, p->uri->user, user);
    put_u8(o, 0);
    put_bytes(o, p->uri->password, password);
    put_shortstr(o, "en_US");
    method_end(o, mark);
}

static void on_tune(struct peer *p, const uint8_t *args, size_t len)
{
    struct octets *o = &p->out;

    if (len < 8) {
        peer_fail(p, EX_PROTOCOL, "connection.tune is too short");
        return;
    }
    uint32_t frame_max = get_u32(args + 2);
    if (frame_max != 0 && frame_max < p->frame_max)
        p->frame_max = frame_max < FRAME_MIN ? FRAME_MIN : frame_max;

    size_t mark = method_begin(o, 0, CONNECTION_TUNE_OK);
    put_u16(o, get_u16(args) != 0 ? get_u16(args) : 2047);
    put_u32(o, p->frame_max);
    put_u16(o, 0); /* no heartbeats: nothing but the load may be measured */
    method_end(o, mark);
    mark = method_begin(o, 0, CONNECTION_OPEN);
    put_shortstr(o, p->uri->vhost);
    put_shortstr(o, "");
    put_u8(o, 0);
    method_end(o, mark);
}

static int exit_code_of(uint16_t reply_code)
{
    if (reply_code == 403)
        return EX_NOPERM;
    if ((reply_code >= 501 && reply_code <= 505) || reply_code == 540)
        return EX_PROTOCOL;
    return EX_UNAVAILABLE;
}

static void on_close(struct peer *p, uint32_t method, const uint8_t *args, size_t len)
{
    bool connection = method == CONNECTION_CLOSE;
    uint32_t cause = 0;

    if (len < 3 || len < 3U + args[2] + 4) {
        peer_fail(p, EX_PROTOCOL, "%s is too short", method_name(method));
        return;
    }
    uint16_t code = get_u16(args);
    cause = get_u32(args + 3 + args[2]);
    method_empty(&p->out, connection ? 0 : PEER_CHANNEL,
                 connection ? CONNECTION_CLOSE_OK : CHANNEL_CLOSE_OK);
    peer_flush(p);
    peer_fail(p, exit_code_of(code), "the broker closed the %s: %u %.*s%s%s",
              connection ? "connection" : "channel", code, args[2], (const char *)args + 3,
              cause != 0 ? ", after " : "", cause != 0 ? method_name(cause) : "");
}

static void on_blocked(struct peer *p, const uint8_t *args, size_t len)
{
    bool fits = len >= 1 && len >= 1U + args[0];

    p->blocked = true;
    p->blocked_at = now_ns();
    fprintf(stderr, "jackalope-perf: the broker blocks publishers: %.*s\n", fits ? args[0] : 0,
            fits ? (const char *)args + 1 : "");
}

static void on_flow(struct peer *p, const uint8_t *args, size_t len)
{
    size_t mark = method_begin(&p->out, PEER_CHANNEL, CHANNEL_FLOW_OK);

    put_u8(&p->out, len > 0 ? args[0] : 1);
    method_end(&p->out, mark);
}

static void on_connection_ready(struct peer *p)
{
    size_t mark = method_begin(&p->out, PEER_CHANNEL, CHANNEL_OPEN);

    put_shortstr(&p->out, "");
    method_end(&p->out, mark);
}

static bool on_common_method(struct peer *p, uint32_t method, const uint8_t *args, size_t len)
{
    switch (method) {
    case CONNECTION_START:
        send_start_ok(p);
        return true;
    case CONNECTION_TUNE:
        on_tune(p, args, len);
        return true;
    case CONNECTION_OPEN_OK:
        on_connection_ready(p);
        return true;
    case CONNECTION_SECURE:
        peer_fail(p, EX_NOPERM, "the broker wants more than user and password");
        return true;
    case CONNECTION_CLOSE:
    case CHANNEL_CLOSE:
        on_close(p, method, args, len);
        return true;
    case CONNECTION_BLOCKED:
        on_blocked(p, args, len);
        return true;
    case CONNECTION_UNBLOCKED:
        p->blocked = false;
        p->blocked_ns += now_ns() - p->blocked_at;
        fprintf(stderr, "jackalope-perf: the broker unblocks publishers\n");
        return true;
    case CHANNEL_FLOW:
        on_flow(p, args, len);
        return true;
    case BASIC_CANCEL:
        peer_fail(p, EX_UNAVAILABLE, "the broker cancelled a consumer: its queue is gone");
        return true;
    default:
        return false;
    }
}

void peer_on_method(struct peer *p, uint32_t method, const uint8_t *args, size_t len)
{
    if (on_common_method(p, method, args, len))
        return;
    if (method == p->await_method && p->await_count > 0)
        p->await_count--;
    if (method == CONNECTION_CLOSE_OK) {
        drop_socket(p);
        if (p->ops->on_closed != NULL)
            p->ops->on_closed(p);
        return;
    }
    if (method == CHANNEL_OPEN_OK && p->state == PEER_CONNECTING) {
        p->state = PEER_OPEN;
        if (p->ops->on_open != NULL)
            p->ops->on_open(p);
        return;
    }
    if (method == QUEUE_DECLARE_OK && len >= 9)
        p->message_count = get_u32(args + len - 8);
    if (method == QUEUE_DELETE_OK && len >= 4)
        p->message_count = get_u32(args);
    if (p->ops->on_method != NULL)
        p->ops->on_method(p, method);
}

/* 1 octets came, 0 not now, -1 the peer is gone. */
static int receive(struct peer *p)
{
    struct octets *in = &p->in;
    ssize_t n;

    if (p->skip > TRUNC_MIN && octets_left(in) == 0 && p->uri->path[0] == '\0') {
        n = recv(p->fd, NULL, p->skip - 1, MSG_TRUNC);
        if (n > 0)
            p->skip -= (uint64_t)n;
    } else {
        if (in->off == in->len)
            in->off = in->len = 0;
        if (in->cap - in->len < p->read_size / 2)
            octets_grow(in, p->read_size);
        n = recv(p->fd, in->data + in->len, in->cap - in->len, 0);
        if (n > 0)
            in->len += (size_t)n;
    }
    if (n > 0)
        return 1;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0 && p->state == PEER_CONNECTING && errno != ECONNRESET)
        peer_fail(p, EX_UNAVAILABLE, "cannot connect: %s", strerror(errno));
    else
        peer_fail(p, EX_UNAVAILABLE, "the broker dropped the connection%s%s",
                  n < 0                         ? ": "
                  : p->state == PEER_CONNECTING ? " during the handshake"
                                                : "",
                  n < 0 ? strerror(errno) : "");
    return -1;
}

bool peer_read(struct peer *p)
{
    int rc = receive(p);

    p->now = now_ns();
    if (rc <= 0)
        return rc == 0;
    return peer_parse(p);
}

bool peer_flush(struct peer *p)
{
    while (octets_left(&p->out) > 0) {
        ssize_t n = send(p->fd, p->out.data + p->out.off, octets_left(&p->out), MSG_NOSIGNAL);
        if (n >= 0) {
            p->out.off += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == ENOTCONN)
            return true;
        /* What the broker said before it hung up matters more: the next read tells. */
        if ((errno == EPIPE || errno == ECONNRESET) && p->state != PEER_CONNECTING) {
            p->out.off = p->out.len;
            return true;
        }
        peer_fail(p, EX_UNAVAILABLE, "cannot %s: %s",
                  p->state == PEER_CONNECTING ? "connect" : "write to the broker", strerror(errno));
        return false;
    }
    return true;
}

bool peer_turn(struct peer *p, int timeout_ms)
{
    if (p->state == PEER_CLOSED || !peer_flush(p))
        return false;
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    if (octets_left(&p->out) > 0)
        pfd.events |= POLLOUT;
    int n = poll(&pfd, 1, timeout_ms);
    if (n < 0 && errno != EINTR) {
        peer_fail(p, EX_OSERR, "poll: %s", strerror(errno));
        return false;
    }
    if (n == 0) {
        peer_fail(p, EX_TEMPFAIL, "the broker did not answer within %d s", timeout_ms / 1000);
        return false;
    }
    return n < 0 || (pfd.revents & (POLLIN | POLLERR | POLLHUP)) == 0 || peer_read(p);
}

bool peer_await(struct peer *p, uint32_t method, uint32_t count)
{
    p->await_method = method;
    p->await_count = count;
    while (p->await_count > 0)
        if (!peer_turn(p, PEER_TIMEOUT_MS))
            return p->await_count == 0;
    return true;
}

void peer_end(struct peer *p)
{
    if (p->state != PEER_OPEN)
        return;
    peer_close(p);
    peer_await(p, CONNECTION_CLOSE_OK, 1);
}
