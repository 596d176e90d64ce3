/* A byte stream to a client (TCP, unix, TLS), on the shard that owns the connection.
 *
 * Input: bytes are read into the shard's own large buffer and handed out as a borrowed slice; what
 * the handler leaves is kept by the stream and handed out again, contiguous, in front of what comes
 * next. An idle stream holds no buffers. Output: small pieces are copied into pooled chunks, large
 * ones are referenced; everything goes out once a turn (DEFER_FLUSH) with one writev. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "base/log.h"
#include "base/slice.h"
#include "net/output.h"
#include "shard/shard.h"

#include <sys/types.h>

struct stream;

struct stream_handler {
    /* Returns how many bytes of data it is done with: all that it can use, unless it paused the
     * stream. It may close the stream. */
    size_t (*on_data)(void *arg, struct slice data);
    /* Pending output, high before, fell below the low mark. Never while the shard is congested. May
     * be NULL. */
    void (*on_drained)(void *arg);
    /* The stream is over: by the peer, an error, or a close that was asked for. The stream is freed
     * when this returns. why: "peer closed the connection", "connection reset by peer", ... */
    void (*on_closed)(void *arg, const char *why);
};

/* Facts about the peer; strings live as long as the stream. */
struct stream_info {
    const char *peer_host, *local_host; /* numeric; "" and "unix:PATH" for unix sockets */
    uint16_t peer_port, local_port;
    const char *name; /* "127.0.0.1:40312 -> 127.0.0.1:5672" */
    bool loopback;    /* the true peer (after PROXY) is local */
    bool tls;
    const char *tls_protocol, *tls_cipher;   /* NULL without TLS */
    const char *tls_key_exchange, *tls_hash; /* as RabbitMQ names them */
    const char *peer_cert_subject; /* RFC 4514-like "CN=x,O=y", NULL without a client certificate */
    const char *peer_cert_issuer;
    const char *peer_cert_cn;       /* first CN of the subject, may be NULL */
    const char *peer_cert_names;    /* its alternative names, see stream_peer_name */
    const char *peer_cert_validity; /* "notBefore - notAfter" */
};

/* Installed by the protocol when the stream is handed over; until then input waits. */
void stream_set_handler(struct stream *s, const struct stream_handler *handler, void *arg);
/* Heap bytes, without output that waits, which is in buffers of the shard, and without OpenSSL's.
 */
size_t stream_memory(const struct stream *s);
const struct stream_info *stream_get_info(const struct stream *s);
/* The alternative name of the client's certificate, the index-th of its kind; empty if there is
 * none. */
enum peer_name {
    PEER_NAME_DNS,
    PEER_NAME_IP,
    PEER_NAME_EMAIL,
    PEER_NAME_URI,
    PEER_NAME_OTHER,
};
struct slice stream_peer_name(const struct stream *s, enum peer_name kind, unsigned index);
struct shard *stream_shard(const struct stream *s);
/* The user that opened the other end of a unix socket; false for other sockets. */
bool stream_peer_user(const struct stream *s, uid_t *ret_uid);

enum {
    STREAM_RESERVE_MAX = CHUNK_RESERVE_MAX,
    STREAM_HIGH_MARK = 1024 * 1024,
    STREAM_LOW_MARK = 256 * 1024
};

/* The head of struct stream, for the inline functions below alone. */
struct stream_head {
    struct output out;
    bool flush_due; /* at the end of this turn */
    bool full;
};

void stream_schedule_flush(struct stream *s);

/* Copies. */
static inline void stream_write(struct stream *s, const void *data, size_t len)
{
    struct stream_head *h = (struct stream_head *)s;
    output_append(&h->out, data, len);
    if (!h->flush_due)
        stream_schedule_flush(s);
}

/* Room for at least n contiguous bytes to encode into directly (n <= STREAM_RESERVE_MAX); then
 * commit how many were used. Also valid after a close or abort: the bytes go nowhere. */
static inline uint8_t *stream_reserve(struct stream *s, size_t n)
{
    return output_reserve(&((struct stream_head *)s)->out, n);
}

static inline void stream_commit(struct stream *s, size_t n)
{
    struct stream_head *h = (struct stream_head *)s;
    h->out.at += n;
    if (!h->flush_due)
        stream_schedule_flush(s);
}

/* Refers to data until it is written (or the stream dies), then calls release(owner), on this
 * shard; release must not touch a stream. */
void stream_write_ref(struct stream *s, struct slice data, void (*release)(void *owner),
                      void *owner);

/* Bytes not yet taken by the kernel. */
static inline size_t stream_pending(const struct stream *s)
{
    return output_pending(&((const struct stream_head *)s)->out);
}

/* Above the high mark, until below the low mark. */
static inline bool stream_is_full(const struct stream *s)
{
    return ((const struct stream_head *)s)->full || stream_pending(s) > STREAM_HIGH_MARK;
}

/* Input is (not) taken from the socket; counts, so two reasons may overlap. After the last resume
 * what the handler had left is handed out again, in this turn. A paused stream does not see that
 * the peer closed; that the peer reset the connection it sees within STREAM_SILENT_CHECK_MS. */
enum { STREAM_SILENT_CHECK_MS = 5000 };
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Inside on_data: what it leaves is handed out again once the shard is not congested, before more
 * is read. */
void stream_yield(struct stream *s);

/* Writes out what is pending, then closes: half-closes, goes on reading and discarding until the
 * peer closes, then on_closed. All of it within linger_ms; 0: what the kernel takes at the end of
 * this turn. No on_data any more. */
void stream_close(struct stream *s, unsigned linger_ms);
/* The same without half-closing: the peer sees an open connection until it closes, or linger_ms
 * passed. */
void stream_leave(struct stream *s, unsigned linger_ms);
/* Closes now, pending output is lost; on_closed runs at the end of this turn. why is copied. */
void stream_abort(struct stream *s, const char *why);

uint64_t stream_bytes_in(const struct stream *s);
/* Whether its input was left alone within the last so many milliseconds, because the shard had more
 * to do than it could. */
bool stream_was_pressed(const struct stream *s, uint64_t within_ms);
uint64_t stream_bytes_out(const struct stream *s);
/* CLOCK_MONOTONIC ms of the last byte read or written (heartbeats). */
uint64_t stream_last_read_ms(const struct stream *s);
uint64_t stream_last_write_ms(const struct stream *s);

#endif
