/* Where a broker listens: an AMQP URI or the path of a unix socket. */
#ifndef PERF_URI_H
#define PERF_URI_H

#include <stdbool.h>
#include <sys/socket.h>

struct uri {
    char user[256];
    char password[256];
    char vhost[256];
    char host[256];
    char port[8];
    char path[108]; /* of a unix socket; empty means TCP */
    struct sockaddr_storage addr;
    socklen_t addr_len;
};

/* Reads "amqp://user:password@host:port/vhost" (every part optional, %XX decoded) or "unix:/path"
 * (also "amqp+unix://user:password@/vhost?socket=/path"). On false, *why_ says what is wrong. */
bool uri_parse(struct uri *uri, const char *text, const char **why_);

/* Looks the host up and fills addr. */
bool uri_resolve(struct uri *uri, const char **why_);

/* A socket whose connect has begun (non-blocking); -1 and errno on failure. */
int uri_connect(const struct uri *uri);

#endif
