/* Parsing of AMQP URIs and the connecting socket. No state. */
#include "perf/uri.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Copies [s, e) into dst, decoding %XX; false if it does not fit or an escape is malformed. */
static bool decode(char *dst, size_t cap, const char *s, const char *e)
{
    size_t n = 0;

    while (s < e) {
        if (n + 1 >= cap)
            return false;
        if (*s == '%') {
            int hi = e - s > 2 ? hex_digit(s[1]) : -1;
            int lo = e - s > 2 ? hex_digit(s[2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return false;
            dst[n++] = (char)(hi << 4 | lo);
            s += 3;
        } else {
            dst[n++] = *s++;
        }
    }
    dst[n] = '\0';
    return true;
}

static bool parse_userinfo(struct uri *uri, const char *s, const char *at)
{
    const char *colon = memchr(s, ':', (size_t)(at - s));

    if (colon == NULL)
        return decode(uri->user, sizeof uri->user, s, at);
    return decode(uri->user, sizeof uri->user, s, colon) &&
           decode(uri->password, sizeof uri->password, colon + 1, at);
}

static bool parse_hostport(struct uri *uri, const char *s, const char *e)
{
    const char *colon;

    if (s < e && *s == '[') {
        const char *close = memchr(s, ']', (size_t)(e - s));
        if (close == NULL || !decode(uri->host, sizeof uri->host, s + 1, close))
            return false;
        colon = close + 1 < e ? close + 1 : NULL;
        if (colon != NULL && *colon != ':')
            return false;
    } else {
        colon = memchr(s, ':', (size_t)(e - s));
        const char *end = colon != NULL ? colon : e;
        if (end > s && !decode(uri->host, sizeof uri->host, s, end))
            return false;
    }
    return colon == NULL || decode(uri->port, sizeof uri->port, colon + 1, e);
}

static bool parse_query(struct uri *uri, const char *query, const char **why_)
{
    static const char key[] = "socket=";

    if (strncmp(query, key, sizeof key - 1) != 0) {
        *why_ = "the only query parameter known is socket=PATH";
        return false;
    }
    query += sizeof key - 1;
    if (!decode(uri->path, sizeof uri->path, query, query + strlen(query))) {
        *why_ = "the socket path is too long";
        return false;
    }
    return true;
}

bool uri_parse(struct uri *uri, const char *text, const char **why_)
{
    *uri = (struct uri){
        .user = "guest", .password = "guest", .vhost = "/", .host = "127.0.0.1", .port = "5672"};

    if (strncmp(text, "unix:", 5) == 0 || text[0] == '/') {
        const char *path = text[0] == '/' ? text : text + 5;
        *why_ = "the socket path is too long";
        return decode(uri->path, sizeof uri->path, path, path + strlen(path));
    }
    if (strncasecmp(text, "amqps:", 6) == 0) {
        *why_ = "TLS is not spoken; use amqp://";
        return false;
    }
    const char *s = text;
    const char *scheme_end = strstr(text, "://");
    if (scheme_end != NULL) {
        s = scheme_end + 3;
        if (strncasecmp(text, "amqp", 4) != 0) {
            *why_ = "the scheme must be amqp";
            return false;
        }
    }

    const char *query = strchr(s, '?');
    const char *end = query != NULL ? query : s + strlen(s);
    const char *slash = memchr(s, '/', (size_t)(end - s));
    const char *host_end = slash != NULL ? slash : end;
    const char *at = NULL;
    for (const char *p = s; p < host_end; p++)
        if (*p == '@')
            at = p;

    *why_ = "not of the form amqp://user:password@host:port/vhost";
    if (at != NULL && !parse_userinfo(uri, s, at))
        return false;
    if (!parse_hostport(uri, at != NULL ? at + 1 : s, host_end))
        return false;
    if (slash != NULL && slash + 1 < end && !decode(uri->vhost, sizeof uri->vhost, slash + 1, end))
        return false;
    return query == NULL || parse_query(uri, query + 1, why_);
}

bool uri_resolve(struct uri *uri, const char **why_)
{
    if (uri->path[0] != '\0') {
        struct sockaddr_un *un = (struct sockaddr_un *)&uri->addr;
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof un->sun_path, "%s", uri->path);
        uri->addr_len = sizeof *un;
        return true;
    }

    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(uri->host, uri->port, &hints, &list);
    if (rc != 0) {
        *why_ = gai_strerror(rc);
        return false;
    }
    memcpy(&uri->addr, list->ai_addr, list->ai_addrlen);
    uri->addr_len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

int uri_connect(const struct uri *uri)
{
    int fd = socket(uri->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (uri->addr.ss_family != AF_UNIX) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    /* A full backlog of a unix listener says EAGAIN: wait a little for it. */
    for (int tries = 0;; tries++) {
        if (connect(fd, (const struct sockaddr *)&uri->addr, uri->addr_len) == 0 ||
            errno == EINPROGRESS)
            return fd;
        if (errno != EAGAIN || uri->addr.ss_family != AF_UNIX || tries == 1000)
            break;
        usleep(1000);
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}
