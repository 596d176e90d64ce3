/* The sink's loop: sockets, the shared read buffer, frames, back-pressure. See sink.h.
 *
 * While any consumer's connection holds more than the high mark, no publisher is read: their
 * connections are parked, unread, and taken up again when all are below the low mark. */
#include "perf/sink.h"

#include "perf/command.h"
#include "perf/proc.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    INPUT_OCTETS = 256 * 1024,
    INPUT_MAX = 256 << 20,
    WRITE_NOW = 64 * 1024,
    HIGH_MARK = 1 << 20,
    LOW_MARK = 256 * 1024,
    EVENTS = 256,
    BACKLOG = 4096,
};

void *sink_must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "jackalope-perf: out of memory\n");
        abort();
    }
    return p;
}

static void list_add(struct conn_list *l, struct sink_conn *c)
{
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 64 : 2 * l->cap;
        l->at = sink_must(realloc(l->at, l->cap * sizeof *l->at));
    }
    l->at[l->n++] = c;
}

static void watch(struct sink_conn *c, uint32_t want)
{
    struct epoll_event ev = {.events = want, .data.ptr = c};

    if (c->watched && c->events == want)
        return;
    epoll_ctl(c->sink->epoll, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev);
    c->events = want;
    c->watched = true;
}

static uint32_t wanted(const struct sink_conn *c)
{
    return (c->parked ? 0U : (uint32_t)EPOLLIN) |
           (octets_left(&c->out) > 0 ? (uint32_t)EPOLLOUT : 0U);
}

/* One whose output waits for the end of the turn is left to that: most of it will be written then,
 * and nothing has to be told to epoll. */
static void rewatch(struct sink_conn *c)
{
    if (!c->dead && !c->dirty)
        watch(c, wanted(c));
}

static void kill_conn(struct sink_conn *c)
{
    if (c->dead)
        return;
    c->dead = true;
    close(c->fd);
    sink_cancel_all(c);
    if (c->full)
        c->sink->nfull--;
    list_add(&c->sink->dead, c);
}

static void set_full(struct sink_conn *c)
{
    size_t left = octets_left(&c->out);
    bool full = c->full ? left > LOW_MARK : left > HIGH_MARK;

    if (full == c->full)
        return;
    c->full = full;
    c->sink->nfull += full ? 1U : -1U;
}

static void write_out(struct sink_conn *c)
{
    while (!c->dead && octets_left(&c->out) > 0) {
        ssize_t n = send(c->fd, c->out.data + c->out.off, octets_left(&c->out), MSG_NOSIGNAL);
        if (n > 0)
            c->out.off += (size_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            kill_conn(c);
    }
    if (!c->dead)
        set_full(c);
}

void sink_touch(struct sink_conn *c)
{
    if (c->dead)
        return;
    if (!c->dirty) {
        c->dirty = true;
        list_add(&c->sink->dirty, c);
    }
    size_t left = octets_left(&c->out);
    if (left > WRITE_NOW && !sink_log_due(c->sink->log) && !c->full &&
        (c->events & (uint32_t)EPOLLOUT) == 0)
        write_out(c);
    else if (left > HIGH_MARK)
        set_full(c);
}

/* More of the backlogs, now that there is room. */
static void pump(struct sink_conn *c)
{
    for (uint32_t i = 0; !c->dead && !c->full && i < c->nconsumers; i++) {
        struct sink_queue *q = c->consumers[i]->queue;
        if (q != NULL && q->ready > 0)
            sink_queue_pump(q);
    }
}

/* At the end of a turn: one write a connection. A pump puts its connection on the list again, so
 * that it ends with an empty backlog or a socket that is full. */
static void flush_dirty(struct sink *s)
{
    if (sink_log_due(s->log))
        sink_log_sync(s->log);
    for (uint32_t i = 0; i < s->dirty.n; i++) {
        struct sink_conn *c = s->dirty.at[i];
        c->dirty = false;
        if (c->dead)
            continue;
        write_out(c);
        pump(c);
        if (c->closing && octets_left(&c->out) == 0) {
            kill_conn(c);
            continue;
        }
        if (!c->dead)
            watch(c, wanted(c));
    }
    s->dirty.n = 0;
}

static void confirm_all(struct sink_conn *c)
{
    for (uint32_t i = 1; i < c->nchannels; i++) {
        struct sink_channel *ch = &c->channels[i];
        if (!ch->confirms || ch->confirmed == ch->publish_tag)
            continue;
        ch->confirmed = ch->publish_tag;
        ack_put(octets_add(&c->out, ACK_FRAME_SIZE), (uint16_t)i, ch->publish_tag, true);
        sink_touch(c);
    }
}

/* The frame at d: its whole size, 0 if it is not all there, or -1 if it is bad. */
static ssize_t frame_size(const uint8_t *d, size_t n)
{
    if (n < FRAME_OVERHEAD)
        return 0;
    size_t size = (size_t)get_u32(d + 3) + FRAME_OVERHEAD;
    if (size > INPUT_MAX)
        return -1;
    if (n < size)
        return 0;
    return d[size - 1] == FRAME_END ? (ssize_t)size : -1;
}

/* Header and body frames at d, which has n octets; as frame_size. */
static ssize_t content_size(const uint8_t *d, size_t n)
{
    ssize_t at = frame_size(d, n);

    if (at <= 0)
        return at;
    if (d[0] != FRAME_HEADER || at < 14 + FRAME_OVERHEAD)
        return -1;
    uint64_t left = get_u64(d + 7 + 4);
    while (left > 0) {
        ssize_t size = frame_size(d + at, n - (size_t)at);
        if (size <= 0)
            return size;
        uint64_t body = (uint64_t)size - FRAME_OVERHEAD;
        if (d[at] != FRAME_BODY || body > left)
            return -1;
        left -= body;
        at += size;
    }
    return at;
}

/* A basic.publish of `size` octets at d; the octets of the whole message, or as frame_size. */
static ssize_t on_publish(struct sink_conn *c, uint16_t channel, const uint8_t *d, ssize_t size,
                          size_t n)
{
    const uint8_t *route = d + 7 + 4 + 2;
    const uint8_t *end = d + size - 2; /* where the flags octet is */

    if (channel >= c->nchannels || route >= end || route + 1 + route[0] >= end)
        return -1;
    uint32_t route_len = 1U + route[0];
    route_len += 1U + route[route_len];
    if (route + route_len != end)
        return -1;
    ssize_t content = content_size(d + size, n - (size_t)size);
    if (content <= 0)
        return content;
    struct sink_message m = {route, route_len, d + size, (size_t)content};
    sink_publish(c, &m);
    c->channels[channel].publish_tag++;
    sink_log_add(c->sink->log, (size_t)(size + content), c->channels[channel].confirms);
    return size + content;
}

/* Handles what is whole in [d, d + n); returns how much that was, or -1. */
static ssize_t parse(struct sink_conn *c, const uint8_t *d, size_t n)
{
    size_t at = 0;

    if (!c->greeted) {
        if (n < 8)
            return 0;
        if (memcmp(d, "AMQP", 4) != 0)
            return -1;
        c->greeted = true;
        sink_greet(c);
        at = 8;
    }
    while (!c->dead && !c->closing) {
        ssize_t size = frame_size(d + at, n - at);
        if (size == 0)
            break;
        if (size < 0)
            return -1;
        uint16_t channel = get_u16(d + at + 1);
        if (d[at] == FRAME_METHOD && size >= 4 + FRAME_OVERHEAD) {
            if (get_u32(d + at + 7) == BASIC_PUBLISH) {
                c->publisher = true;
                if (c->sink->nfull > 0)
                    break;
                size = on_publish(c, channel, d + at, size, n - at);
                if (size == 0)
                    break;
            } else if (!sink_method(c, channel, d + at + 7, (size_t)size - FRAME_OVERHEAD)) {
                return -1;
            }
        } else if (d[at] != FRAME_HEARTBEAT) {
            return -1;
        }
        if (size < 0)
            return -1;
        at += (size_t)size;
    }
    if (c->confirms)
        confirm_all(c);
    return (ssize_t)at;
}

static bool grow_input(struct sink *s, size_t wanted_octets)
{
    while (s->input_cap < wanted_octets && s->input_cap < INPUT_MAX)
        s->input_cap *= 2;
    s->input = sink_must(realloc(s->input, s->input_cap));
    return s->input_cap >= wanted_octets;
}

static void on_readable(struct sink_conn *c, bool parked)
{
    struct sink *s = c->sink;
    size_t have = octets_left(&c->in);

    if (have + INPUT_OCTETS / 2 > s->input_cap && !grow_input(s, have + INPUT_OCTETS)) {
        kill_conn(c);
        return;
    }
    if (have > 0)
        memcpy(s->input, c->in.data + c->in.off, have);
    if (!parked) {
        ssize_t n = recv(c->fd, s->input + have, s->input_cap - have, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            kill_conn(c);
            return;
        }
        have += n > 0 ? (size_t)n : 0;
    }
    ssize_t used = parse(c, s->input, have);
    if (used < 0) {
        kill_conn(c);
        return;
    }
    c->in.off = c->in.len = 0;
    put_bytes(&c->in, s->input + used, have - (size_t)used);
    if (c->in.len == 0 && c->in.cap > 0)
        octets_fini(&c->in);
}

static void park(struct sink_conn *c)
{
    c->parked = true;
    rewatch(c);
    list_add(&c->sink->parked, c);
}

static void on_event(struct sink_conn *c, uint32_t events)
{
    if (c->dead)
        return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        kill_conn(c);
        return;
    }
    if (events & EPOLLOUT)
        sink_touch(c);
    if ((events & EPOLLIN) && !c->parked) {
        if (!c->publisher || c->sink->nfull == 0)
            on_readable(c, false);
        if (!c->dead && c->publisher && c->sink->nfull > 0)
            park(c);
    }
    rewatch(c);
}

static void unpark(struct sink *s)
{
    while (s->parked.n > 0 && s->nfull == 0) {
        struct sink_conn *c = s->parked.at[--s->parked.n];
        c->parked = false;
        if (c->dead)
            continue;
        on_readable(c, true);
        if (c->dead)
            continue;
        if (s->nfull > 0)
            park(c);
        else
            rewatch(c);
    }
}

static void on_accept(struct sink *s)
{
    for (;;) {
        int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int on = 1;
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct sink_conn *c = sink_must(calloc(1, sizeof *c));
        c->sink = s;
        c->fd = fd;
        watch(c, wanted(c));
    }
}

static void bury(struct sink *s)
{
    if (s->dead.n == 0)
        return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->parked.n; i++)
        if (!s->parked.at[i]->dead)
            s->parked.at[kept++] = s->parked.at[i];
    s->parked.n = kept;
    for (uint32_t i = 0; i < s->dead.n; i++) {
        struct sink_conn *c = s->dead.at[i];
        octets_fini(&c->in);
        octets_fini(&c->out);
        free(c->channels);
        free(c->consumers);
        free(c);
    }
    s->dead.n = 0;
}

static int listen_unix(const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof un.sun_path)
        return -1;
    memcpy(un.sun_path, path, strlen(path) + 1);
    unlink(path);
    if (bind(fd, (struct sockaddr *)&un, sizeof un) != 0 || listen(fd, BACKLOG) != 0)
        return -1;
    return fd;
}

static int listen_tcp(const char *where)
{
    char host[256];
    const char *colon = strrchr(where, ':');
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list;
    int on = 1;

    if (colon == NULL || (size_t)(colon - where) >= sizeof host) {
        errno = EINVAL;
        return -1;
    }
    bool brackets = where[0] == '[' && colon > where && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - where) - 2 * brackets, where + brackets);
    if (getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &hints, &list) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool ok = fd >= 0 && bind(fd, list->ai_addr, list->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    freeaddrinfo(list);
    return ok ? fd : -1;
}

static void loop(struct sink *s)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &s->listener)
                on_accept(s);
            else if (events[i].data.ptr == s)
                return;
            else
                on_event(events[i].data.ptr, events[i].events);
        }
        flush_dirty(s);
        while (s->nfull == 0 && s->parked.n > 0) {
            unpark(s);
            flush_dirty(s);
        }
        bury(s);
    }
}

int command_sink(const struct options *o)
{
    static struct sink s;
    sigset_t stop;

    proc_raise_files();
    s.listener =
        strncmp(o->listen, "unix:", 5) == 0 ? listen_unix(o->listen + 5) : listen_tcp(o->listen);
    if (s.listener < 0) {
        fprintf(stderr, "jackalope-perf: cannot listen on %s: %s\n", o->listen, strerror(errno));
        return EX_UNAVAILABLE;
    }
    if (o->sync != NULL && (s.log = sink_log_open(o->sync)) == NULL) {
        fprintf(stderr, "jackalope-perf: cannot make %s: %s\n", o->sync, strerror(errno));
        return EX_CANTCREAT;
    }
    s.input_cap = INPUT_OCTETS;
    s.input = sink_must(malloc(s.input_cap));
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    int signals = signalfd(-1, &stop, SFD_CLOEXEC);
    epoll_ctl(s.epoll, EPOLL_CTL_ADD, s.listener,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = &s.listener});
    epoll_ctl(s.epoll, EPOLL_CTL_ADD, signals,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = &s});
    if (!o->quiet)
        fprintf(stderr, "jackalope-perf: sink listens on %s\n", o->listen);
    loop(&s);
    if (strncmp(o->listen, "unix:", 5) == 0)
        unlink(o->listen + 5);
    sink_free_all(&s);
    sink_log_close(s.log);
    free(s.input);
    return EX_OK;
}
