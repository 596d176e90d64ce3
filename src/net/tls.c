/* TLS contexts. The SSL_CTX in force is swapped under a lock on reload; sessions hold their own
 * reference, so an old one dies with its last session. The parsed certificates hang on the SSL_CTX
 * and die with it. Used from every shard. */
#include "net/tls.h"

#include "base/log.h"
#include "base/mem.h"
#include "net/tls_priv.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_context {
    _Atomic unsigned refs;
    pthread_mutex_t lock; /* over ctx */
    SSL_CTX *ctx;
    struct tls_options options; /* deep copy */
    uint64_t files;             /* their state before they were last read */
};

struct certificate {
    X509 *leaf;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

enum { CERTIFICATES_MAX = 64, PASSWORD_MAX = 1024 };

struct certificates {
    size_t count;
    struct certificate list[];
};

/* ---- errors ---- */

const char *tls_error_text(char *room, size_t size)
{
    const char *reason = NULL, *system = NULL;
    for (unsigned long code; (code = ERR_get_error());) {
        if (ERR_SYSTEM_ERROR(code))
            system = strerrordesc_np((int)ERR_GET_REASON(code));
        else
            reason = ERR_reason_error_string(code);
    }
    if (!reason)
        reason = "unknown reason";
    snprintf(room, size, "%s", system ? system : reason);
    return room;
}

enum err tls_refuse_file(struct failure *why, const char *what, const char *file)
{
    char text[256];
    tls_error_text(text, sizeof text);
    return failure_set(why, ERR_PRECONDITION_FAILED, "cannot load %s %s: %s", what, file, text);
}

/* ---- certificates ---- */

/* exception: OpenSSL numbers extra data for the whole process */
static int index_of_certificates = -1; /* of the SSL_CTX's extra data */
static pthread_once_t index_once = PTHREAD_ONCE_INIT;

static void free_certificates(struct certificates *certs)
{
    for (size_t i = 0; certs && i < certs->count; i++) {
        X509_free(certs->list[i].leaf);
        EVP_PKEY_free(certs->list[i].key);
        sk_X509_pop_free(certs->list[i].chain, X509_free);
    }
    free(certs);
}

static void on_ctx_freed(void *parent, void *ptr, CRYPTO_EX_DATA *data, int idx, long argl,
                         void *argp)
{
    (void)parent;
    (void)data;
    (void)idx;
    (void)argl;
    (void)argp;
    free_certificates(ptr);
}

static void make_index(void)
{
    index_of_certificates = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_freed);
}

/* Without a password an encrypted key is refused: OpenSSL would ask on the terminal. */
static int on_password(char *room, int size, int writing, void *arg)
{
    const char *password = arg;
    (void)writing;
    size_t n = password ? strlen(password) : 0;
    if (!password || size < 0 || n > (size_t)size)
        return -1;
    memcpy(room, password, n);
    return (int)n;
}

static enum err load_chain(const char *file, struct certificate *cert, struct failure *why)
{
    BIO *bio = BIO_new_file(file, "r");
    if (!bio)
        return tls_refuse_file(why, "the certificate", file);
    cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, on_password, NULL);
    cert->chain = sk_X509_new_null();
    X509 *next = NULL;
    while (cert->leaf && (next = PEM_read_bio_X509(bio, NULL, on_password, NULL)))
        sk_X509_push(cert->chain, next);
    BIO_free(bio);
    unsigned long last = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (!cert->leaf || !ended)
        return tls_refuse_file(why, "the certificate", file);
    ERR_clear_error();
    return ERR_NONE;
}

/* The first line of the file. */
static enum err read_password(const char *file, char *room, size_t size, struct failure *why)
{
    FILE *f = fopen(file, "re");
    bool good = f && fgets(room, (int)size, f);
    int error = f && !ferror(f) ? EINVAL : errno;
    if (f)
        fclose(f);
    if (!good)
        return failure_set(why, ERR_PRECONDITION_FAILED, "cannot load the password %s: %s", file,
                           error == EINVAL ? "the file is empty" : strerrordesc_np(error));
    room[strcspn(room, "\r\n")] = '\0';
    return ERR_NONE;
}

static enum err load_key(const struct tls_certificate *from, struct certificate *cert,
                         struct failure *why)
{
    char room[PASSWORD_MAX + 2];
    const char *password = from->key_password;
    if (from->key_password_file) {
        enum err err = read_password(from->key_password_file, room, sizeof room, why);
        if (err)
            return err;
        password = room;
    }
    BIO *bio = BIO_new_file(from->key_file, "r");
    if (bio)
        cert->key = PEM_read_bio_PrivateKey(bio, NULL, on_password, (void *)(uintptr_t)password);
    BIO_free(bio);
    explicit_bzero(room, sizeof room);
    if (!cert->key)
        return tls_refuse_file(why, "the key", from->key_file);
    if (!X509_check_private_key(cert->leaf, cert->key)) {
        ERR_clear_error();
        return failure_set(why, ERR_PRECONDITION_FAILED, "the key %s is not that of certificate %s",
                           from->key_file, from->cert_file);
    }
    return ERR_NONE;
}

static enum err load_certificates(const struct tls_options *o, struct certificates *certs,
                                  struct failure *why)
{
    enum err err = ERR_NONE;
    for (size_t i = 0; i < o->certificate_count && !err; i++) {
        err = load_chain(o->certificates[i].cert_file, &certs->list[i], why);
        if (!err)
            err = load_key(&o->certificates[i], &certs->list[i], why);
    }
    return err;
}

/* ---- the choice by name ---- */

static bool matches(const struct certificate *cert, const char *name, unsigned flags)
{
    return X509_check_host(cert->leaf, name, 0, flags, NULL) == 1;
}

static bool type_taken(const struct certificates *certs, const bool *taken, size_t i)
{
    for (size_t k = 0; k < certs->count; k++) {
        if (taken[k] &&
            EVP_PKEY_get_base_id(certs->list[k].key) == EVP_PKEY_get_base_id(certs->list[i].key))
            return true;
    }
    return false;
}

/* The certificates of the name that the client asked for: a literal name wins over a wildcard, the
 * first of each key type is taken, and OpenSSL then picks the type. An unknown name gets the
 * first certificates, as does a client that names none. */
static int on_certificate(SSL *ssl, void *arg)
{
    const struct certificates *certs = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    static const unsigned passes[] = {X509_CHECK_FLAG_NO_WILDCARDS,
                                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS};
    bool taken[CERTIFICATES_MAX] = {false};
    bool any = false;
    for (size_t pass = 0; name && *name && pass < 2; pass++) {
        for (size_t i = 0; i < certs->count; i++) {
            if (taken[i] || !matches(&certs->list[i], name, passes[pass]) ||
                type_taken(certs, taken, i))
                continue;
            if (!any)
                SSL_certs_clear(ssl);
            any = taken[i] = true;
            const struct certificate *c = &certs->list[i];
            if (!SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1))
                return 0;
        }
    }
    return 1;
}

static enum err use_certificates(SSL_CTX *ctx, struct certificates *certs,
                                 const struct tls_options *o, struct failure *why)
{
    bool taken[CERTIFICATES_MAX] = {false};
    for (size_t i = 0; i < certs->count; i++) {
        const struct certificate *c = &certs->list[i];
        if (type_taken(certs, taken, i))
            continue;
        taken[i] = true;
        if (!SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1))
            return tls_refuse_file(why, "the certificate", o->certificates[i].cert_file);
    }
    if (certs->count > 1)
        SSL_CTX_set_cert_cb(ctx, on_certificate, certs);
    return ERR_NONE;
}

/* ---- the SSL_CTX ---- */

static int version_of(const char *name)
{
    if (!name || strcmp(name, "1.2") == 0)
        return TLS1_2_VERSION;
    return strcmp(name, "1.3") == 0 ? TLS1_3_VERSION : 0;
}

static enum err set_versions(SSL_CTX *ctx, const struct tls_options *o, struct failure *why)
{
    int oldest = version_of(o->min_version);
    if (!oldest)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "the minimum TLS version is '1.2' or '1.3', not '%s'", o->min_version);
    SSL_CTX_set_min_proto_version(ctx, oldest);
    if (o->max_version)
        SSL_CTX_set_max_proto_version(ctx, version_of(o->max_version));
    return ERR_NONE;
}

static enum err set_ciphers(SSL_CTX *ctx, const struct tls_options *o, struct failure *why)
{
    const char *wrong = NULL;
    if (o->ciphers && !SSL_CTX_set_cipher_list(ctx, o->ciphers))
        wrong = o->ciphers;
    else if (o->ciphersuites && !SSL_CTX_set_ciphersuites(ctx, o->ciphersuites))
        wrong = o->ciphersuites;
    ERR_clear_error();
    if (!wrong)
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED, "no TLS cipher is known by '%s'", wrong);
}

/* Sessions are resumed by tickets only, so that the state is with the client. Its keys are those of
 * the SSL_CTX: after a reload everybody shakes hands in full, against the new CA file. */
static void set_habits(SSL_CTX *ctx, const struct tls_options *o)
{
    static const unsigned char session_id[] = "jackalope";
    uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                       SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_SINGLE_DH_USE | SSL_OP_SINGLE_ECDH_USE;
    if (o->honor_cipher_order)
        options |= SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
    if (o->no_resumption)
        options |= SSL_OP_NO_TICKET;
    SSL_CTX_set_options(ctx, options);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, session_id, sizeof session_id - 1);
    SSL_CTX_set_num_tickets(ctx, o->no_resumption ? 0 : 1);
    SSL_CTX_set_dh_auto(ctx, 1);
}

static enum err make_ctx(const struct tls_options *o, SSL_CTX **ret_ctx, struct failure *why)
{
    pthread_once(&index_once, make_index);
    ERR_clear_error();
    if (o->certificate_count == 0)
        return failure_set(why, ERR_PRECONDITION_FAILED, "TLS needs a certificate and its key");
    if (o->certificate_count > CERTIFICATES_MAX)
        return failure_set(why, ERR_PRECONDITION_FAILED, "at most %d certificates can be given",
                           CERTIFICATES_MAX);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct certificates *certs =
        mem_zalloc(sizeof *certs + o->certificate_count * sizeof certs->list[0]);
    certs->count = o->certificate_count;
    if (!ctx || !SSL_CTX_set_ex_data(ctx, index_of_certificates, certs)) {
        free_certificates(certs);
        SSL_CTX_free(ctx);
        return failure_set(why, ERR_RESOURCE_ERROR, "OpenSSL has no memory for a context");
    }
    set_habits(ctx, o);
    enum err err = load_certificates(o, certs, why);
    if (!err)
        err = use_certificates(ctx, certs, o, why);
    if (!err)
        err = set_versions(ctx, o, why);
    if (!err)
        err = set_ciphers(ctx, o, why);
    if (!err)
        err = tls_set_verification(ctx, o, why);
    if (err)
        SSL_CTX_free(ctx);
    else
        *ret_ctx = ctx;
    return err;
}

/* ---- options ---- */

static char *copy(const char *text)
{
    return text ? mem_strdup(text) : NULL;
}

static void drop(const char *text)
{
    free((void *)(uintptr_t)text);
}

static void copy_options(struct tls_options *to, const struct tls_options *from)
{
    struct tls_certificate *certs = mem_zalloc(from->certificate_count * sizeof *certs);
    for (size_t i = 0; i < from->certificate_count; i++)
        certs[i] = (struct tls_certificate){copy(from->certificates[i].cert_file),
                                            copy(from->certificates[i].key_file),
                                            copy(from->certificates[i].key_password),
                                            copy(from->certificates[i].key_password_file)};
    *to = *from;
    to->certificates = certs;
    to->ca_file = copy(from->ca_file);
    to->crl_file = copy(from->crl_file);
    to->crl_dir = copy(from->crl_dir);
    to->min_version = copy(from->min_version);
    to->max_version = copy(from->max_version);
    to->ciphers = copy(from->ciphers);
    to->ciphersuites = copy(from->ciphersuites);
}

static void free_options(struct tls_options *o)
{
    for (size_t i = 0; i < o->certificate_count; i++) {
        drop(o->certificates[i].cert_file);
        drop(o->certificates[i].key_file);
        drop(o->certificates[i].key_password);
        drop(o->certificates[i].key_password_file);
    }
    free((void *)(uintptr_t)o->certificates);
    drop(o->ca_file);
    drop(o->crl_file);
    drop(o->crl_dir);
    drop(o->min_version);
    drop(o->max_version);
    drop(o->ciphers);
    drop(o->ciphersuites);
}

/* ---- the counted context ---- */

enum err tls_context_new(const struct tls_options *options, struct tls_context **ret_context,
                         struct failure *why)
{
    SSL_CTX *ctx = NULL;
    uint64_t files = tls_files_state(options);
    enum err err = make_ctx(options, &ctx, why);
    if (err)
        return err;
    struct tls_context *c = NEW(struct tls_context);
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->ctx = ctx;
    c->files = files;
    copy_options(&c->options, options);
    *ret_context = c;
    return ERR_NONE;
}

static void install(struct tls_context *context, SSL_CTX *ctx)
{
    pthread_mutex_lock(&context->lock);
    SSL_CTX *old = context->ctx;
    context->ctx = ctx;
    pthread_mutex_unlock(&context->lock);
    SSL_CTX_free(old);
}

enum err tls_context_reload(struct tls_context *context, struct failure *why)
{
    SSL_CTX *ctx = NULL;
    context->files = tls_files_state(&context->options);
    enum err err = make_ctx(&context->options, &ctx, why);
    if (!err)
        install(context, ctx);
    return err;
}

bool tls_context_is_outdated(const struct tls_context *context)
{
    return tls_files_state(&context->options) != context->files;
}

enum err tls_context_change(struct tls_context *context, const struct tls_options *options,
                            struct failure *why)
{
    SSL_CTX *ctx = NULL;
    uint64_t files = tls_files_state(options);
    enum err err = make_ctx(options, &ctx, why);
    if (err)
        return err;
    context->files = files;
    free_options(&context->options);
    copy_options(&context->options, options);
    install(context, ctx);
    return ERR_NONE;
}

SSL_CTX *tls_context_current(struct tls_context *context)
{
    pthread_mutex_lock(&context->lock);
    SSL_CTX *ctx = context->ctx;
    SSL_CTX_up_ref(ctx);
    pthread_mutex_unlock(&context->lock);
    return ctx;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    if (context)
        atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(struct tls_context **context)
{
    struct tls_context *c = *context;
    *context = NULL;
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(c->ctx);
    pthread_mutex_destroy(&c->lock);
    free_options(&c->options);
    free(c);
}

/* ---- what is in force ---- */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

static char *subject_of(const X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    long length = 0;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
                                  XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        length = BIO_get_mem_data(bio, &data);
    char *text = mem_printf("%.*s", (int)length, length ? data : "");
    BIO_free(bio);
    return text;
}

struct certificate_walk {
    void (*fn)(const struct tls_certificate_facts *facts, void *arg);
    void *arg;
};

static void show(const struct certificate_walk *walk, const char *file, bool authority,
                 const X509 *cert)
{
    char *subject = subject_of(cert);
    struct tls_certificate_facts facts = {file, authority, subject,
                                          seconds_of(X509_get0_notBefore(cert)),
                                          seconds_of(X509_get0_notAfter(cert))};
    walk->fn(&facts, walk->arg);
    free(subject);
}

static void show_authorities(const struct certificate_walk *walk, const char *file, SSL_CTX *ctx)
{
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));
    for (int i = 0; i < sk_X509_num(all); i++)
        show(walk, file, true, sk_X509_value(all, i));
    sk_X509_pop_free(all, X509_free);
}

void tls_context_each_certificate(struct tls_context *context,
                                  void (*fn)(const struct tls_certificate_facts *facts, void *arg),
                                  void *arg)
{
    const struct tls_options *o = &context->options;
    struct certificate_walk walk = {fn, arg};
    SSL_CTX *ctx = tls_context_current(context);
    const struct certificates *certs = SSL_CTX_get_ex_data(ctx, index_of_certificates);
    for (size_t i = 0; i < certs->count; i++) {
        const struct certificate *c = &certs->list[i];
        show(&walk, o->certificates[i].cert_file, false, c->leaf);
        for (int k = 0; k < sk_X509_num(c->chain); k++)
            show(&walk, o->certificates[i].cert_file, false, sk_X509_value(c->chain, k));
    }
    if (o->ca_file)
        show_authorities(&walk, o->ca_file, ctx);
    SSL_CTX_free(ctx);
}
