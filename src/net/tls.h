/* TLS contexts: certificates, client verification, versions; replaced as a whole on reload. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context;

struct tls_certificate {
    const char *cert_file;         /* PEM chain */
    const char *key_file;          /* PEM */
    const char *key_password;      /* may be NULL */
    const char *key_password_file; /* its first line is the password; may be NULL */
};

enum tls_crl_check {
    TLS_CRL_NO,
    TLS_CRL_ALL,         /* every certificate of the chain needs a list, and is not on it */
    TLS_CRL_PEER,        /* the client's own does */
    TLS_CRL_BEST_EFFORT, /* as all, but those without a valid list are taken */
};

struct tls_options {
    const struct tls_certificate *certificates; /* several: chosen by SNI, then by key type */
    size_t certificate_count;
    const char *ca_file; /* for client certificates; may be NULL */
    bool verify_peer;
    bool fail_if_no_peer_cert;
    int depth;
    enum tls_crl_check crl_check;
    const char *crl_file, *crl_dir; /* one of them with crl_check; all files of the directory */
    const char *min_version;        /* "1.2" or "1.3" */
    const char *max_version;        /* the same; NULL: the newest */
    const char *ciphers;            /* OpenSSL list for 1.2; NULL = default */
    const char *ciphersuites;       /* for 1.3; NULL = default */
    bool honor_cipher_order;
    bool no_resumption; /* every connection shakes hands in full */
};

/* why: names the file and OpenSSL's reason. The context is counted; new returns one reference. */
enum err tls_context_new(const struct tls_options *options, struct tls_context **ret_context,
                         struct failure *why);
/* Reads the files again. New handshakes take the new certificates at once, open ones go on; on
 * failure the old ones stay. Thread-safe. */
enum err tls_context_reload(struct tls_context *context, struct failure *why);
/* Whether a file was changed since it was last read, or tried to be. On the thread that changes the
 * context. */
bool tls_context_is_outdated(const struct tls_context *context);
/* The same with other options. To be called by one thread at a time, reload included. */
enum err tls_context_change(struct tls_context *context, const struct tls_options *options,
                            struct failure *why);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context);

/* A certificate in force: one that is sent, with its chain, or an authority of clients. */
struct tls_certificate_facts {
    const char *file;
    bool authority;
    const char *subject;     /* "CN=x,O=y" */
    int64_t begins, expires; /* seconds since 1970 */
};
/* A suite by OpenSSL's name (ECDHE-RSA-AES128-GCM-SHA256), by IANA's
 * (TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; NULL: it has none), and what it is made of, in words of
 * Erlang. */
struct tls_suite {
    const char *name, *iana;
    char key_exchange[16], cipher[32], mac[16];
    const char *prf; /* NULL: that of the version of TLS */
};
/* Those of TLS 1.3 and 1.2 that OpenSSL offers unless told otherwise, the best first, or all that
 * it has. */
void tls_each_cipher_suite(bool all, void (*fn)(const struct tls_suite *suite, void *arg),
                           void *arg);
/* On the thread that changes the context. */
void tls_context_each_certificate(struct tls_context *context,
                                  void (*fn)(const struct tls_certificate_facts *facts, void *arg),
                                  void *arg);

#endif
