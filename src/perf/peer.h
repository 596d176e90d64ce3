/* One AMQP connection with one channel (number 1): socket, buffers, handshake, the frame parser and
 * calls that wait for their reply. A peer belongs to one thread at a time: the main thread sets it
 * up, then a worker drives it. The socket is always non-blocking; peer_await polls. */
#ifndef PERF_PEER_H
#define PERF_PEER_H

#include "perf/fault.h"
#include "perf/proto.h"
#include "perf/uri.h"

#include <time.h>

enum peer_state {
    PEER_IDLE,       /* no socket */
    PEER_CONNECTING, /* waiting for connect, start, tune, open-ok, channel.open-ok */
    PEER_OPEN,       /* the channel is open */
    PEER_CLOSING,    /* connection.close was sent */
    PEER_CLOSED,     /* socket closed; after a fault too */
};

enum {
    PEER_CHANNEL = 1,
    PEER_READ_BIG = 256 * 1024,
    PEER_READ_SMALL = 4096,
    PEER_TIMEOUT_MS = 60 * 1000
};

struct peer;

struct peer_message {
    uint64_t tag;
    uint64_t size; /* of the body */
    uint64_t left; /* of the body, not yet seen */
    uint32_t method;
    uint32_t queue; /* number in the consumer tag "qN" */
    uint32_t have;  /* octets of the stamp collected */
    bool redelivered;
    uint8_t stamp[STAMP_SIZE];
};

struct peer_ops {
    /* A deliver, get-ok or return with its whole content. May be NULL. */
    void (*on_message)(struct peer *, const struct peer_message *);
    /* basic.ack or basic.nack from the broker. May be NULL. */
    void (*on_confirm)(struct peer *, uint64_t tag, bool multiple, bool nack);
    /* Any other method in the states open and closing. May be NULL. */
    void (*on_method)(struct peer *, uint32_t method);
    /* The channel is open. May be NULL. */
    void (*on_open)(struct peer *);
    /* Connection closed as asked. May be NULL. */
    void (*on_closed)(struct peer *);
};

struct peer {
    int fd;
    enum peer_state state;
    const struct uri *uri;
    const struct peer_ops *ops;
    struct fault *fault;
    struct octets in;
    struct octets out;
    uint32_t read_size;
    uint32_t frame_max;
    uint64_t now;  /* clock after the last read */
    uint64_t skip; /* octets of the current body frame still to come, its end octet included */
    uint64_t frame_left;
    struct peer_message msg;
    bool in_content;  /* between a content method and the end of its body */
    bool want_header; /* of these, before the header */
    bool blocked;     /* connection.blocked is in force */
    uint64_t blocked_at;
    uint64_t blocked_ns;
    uint32_t await_method; /* see peer_await */
    uint32_t await_count;
    uint32_t message_count; /* of the last queue.declare-ok, delete-ok or get-ok */
    uint32_t events;        /* registered with epoll */
};

static inline uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

void peer_init(struct peer *p, const struct uri *uri, const struct peer_ops *ops,
               struct fault *fault, uint32_t read_size);
/* Closes the socket at once and frees the buffers. */
void peer_fini(struct peer *p);

/* Begins to connect; the handshake goes on in peer_read and peer_flush until on_open. */
bool peer_connect(struct peer *p);
/* Connects and waits for the open channel. */
bool peer_open(struct peer *p);
/* Asks for the end of the connection; on_closed comes. */
void peer_close(struct peer *p);

/* The same, and waits for it; nothing if the peer is not open. */
void peer_end(struct peer *p);

/* Reads once and handles every frame that is complete. False: the peer failed or is closed. */
bool peer_read(struct peer *p);
/* Writes what `out` holds. False as above; true with octets left means the socket is full. */
bool peer_flush(struct peer *p);

/* Writes what it can, waits for the broker, reads once. False: the peer failed or is closed, or
 * nothing came in time, which is a fault. */
bool peer_turn(struct peer *p, int timeout_ms);

/* Sends `out` and waits until `count` replies `method` have come, a minute at most between two
 * reads. False: the peer failed. */
bool peer_await(struct peer *p, uint32_t method, uint32_t count);

/* Records the fault, unless one is there, and closes the socket. */
__attribute__((format(printf, 3, 4))) void peer_fail(struct peer *p, int code, const char *fmt,
                                                     ...);

/* For parse.c and peer.c. */
bool peer_parse(struct peer *p);
void peer_on_method(struct peer *p, uint32_t method, const uint8_t *args, size_t len);

#endif
