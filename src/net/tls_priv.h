/* What the files about TLS share. OpenSSL stays behind them. */
#ifndef NET_TLS_PRIV_H
#define NET_TLS_PRIV_H

#include "net/tls.h"

#include <openssl/ssl.h>

/* A reference to the SSL_CTX in force; SSL_CTX_free() it. */
SSL_CTX *tls_context_current(struct tls_context *context);
/* The newest error of this thread's queue as a text, or the system's if it is the cause; the queue
 * is empty afterwards. */
const char *tls_error_text(char *room, size_t size);
/* "cannot load the CA file x: ..." with that text. */
enum err tls_refuse_file(struct failure *why, const char *what, const char *file);
/* tls_verify.c: authorities, depth, lists of revoked certificates. */
enum err tls_set_verification(SSL_CTX *ctx, const struct tls_options *options, struct failure *why);
/* tls_files.c: another number when one of the files was changed. */
uint64_t tls_files_state(const struct tls_options *options);

#endif
