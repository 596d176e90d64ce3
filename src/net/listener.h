/* Listening sockets. Accepted on one shard and handed to the shards in turn, so that a few busy
 * connections use all cores. TLS and PROXY are dealt with before the protocol sees the stream. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/err.h"
#include "net/stream.h"

struct listener;
struct tls_context;

/* What speaks on a listener; lives as long as the node. on_open runs on the stream's shard, after
 * TLS and PROXY; it must install a handler (or close the stream). */
struct protocol {
    const char *name; /* "amqp" */
    void (*on_open)(struct stream *s, void *arg);
    void *arg;
};

/* Of its TCP connections; all zero: what suits most. */
struct socket_options {
    bool delay;               /* small pieces wait for each other (Nagle) */
    bool no_keepalive;        /* the system does not probe silent peers */
    bool reset_on_close;      /* what the peer has not taken when the broker closes is dropped */
    unsigned send_timeout_ms; /* a peer that takes nothing for that long is gone; 0: no limit */
    int sndbuf, recbuf;       /* bytes of the system's buffers; 0: the system's choice */
};

struct listener_options {
    /* "127.0.0.1:5672", "[::1]:5672", ":5672" (all, v4 and v6), "localhost:5672" (all its
     * addresses), "unix:/path"; port 0: any free one */
    const char *address;
    bool tls;
    bool proxy_protocol; /* a v1 or v2 header is then required */
    int backlog;         /* 0: 1024 */
    struct socket_options socket;
    bool lookup;                   /* peers are called by their names (reverse DNS) */
    unsigned max_connections;      /* open at a time, others wait in the backlog; 0: no limit */
    unsigned unix_mode;            /* of a unix socket's file; 0: 0660 */
    unsigned handshake_timeout_ms; /* of TLS and PROXY together; 0: no limit */
    const struct protocol *protocol;
    struct tls_context *tls_context; /* counted, NULL without tls */
};

/* On shard 0, before or while the node runs. why: "cannot listen on ...: Address already in use".
 */
enum err listener_open(struct node *node, const struct listener_options *options,
                       struct listener **ret_listener, struct failure *why);
/* Stops accepting and closes the socket (a unix path is unlinked); streams live on. */
void listener_close(struct listener **listener);
/* As bound, with the real port: "127.0.0.1:5672"; all addresses: "0.0.0.0:5672" or, with IPv6,
 * "[::]:5672". */
const char *listener_address(const struct listener *listener);
const struct listener_options *listener_get_options(const struct listener *listener);
/* Accepted and not closed yet. */
unsigned listener_connections(const struct listener *listener);
/* Takes no more clients: they are refused, so that balancers go elsewhere, but those of a unix
 * socket wait. Streams live on. */
void listener_suspend(struct listener *listener);
/* The end of that; it stays suspended if it cannot listen. */
enum err listener_resume(struct listener *listener, struct failure *why);
/* Of the connections accepted from now on. */
void listener_set_handshake_timeout(struct listener *listener, unsigned ms);
void listener_set_lookup(struct listener *listener, bool lookup);
void listener_set_socket_options(struct listener *listener, int backlog,
                                 const struct socket_options *options);
/* Walks the node's open listeners (shard 0 only). NULL starts, NULL ends. */
struct listener *listener_next(struct node *node, struct listener *after);

/* The op kinds of this folder, to be part of the node's table. */
enum { NET_OP_ACCEPT = 1, NET_OP_COUNT };
void net_op_accept_release(struct op *op);
/* Per-shard state; called for every shard before the loops run. Ignores SIGPIPE. */
void net_init(struct shard *shard, void *unused);
/* Heap bytes of the buffers that the shard's streams share, with the output that waits. */
size_t net_memory(const struct shard *shard);
/* After the loops ended: ends the streams that are left ("the broker stopped"), closes the
 * listeners. */
void net_fini(struct shard *shard, void *unused);

#endif
