/* Bytes of a client into a real connection: handshake, frames, channels, queues, metadata, all of a
 * broker with one shard whose loop is turned by hand. The first byte of the input says how:
 * bit 0: the handshake is done already and channels 1 and 2 are open;
 * bit 1: channel 1 has a queue "q", a consumer of it, and confirms; channel 2 is transactional;
 * bits 2-4: in which pieces the bytes arrive; bit 5: the client then closes politely;
 * bit 6: the client reads nothing. Whatever comes, what the broker sends is well-formed frames, and
 * once the client is gone nothing is left of it. */
#include "../race/broker_rig.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/wire_fast.h"
#include "broker/broker.h"
#include "fuzz.h"
#include "net/stream_priv.h"
#include "shard/shard_priv.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS_MAX = 400, QUIET_TURNS = 3 };

struct peer {
    struct node *node;
    int fd;
    bool deaf;
    struct buf heard;
};

static void turn(struct node *node)
{
    ev_run(node_shard(node, 0)->loop, EVRUN_NOWAIT);
}

static void hear(struct peer *p)
{
    uint8_t room[65536];
    ssize_t n;
    while (!p->deaf && (n = recv(p->fd, room, sizeof room, MSG_DONTWAIT)) > 0)
        buf_append(&p->heard, room, (size_t)n);
}

/* Until nothing has moved for some turns. */
static void settle_down(struct peer *p)
{
    struct shard_stats before = {0}, now;
    for (unsigned n = 0, quiet = 0; n < TURNS_MAX && quiet < QUIET_TURNS; n++) {
        size_t heard = p->heard.len;
        turn(p->node);
        hear(p);
        shard_read_stats(node_shard(p->node, 0), &now);
        quiet = now.ops_local == before.ops_local && heard == p->heard.len ? quiet + 1 : 0;
        before = now;
    }
}

static void say(struct peer *p, const void *data, size_t len)
{
    size_t done = 0;
    for (unsigned n = 0; n < TURNS_MAX && done < len; n++) {
        ssize_t r =
            send(p->fd, (const uint8_t *)data + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (r < 0 && errno != EAGAIN)
            return;
        done += r > 0 ? (size_t)r : 0;
        turn(p->node);
        hear(p);
    }
}

static void say_in_pieces(struct peer *p, const uint8_t *data, size_t len, unsigned how)
{
    static const size_t pieces[8] = {SIZE_MAX, 1, 7, 8, 64, 500, 4096, 65536};
    size_t piece = pieces[how];
    while (piece < len / 512) /* bounds the work of one input */
        piece *= 2;
    while (len) {
        size_t n = len < piece ? len : piece;
        say(p, data, n);
        data += n;
        len -= n;
    }
}

static const char handshake[] =
    "AMQP\0\0\x09\1"
    "\1\0\0\0\0\0\x24\0\x0a\0\x0b\0\0\0\0\5PLAIN\0\0\0\x0c\0guest\0guest\5en_US\xce"
    "\1\0\0\0\0\0\x0c\0\x0a\0\x1f\7\xff\0\2\0\0\0\0\xce"
    "\1\0\0\0\0\0\x08\0\x0a\0\x28\1/\0\0\xce"
    "\1\0\1\0\0\0\5\0\x14\0\x0a\0\xce"
    "\1\0\2\0\0\0\5\0\x14\0\x0a\0\xce";

static const char loaded[] = "\1\0\1\0\0\0\x0d\0\x32\0\x0a\0\0\1q\0\0\0\0\0\xce"
                             "\1\0\1\0\0\0\5\0\x55\0\x0a\0\xce"
                             "\1\0\2\0\0\0\4\0\x5a\0\x0a\xce"
                             "\1\0\1\0\0\0\x0f\0\x3c\0\x14\0\0\1q\1c\0\0\0\0\0\xce"
                             "\1\0\1\0\0\0\x0a\0\x3c\0\x28\0\0\0\1q\0\xce"
                             "\2\0\1\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\2\0\0\xce"
                             "\3\0\1\0\0\0\2hi\xce";

static const char polite_end[] = "\1\0\0\0\0\0\x0b\0\x0a\0\x32\0\xc8\0\0\0\0\0\xce";

/* A header that refuses the client's, or frames; the last may be cut off by the end. */
static void check_heard(const struct buf *heard)
{
    const uint8_t *p = (const uint8_t *)heard->data;
    size_t left = heard->len;
    if (left >= 8 && memcmp(p, "AMQP\0\0\x09\1", 8) == 0) {
        require(left == 8);
        return;
    }
    while (left >= WIRE_FRAME_OVERHEAD) {
        size_t n = (size_t)p[3] << 24 | (size_t)p[4] << 16 | (size_t)p[5] << 8 | p[6];
        require(p[0] >= 1 && p[0] <= 8);
        require(n <= 131072 - WIRE_FRAME_OVERHEAD);
        if (left < n + WIRE_FRAME_OVERHEAD)
            return;
        require(p[n + WIRE_FRAME_OVERHEAD - 1] == 0xce);
        p += n + WIRE_FRAME_OVERHEAD;
        left -= n + WIRE_FRAME_OVERHEAD;
    }
}

static struct peer meet(void)
{
    struct amqp_options options = broker_rig_options();
    struct peer p = {.node = broker_rig_new(1, &options)};
    struct opening_options opening = {.protocol = amqp_protocol()};
    struct endpoint unknown = {0};
    int fds[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    p.fd = fds[0];
    struct stream *s = stream_new(net_of(node_shard(p.node, 0)), fds[1]);
    s->loopback_peer = true;
    stream_set_info(s, &unknown, &unknown, SLICE_EMPTY);
    opening_start(s, &opening);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 256 * 1024)
        return 0;
    log_set_level_all(LOG_NONE_);
    struct peer p = meet();
    unsigned how = data[0];
    if (how & 1)
        say(&p, handshake, sizeof handshake - 1);
    if ((how & 3) == 3)
        say(&p, loaded, sizeof loaded - 1);
    if (how & 1)
        settle_down(&p);
    p.deaf = how & 64;
    say_in_pieces(&p, data + 1, size - 1, how >> 2 & 7);
    settle_down(&p);
    if (how & 32) {
        say(&p, polite_end, sizeof polite_end - 1);
        settle_down(&p);
    }
    check_heard(&p.heard);
    close(p.fd);
    p.deaf = true;
    settle_down(&p);
    require(amqp_connection_count(p.node) == 0);
    require(listing_count(node_shard(p.node, 0), LISTING_CHANNELS) == 0);
    broker_rig_free(&p.node);
    buf_fini(&p.heard);
    return 0;
}
