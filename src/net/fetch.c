/* The request is one of HTTP/1.0, so that the answer comes as it is and ends with the connection;
 * its length, or the farewell of TLS, tells that it is whole. */
#include "net/fetch.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/tls_priv.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 32 * 1024, PIECE = 64 * 1024, REDIRECTIONS_MAX = 5 };

struct fetch {
    const struct fetch_options *options;
    uint64_t deadline_ms;
    struct failure *why;
    char *url, *host, *port, *path; /* of where it is now */
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    struct buf head; /* of the answer, and the body's beginning */
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Of the host and what follows: where it begins. */
static const char *authority_of(const char *url)
{
    const char *mark = strstr(url, "://");
    return mark ? mark + 3 : url;
}

char *fetch_told(const char *url)
{
    const char *from = authority_of(url), *host = from;
    size_t n = strcspn(from, "/?#");
    for (size_t i = 0; i < n; i++) {
        if (from[i] == '@')
            host = from + i + 1;
    }
    return mem_printf("%.*s%.*s", (int)(from - url), url, (int)strcspn(host, "?#"), host);
}

static bool fail(struct fetch *f, const char *what)
{
    char *told = fetch_told(f->url);
    failure_set(f->why, ERR_RESOURCE_ERROR, "cannot fetch %s: %s", told, what);
    free(told);
    return false;
}

static bool fail_ssl(struct fetch *f)
{
    char text[256];
    bool checked = f->ssl && !f->options->no_verify;
    long verdict = checked ? SSL_get_verify_result(f->ssl) : X509_V_OK;
    if (now_ms() >= f->deadline_ms)
        return fail(f, "timed out");
    if (verdict != X509_V_OK) {
        ERR_clear_error();
        return fail(f, X509_verify_cert_error_string(verdict));
    }
    return fail(f,
                ERR_peek_error() ? tls_error_text(text, sizeof text) : "the connection was lost");
}

/* ---- the URL ---- */

static void drop_place(struct fetch *f)
{
    free(f->url);
    free(f->host);
    free(f->port);
    free(f->path);
    f->url = f->host = f->port = f->path = NULL;
}

/* Without control characters and blanks, which would end the request's line. */
static bool is_clean(const char *text)
{
    while (*text && (unsigned char)*text > ' ' && *text != 127)
        text++;
    return !*text;
}

static bool go_to(struct fetch *f, const char *url)
{
    static const char scheme[] = "https://";
    char *copy = mem_strdup(url);
    drop_place(f);
    f->url = copy;
    if (strncasecmp(url, scheme, sizeof scheme - 1) != 0 || !is_clean(url))
        return fail(f, "it is no https://host/path");
    const char *from = f->url + sizeof scheme - 1;
    size_t n = strcspn(from, "/?#");
    const char *rest = from + n;
    char *authority = mem_printf("%.*s", (int)n, from);
    char *colon = strrchr(authority, ':'), *bracket = strrchr(authority, ']');
    bool has_port = colon && (!bracket || colon > bracket);
    f->port = mem_strdup(has_port ? colon + 1 : "443");
    if (has_port)
        *colon = '\0';
    if (bracket)
        *bracket = '\0';
    f->host = mem_strdup(authority + (*authority == '['));
    f->path = mem_printf("%s%.*s", *rest == '/' ? "" : "/", (int)strcspn(rest, "#"), rest);
    free(authority);
    return (*f->host && !strchr(f->host, '@')) || fail(f, "it is no https://host/path");
}

/* What an answer says of another place may lack what is the same there. Heap. */
static char *place_of(const struct fetch *f, const char *location)
{
    const char *from = authority_of(f->url);
    if (*location != '/')
        return mem_strdup(location);
    if (location[1] == '/')
        return mem_printf("https:%s", location);
    return mem_printf("https://%.*s%s", (int)strcspn(from, "/?#"), from, location);
}

/* ---- the connection ---- */

static bool give_time(struct fetch *f, int fd)
{
    uint64_t now = now_ms();
    if (now >= f->deadline_ms)
        return fail(f, "timed out");
    uint64_t left = f->deadline_ms - now;
    struct timeval t = {.tv_sec = (time_t)(left / 1000),
                        .tv_usec = (suseconds_t)(left % 1000 * 1000)};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    return true;
}

static bool dial(struct fetch *f)
{
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int problem = getaddrinfo(f->host, f->port, &hints, &list);
    if (problem)
        return fail(f, gai_strerror(problem));
    int error = 0;
    for (const struct addrinfo *ai = list; ai && f->fd < 0; ai = ai->ai_next) {
        int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || !give_time(f, fd) || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
            error = errno == EINPROGRESS ? ETIMEDOUT : errno;
            if (fd >= 0)
                close(fd);
        } else {
            f->fd = fd;
        }
    }
    freeaddrinfo(list);
    return (f->fd >= 0 && fcntl(f->fd, F_SETFL, O_NONBLOCK) == 0) ||
           fail(f, strerrordesc_np(error));
}

static bool check_name(struct fetch *f, const char *name)
{
    struct in6_addr ignored;
    bool number =
        inet_pton(AF_INET, name, &ignored) == 1 || inet_pton(AF_INET6, name, &ignored) == 1;
    if (number)
        return f->options->no_verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(f->ssl), name);
    return SSL_set_tlsext_host_name(f->ssl, name) &&
           (f->options->no_verify || SSL_set1_host(f->ssl, name));
}

/* Whether OpenSSL's call is to be made again: once the peer has sent, or taken, something. */
static bool is_to_go_on(struct fetch *f, int result)
{
    int error = SSL_get_error(f->ssl, result);
    struct pollfd p = {.fd = f->fd, .events = error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    uint64_t now = now_ms();
    if ((error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) || now >= f->deadline_ms)
        return false;
    poll(&p, 1, (int)(f->deadline_ms - now));
    return true;
}

static bool shake_hands(struct fetch *f)
{
    const char *name = f->options->server_name ? f->options->server_name : f->host;
    int result;
    f->ssl = SSL_new(f->ctx);
    if (!f->ssl || !check_name(f, name) || !SSL_set_fd(f->ssl, f->fd))
        return fail_ssl(f);
    while ((result = SSL_connect(f->ssl)) != 1) {
        if (!is_to_go_on(f, result))
            return fail_ssl(f);
    }
    ERR_clear_error(); /* what is told of the calls that follow is theirs */
    return true;
}

static void hang_up(struct fetch *f)
{
    SSL_free(f->ssl);
    f->ssl = NULL;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

/* ---- the answer ---- */

static bool ask(struct fetch *f)
{
    bool v6 = strchr(f->host, ':') != NULL;
    struct buf request = BUF_INIT;
    buf_printf(&request,
               "GET %s HTTP/1.0\r\nHost: %s%s%s:%s\r\nUser-Agent: jackalope\r\n"
               "Accept: application/json\r\n\r\n",
               f->path, v6 ? "[" : "", f->host, v6 ? "]" : "", f->port);
    int result;
    do
        result = SSL_write(f->ssl, request.data, (int)request.len);
    while (result <= 0 && is_to_go_on(f, result));
    buf_fini(&request);
    return result > 0 || fail_ssl(f);
}

/* -1: failed, 0: the end. */
static int take(struct fetch *f, uint8_t *room, int size)
{
    int n;
    if (now_ms() >= f->deadline_ms) {
        fail(f, "timed out");
        return -1;
    }
    do
        n = SSL_read(f->ssl, room, size);
    while (n <= 0 && is_to_go_on(f, n));
    if (n > 0)
        return n;
    if (SSL_get_error(f->ssl, n) == SSL_ERROR_ZERO_RETURN)
        return 0;
    fail_ssl(f);
    return -1;
}

/* The bytes of its head, with the empty line; 0: failed. */
static size_t take_head(struct fetch *f)
{
    static const char mark[] = "\r\n\r\n";
    enum { MARK = sizeof mark - 1 };
    uint8_t room[4096];
    const uint8_t *end;
    buf_clear(&f->head);
    while (!(end = f->head.len ? memmem(f->head.data, f->head.len, mark, MARK) : NULL)) {
        int n = take(f, room, sizeof room);
        if (n <= 0 || f->head.len + (size_t)n > HEAD_MAX) {
            if (n >= 0)
                fail(f, "the answer is no HTTP");
            return 0;
        }
        buf_append(&f->head, room, (size_t)n);
    }
    return (size_t)(end - f->head.data) + MARK;
}

static int status_of(struct slice head)
{
    static const char start[] = "HTTP/1.";
    enum { AT = sizeof "HTTP/1.1 " - 1 };
    if (head.len < AT + 3 || memcmp(head.data, start, sizeof start - 1) != 0)
        return 0;
    int status = 0;
    for (size_t i = AT; i < AT + 3; i++)
        status = 10 * status + (isdigit(head.data[i]) ? head.data[i] - '0' : 0);
    return status;
}

/* Heap, NULL if there is none. */
static char *field_of(struct slice head, const char *name)
{
    size_t length = strlen(name);
    const char *at = (const char *)head.data, *end = at + head.len;
    while (at < end) {
        const char *line = at, *stop = memchr(at, '\n', (size_t)(end - at));
        at = stop ? stop + 1 : end;
        if ((size_t)(at - line) <= length || strncasecmp(line, name, length) || line[length] != ':')
            continue;
        line += length + 1;
        line += strspn(line, " \t");
        return mem_printf("%.*s", (int)strcspn(line, "\r\n"), line);
    }
    return NULL;
}

static bool take_body(struct fetch *f, size_t head,
                      enum err (*on_data)(void *arg, struct slice data, struct failure *why),
                      void *arg)
{
    char *text = field_of(slice_of(f->head.data, head), "Content-Length");
    uint64_t wanted = text ? strtoull(text, NULL, 10) : UINT64_MAX, got = 0;
    struct slice data = slice_of(f->head.data + head, f->head.len - head);
    uint8_t *room = mem_alloc(PIECE);
    bool good = true;
    free(text);
    while (good) {
        got += data.len;
        if (data.len && on_data(arg, data, f->why))
            good = false;
        if (!good || got >= wanted)
            break;
        int n = take(f, room, PIECE);
        good = n >= 0;
        if (n <= 0)
            break;
        data = slice_of(room, (size_t)n);
    }
    free(room);
    if (good && wanted != UINT64_MAX && got != wanted)
        good = fail(f, "the answer is not whole");
    return good;
}

/* One request. *ret_next: where else it is; heap. */
static bool visit(struct fetch *f,
                  enum err (*on_data)(void *arg, struct slice data, struct failure *why), void *arg,
                  char **ret_next)
{
    size_t length;
    char text[64];
    if (!dial(f) || !shake_hands(f) || !ask(f) || !(length = take_head(f)))
        return false;
    struct slice head = slice_of(f->head.data, length);
    int status = status_of(head);
    if (status == 200)
        return take_body(f, length, on_data, arg);
    if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
        *ret_next = field_of(head, "Location");
    if (*ret_next)
        return true;
    snprintf(text, sizeof text, "the answer is %d", status);
    return fail(f, status ? text : "the answer is no HTTP");
}

/* ---- what is spoken ---- */

static int version_of(const char *name)
{
    return strcmp(name, "1.3") == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

static int on_password(char *room, int size, int writing, void *arg)
{
    const char *password = arg;
    size_t n = password ? strlen(password) : 0;
    (void)writing;
    if (!password || size < 0 || n > (size_t)size)
        return -1;
    memcpy(room, password, n);
    return (int)n;
}

static bool set_own_certificate(struct fetch *f)
{
    const struct fetch_options *o = f->options;
    char text[256];
    if (!o->cert_file)
        return true;
    SSL_CTX_set_default_passwd_cb(f->ctx, on_password);
    SSL_CTX_set_default_passwd_cb_userdata(f->ctx, (void *)(uintptr_t)o->password);
    if (SSL_CTX_use_certificate_chain_file(f->ctx, o->cert_file) == 1 && o->key_file &&
        SSL_CTX_use_PrivateKey_file(f->ctx, o->key_file, SSL_FILETYPE_PEM) == 1)
        return true;
    failure_set(f->why, ERR_PRECONDITION_FAILED,
                "cannot load the certificate %s with the key %s: %s", o->cert_file,
                o->key_file ? o->key_file : "that is missing", tls_error_text(text, sizeof text));
    return false;
}

static bool make_context(struct fetch *f)
{
    const struct fetch_options *o = f->options;
    ERR_clear_error();
    f->ctx = SSL_CTX_new(TLS_client_method());
    if (!f->ctx)
        return fail(f, "OpenSSL has no memory for a context");
    SSL_CTX_set_min_proto_version(f->ctx, version_of(o->min_version));
    if (o->max_version)
        SSL_CTX_set_max_proto_version(f->ctx, version_of(o->max_version));
    SSL_CTX_set_verify_depth(f->ctx, o->depth);
    SSL_CTX_set_verify(f->ctx, o->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (o->ca_file && !SSL_CTX_load_verify_file(f->ctx, o->ca_file)) {
        tls_refuse_file(f->why, "the CA file", o->ca_file);
        return false;
    }
    if (!o->ca_file)
        SSL_CTX_set_default_verify_paths(f->ctx);
    return set_own_certificate(f);
}

enum err fetch(const struct fetch_options *options,
               enum err (*on_data)(void *arg, struct slice data, struct failure *why), void *arg,
               struct failure *why)
{
    struct fetch f = {
        .options = options, .deadline_ms = now_ms() + options->timeout_ms, .why = why, .fd = -1};
    bool good = go_to(&f, options->url) && make_context(&f);
    char *next = NULL;
    for (int i = 0; good; i++) {
        good = visit(&f, on_data, arg, &next);
        hang_up(&f);
        if (!next)
            break;
        char *place = place_of(&f, next);
        free(next);
        next = NULL;
        good = i == REDIRECTIONS_MAX ? fail(&f, "too many redirections") : go_to(&f, place);
        free(place);
    }
    drop_place(&f);
    SSL_CTX_free(f.ctx);
    buf_fini(&f.head);
    return good ? ERR_NONE : why->code;
}
