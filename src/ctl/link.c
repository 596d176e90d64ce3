/* A blocking socket, waited for with poll. */
#include "ctl/link.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, LINE_MAX_BYTES = 64 * 1024 * 1024 };

int link_open(struct link *link, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path));
    *link = (struct link){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (link->fd >= 0 && connect(link->fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return 0;
    int error = errno;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    errno = error;
    return -1;
}

void link_close(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    buf_fini(&link->in);
}

static enum link_state wait_for(const struct link *link, short events)
{
    for (;;) {
        struct pollfd p = {.fd = link->fd, .events = events};
        int wait_ms = link->on_idle ? LINK_IDLE_MS : -1;
        if (link->deadline_ms) {
            uint64_t now = clock_mono_ns() / 1000000;
            if (now >= link->deadline_ms)
                return LINK_LATE;
            int left_ms = (int)(link->deadline_ms - now);
            wait_ms = wait_ms >= 0 && wait_ms < left_ms ? wait_ms : left_ms;
        }
        int n = poll(&p, 1, wait_ms);
        if (n > 0)
            return LINK_OK;
        if (n < 0 && errno != EINTR)
            return LINK_ENDED;
        if (n == 0 && link->on_idle)
            link->on_idle(link->arg);
    }
}

enum link_state link_send(struct link *link, struct slice line)
{
    while (line.len) {
        enum link_state state = wait_for(link, POLLOUT);
        if (state != LINK_OK)
            return state;
        ssize_t n = send(link->fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return LINK_ENDED;
        if (n > 0)
            line = slice_of(line.data + n, line.len - (size_t)n);
    }
    return LINK_OK;
}

static bool find_line(struct link *link, size_t from, struct slice *ret_line)
{
    const uint8_t *newline =
        link->in.len > from ? memchr(link->in.data + from, '\n', link->in.len - from) : NULL;
    if (!newline)
        return false;
    *ret_line =
        slice_of(link->in.data + link->read, (size_t)(newline - link->in.data) - link->read);
    link->read = (size_t)(newline - link->in.data) + 1;
    return true;
}

static void drop_read(struct link *link)
{
    buf_shift(&link->in, link->read);
    link->read = 0;
}

static enum link_state read_more(struct link *link)
{
    enum link_state state = wait_for(link, POLLIN);
    if (state != LINK_OK)
        return state;
    ssize_t n = recv(link->fd, buf_reserve(&link->in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return LINK_ENDED;
    if (n > 0)
        link->in.len += (size_t)n;
    return LINK_OK;
}

enum link_state link_receive(struct link *link, struct slice *ret_line)
{
    if (find_line(link, link->read, ret_line))
        return LINK_OK;
    drop_read(link);
    while (link->in.len < LINE_MAX_BYTES) {
        size_t seen = link->in.len;
        enum link_state state = read_more(link);
        if (state != LINK_OK)
            return state;
        if (find_line(link, seen, ret_line))
            return LINK_OK;
    }
    return LINK_ENDED;
}

enum link_state link_receive_bytes(struct link *link, size_t max, struct slice *ret_bytes)
{
    while (link->read == link->in.len) {
        drop_read(link);
        enum link_state state = read_more(link);
        if (state != LINK_OK)
            return state;
    }
    size_t n = link->in.len - link->read;
    *ret_bytes = slice_of(link->in.data + link->read, n < max ? n : max);
    link->read += ret_bytes->len;
    return LINK_OK;
}

bool link_has_news(const struct link *link)
{
    struct pollfd p = {.fd = link->fd, .events = POLLIN};
    return link->in.len > link->read || poll(&p, 1, 0) > 0;
}
