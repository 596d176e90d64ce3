/* What tls.c and tls_session.c share. OpenSSL stays behind these two. */
#ifndef NET_TLS_PRIV_H
#define NET_TLS_PRIV_H

#include "net/tls.h"

#include <openssl/ssl.h>

/* A reference to the SSL_CTX in force; SSL_CTX_free() it. */
SSL_CTX *tls_context_current(struct tls_context *context);
/* The newest error of this thread's queue as a text, or the system's if it is the cause; the queue
 * is empty afterwards. */
const char *tls_error_text(char *room, size_t size);

#endif
