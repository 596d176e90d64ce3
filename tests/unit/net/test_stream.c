/* Streams over real sockets: order and contiguity of input, pausing, back-pressure, and every way
 * of ending. */
#include "harness.h"
#include "net/stream_priv.h"
#include "unit.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a peer that echoes frames: 4 bytes of length, then the payload ---- */

struct peer {
    struct stream *stream;
    struct timer timer;
    enum { GOES_ON, PAUSES, YIELDS } after; /* every frame */
    unsigned frames;
    char why[80];
};

static _Atomic unsigned open_peers, refs_released;
static char last_why[80];

static void release_copy(void *owner)
{
    atomic_fetch_add(&refs_released, 1);
    free(owner);
}

static void echo(struct peer *p, struct slice frame)
{
    struct stream *s = p->stream;
    switch (p->frames++ % 3) {
    case 0:
        stream_write(s, frame.data, frame.len);
        break;
    case 1: {
        uint8_t *copy = mem_alloc(frame.len);
        memcpy(copy, frame.data, frame.len);
        stream_write_ref(s, slice_of(copy, frame.len), release_copy, copy);
        break;
    }
    default:
        while (frame.len) {
            size_t n = frame.len < STREAM_RESERVE_MAX ? frame.len : STREAM_RESERVE_MAX;
            memcpy(stream_reserve(s, n), frame.data, n);
            stream_commit(s, n);
            frame.data += n;
            frame.len -= n;
        }
    }
}

static size_t echo_on_data(void *arg, struct slice data)
{
    struct peer *p = arg;
    size_t used = 0;
    while (data.len - used >= 4) {
        uint32_t len;
        memcpy(&len, data.data + used, 4);
        if (data.len - used - 4 < len)
            break;
        echo(p, slice_of(data.data + used, len + 4));
        used += len + 4;
        if (p->after == YIELDS) {
            stream_yield(p->stream);
            break;
        }
        if (p->after == PAUSES) {
            stream_pause(p->stream);
            if (p->frames % 4 == 0)
                timer_set(&p->timer, 1);
            else
                stream_resume(p->stream);
            break;
        }
    }
    return used;
}

static void echo_on_timer(struct timer *t)
{
    stream_resume(list_entry(t, struct peer, timer)->stream);
}

static void peer_on_closed(void *arg, const char *why)
{
    struct peer *p = arg;
    snprintf(last_why, sizeof last_why, "%s", why);
    timer_stop(&p->timer);
    free(p);
    atomic_fetch_sub(&open_peers, 1);
}

static struct peer *peer_new(struct stream *s)
{
    struct peer *p = NEW(struct peer);
    p->stream = s;
    timer_init(&p->timer, stream_shard(s), echo_on_timer);
    atomic_fetch_add(&open_peers, 1);
    return p;
}

static const struct stream_handler echo_handler = {echo_on_data, NULL, peer_on_closed};

static void echo_on_open(struct stream *s, void *arg)
{
    struct peer *p = peer_new(s);
    p->after = !arg ? GOES_ON : *(const char *)arg == 'p' ? PAUSES : YIELDS;
    stream_set_handler(s, &echo_handler, p);
}

static const struct protocol echo_protocol = {"echo", echo_on_open, NULL};
static const struct protocol pausing_protocol = {"echo", echo_on_open, "pauses"};
static const struct protocol yielding_protocol = {"echo", echo_on_open, "yields"};

static void until_closed(void)
{
    for (int i = 0; i < 1000 && atomic_load(&open_peers); i++)
        harness_sleep(5);
    bug_on(atomic_load(&open_peers) != 0);
}

static size_t fill_frames(uint8_t *bytes, size_t room, unsigned seed, uint32_t largest)
{
    size_t used = 0;
    for (;;) {
        uint32_t len = (uint32_t)rand_r(&seed) % (rand_r(&seed) % 16 ? 300 : largest);
        if (room - used < len + 4)
            return used;
        memcpy(bytes + used, &len, 4);
        for (uint32_t i = 0; i < len; i++)
            bytes[used + 4 + i] = (uint8_t)(used + i * 7);
        used += len + 4;
    }
}

/* Sends in pieces of any size while reading what comes back. */
static void exchange(int fd, const uint8_t *bytes, size_t len, unsigned seed)
{
    uint8_t *back = mem_alloc(len);
    size_t sent = 0, got = 0;
    while (got < len) {
        if (sent < len) {
            size_t n = (size_t)rand_r(&seed) % 200000 + 1;
            if (n > len - sent)
                n = len - sent;
            ssize_t m = send(fd, bytes + sent, n, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (m > 0)
                sent += (size_t)m;
        }
        ssize_t m = recv(fd, back + got, len - got, sent < len ? MSG_DONTWAIT : 0);
        bug_on(m == 0 || (m < 0 && sent == len));
        if (m > 0)
            got += (size_t)m;
    }
    bug_on(memcmp(bytes, back, len) != 0);
    free(back);
}

static void echo_client(struct harness *h)
{
    enum { ROOM = 6 * 1024 * 1024 };
    uint8_t *bytes = mem_alloc(ROOM);
    static const uint32_t largest[] = {300, 20000, 150000, 400000};
    for (unsigned i = 0; i < 4; i++) {
        int fd = harness_connect(h);
        size_t len = fill_frames(bytes, ROOM, i + 1, largest[i]);
        exchange(fd, bytes, len, i);
        close(fd);
        until_closed();
        bug_on(strcmp(last_why, "peer closed the connection") != 0);
    }
    free(bytes);
}

UNIT(stream, echoes)
{
    struct harness h = {.client = echo_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &echo_protocol});
    cr_assert_gt(atomic_load(&refs_released), 0);
}

static void pausing_client(struct harness *h)
{
    enum { ROOM = 512 * 1024 };
    uint8_t *bytes = mem_alloc(ROOM);
    int fd = harness_connect(h);
    exchange(fd, bytes, fill_frames(bytes, ROOM, 9, 40000), 3);
    close(fd);
    until_closed();
    free(bytes);
}

UNIT(stream, pauses)
{
    struct harness h = {.client = pausing_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &pausing_protocol});
}

UNIT(stream, yields)
{
    struct harness h = {.client = pausing_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &yielding_protocol});
}

static void byte_client(struct harness *h)
{
    uint8_t bytes[2000];
    size_t len = fill_frames(bytes, sizeof bytes, 4, 300);
    int fd = harness_connect(h);
    for (size_t i = 0; i < len; i++) {
        harness_send(fd, bytes + i, 1);
        if (i % 50 == 0)
            harness_sleep(1);
    }
    uint8_t back[2000];
    harness_receive(fd, back, len);
    bug_on(memcmp(bytes, back, len) != 0);
    close(fd);
    until_closed();
}

UNIT(stream, takes_single_bytes)
{
    struct harness h = {.client = byte_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &echo_protocol});
}

/* ---- a source that writes as fast as it is drained ---- */

enum { SOURCE_TOTAL = 24 * 1024 * 1024, SOURCE_PIECE = 4000 };

struct source {
    struct stream *stream;
    size_t left, highest;
    unsigned drained;
};

static _Atomic size_t source_highest;
static _Atomic unsigned source_drained;

static void pour(struct source *src)
{
    static const uint8_t piece[SOURCE_PIECE];
    while (src->left && !stream_is_full(src->stream)) {
        size_t n = src->left < sizeof piece ? src->left : sizeof piece;
        stream_write(src->stream, piece, n);
        src->left -= n;
        if (stream_pending(src->stream) > src->highest)
            src->highest = stream_pending(src->stream);
    }
    if (!src->left)
        stream_close(src->stream, 5000);
}

static size_t source_on_data(void *arg, struct slice data)
{
    pour(arg);
    return data.len;
}

static void source_on_drained(void *arg)
{
    struct source *src = arg;
    bug_on(stream_is_full(src->stream));
    src->drained++;
    pour(src);
}

static void source_on_closed(void *arg, const char *why)
{
    struct source *src = arg;
    (void)why;
    atomic_store(&source_highest, src->highest);
    atomic_store(&source_drained, src->drained);
    free(src);
    atomic_fetch_sub(&open_peers, 1);
}

static void source_on_open(struct stream *s, void *arg)
{
    static const struct stream_handler handler = {source_on_data, source_on_drained,
                                                  source_on_closed};
    struct source *src = NEW(struct source);
    (void)arg;
    src->stream = s;
    src->left = SOURCE_TOTAL;
    atomic_fetch_add(&open_peers, 1);
    stream_set_handler(s, &handler, src);
}

static const struct protocol source_protocol = {"source", source_on_open, NULL};

static void source_client(struct harness *h)
{
    int fd = harness_connect(h);
    harness_send(fd, "go", 2);
    harness_sleep(50);
    bug_on(harness_drain(fd) != SOURCE_TOTAL);
    close(fd);
    until_closed();
}

UNIT(stream, holds_back)
{
    struct harness h = {.client = source_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &source_protocol});
    cr_assert_gt(atomic_load(&source_drained), 0);
    cr_assert_lt(atomic_load(&source_highest), STREAM_HIGH_MARK + 2 * SOURCE_PIECE);
}

/* ---- ends ---- */

enum { ENDING_BYTES = 300000 };

static bool inside;

static size_t ending_on_data(void *arg, struct slice data)
{
    struct peer *p = arg;
    static const uint8_t zeros[ENDING_BYTES];
    inside = true;
    switch (data.data[0]) {
    case 'c': /* close after a large answer */
        stream_write(p->stream, zeros, sizeof zeros);
        stream_close(p->stream, 3000);
        stream_close(p->stream, 1);
        break;
    case 'l': /* close, the client does not */
        stream_close(p->stream, 30);
        break;
    case 'n': /* close without lingering */
        stream_write(p->stream, "bye", 3);
        stream_close(p->stream, 0);
        break;
    case 'a':
        stream_write(p->stream, zeros, 10);
        stream_abort(p->stream, "told to");
        stream_abort(p->stream, "again");
        stream_close(p->stream, 10);
        stream_write(p->stream, zeros, 10);
        stream_pause(p->stream);
        stream_resume(p->stream);
        break;
    case 'p':
        stream_pause(p->stream);
        timer_set(&net_of(stream_shard(p->stream))->silent_check, 1);
        break;
    case 'h': /* another handler takes the rest */
        stream_set_handler(p->stream, &echo_handler, p);
        inside = false;
        return 1;
    default:
        break;
    }
    inside = false;
    return data.len;
}

static void ending_on_closed(void *arg, const char *why)
{
    bug_on(inside);
    peer_on_closed(arg, why);
}

static void ending_on_open(struct stream *s, void *arg)
{
    static const struct stream_handler handler = {ending_on_data, NULL, ending_on_closed};
    (void)arg;
    stream_set_handler(s, &handler, peer_new(s));
}

static const struct protocol ending_protocol = {"ending", ending_on_open, NULL};

static void expect_why(const char *why)
{
    until_closed();
    if (strcmp(last_why, why) != 0)
        bug_panic("closed because '%s', not '%s'", last_why, why);
}

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void ending_client(struct harness *h)
{
    char room[16];
    static const char junk[200000] = "c";
    int fd = harness_connect(h);
    harness_send(fd, junk, sizeof junk); /* most of it is never read by the handler */
    bug_on(harness_drain(fd) != ENDING_BYTES);
    harness_send(fd, junk, sizeof junk);
    close(fd);
    expect_why("closed");

    fd = harness_connect(h);
    harness_send(fd, "l", 1);
    bug_on(harness_drain(fd) != 0);
    expect_why("closed"); /* our side is still open */
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, "n", 1);
    harness_receive(fd, room, 3);
    expect_why("closed");
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, "a", 1);
    bug_on(harness_drain(fd) > 0);
    expect_why("told to");
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, "x", 1);
    harness_sleep(20);
    reset(fd);
    expect_why("connection reset by peer");

    fd = harness_connect(h);
    harness_send(fd, "p", 1);
    harness_sleep(20);
    harness_send(fd, "p", 1); /* readable, but paused: no longer watched */
    harness_sleep(20);
    reset(fd);
    expect_why("connection reset by peer");

    fd = harness_connect(h);
    harness_send(fd, "h\2\0\0\0ab", 7);
    harness_receive(fd, room, 6);
    bug_on(memcmp(room, "\2\0\0\0ab", 6) != 0);
    close(fd);
    expect_why("peer closed the connection");
}

UNIT(stream, ends)
{
    struct harness h = {.client = ending_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &ending_protocol});
}

/* ---- left open at the end ---- */

static void leaving_client(struct harness *h)
{
    for (int i = 0; i < 20; i++) {
        int fd = harness_connect(h);
        harness_send(fd, "\5\0\0\0ab", 6);
    }
    harness_sleep(30);
}

UNIT(stream, ends_with_the_node)
{
    struct harness h = {.client = leaving_client};
    harness_run(&h, 2, (struct listener_options){.protocol = &echo_protocol});
    cr_assert_eq(atomic_load(&open_peers), 0);
}
