/* A socket an address, which never blocks: who starts a probe looks at it again and again. */
#include "admin/probe.h"

#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct target {
    char *address;
    int fd; /* -1: decided */
    bool good;
};

struct probe {
    struct target *targets;
    size_t count, cap;
};

union place {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static socklen_t parse_local(const char *path, union place *ret)
{
    ret->local.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof ret->local.sun_path)
        return 0;
    memcpy(ret->local.sun_path, path, strlen(path) + 1);
    return sizeof ret->local;
}

/* "all addresses" are tried at that of the loopback. */
static socklen_t parse(const char *address, union place *ret)
{
    char host[64] = "";
    const char *colon = strrchr(address, ':');
    memset(ret, 0, sizeof *ret);
    if (!strncmp(address, "unix:", 5))
        return parse_local(address + 5, ret);
    bool v6 = *address == '[';
    size_t length = colon ? (size_t)(colon - address) : 0;
    if (length < 3 || length >= sizeof host)
        return 0;
    memcpy(host, address + v6, length - (v6 ? 2 : 0));
    in_port_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (v6) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = port;
        if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) != 1)
            return 0;
        if (IN6_IS_ADDR_UNSPECIFIED(&ret->v6.sin6_addr))
            ret->v6.sin6_addr = in6addr_loopback;
        return sizeof ret->v6;
    }
    ret->v4.sin_family = AF_INET;
    ret->v4.sin_port = port;
    if (inet_pton(AF_INET, host, &ret->v4.sin_addr) != 1)
        return 0;
    if (!ret->v4.sin_addr.s_addr)
        ret->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof ret->v4;
}

static void decide(struct target *t, bool good)
{
    t->good = good;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

static void start(struct target *t)
{
    union place place;
    socklen_t length = parse(t->address, &place);
    t->fd =
        length ? socket(place.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (t->fd >= 0 && connect(t->fd, &place.any, length) == 0)
        decide(t, true);
    else if (t->fd >= 0 && errno != EINPROGRESS)
        decide(t, false);
}

struct probe *probe_new(struct slice addresses)
{
    struct probe *p = NEW(struct probe);
    while (addresses.len) {
        const uint8_t *blank = memchr(addresses.data, ' ', addresses.len);
        size_t n = blank ? (size_t)(blank - addresses.data) : addresses.len;
        MEM_GROW(p->targets, p->cap, p->count + 1);
        struct target *t = &p->targets[p->count++];
        *t = (struct target){.address = mem_printf("%.*s", (int)n, addresses.data), .fd = -1};
        start(t);
        n += blank != NULL;
        addresses = slice_of(addresses.data + n, addresses.len - n);
    }
    return p;
}

void probe_free(struct probe **probe)
{
    struct probe *p = *probe;
    *probe = NULL;
    for (size_t i = 0; p && i < p->count; i++) {
        decide(&p->targets[i], false);
        free(p->targets[i].address);
    }
    if (p)
        free(p->targets);
    free(p);
}

/* Connected, refused, or neither yet. */
static void look(struct target *t)
{
    struct pollfd fd = {.fd = t->fd, .events = POLLOUT};
    int error = 0;
    socklen_t length = sizeof error;
    if (poll(&fd, 1, 0) <= 0)
        return;
    bool known = getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0;
    decide(t, known && !error);
}

bool probe_look(struct probe *p)
{
    bool all = true;
    for (size_t i = 0; i < p->count; i++) {
        if (p->targets[i].fd >= 0)
            look(&p->targets[i]);
        all = all && p->targets[i].fd < 0;
    }
    return all;
}

void probe_put_failed(const struct probe *p, struct buf *out)
{
    for (size_t i = 0; i < p->count; i++) {
        if (!p->targets[i].good)
            buf_printf(out, "%s%s", out->len ? ", " : "", p->targets[i].address);
    }
}
