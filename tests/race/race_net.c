/* Listeners and streams under TSan: clients on threads of their own connect, echo and leave in
 * every way, plain and with TLS, while descriptors are handed to three shards and the certificates
 * are read again. */
#include "base/bug.h"
#include "base/mem.h"
#include "net/listener.h"
#include "net/tls.h"
#include "shard/timer.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHARDS = 3, CLIENTS = 4, ROUNDS = 60, BYTES = 200000 };

static _Atomic unsigned opened, closed, clients_left = CLIENTS;
static char cert_file[] = "/tmp/jk-race-cert-XXXXXX", key_file[] = "/tmp/jk-race-key-XXXXXX";
static int plain_port, tls_port;
static struct tls_context *context;
static struct node *node;

/* ---- the broker's side ---- */

struct peer {
    struct stream *stream;
    uint64_t bytes;
};

static void release(void *owner)
{
    free(owner);
}

static size_t on_data(void *arg, struct slice data)
{
    struct peer *p = arg;
    p->bytes += data.len;
    if (data.len > 10000) {
        struct slice copy = slice_dup(data);
        stream_write_ref(p->stream, copy, release, (void *)(uintptr_t)copy.data);
    } else {
        stream_write(p->stream, data.data, data.len);
    }
    if (p->bytes == BYTES && data.data[data.len - 1] == 'c')
        stream_close(p->stream, 2000);
    if (p->bytes == BYTES && data.data[data.len - 1] == 'a')
        stream_abort(p->stream, "asked to");
    return data.len;
}

static void on_closed(void *arg, const char *why)
{
    (void)why;
    free(arg);
    atomic_fetch_add(&closed, 1);
}

static void on_open(struct stream *s, void *arg)
{
    static const struct stream_handler handler = {on_data, NULL, on_closed};
    struct peer *p = NEW(struct peer);
    (void)arg;
    p->stream = s;
    atomic_fetch_add(&opened, 1);
    stream_set_handler(s, &handler, p);
}

/* ---- the clients' ---- */

static int connect_to(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bug_on(connect(fd, (struct sockaddr *)&in, sizeof in) != 0);
    return fd;
}

static void send_all(SSL *ssl, int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = ssl ? SSL_write(ssl, data, (int)len) : send(fd, data, len, MSG_NOSIGNAL);
        bug_on(n <= 0);
        data += n;
        len -= (size_t)n;
    }
}

/* Reads until the end, or until len bytes are there; what was read. */
static size_t receive(SSL *ssl, int fd, uint8_t *room, size_t len)
{
    size_t got = 0;
    while (got < len) {
        ssize_t n =
            ssl ? SSL_read(ssl, room + got, (int)(len - got)) : recv(fd, room + got, len - got, 0);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got;
}

static void one_round(SSL_CTX *ctx, unsigned *seed, uint8_t *bytes, uint8_t *back)
{
    static const char ends[] = "cax";
    bool tls = rand_r(seed) % 2;
    int fd = connect_to(tls ? tls_port : plain_port);
    SSL *ssl = NULL;
    if (tls) {
        ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);
        bug_on(SSL_connect(ssl) != 1);
    }
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)rand_r(seed);
    bytes[BYTES - 1] = (uint8_t)ends[rand_r(seed) % 3];
    for (size_t at = 0; at < BYTES;) {
        size_t n = (size_t)rand_r(seed) % 30000 + 1;
        if (n > BYTES - at)
            n = BYTES - at;
        send_all(ssl, fd, bytes + at, n);
        at += n;
    }
    size_t want = BYTES + (bytes[BYTES - 1] == 'c');
    size_t got = rand_r(seed) % 8 ? receive(ssl, fd, back, want) : 0;
    bug_on(got > BYTES || memcmp(bytes, back, got) != 0);
    bug_on(got && got != BYTES && bytes[BYTES - 1] != 'a');
    SSL_free(ssl);
    close(fd);
}

static void *client_main(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    uint8_t *bytes = mem_alloc(BYTES), *back = mem_alloc(BYTES + 1);
    for (int i = 0; i < ROUNDS; i++)
        one_round(ctx, &seed, bytes, back);
    SSL_CTX_free(ctx);
    free(bytes);
    free(back);
    if (atomic_fetch_sub(&clients_left, 1) == 1)
        node_stop(node);
    return NULL;
}

static void *reloader_main(void *arg)
{
    (void)arg;
    while (atomic_load(&clients_left)) {
        bug_on(tls_context_reload(context, NULL) != ERR_NONE);
        usleep(5000);
    }
    return NULL;
}

/* ---- both ---- */

static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)"race", -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    FILE *f = fdopen(mkstemp(cert_file), "w");
    PEM_write_X509(f, cert);
    fclose(f);
    f = fdopen(mkstemp(key_file), "w");
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int listen_on(struct tls_context *ctx)
{
    static const struct protocol protocol = {"echo", on_open, NULL};
    struct listener_options o = {.address = "127.0.0.1:0",
                                 .protocol = &protocol,
                                 .tls = ctx != NULL,
                                 .tls_context = ctx,
                                 .lookup = true,
                                 .handshake_timeout_ms = 60000};
    struct listener *l;
    bug_on(listener_open(node, &o, &l, NULL) != ERR_NONE);
    return (int)strtol(strrchr(listener_address(l), ':') + 1, NULL, 10);
}

int main(void)
{
    static const struct op_kind kinds[NET_OP_COUNT] = {{"none", NULL},
                                                       {"accept", net_op_accept_release}};
    struct node_options options = {
        .shards = SHARDS, .gather_ns = 100 * 1000, .ops = kinds, .op_count = NET_OP_COUNT};
    pthread_t clients[CLIENTS], reloader;
    make_certificate();
    struct tls_certificate cert = {.cert_file = cert_file, .key_file = key_file};
    bug_on(tls_context_new(&(struct tls_options){.certificates = &cert, .certificate_count = 1},
                           &context, NULL) != ERR_NONE);
    node = node_new(&options);
    node_each_shard(node, net_init, NULL);
    plain_port = listen_on(NULL);
    tls_port = listen_on(context);
    for (unsigned i = 0; i < CLIENTS; i++)
        bug_on(pthread_create(&clients[i], NULL, client_main, (void *)(uintptr_t)(i + 1)) != 0);
    bug_on(pthread_create(&reloader, NULL, reloader_main, NULL) != 0);
    node_run(node);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    pthread_join(reloader, NULL);
    node_each_shard(node, net_fini, NULL);
    node_free(&node);
    tls_context_unref(&context);
    unlink(cert_file);
    unlink(key_file);
    bug_on(opened != closed || opened != CLIENTS * ROUNDS);
    printf("ok: %u connections\n", opened);
    return 0;
}
