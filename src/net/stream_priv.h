/* Insides of streams, for this folder and its tests. */
#ifndef NET_STREAM_PRIV_H
#define NET_STREAM_PRIV_H

#include "net/endpoint.h"
#include "net/listener.h"
#include "net/stream.h"
#include "net/tls_session.h"
#include "shard/io.h"
#include "shard/slot.h"
#include "shard/timer.h"

enum {
    INPUT_SIZE = 128 * 1024, /* taken from one socket in one turn at most */
    /* What a handler left is copied in front of the next input if it is this small; else the next
     * input is read behind it. */
    INPUT_HEADROOM = 16 * 1024,
    INPUT_BEHIND = 32 * 1024, /* least room to read into behind a large remainder */
};

/* What this folder keeps a shard. */
struct net_shard {
    struct shard *shard;
    struct addr acceptor;
    uint8_t *input; /* INPUT_HEADROOM + INPUT_SIZE */
    struct chunk_pool pool;
    struct list streams;
    struct list silent; /* of these, the ones that are not watched for anything */
    struct timer silent_check;
};

/* What this folder keeps a node; shard 0's, but for the acceptors, which are constant. */
struct net_node {
    struct list listeners;
    struct addr acceptors[SHARDS_MAX];
    unsigned next_shard; /* to get a connection */
    struct resolver *resolver;
};

enum stream_state {
    STREAM_OPENING, /* PROXY header, TLS handshake */
    STREAM_OPEN,
    STREAM_CLOSING,   /* writing out */
    STREAM_LINGERING, /* half closed */
    STREAM_DEAD,      /* on_closed comes at the end of the turn */
};

/* Input that the handler left: data[start .. start + len). */
struct rest {
    uint8_t *data;
    size_t start, len, cap;
};

struct listener_share;

struct stream {
    struct stream_head head; /* first */
    uint32_t magic;
    int fd;
    enum stream_state state;
    unsigned want; /* what io watches */
    unsigned paused;
    bool blocked;      /* the kernel takes no output */
    bool read_blocked; /* TLS has to write before it can read */
    bool held;         /* input waits for the shard's relief */
    bool rest_due;     /* the rest is to be handed out again */
    bool delivering;   /* inside on_data */
    bool drain_due;    /* on_drained is to be called */
    bool peer_ended;
    bool leaves_end;    /* the peer is to close first */
    bool loopback_peer; /* the socket's peer, whatever PROXY says */
    struct net_shard *net;
    struct listener_share *listener; /* NULL: of none; counted */
    struct io *io;
    const struct stream_handler *handler;
    void *arg;
    struct tls_session *tls;
    struct opening *opening; /* while STREAM_OPENING */
    struct rest rest;
    struct deferred flush, again, relief, end;
    struct timer timer; /* of the opening, then of the linger time */
    struct list link, silent_link;
    uint64_t bytes_in, bytes_out, last_read_ms, last_write_ms;
    uint64_t pressed_ms; /* when input was last left alone because the shard was congested */
    char *why;           /* heap */
    char *info_text;     /* the strings of info that are not the session's */
    struct stream_info info;
};

enum { STREAM_MAGIC = 0x57e4a001 };

/* ---- stream.c ---- */
/* Takes the descriptor. */
struct stream *stream_new(struct net_shard *net, int fd);
void stream_set_info(struct stream *s, const struct endpoint *peer, const struct endpoint *local,
                     struct slice unix_path);
/* The peer is called by this name instead of its address. */
void stream_name_peer(struct stream *s, const char *host);
/* From STREAM_OPENING to STREAM_OPEN; a handler may be installed from now on. */
void stream_opened(struct stream *s);
/* on_closed, if there is a handler, and the end of s, at the end of this turn. */
void stream_finish(struct stream *s, const char *why);
void stream_free_now(struct stream *s);
void stream_want(struct stream *s, unsigned events);
/* Watches what the state asks for. */
void stream_watch(struct stream *s);
/* As stream_watch, but goes on watching for input until some arrives: a pause is often over before,
 * and costs no system call then. */
void stream_watch_lazily(struct stream *s);
void stream_check_silent(struct timer *t);
/* errno as on_closed tells it. */
const char *stream_error(int error);

/* on_data may be called */
static inline bool stream_hands_out(const struct stream *s)
{
    return s->state == STREAM_OPEN && s->handler && !s->paused;
}

/* the socket may be read */
static inline bool stream_takes_input(const struct stream *s)
{
    return stream_hands_out(s) && !s->held && !s->read_blocked;
}

/* ---- listener.c ---- */
void listener_share_unref(struct listener_share **share);

/* ---- input.c ---- */
/* Reads, and hands out. One buffer at most: the loop is level-triggered, and other streams have
 * their turn between. */
void input_take(struct stream *s);
/* Reads and forgets: the peer's bytes no longer matter, but unread ones would make the kernel reset
 * the connection, and the peer would lose what was written last. */
void input_discard(struct stream *s);
/* Input that the loop does not tell of: what was left, what OpenSSL holds. */
void input_look_again(struct stream *s);
/* Appends to the rest. */
void input_keep(struct stream *s, const uint8_t *data, size_t len);
void input_drop_rest(struct stream *s);
void input_on_again(struct deferred *d);
void input_on_relief(struct deferred *d);

/* ---- opening.c ---- */
/* The opening of a stream: what the listener's options ask for before the protocol gets it. */
struct opening_options {
    const struct protocol *protocol;
    struct tls_context *tls_context; /* one reference, taken; NULL without TLS */
    unsigned timeout_ms;
    bool proxy_protocol;
    bool lookup;          /* the peer's name is asked for */
    struct endpoint peer; /* then */
};
void opening_start(struct stream *s, const struct opening_options *options);
void opening_on_ready(struct stream *s);
void opening_on_timeout(struct stream *s);
void opening_free(struct opening **o);

static inline struct net_shard *net_of(const struct shard *shard)
{
    return (struct net_shard *)shard_get_local(shard, SHARD_LOCAL_NET);
}

#endif
