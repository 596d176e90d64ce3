/* The input of a stream: one shared buffer a shard, and the rest that a handler left. A stream that
 * waits for nothing has no buffer of its own. */
#include "base/bug.h"
#include "base/mem.h"
#include "net/stream_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the rest ---- */

void input_drop_rest(struct stream *s)
{
    free(s->rest.data);
    s->rest = (struct rest){0};
    s->rest_due = false;
}

/* Makes room for n bytes behind the rest and returns where they go. */
static uint8_t *room_behind(struct rest *r, size_t n)
{
    if (r->start) {
        memmove(r->data, r->data + r->start, r->len);
        r->start = 0;
    }
    if (r->cap - r->len < n) {
        r->cap = r->len + n > 2 * r->cap ? r->len + n : 2 * r->cap;
        r->data = mem_realloc(r->data, r->cap);
    }
    return r->data + r->len;
}

void input_keep(struct stream *s, const uint8_t *data, size_t len)
{
    memcpy(room_behind(&s->rest, len), data, len);
    s->rest.len += len;
}

/* What is left of data, which lies elsewhere, becomes the rest. */
static void set_rest(struct stream *s, struct slice left)
{
    struct rest *r = &s->rest;
    if (left.len == 0) {
        input_drop_rest(s);
        return;
    }
    if (left.len > r->cap || r->cap > 4 * left.len + 4096) {
        free(r->data);
        r->cap = (left.len + 255) & ~(size_t)255;
        r->data = mem_alloc(r->cap);
    }
    memcpy(r->data, left.data, left.len);
    r->start = 0;
    r->len = left.len;
}

/* Drops n bytes from the front of the rest. */
static void consume_rest(struct stream *s, size_t n)
{
    struct rest *r = &s->rest;
    struct rest old = *r;
    r->start += n;
    r->len -= n;
    if (r->len == 0) {
        input_drop_rest(s);
    } else if (r->cap > 4 * r->len + 4096) {
        *r = (struct rest){0};
        set_rest(s, slice_of(old.data + old.start + n, old.len - n));
        free(old.data);
    }
}

/* ---- input ---- */

/* Hands data out; returns how much of it was used. */
static size_t hand_out(struct stream *s, struct slice data)
{
    s->rest_due = false;
    s->delivering = true;
    size_t used = s->handler->on_data(s->arg, data);
    s->delivering = false;
    bug_on(used > data.len);
    return used;
}

static void hand_out_rest(struct stream *s)
{
    struct rest *r = &s->rest;
    size_t used = hand_out(s, slice_of(r->data + r->start, r->len));
    if (s->state == STREAM_OPEN)
        consume_rest(s, used);
    else
        input_drop_rest(s);
}

static void hold(struct stream *s)
{
    s->held = true;
    if (shard_congested(s->net->shard))
        s->pressed_ms = shard_now_ms(s->net->shard);
    shard_on_relief(s->net->shard, &s->relief);
}

void stream_yield(struct stream *s)
{
    s->rest_due = true;
    hold(s);
}

void input_on_again(struct deferred *d)
{
    struct stream *s = list_entry(d, struct stream, again);
    if (!s->rest_due || !s->rest.len || !stream_hands_out(s))
        return;
    if (shard_congested(s->net->shard))
        hold(s);
    else
        hand_out_rest(s);
}

enum read_result {
    READ_ALL,  /* the socket is (as good as) empty */
    READ_MORE, /* the room is full, or the end follows */
    READ_END,
    READ_FAILED,
};

static enum read_result read_plain(struct stream *s, uint8_t *at, size_t room, size_t *ret_n,
                                   const char **ret_why)
{
    ssize_t n = recv(s->fd, at, room, 0);
    if (n > 0) {
        *ret_n = (size_t)n;
        return READ_ALL; /* the loop tells if there is more */
    }
    if (n == 0)
        return READ_END;
    if (errno == EAGAIN || errno == EINTR)
        return READ_ALL;
    *ret_why = stream_error(errno);
    return READ_FAILED;
}

/* OpenSSL may hold input that the loop does not know of, so this reads until it has none. */
static enum read_result read_tls(struct stream *s, uint8_t *at, size_t room, size_t *ret_n,
                                 const char **ret_why)
{
    size_t got = 0;
    while (got < room) {
        size_t n = 0;
        enum tls_result r = tls_session_read(s->tls, at + got, room - got, &n);
        got += n;
        *ret_n = got;
        if (r == TLS_OK)
            continue;
        s->read_blocked = r == TLS_WANT_WRITE;
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE)
            return READ_ALL;
        if (got)
            return READ_MORE;
        *ret_why = tls_session_why(s->tls);
        return r == TLS_EOF ? READ_END : READ_FAILED;
    }
    return tls_session_has_input(s->tls) ? READ_MORE : READ_ALL;
}

static void on_input(struct stream *s, uint8_t *at, size_t n, bool behind)
{
    struct rest *r = &s->rest;
    s->bytes_in += n;
    s->last_read_ms = shard_now_ms(s->net->shard);
    struct slice data = slice_of(at - r->len, r->len + n);
    if (behind)
        r->len += n;
    shard_sync(s->net->shard); /* may close or pause this very stream */
    size_t used = stream_hands_out(s) ? hand_out(s, data) : 0;
    if (s->state != STREAM_OPEN)
        input_drop_rest(s);
    else if (behind)
        consume_rest(s, used);
    else
        set_rest(s, slice_of(data.data + used, data.len - used));
}

void input_take(struct stream *s)
{
    struct net_shard *net = s->net;
    bool behind = s->rest.len > INPUT_HEADROOM;
    uint8_t *at = net->input + INPUT_HEADROOM;
    size_t room = INPUT_SIZE, n = 0;
    const char *why = NULL;
    if (s->rest_due && s->rest.len)
        return; /* it may be paused again by that; the socket tells once more */
    if (shard_congested(net->shard)) {
        hold(s);
        return;
    }
    if (behind) {
        at = room_behind(&s->rest, INPUT_BEHIND);
        room = s->rest.cap - s->rest.len;
    } else if (s->rest.len) {
        memcpy(at - s->rest.len, s->rest.data + s->rest.start, s->rest.len);
    }
    enum read_result result =
        s->tls ? read_tls(s, at, room, &n, &why) : read_plain(s, at, room, &n, &why);
    if (n)
        on_input(s, at, n, behind);
    if (s->state != STREAM_OPEN)
        return;
    if (result == READ_END)
        stream_finish(s, "peer closed the connection");
    else if (result == READ_FAILED)
        stream_finish(s, why);
    else if (result == READ_MORE && stream_takes_input(s))
        hold(s);
    else if (s->read_blocked)
        stream_watch(s);
}

void input_on_relief(struct deferred *d)
{
    struct stream *s = list_entry(d, struct stream, relief);
    bool input = s->held;
    s->held = false;
    if (s->drain_due && s->state == STREAM_OPEN) {
        s->drain_due = false;
        if (s->handler && s->handler->on_drained)
            s->handler->on_drained(s->arg);
    }
    if (input && s->rest_due && s->rest.len && stream_hands_out(s))
        hand_out_rest(s);
    if (input && stream_takes_input(s))
        input_take(s);
    if (s->state == STREAM_OPEN)
        stream_watch_lazily(s);
}

void input_discard(struct stream *s)
{
    ssize_t n = recv(s->fd, s->net->input, INPUT_HEADROOM + INPUT_SIZE, 0);
    if (n > 0) {
        s->bytes_in += (uint64_t)n;
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    s->peer_ended = true;
    if (n < 0 || s->state == STREAM_LINGERING)
        stream_finish(s, "closed");
    else
        stream_watch(s);
}

void input_look_again(struct stream *s)
{
    if (s->rest.len || s->delivering) {
        s->rest_due = true;
        shard_defer(s->net->shard, DEFER_POST, &s->again);
    }
    if (s->tls)
        hold(s);
    stream_watch_lazily(s);
}
