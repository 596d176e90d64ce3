/* From "127.0.0.1:5672", "[::1]:5672", ":5672", "localhost:5672" or "unix:/path" to listening
 * sockets. "All addresses" are two sockets, each for its own family, so that no peer shows up with
 * an IPv4-mapped address. */
#include "net/bind.h"

#include "base/mem.h"
#include "net/endpoint.h"
#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, UNIX_MODE = 0660 };

static enum err refuse(struct failure *why, const char *text, const char *reason)
{
    return failure_set(why, ERR_RESOURCE_ERROR, "cannot listen on %s: %s", text, reason);
}

static enum err refuse_errno(struct failure *why, const char *text)
{
    return refuse(why, text, strerrordesc_np(errno));
}

/* Accepted sockets inherit all of it. A size of 0 is left to the system, so is one that was set
 * before. */
static void set_options(int fd, const struct socket_options *o)
{
    /* with a time, close would block the shard; without, the system writes on behind our back */
    struct linger linger = {.l_onoff = o->reset_on_close};
    int nodelay = !o->delay, keepalive = !o->no_keepalive;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, sizeof keepalive);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof nodelay);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &o->send_timeout_ms, sizeof o->send_timeout_ms);
    if (o->sndbuf)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &o->sndbuf, sizeof o->sndbuf);
    if (o->recbuf)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &o->recbuf, sizeof o->recbuf);
}

/* ---- unix ---- */

/* Removes a socket file that nobody listens on; false if the path cannot be used. */
static bool clear_path(const struct sockaddr_un *un, const char **ret_reason)
{
    struct stat st;
    if (lstat(un->sun_path, &st) < 0)
        return true; /* bind tells what is wrong with it */
    if (!S_ISSOCK(st.st_mode)) {
        *ret_reason = "the file exists and is no socket";
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 &&
                 (errno == ECONNREFUSED || errno == ENOENT);
    if (fd >= 0)
        close(fd);
    if (stale)
        unlink(un->sun_path);
    return true;
}

static enum err bind_unix(const char *text, int backlog, unsigned mode, struct bound *b,
                          struct failure *why)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *path = text + strlen("unix:");
    const char *reason = NULL;
    struct stat st;
    if (!*path)
        return refuse(why, text, "the path is empty");
    if (strlen(path) >= sizeof un.sun_path)
        return refuse(why, text, "the path of a unix socket has at most 107 bytes");
    memcpy(un.sun_path, path, strlen(path));
    if (!clear_path(&un, &reason))
        return refuse(why, text, reason);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return refuse_errno(why, text);
    fchmod(fd, mode); /* bind gives the file no more than this */
    bool bound = bind(fd, (const struct sockaddr *)&un, sizeof un) == 0;
    if (!bound || chmod(path, mode) < 0 || listen(fd, backlog) < 0 || lstat(path, &st) < 0) {
        enum err err = refuse_errno(why, text);
        if (bound)
            unlink(path);
        close(fd);
        return err;
    }
    b->fds[b->count++] = fd;
    b->unix_path = mem_strdup(path);
    b->unix_dev = st.st_dev;
    b->unix_ino = st.st_ino;
    snprintf(b->address, sizeof b->address, "%s", text);
    return ERR_NONE;
}

/* ---- TCP ---- */

static bool parse_port(const char *text, uint16_t *ret_port)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || value > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)value;
    return true;
}

/* "[::1]:5672" to "::1" and 5672; an empty host means all. */
static bool split(const char *text, char *host, size_t room, uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !parse_port(colon + 1, ret_port))
        return false;
    const char *from = text;
    size_t n = (size_t)(colon - text);
    if (n && from[0] == '[') {
        if (n < 3 || from[n - 1] != ']')
            return false;
        from++;
        n -= 2;
    } else if (memchr(from, ':', n)) {
        return false; /* an IPv6 address wants brackets */
    }
    if (n >= room)
        return false;
    memcpy(host, from, n);
    host[n] = 0;
    if (strcmp(host, "*") == 0)
        host[0] = 0;
    return true;
}

static int open_socket(const struct addrinfo *ai, int backlog, const struct socket_options *options)
{
    static const int on = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    set_options(fd, options); /* before listen: the window is offered by the buffer's size */
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, backlog) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void set_port(struct addrinfo *ai, uint16_t port)
{
    if (ai->ai_family == AF_INET)
        ((struct sockaddr_in *)(void *)ai->ai_addr)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)(void *)ai->ai_addr)->sin6_port = htons(port);
}

static struct endpoint local_of(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    getsockname(fd, (struct sockaddr *)&sa, &len);
    return endpoint_of(&sa);
}

/* /etc/hosts may name an address twice. */
static bool bound_already(const struct bound *b, const struct addrinfo *ai)
{
    struct sockaddr_storage sa = {0};
    memcpy(&sa, ai->ai_addr, ai->ai_addrlen);
    struct endpoint wanted = endpoint_of(&sa);
    for (int i = 0; i < b->count; i++) {
        struct endpoint local = local_of(b->fds[i]);
        if (memcmp(&local, &wanted, sizeof local) == 0)
            return true;
    }
    return false;
}

/* Binds every address of the list. One of a family that this machine does not have is left out, if
 * another one can be had. */
static enum err bind_all(struct addrinfo *list, const char *text, uint16_t port, int backlog,
                         const struct socket_options *options, struct bound *b, struct failure *why)
{
    int missing = 0;
    for (struct addrinfo *ai = list; ai && b->count < BOUND_MAX; ai = ai->ai_next) {
        if (ai->ai_family != AF_INET && ai->ai_family != AF_INET6)
            continue;
        set_port(ai, port);
        if (bound_already(b, ai))
            continue;
        int fd = open_socket(ai, backlog, options);
        if (fd >= 0) {
            b->fds[b->count++] = fd;
            port = local_of(fd).port;
        } else if (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) {
            missing = errno;
        } else {
            return refuse_errno(why, text);
        }
    }
    if (b->count)
        return ERR_NONE;
    errno = missing ? missing : EADDRNOTAVAIL;
    return refuse_errno(why, text);
}

static enum err bind_tcp(const char *text, int backlog, const struct socket_options *options,
                         struct bound *b, struct failure *why)
{
    char host[256], port_text[8];
    uint16_t port;
    struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    if (!split(text, host, sizeof host, &port))
        return failure_set(why, ERR_SYNTAX_ERROR,
                           "'%s' is no address to listen on: want HOST:PORT, [IPV6]:PORT, :PORT or "
                           "unix:PATH",
                           text);
    snprintf(port_text, sizeof port_text, "%u", port);
    int error = getaddrinfo(host[0] ? host : NULL, port_text, &hints, &list);
    if (error)
        return refuse(why, text, gai_strerror(error));
    enum err err = bind_all(list, text, port, backlog, options, b, why);
    freeaddrinfo(list);
    if (err)
        return err;
    /* of all addresses the IPv6 form stands for both, as in other brokers' listings */
    char room[ENDPOINT_TEXT_MAX];
    struct endpoint local = local_of(b->fds[0]);
    for (int i = 1; i < b->count && !host[0]; i++) {
        struct endpoint other = local_of(b->fds[i]);
        if (other.family == AF_INET6)
            local = other;
    }
    snprintf(b->address, sizeof b->address, "%s", endpoint_text(&local, room));
    return ERR_NONE;
}

/* ---- both ---- */

enum err bind_address(const char *text, int backlog, unsigned unix_mode,
                      const struct socket_options *options, struct bound *ret_bound,
                      struct failure *why)
{
    struct bound b = {0};
    enum err err;
    if (backlog <= 0)
        backlog = BACKLOG;
    if (strncmp(text, "unix:", 5) == 0)
        err = bind_unix(text, backlog, unix_mode ? unix_mode : UNIX_MODE, &b, why);
    else
        err = bind_tcp(text, backlog, options, &b, why);
    if (err)
        bound_close(&b);
    else
        *ret_bound = b;
    return err;
}

/* On Linux a listening TCP socket that is shut down is closed, with its backlog, but can listen
 * again. */
void bound_suspend(const struct bound *b)
{
    for (int i = 0; i < b->count && !b->unix_path; i++)
        shutdown(b->fds[i], SHUT_RDWR);
}

enum err bound_resume(const struct bound *b, int backlog, struct failure *why)
{
    for (int i = 0; i < b->count && !b->unix_path; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        getsockname(b->fds[i], (struct sockaddr *)&sa, &len);
        bool bound = bind(b->fds[i], (struct sockaddr *)&sa, len) == 0 || errno == EINVAL;
        if (!bound || listen(b->fds[i], backlog > 0 ? backlog : BACKLOG) < 0)
            return refuse_errno(why, b->address);
    }
    return ERR_NONE;
}

void bound_set_options(const struct bound *b, int backlog, const struct socket_options *options)
{
    for (int i = 0; i < b->count; i++) {
        if (!b->unix_path)
            set_options(b->fds[i], options);
        if (backlog > 0)
            listen(b->fds[i], backlog);
    }
}

void bound_close(struct bound *b)
{
    struct stat st;
    if (b->unix_path && lstat(b->unix_path, &st) == 0 && st.st_dev == b->unix_dev &&
        st.st_ino == b->unix_ino)
        unlink(b->unix_path);
    for (int i = 0; i < b->count; i++)
        close(b->fds[i]);
    free(b->unix_path);
    *b = (struct bound){0};
}
