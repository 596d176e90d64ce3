/* Listeners and the opening of streams: addresses, hand-over, PROXY, TLS, what is refused. */
#include "certs.h"
#include "harness.h"
#include "net/stream_priv.h"
#include "unit.h"

#include "base/bug.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a protocol that tells who the peer is, then echoes ---- */

static _Atomic unsigned opened[8], closed_count;
static _Atomic int wrong_options;

static size_t on_data(void *arg, struct slice data)
{
    stream_write(arg, data.data, data.len);
    return data.len;
}

static void on_closed(void *arg, const char *why)
{
    (void)arg;
    (void)why;
    atomic_fetch_add(&closed_count, 1);
}

static void check_options(struct stream *s)
{
    int nodelay = 0, alive = 0;
    socklen_t len = sizeof nodelay;
    if (s->info.name[0] == 'u')
        return;
    getsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
    getsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &len);
    if (!nodelay || !alive || !(fcntl(s->fd, F_GETFD) & FD_CLOEXEC))
        atomic_fetch_add(&wrong_options, 1);
}

static void on_open(struct stream *s, void *arg)
{
    static const struct stream_handler handler = {on_data, NULL, on_closed};
    const struct stream_info *i = stream_get_info(s);
    char line[400];
    (void)arg;
    check_options(s);
    atomic_fetch_add(&opened[shard_index(stream_shard(s))], 1);
    int n =
        snprintf(line, sizeof line, "%s|%s|%u|%s|%u|%d|%s\n", i->name, i->peer_host, i->peer_port,
                 i->local_host, i->local_port, i->loopback, i->tls ? i->tls_protocol : "-");
    stream_set_handler(s, &handler, s);
    stream_write(s, line, (size_t)n);
}

static const struct protocol telling = {"telling", on_open, NULL};

static void read_line(int fd, char *line, size_t room)
{
    size_t n = 0;
    while (n < room - 1) {
        harness_receive(fd, line + n, 1);
        if (line[n] == '\n')
            break;
        n++;
    }
    line[n] = 0;
}

static void expect_line(int fd, const char *expected)
{
    char line[400];
    read_line(fd, line, sizeof line);
    if (strcmp(line, expected) != 0)
        bug_panic("'%s' is not '%s'", line, expected);
}

/* ---- addresses ---- */

static struct node *bare_node(void)
{
    static const struct op_kind kinds[NET_OP_COUNT] = {{"none", NULL},
                                                       {"accept", net_op_accept_release}};
    struct node_options options = {.shards = 1, .ops = kinds, .op_count = NET_OP_COUNT};
    struct node *node = node_new(&options);
    node_each_shard(node, net_init, NULL);
    return node;
}

static void expect_refused(struct node *node, const char *address, const char *text)
{
    struct listener_options o = {.address = address, .protocol = &telling};
    struct listener *l = NULL;
    struct failure why = {0};
    cr_assert_neq(listener_open(node, &o, &l, &why), ERR_NONE, "%s is taken", address);
    cr_assert_null(l);
    cr_assert_not_null(strstr(why.text, text), "'%s' has no '%s'", why.text, text);
}

static struct listener *listen_at(struct node *node, const char *address)
{
    struct listener_options o = {.address = address, .protocol = &telling};
    struct listener *l = NULL;
    struct failure why = {0};
    cr_assert_eq(listener_open(node, &o, &l, &why), ERR_NONE, "%s", why.text);
    return l;
}

UNIT(listener, refuses_addresses)
{
    static const char *const malformed[] = {
        "",         "127.0.0.1",       "127.0.0.1:",   "127.0.0.1:x", "127.0.0.1:70000",
        "::1:5640", "[::1]5640",       "[::1:5640",    "[]:5640",     "127.0.0.1:-1",
        "5640",     "127.0.0.1:56 40", "127.0.0.1:+1",
    };
    struct node *node = bare_node();
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        expect_refused(node, malformed[i], "is no address to listen on");
    expect_refused(node, "203.0.113.1:5640",
                   "cannot listen on 203.0.113.1:5640: Cannot assign requested address");
    expect_refused(node, "unix:", "the path is empty");
    expect_refused(node, "unix:/nowhere/at/all/sock", "No such file or directory");
    expect_refused(
        node,
        "unix:/tmp/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaa",
        "at most 107 bytes");
    struct listener *l = listen_at(node, "127.0.0.1:5640");
    cr_assert_str_eq(listener_address(l), "127.0.0.1:5640");
    expect_refused(node, "127.0.0.1:5640",
                   "cannot listen on 127.0.0.1:5640: Address already in use");
    cr_assert_eq(listener_next(node, NULL), l);
    cr_assert_null(listener_next(node, l));
    listener_close(&l);
    cr_assert_null(listener_next(node, NULL));
    l = listen_at(node, "127.0.0.1:5640"); /* free again */
    node_each_shard(node, net_fini, NULL); /* closes it */
    node_free(&node);
}

UNIT(listener, takes_both_families)
{
    struct node *node = bare_node();
    struct listener *l = listen_at(node, ":5641");
    cr_assert(strcmp(listener_address(l), "[::]:5641") == 0 ||
              strcmp(listener_address(l), "0.0.0.0:5641") == 0);
    expect_refused(node, "127.0.0.1:5641", "Address already in use");
    listener_close(&l);
    l = listen_at(node, "localhost:5641");
    listener_close(&l);
    l = listen_at(node, "*:0");
    cr_assert_null(strstr(listener_address(l), ":0:"));
    listener_close(&l);
    node_each_shard(node, net_fini, NULL);
    node_free(&node);
}

UNIT(listener, minds_unix_paths)
{
    char path[120], address[130];
    struct stat st;
    struct node *node = bare_node();
    snprintf(path, sizeof path, "%s/sock", certs_dir());
    snprintf(address, sizeof address, "unix:%s", path);
    struct listener *l = listen_at(node, address);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0660);
    expect_refused(node, address, "Address already in use");
    cr_assert_eq(stat(path, &st), 0, "the living socket is gone");
    listener_close(&l);
    cr_assert_neq(stat(path, &st), 0);

    FILE *f = fopen(path, "w"); /* no socket */
    fclose(f);
    expect_refused(node, address, "the file exists and is no socket");
    unlink(path);

    struct sockaddr_un un = {.sun_family = AF_UNIX}; /* a stale one: its listener died */
    snprintf(un.sun_path, sizeof un.sun_path, "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
    close(fd);
    l = listen_at(node, address);
    unlink(path); /* somebody takes the path over: the file is not removed */
    f = fopen(path, "w");
    fclose(f);
    listener_close(&l);
    cr_assert_eq(stat(path, &st), 0, "the successor's file is gone");
    unlink(path);
    node_each_shard(node, net_fini, NULL);
    node_free(&node);
    certs_remove();
}

/* ---- connections ---- */

static void spread_client(struct harness *h)
{
    char expected[200], line[400];
    int fds[30];
    for (int i = 0; i < 30; i++)
        fds[i] = harness_connect(h);
    for (int i = 0; i < 30; i++) {
        struct sockaddr_in in;
        socklen_t len = sizeof in;
        getsockname(fds[i], (struct sockaddr *)&in, &len);
        unsigned port = ntohs(in.sin_port);
        snprintf(expected, sizeof expected,
                 "127.0.0.1:%u -> 127.0.0.1:%d|127.0.0.1|%u|127.0.0.1|%d|1|-", port, h->port, port,
                 h->port);
        expect_line(fds[i], expected);
        harness_send(fds[i], "echo\n", 5);
        read_line(fds[i], line, sizeof line);
        bug_on(strcmp(line, "echo") != 0);
        close(fds[i]);
    }
}

UNIT(listener, spreads_connections)
{
    struct harness h = {.client = spread_client};
    harness_run(&h, 3, (struct listener_options){.protocol = &telling});
    for (int i = 0; i < 3; i++)
        cr_assert_eq(atomic_load(&opened[i]), 10);
    cr_assert_eq(atomic_load(&wrong_options), 0);
}

static void unix_client(struct harness *h)
{
    char expected[400];
    for (int i = 1; i <= 2; i++) {
        int fd = harness_connect(h);
        snprintf(expected, sizeof expected, "unix#%d -> %s||0|%s|0|1|-", i, h->address, h->address);
        expect_line(fd, expected);
        close(fd);
    }
}

UNIT(listener, serves_unix_sockets)
{
    char address[120];
    snprintf(address, sizeof address, "unix:%s/sock", certs_dir());
    struct harness h = {.client = unix_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &telling, .address = address});
    certs_remove();
}

/* Without descriptors it waits, and goes on later. */
static void crowded_client(struct harness *h)
{
    struct rlimit limit, less;
    int fds[6];
    for (int i = 0; i < 6; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    int next = dup(0);
    close(next);
    getrlimit(RLIMIT_NOFILE, &limit);
    less = limit;
    less.rlim_cur = (rlim_t)next + 3; /* room for three */
    setrlimit(RLIMIT_NOFILE, &less);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)h->port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 6; i++)
        bug_on(connect(fds[i], (struct sockaddr *)&in, sizeof in) != 0);
    harness_sleep(300);
    unsigned before = atomic_load(&opened[0]);
    setrlimit(RLIMIT_NOFILE, &limit);
    harness_sleep(300);
    bug_on(before != 3 || atomic_load(&opened[0]) != 6);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
}

UNIT(listener, survives_without_descriptors)
{
    struct harness h = {.client = crowded_client};
    harness_run(&h, 1, (struct listener_options){.protocol = &telling});
}

/* ---- PROXY ---- */

static void proxy_client(struct harness *h)
{
    static const uint8_t v2[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02"
        "\x04\xd2\x16\x28";
    char line[400];
    int fd = harness_connect(h);
    static const char v1[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 5672\r\nhello\n";
    for (size_t i = 0; i < sizeof v1 - 1; i++) {
        harness_send(fd, v1 + i, 1);
        if (i % 8 == 0)
            harness_sleep(1);
    }
    expect_line(fd, "192.0.2.1:1000 -> 192.0.2.2:5672|192.0.2.1|1000|192.0.2.2|5672|0|-");
    read_line(fd, line, sizeof line);
    bug_on(strcmp(line, "hello") != 0);
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, v2, sizeof v2 - 1);
    expect_line(fd, "10.0.0.1:1234 -> 10.0.0.2:5672|10.0.0.1|1234|10.0.0.2|5672|0|-");
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, "PROXY TCP4 127.0.0.1 127.0.0.1 7 8\r\n", 36);
    expect_line(fd, "127.0.0.1:7 -> 127.0.0.1:8|127.0.0.1|7|127.0.0.1|8|1|-");
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, "PROXY UNKNOWN\r\n", 15);
    read_line(fd, line, sizeof line);
    bug_on(strncmp(line, "127.0.0.1:", 10) != 0);
    close(fd);

    fd = harness_connect(h);
    harness_send(fd, "AMQP\0\0\x9\x1", 8);
    bug_on(harness_drain(fd) > 0);
    close(fd);

    fd = harness_connect(h); /* and one that says nothing */
    harness_send(fd, "PROXY ", 6);
    bug_on(harness_drain(fd) > 0);
    close(fd);
}

UNIT(listener, reads_proxy_headers)
{
    struct harness h = {.client = proxy_client};
    harness_run(&h, 1,
                (struct listener_options){
                    .protocol = &telling, .proxy_protocol = true, .handshake_timeout_ms = 200});
}

/* ---- TLS ---- */

static struct tls_context *tls_context(void)
{
    struct tls_certificate cert = {0};
    struct tls_options o = {.certificates = &cert, .certificate_count = 1};
    struct tls_context *ctx = NULL;
    struct failure why = {0};
    certs_make(&(struct cert_options){.file = "s", .subject = "CN=server"});
    cert.cert_file = certs_path("s.pem");
    cert.key_file = certs_path("s.key");
    if (tls_context_new(&o, &ctx, &why))
        bug_panic("%s", why.text);
    return ctx;
}

static SSL *tls_connect(int fd, SSL_CTX **ret_ctx)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    bug_on(SSL_connect(ssl) != 1);
    *ret_ctx = ctx;
    return ssl;
}

static void tls_receive(SSL *ssl, void *room, size_t len)
{
    uint8_t *p = room;
    while (len) {
        int n = SSL_read(ssl, p, (int)len);
        bug_on(n <= 0);
        p += n;
        len -= (size_t)n;
    }
}

static void tls_client(struct harness *h)
{
    enum { SIZE = 2 * 1024 * 1024, BATCH = 100000 };
    uint8_t *bytes = mem_alloc(SIZE), *back = mem_alloc(SIZE);
    SSL_CTX *ctx;
    char line[400];
    int fd = harness_connect(h);
    if (h->arg)
        harness_send(fd, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", 36);
    SSL *ssl = tls_connect(fd, &ctx);
    size_t n = 0;
    do
        tls_receive(ssl, line + n, 1);
    while (line[n++] != '\n');
    line[n - 1] = 0;
    bug_on(!strstr(line, "|tlsv1.3"));
    bug_on(h->arg && strncmp(line, "192.0.2.1:1 -> ", 15) != 0);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 999);
    for (size_t at = 0; at < SIZE; at += n) {
        n = SIZE - at < BATCH ? SIZE - at : BATCH;
        bug_on(SSL_write(ssl, bytes + at, (int)n) != (int)n);
        tls_receive(ssl, back + at, n);
    }
    bug_on(memcmp(bytes, back, SIZE) != 0);
    for (size_t i = 0; i < 3000; i++) /* many small records at once */
        bug_on(SSL_write(ssl, bytes + i, 1) != 1);
    tls_receive(ssl, back, 3000);
    bug_on(memcmp(bytes, back, 3000) != 0);
    bug_on(!SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) || SSL_write(ssl, "x", 1) != 1);
    tls_receive(ssl, back, 1);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    free(bytes);
    free(back);
}

/* ---- TLS, taken in small bites with pauses between ---- */

struct nibbler {
    struct stream *stream;
    struct timer timer;
    unsigned bites;
};

static size_t nibble(void *arg, struct slice data)
{
    struct nibbler *n = arg;
    size_t bite = data.len < 1000 ? data.len : 1000;
    stream_write(n->stream, data.data, bite);
    stream_pause(n->stream);
    if (++n->bites % 32 == 0)
        timer_set(&n->timer, 1);
    else
        stream_resume(n->stream);
    return bite;
}

static void nibble_on(struct timer *t)
{
    stream_resume(list_entry(t, struct nibbler, timer)->stream);
}

static void nibbler_on_closed(void *arg, const char *why)
{
    struct nibbler *n = arg;
    (void)why;
    timer_stop(&n->timer);
    free(n);
}

static void nibbler_on_open(struct stream *s, void *arg)
{
    static const struct stream_handler handler = {nibble, NULL, nibbler_on_closed};
    struct nibbler *n = NEW(struct nibbler);
    (void)arg;
    n->stream = s;
    timer_init(&n->timer, stream_shard(s), nibble_on);
    stream_set_handler(s, &handler, n);
}

static const struct protocol nibbling = {"nibbling", nibbler_on_open, NULL};

static void nibbling_client(struct harness *h)
{
    enum { SIZE = 300000 };
    uint8_t *bytes = mem_alloc(SIZE), *back = mem_alloc(SIZE);
    SSL_CTX *ctx;
    int fd = harness_connect(h);
    SSL *ssl = tls_connect(fd, &ctx);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 999);
    bug_on(SSL_write(ssl, bytes, SIZE) != SIZE);
    tls_receive(ssl, back, SIZE);
    bug_on(memcmp(bytes, back, SIZE) != 0);
    SSL_shutdown(ssl); /* close_notify without a FIN */
    bug_on(SSL_read(ssl, back, 1) != 0);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    free(bytes);
    free(back);
}

UNIT(listener, pauses_tls)
{
    struct tls_context *ctx = tls_context();
    struct harness h = {.client = nibbling_client};
    harness_run(&h, 1,
                (struct listener_options){.protocol = &nibbling, .tls = true, .tls_context = ctx});
    tls_context_unref(&ctx);
    certs_remove();
}

/* What is no TLS, and who says nothing. */
static void strangers_client(struct harness *h)
{
    static const char *const hellos[] = {"AMQP\0\0\x9\x1", "GET / HTTP/1.1\r\n\r\n", "\x16\x03",
                                         "\x16\x03\x01\x00\x05hello", "zzzzzzzz"};
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        int fd = harness_connect(h);
        harness_send(fd, hellos[i], i ? strlen(hellos[i]) : 8);
        harness_drain(fd);
        close(fd);
    }
    for (int i = 0; i < 50; i++)
        close(harness_connect(h));
    int fds[50];
    for (int i = 0; i < 50; i++)
        fds[i] = harness_connect(h);
    for (int i = 0; i < 50; i++) {
        bug_on(harness_drain(fds[i]) > 0);
        close(fds[i]);
    }
    tls_client(h);
}

UNIT(listener, speaks_tls)
{
    struct tls_context *ctx = tls_context();
    struct harness h = {.client = strangers_client};
    harness_run(
        &h, 2,
        (struct listener_options){
            .protocol = &telling, .tls = true, .tls_context = ctx, .handshake_timeout_ms = 300});
    tls_context_unref(&ctx);
    certs_remove();
}

UNIT(listener, speaks_tls_behind_a_proxy)
{
    struct tls_context *ctx = tls_context();
    struct harness h = {.client = tls_client, .arg = "proxy"};
    harness_run(&h, 1,
                (struct listener_options){.protocol = &telling,
                                          .tls = true,
                                          .tls_context = ctx,
                                          .proxy_protocol = true,
                                          .handshake_timeout_ms = 3000});
    tls_context_unref(&ctx);
    certs_remove();
}

/* The kernel takes clients of a unix socket, others it refuses. */
static void suspended_client(struct harness *h)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)h->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    bug_on(connect(fd, (struct sockaddr *)&in, sizeof in) == 0 || errno != ECONNREFUSED);
    close(fd);
}

static void suspended_local_client(struct harness *h)
{
    int fd = harness_connect(h);
    struct timeval limit = {.tv_usec = 100000};
    char byte;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    bug_on(recv(fd, &byte, 1, 0) >= 0 || errno != EAGAIN);
    close(fd);
}

UNIT(listener, suspends)
{
    struct harness h = {.client = suspended_client, .suspended = true};
    harness_run(&h, 1, (struct listener_options){.protocol = &telling});
    cr_assert_eq(atomic_load(&opened[0]), 0);
}

UNIT(listener, suspends_on_a_path)
{
    char address[160];
    struct harness h = {.client = suspended_local_client, .suspended = true};
    snprintf(address, sizeof address, "unix:%s/sock", certs_dir());
    harness_run(&h, 1, (struct listener_options){.protocol = &telling, .address = address});
    cr_assert_eq(atomic_load(&opened[0]), 0);
    certs_remove();
}
