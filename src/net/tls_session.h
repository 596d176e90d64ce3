/* One TLS connection over a socket, server side. For this folder. */
#ifndef NET_TLS_SESSION_H
#define NET_TLS_SESSION_H

#include "net/stream.h"
#include "net/tls.h"

struct tls_session;

enum tls_result {
    TLS_OK,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_EOF,
    TLS_FAILED, /* see tls_session_why */
};

/* Takes the certificates the context has now. NULL if the system has no room for it. */
struct tls_session *tls_session_new(struct tls_context *context, int fd);
void tls_session_free(struct tls_session **t);
enum tls_result tls_session_accept(struct tls_session *t);
/* *ret_n: bytes read or written, set on TLS_OK. len is not 0. */
enum tls_result tls_session_read(struct tls_session *t, uint8_t *room, size_t len, size_t *ret_n);
/* After a WANT the same bytes have to come again (more may follow them, they may have moved). */
enum tls_result tls_session_write(struct tls_session *t, const uint8_t *data, size_t len,
                                  size_t *ret_n);
/* Bytes were taken from the socket that read has not returned. */
bool tls_session_has_input(const struct tls_session *t);
/* Sends close_notify if the socket takes it. */
void tls_session_shutdown(struct tls_session *t);
/* The reason of the last TLS_FAILED. */
const char *tls_session_why(const struct tls_session *t);
/* After the handshake: fills what is known; the strings are the session's. */
void tls_session_describe(struct tls_session *t, struct stream_info *info);

#endif
