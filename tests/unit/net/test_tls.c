/* TLS contexts: what is refused with which text, and what a session is given. */
#include "certs.h"
#include "net/tls.h"
#include "net/tls_session.h"
#include "unit.h"

#include "base/bug.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(certs_path(name), "w");
    fputs(text, f);
    fclose(f);
}

static struct tls_certificate pair(const char *name)
{
    char file[64];
    struct tls_certificate c = {0};
    snprintf(file, sizeof file, "%s.pem", name);
    c.cert_file = certs_path(file);
    snprintf(file, sizeof file, "%s.key", name);
    c.key_file = certs_path(file);
    return c;
}

static void expect_refused(const struct tls_options *o, const char *part)
{
    struct tls_context *ctx = NULL;
    struct failure why = {0};
    cr_assert_eq(tls_context_new(o, &ctx, &why), ERR_PRECONDITION_FAILED, "no '%s'", part);
    cr_assert_null(ctx);
    cr_assert_not_null(strstr(why.text, part), "'%s' has no '%s'", why.text, part);
    cr_assert_eq(ERR_peek_error(), 0);
}

UNIT(tls, refuses)
{
    certs_make(&(struct cert_options){.file = "one", .subject = "CN=one"});
    certs_make(&(struct cert_options){.file = "two", .subject = "CN=two"});
    certs_make(&(struct cert_options){.file = "locked", .subject = "CN=l", .password = "secret"});
    write_file("junk.pem", "this is no certificate\n");
    write_file("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    struct tls_certificate cert = pair("one"), two = pair("two");
    struct tls_options o = {.certificates = &cert, .certificate_count = 1};

    expect_refused(&(struct tls_options){0}, "needs a certificate");
    cert.cert_file = certs_path("missing.pem");
    expect_refused(&o, "missing.pem: No such file or directory");
    cert.cert_file = certs_path("junk.pem");
    expect_refused(&o, "cannot load the certificate");
    cert.cert_file = certs_path("broken.pem");
    expect_refused(&o, "broken.pem");
    cert = pair("one");
    cert.key_file = certs_path("missing.key");
    expect_refused(&o, "cannot load the key");
    cert.key_file = certs_path("junk.pem");
    expect_refused(&o, "cannot load the key");
    cert.key_file = two.key_file;
    expect_refused(&o, "is not that of certificate");
    cert = pair("locked");
    expect_refused(&o, "cannot load the key");
    cert.key_password = "wrong";
    expect_refused(&o, "cannot load the key");
    cert = pair("one");
    o.min_version = "1.1";
    expect_refused(&o, "'1.2' or '1.3', not '1.1'");
    o.min_version = "1.3";
    o.ciphers = "NO-SUCH-CIPHER";
    expect_refused(&o, "NO-SUCH-CIPHER");
    o.ciphers = NULL;
    o.ciphersuites = "TLS_NONSENSE";
    expect_refused(&o, "TLS_NONSENSE");
    o.ciphersuites = NULL;
    o.verify_peer = true;
    expect_refused(&o, "without a CA file");
    o.ca_file = certs_path("junk.pem");
    expect_refused(&o, "cannot load the CA file");
    certs_remove();
}

UNIT(tls, takes_a_locked_key)
{
    certs_make(&(struct cert_options){.file = "locked", .subject = "CN=l", .password = "secret"});
    struct tls_certificate cert = pair("locked");
    struct tls_options o = {.certificates = &cert, .certificate_count = 1};
    struct tls_context *ctx = NULL;
    cert.key_password = "secret";
    cr_assert_eq(tls_context_new(&o, &ctx, NULL), ERR_NONE);
    tls_context_unref(&ctx);
    cr_assert_null(ctx);
    certs_remove();
}

/* ---- handshakes in memory ---- */

struct client {
    const char *name;                 /* SNI */
    const char *algorithms;           /* of signatures */
    const char *cert_file, *key_file; /* NULL: none */
    int version;                      /* the only one, 0: any */
    char seen[128];                   /* CN of the server's certificate */
    char server_why[200];
    struct stream_info info; /* its strings are copied to these */
    char subject[200], san[64], cn[64], validity[64], protocol[16], issuer[200];
};

static void copy_text(char *to, size_t size, const char **text)
{
    if (*text) {
        snprintf(to, size, "%s", *text);
        *text = to;
    }
}

static void look(struct client *c, struct tls_session *t, SSL *ssl)
{
    X509 *cert = SSL_get1_peer_certificate(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, c->seen, sizeof c->seen);
    X509_free(cert);
    tls_session_describe(t, &c->info);
    copy_text(c->subject, sizeof c->subject, &c->info.peer_cert_subject);
    copy_text(c->issuer, sizeof c->issuer, &c->info.peer_cert_issuer);
    copy_text(c->san, sizeof c->san, &c->info.peer_cert_names);
    copy_text(c->cn, sizeof c->cn, &c->info.peer_cert_cn);
    copy_text(c->validity, sizeof c->validity, &c->info.peer_cert_validity);
    copy_text(c->protocol, sizeof c->protocol, &c->info.tls_protocol);
}

/* True if both sides agree. */
static bool shake(struct tls_context *ctx, struct client *c)
{
    int fds[2];
    bug_on(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0);
    SSL_CTX *cctx = SSL_CTX_new(TLS_client_method());
    if (c->version) {
        SSL_CTX_set_min_proto_version(cctx, c->version);
        SSL_CTX_set_max_proto_version(cctx, c->version);
    }
    if (c->algorithms)
        bug_on(!SSL_CTX_set1_sigalgs_list(cctx, c->algorithms));
    if (c->cert_file)
        bug_on(!SSL_CTX_use_certificate_file(cctx, c->cert_file, SSL_FILETYPE_PEM) ||
               !SSL_CTX_use_PrivateKey_file(cctx, c->key_file, SSL_FILETYPE_PEM));
    SSL *ssl = SSL_new(cctx);
    struct tls_session *t = tls_session_new(ctx, fds[1]);
    SSL_set_fd(ssl, fds[0]);
    if (c->name)
        SSL_set_tlsext_host_name(ssl, c->name);
    SSL_set_connect_state(ssl);
    enum tls_result server = TLS_WANT_READ;
    bool client = false, failed = false;
    for (int i = 0; i < 20 && !failed; i++) {
        if (!client) {
            int ret = SSL_do_handshake(ssl);
            client = ret == 1;
            failed = ret != 1 && SSL_get_error(ssl, ret) == SSL_ERROR_SSL;
        }
        if (server != TLS_OK && server != TLS_FAILED)
            server = tls_session_accept(t);
    }
    if (server == TLS_FAILED)
        snprintf(c->server_why, sizeof c->server_why, "%s", tls_session_why(t));
    if (client && server == TLS_OK)
        look(c, t, ssl);
    ERR_clear_error();
    SSL_free(ssl);
    SSL_CTX_free(cctx);
    tls_session_free(&t);
    close(fds[0]);
    close(fds[1]);
    return client && server == TLS_OK;
}

static struct tls_context *context(const struct tls_options *o)
{
    struct tls_context *ctx = NULL;
    struct failure why = {0};
    cr_assert_eq(tls_context_new(o, &ctx, &why), ERR_NONE, "%s", why.text);
    return ctx;
}

static void expect_cert(struct tls_context *ctx, const char *name, const char *algorithms,
                        const char *cn)
{
    struct client c = {.name = name, .algorithms = algorithms};
    cr_assert(shake(ctx, &c), "%s: %s", name ? name : "no name", c.server_why);
    cr_assert_str_eq(c.seen, cn, "%s gets %s", name ? name : "no name", c.seen);
}

UNIT(tls, chooses_by_name_and_key_type)
{
    static const char ec[] = "ECDSA+SHA256", rsa[] = "RSA+SHA256:RSA-PSS+SHA256";
    certs_make(
        &(struct cert_options){.file = "a-ec", .subject = "CN=a-ec", .san = "DNS:a.example"});
    certs_make(&(struct cert_options){
        .file = "a-rsa", .subject = "CN=a-rsa", .san = "DNS:a.example", .key = KEY_RSA});
    certs_make(
        &(struct cert_options){.file = "wild", .subject = "CN=wild", .san = "DNS:*.w.example"});
    certs_make(&(struct cert_options){.file = "b", .subject = "CN=b.example"});
    struct tls_certificate certs[] = {pair("a-ec"), pair("wild"), pair("a-rsa"), pair("b")};
    struct tls_context *ctx =
        context(&(struct tls_options){.certificates = certs, .certificate_count = 4});
    expect_cert(ctx, NULL, NULL, "a-ec");
    expect_cert(ctx, "a.example", NULL, "a-ec");
    expect_cert(ctx, "A.EXAMPLE", ec, "a-ec");
    expect_cert(ctx, "a.example", rsa, "a-rsa");
    expect_cert(ctx, "b.example", ec, "b.example");
    expect_cert(ctx, "c.w.example", ec, "wild");
    expect_cert(ctx, "d.c.w.example", ec, "a-ec");
    expect_cert(ctx, "unknown.org", rsa, "a-rsa");
    tls_context_unref(&ctx);
    certs_remove();
}

UNIT(tls, reloads)
{
    certs_make(&(struct cert_options){.file = "s", .subject = "CN=before"});
    struct tls_certificate cert = pair("s");
    struct tls_context *ctx =
        context(&(struct tls_options){.certificates = &cert, .certificate_count = 1});
    struct failure why = {0};
    expect_cert(ctx, NULL, NULL, "before");
    certs_make(&(struct cert_options){.file = "s", .subject = "CN=after"});
    expect_cert(ctx, NULL, NULL, "before");
    cr_assert_eq(tls_context_reload(ctx, &why), ERR_NONE);
    expect_cert(ctx, NULL, NULL, "after");
    write_file("s.pem", "broken\n");
    cr_assert_neq(tls_context_reload(ctx, &why), ERR_NONE);
    expect_cert(ctx, NULL, NULL, "after");
    tls_context_unref(&ctx);
    certs_remove();
}

UNIT(tls, keeps_versions)
{
    certs_make(&(struct cert_options){.file = "s", .subject = "CN=s"});
    struct tls_certificate cert = pair("s");
    struct tls_options o = {.certificates = &cert, .certificate_count = 1, .min_version = "1.3"};
    struct tls_context *ctx = context(&o);
    struct client c = {.version = TLS1_2_VERSION};
    cr_assert_not(shake(ctx, &c));
    cr_assert_not_null(strstr(c.server_why, "unsupported protocol"), "%s", c.server_why);
    c = (struct client){.version = TLS1_3_VERSION};
    cr_assert(shake(ctx, &c));
    cr_assert_str_eq(c.info.tls_protocol, "tlsv1.3");
    cr_assert_null(c.info.peer_cert_subject);
    tls_context_unref(&ctx);
    o.min_version = "1.2";
    ctx = context(&o);
    c = (struct client){.version = TLS1_2_VERSION};
    cr_assert(shake(ctx, &c));
    cr_assert_str_eq(c.info.tls_protocol, "tlsv1.2");
    c = (struct client){.version = TLS1_1_VERSION};
    cr_assert_not(shake(ctx, &c));
    tls_context_unref(&ctx);
    certs_remove();
}

static void expect_client_refused(struct tls_context *ctx, const struct tls_certificate *cert,
                                  const char *part)
{
    struct client c = {.cert_file = cert ? cert->cert_file : NULL,
                       .key_file = cert ? cert->key_file : NULL,
                       .version = TLS1_2_VERSION};
    cr_assert_not(shake(ctx, &c), "%s", part);
    cr_assert_not_null(strstr(c.server_why, part), "%s", c.server_why);
}

UNIT(tls, verifies_clients)
{
    certs_make(&(struct cert_options){.file = "s", .subject = "CN=s"});
    certs_make(&(struct cert_options){.file = "ca", .subject = "O=test/CN=ca", .ca = true});
    certs_make(&(struct cert_options){.file = "good",
                                      .subject = "C=DE/O=Big, Co; \"x\"/CN=caf\xc3\xa9/+UID=u1",
                                      .san = "email:c@example.org,DNS:c.example",
                                      .issuer = "ca"});
    certs_make(&(struct cert_options){
        .file = "old", .subject = "CN=old", .issuer = "ca", .expired = true});
    certs_make(&(struct cert_options){.file = "alien", .subject = "CN=alien"});
    struct tls_certificate cert = pair("s"), good = pair("good"), old = pair("old"),
                           alien = pair("alien");
    struct tls_options o = {.certificates = &cert,
                            .certificate_count = 1,
                            .ca_file = certs_path("ca.pem"),
                            .verify_peer = true,
                            .fail_if_no_peer_cert = true,
                            .depth = 1};
    struct tls_context *ctx = context(&o);
    expect_client_refused(ctx, NULL, "peer did not return a certificate");
    expect_client_refused(ctx, &old, "certificate has expired");
    expect_client_refused(ctx, &alien, "self-signed certificate");
    struct client c = {.cert_file = good.cert_file, .key_file = good.key_file};
    cr_assert(shake(ctx, &c), "%s", c.server_why);
    cr_assert_str_eq(c.info.peer_cert_issuer, "CN=ca,O=test");
    cr_assert_str_eq(c.info.peer_cert_names, "2c@example.org\n0c.example\n");
    cr_assert_str_eq(c.info.peer_cert_cn, "caf\xc3\xa9");
    cr_assert_str_eq(c.info.peer_cert_subject,
                     "CN=caf\\C3\\A9+UID=u1,O=Big\\, Co\\; \\\"x\\\",C=DE");
    cr_assert_eq(strlen(c.info.peer_cert_validity), 43, "%s", c.info.peer_cert_validity);
    tls_context_unref(&ctx);
    o.fail_if_no_peer_cert = false;
    ctx = context(&o);
    c = (struct client){0};
    cr_assert(shake(ctx, &c), "%s", c.server_why);
    cr_assert_null(c.info.peer_cert_subject);
    expect_client_refused(ctx, &alien, "self-signed certificate");
    tls_context_unref(&ctx);
    certs_remove();
}
