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
#include "shard/shard.h"

struct stream;
struct tls_session_info;

struct stream_handler {
    /* Returns how many bytes of data it is done with. It may close the stream. */
    size_t (*on_data)(void *arg, struct slice data);
    /* Pending output, high before, fell below the low mark. May be NULL. */
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
    const char *tls_protocol, *tls_cipher; /* NULL without TLS */
    const char *peer_cert_subject; /* RFC 4514-like "CN=x,O=y", NULL without a client certificate */
    const char *peer_cert_issuer;
    const char *peer_cert_cn;       /* first CN of the subject, may be NULL */
    const char *peer_cert_san;      /* first DNS or e-mail SAN, may be NULL */
    const char *peer_cert_validity; /* "notBefore - notAfter" */
};

/* Installed by the protocol when the stream is handed over; until then input waits. */
void stream_set_handler(struct stream *s, const struct stream_handler *handler, void *arg);
const struct stream_info *stream_get_info(const struct stream *s);
struct shard *stream_shard(const struct stream *s);

/* Copies. */
void stream_write(struct stream *s, const void *data, size_t len);
/* Room for at least n contiguous bytes to encode into directly (n <= STREAM_RESERVE_MAX); then
 * commit how many were used. */
enum { STREAM_RESERVE_MAX = 16 * 1024 };
uint8_t *stream_reserve(struct stream *s, size_t n);
void stream_commit(struct stream *s, size_t n);
/* Refers to data until it is written (or the stream dies), then calls release(owner), on this
 * shard. */
void stream_write_ref(struct stream *s, struct slice data, void (*release)(void *owner),
                      void *owner);

/* Bytes not yet taken by the kernel. */
size_t stream_pending(const struct stream *s);
enum { STREAM_HIGH_MARK = 1024 * 1024, STREAM_LOW_MARK = 256 * 1024 };
/* Above the high mark, until below the low mark. */
bool stream_is_full(const struct stream *s);

/* Input is (not) taken from the socket; counts, so two reasons may overlap. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Writes out what is pending, then closes: half-closes, goes on reading and discarding until the
 * peer closes or linger_ms passed, then on_closed. No on_data any more. */
void stream_close(struct stream *s, unsigned linger_ms);
/* Closes now, pending output is lost; on_closed runs at the end of this turn. */
void stream_abort(struct stream *s, const char *why);

uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);
/* CLOCK_MONOTONIC ms of the last byte read or written (heartbeats). */
uint64_t stream_last_read_ms(const struct stream *s);
uint64_t stream_last_write_ms(const struct stream *s);

#endif
