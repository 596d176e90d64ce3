/* Streams: input, output and the end of a connection, on the shard that owns it. A stream is freed
 * by its own deferred end alone, so no caller loses it under its feet; on_data, on_drained and
 * on_closed never run inside a call of the handler's owner.
 *
 * States: OPENING (see opening.c) -> OPEN -> CLOSING -> LINGERING -> DEAD, any to DEAD at once. */
#include "net/stream.h"

#include "base/bug.h"
#include "base/mem.h"
#include "net/stream_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IOV_BATCH = 256, SILENT_BATCH = 64 };

static void check(const struct stream *s)
{
    check_magic(s, STREAM_MAGIC);
#ifdef JK_DEBUG
    bug_on(s->net->shard != shard_self());
#endif
}

const char *stream_error(int error)
{
    switch (error) {
    case ECONNRESET:
        return "connection reset by peer";
    case EPIPE:
        return "peer closed the connection";
    case ETIMEDOUT:
        return "connection timed out";
    default:
        return strerrordesc_np(error);
    }
}

/* ---- what the loop watches ---- */

void stream_want(struct stream *s, unsigned events)
{
    if (events != s->want) {
        s->want = events;
        io_want(s->io, events);
    }
    bool silent = events == 0 && s->state == STREAM_OPEN;
    if (silent == !list_empty(&s->silent_link))
        return;
    list_remove(&s->silent_link);
    if (!silent)
        return;
    list_append(&s->net->silent, &s->silent_link);
    if (!timer_is_set(&s->net->silent_check))
        timer_set(&s->net->silent_check, STREAM_SILENT_CHECK_MS);
}

static unsigned wanted(const struct stream *s)
{
    bool write = s->blocked || s->read_blocked;
    switch (s->state) {
    case STREAM_OPEN:
        return (stream_takes_input(s) ? IO_READ : 0) | (write ? IO_WRITE : 0);
    case STREAM_CLOSING:
        return (s->peer_ended ? 0 : IO_READ) | (write ? IO_WRITE : 0);
    case STREAM_LINGERING:
        return IO_READ;
    default:
        return 0;
    }
}

void stream_watch(struct stream *s)
{
    stream_want(s, wanted(s));
}

void stream_watch_lazily(struct stream *s)
{
    unsigned events = wanted(s);
    if (s->state == STREAM_OPEN)
        events |= s->want & IO_READ;
    stream_want(s, events);
}

/* ---- the end ---- */

void stream_finish(struct stream *s, const char *why)
{
    if (s->state == STREAM_DEAD)
        return;
    s->state = STREAM_DEAD;
    s->why = mem_strdup(why);
    timer_stop(&s->timer);
    stream_watch(s);
    shard_defer(s->net->shard, DEFER_POST, &s->end);
}

void stream_free_now(struct stream *s)
{
    io_free(&s->io);
    if (s->handler)
        s->handler->on_closed(s->arg, s->why);
    tls_session_free(&s->tls);
    opening_free(&s->opening);
    close(s->fd);
    timer_stop(&s->timer);
    deferred_cancel(&s->flush);
    deferred_cancel(&s->again);
    deferred_cancel(&s->relief);
    deferred_cancel(&s->end);
    list_remove(&s->link);
    list_remove(&s->silent_link);
    output_fini(&s->head.out);
    listener_share_unref(&s->listener);
    free(s->rest.data);
    free(s->why);
    free(s->info_text);
    s->magic = 0;
    free(s);
}

static void on_end(struct deferred *d)
{
    stream_free_now(list_entry(d, struct stream, end));
}

/* ---- output ---- */

static bool write_plain(struct stream *s, const char **ret_why)
{
    struct output *o = &s->head.out;
    while (output_pending(o)) {
        struct iovec iov[IOV_BATCH];
        size_t total;
        int count = output_peek(o, iov, IOV_BATCH, &total);
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)count};
        ssize_t n = count == 1 ? send(s->fd, iov[0].iov_base, total, MSG_NOSIGNAL)
                               : sendmsg(s->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            *ret_why = stream_error(errno);
            return false;
        }
        if (n > 0) {
            s->bytes_out += (uint64_t)n;
            output_advance(o, (size_t)n);
        }
        if (n < 0 || (size_t)n < total) {
            s->blocked = true;
            break;
        }
    }
    return true;
}

static bool write_tls(struct stream *s, const char **ret_why)
{
    struct output *o = &s->head.out;
    while (output_pending(o)) {
        struct iovec iov;
        size_t total, n = 0;
        output_peek(o, &iov, 1, &total);
        enum tls_result r = tls_session_write(s->tls, iov.iov_base, total, &n);
        if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
            s->blocked = true;
            break;
        }
        if (r != TLS_OK) {
            *ret_why = r == TLS_EOF ? stream_error(EPIPE) : tls_session_why(s->tls);
            return false;
        }
        s->bytes_out += n;
        output_advance(o, n);
    }
    return true;
}

static void half_close(struct stream *s)
{
    if (s->peer_ended) {
        stream_finish(s, "closed");
        return;
    }
    if (s->tls)
        tls_session_shutdown(s->tls);
    if (!s->leaves_end)
        shutdown(s->fd, SHUT_WR);
    s->state = STREAM_LINGERING;
}

static void write_out(struct stream *s)
{
    const char *why = NULL;
    size_t before = stream_pending(s);
    if (before > STREAM_HIGH_MARK)
        s->head.full = true;
    if (s->blocked || !before)
        return;
    if (!(s->tls ? write_tls(s, &why) : write_plain(s, &why))) {
        stream_finish(s, why);
        return;
    }
    if (stream_pending(s) < before)
        s->last_write_ms = shard_now_ms(s->net->shard);
    if (s->blocked)
        output_shrink(&s->head.out);
    if (s->head.full && stream_pending(s) < STREAM_LOW_MARK) {
        s->head.full = false;
        s->drain_due = true;
        shard_on_relief(s->net->shard, &s->relief);
    }
}

static void on_flush(struct deferred *d)
{
    struct stream *s = list_entry(d, struct stream, flush);
    s->head.flush_due = false;
    if (s->state == STREAM_LINGERING) {
        output_fini(&s->head.out);
        return;
    }
    if (s->state != STREAM_OPEN && s->state != STREAM_CLOSING)
        return;
    write_out(s);
    if (s->state == STREAM_CLOSING) {
        if (!stream_pending(s))
            half_close(s);
        if (!timer_is_set(&s->timer)) /* no time to linger */
            stream_finish(s, "closed");
    }
    stream_watch_lazily(s);
}

void stream_schedule_flush(struct stream *s)
{
    check(s);
    s->head.flush_due = true;
    if (s->state != STREAM_DEAD)
        shard_defer(s->net->shard, DEFER_FLUSH, &s->flush);
}

void stream_write_ref(struct stream *s, struct slice data, void (*release)(void *owner),
                      void *owner)
{
    if (data.len == 0) {
        release(owner);
        return;
    }
    output_append_ref(&s->head.out, data, release, owner);
    if (!s->head.flush_due)
        stream_schedule_flush(s);
}

/* ---- readiness, time ---- */

static void on_ready(void *arg, unsigned events)
{
    struct stream *s = arg;
    if (s->state == STREAM_OPENING) {
        opening_on_ready(s);
        return;
    }
    if (events & IO_WRITE && (s->blocked || s->read_blocked)) {
        if (s->read_blocked)
            events |= IO_READ;
        s->blocked = s->read_blocked = false;
        stream_schedule_flush(s);
    }
    if (!(events & IO_READ))
        return;
    if (s->state == STREAM_CLOSING || s->state == STREAM_LINGERING)
        input_discard(s);
    else if (stream_takes_input(s))
        input_take(s);
    else
        stream_watch(s);
}

static void on_timer(struct timer *t)
{
    struct stream *s = list_entry(t, struct stream, timer);
    if (s->state == STREAM_OPENING)
        opening_on_timeout(s);
    else
        stream_finish(s, "closed");
}

/* Streams that wait for nothing still hear of a reset: poll(2) reports it unasked. */
void stream_check_silent(struct timer *t)
{
    struct net_shard *net = list_entry(t, struct net_shard, silent_check);
    struct list left;
    list_init(&left);
    list_splice(&left, &net->silent);
    while (!list_empty(&left)) {
        struct pollfd fds[SILENT_BATCH];
        struct stream *of[SILENT_BATCH];
        nfds_t n = 0;
        while (n < SILENT_BATCH && !list_empty(&left)) {
            of[n] = list_entry(left.next, struct stream, silent_link);
            fds[n] = (struct pollfd){.fd = of[n]->fd};
            list_remove(&of[n]->silent_link);
            list_append(&net->silent, &of[n++]->silent_link);
        }
        if (poll(fds, n, 0) <= 0)
            continue;
        for (nfds_t i = 0; i < n; i++) {
            if (fds[i].revents & (POLLERR | POLLHUP))
                stream_finish(of[i], stream_error(ECONNRESET));
        }
    }
    if (!list_empty(&net->silent))
        timer_set(t, STREAM_SILENT_CHECK_MS);
}

/* ---- life ---- */

struct stream *stream_new(struct net_shard *net, int fd)
{
    struct stream *s = NEW(struct stream);
    s->magic = STREAM_MAGIC;
    s->fd = fd;
    s->state = STREAM_OPENING;
    s->net = net;
    output_init(&s->head.out, &net->pool);
    deferred_init(&s->flush, on_flush);
    deferred_init(&s->again, input_on_again);
    deferred_init(&s->relief, input_on_relief);
    deferred_init(&s->end, on_end);
    timer_init(&s->timer, net->shard, on_timer);
    list_init(&s->silent_link);
    list_append(&net->streams, &s->link);
    s->last_read_ms = s->last_write_ms = shard_now_ms(net->shard);
    s->io = io_new(net->shard, fd, on_ready, s);
    return s;
}

void stream_opened(struct stream *s)
{
    s->state = STREAM_OPEN;
    timer_stop(&s->timer);
}

/* Copies text with its final 0 and returns where it ends. */
static char *put_text(char *at, const char *text)
{
    size_t n = strlen(text) + 1;
    memcpy(at, text, n);
    return at + n;
}

void stream_set_info(struct stream *s, const struct endpoint *peer, const struct endpoint *local,
                     struct slice unix_path)
{
    char peer_host[ENDPOINT_HOST_MAX], local_host[ENDPOINT_HOST_MAX];
    char peer_text[ENDPOINT_TEXT_MAX], local_text[ENDPOINT_TEXT_MAX];
    struct stream_info *info = &s->info;
    endpoint_host(peer, peer_host);
    free(s->info_text);
    if (local->family == AF_UNIX) {
        s->info_text = mem_printf("%s%cunix:%.*s%cunix#%u -> unix:%.*s", peer_host, 0,
                                  SLICE_ARG(unix_path), 0, peer->scope, SLICE_ARG(unix_path));
    } else {
        endpoint_host(local, local_host);
        endpoint_text(peer, peer_text);
        endpoint_text(local, local_text);
        s->info_text = mem_alloc(strlen(peer_host) + strlen(local_host) + strlen(peer_text) +
                                 strlen(local_text) + sizeof "  ->   ");
        char *at = put_text(put_text(s->info_text, peer_host), local_host);
        at = put_text(at, peer_text) - 1;
        put_text(put_text(at, " -> ") - 1, local_text);
    }
    info->peer_host = s->info_text;
    info->local_host = info->peer_host + strlen(info->peer_host) + 1;
    info->name = info->local_host + strlen(info->local_host) + 1;
    info->peer_port = peer->port;
    info->local_port = local->port;
    info->loopback = s->loopback_peer && endpoint_is_loopback(peer);
}

void stream_name_peer(struct stream *s, const char *host)
{
    struct stream_info *info = &s->info;
    const char *to = strstr(info->name, " -> ");
    char *text = mem_printf("%s%c%s%c%s:%u%s", host, 0, info->local_host, 0, host, info->peer_port,
                            to ? to : "");
    free(s->info_text);
    s->info_text = text;
    info->peer_host = text;
    info->local_host = info->peer_host + strlen(info->peer_host) + 1;
    info->name = info->local_host + strlen(info->local_host) + 1;
}

/* ---- the handler's side ---- */

void stream_set_handler(struct stream *s, const struct stream_handler *handler, void *arg)
{
    check(s);
    s->handler = handler;
    s->arg = arg;
    if (s->state == STREAM_OPEN)
        input_look_again(s);
}

void stream_pause(struct stream *s)
{
    check(s);
    s->paused++;
}

void stream_resume(struct stream *s)
{
    check(s);
    bug_on(s->paused == 0);
    if (--s->paused == 0 && s->state == STREAM_OPEN)
        input_look_again(s);
}

void stream_close(struct stream *s, unsigned linger_ms)
{
    check(s);
    if (s->state != STREAM_OPEN)
        return;
    s->state = STREAM_CLOSING;
    if (!s->delivering)
        input_drop_rest(s);
    if (linger_ms)
        timer_set(&s->timer, linger_ms);
    stream_schedule_flush(s);
    stream_watch(s);
}

void stream_leave(struct stream *s, unsigned linger_ms)
{
    s->leaves_end = true;
    stream_close(s, linger_ms);
}

void stream_abort(struct stream *s, const char *why)
{
    check(s);
    stream_finish(s, why);
}

size_t stream_memory(const struct stream *s)
{
    return mem_size(s) + mem_size(s->io) + mem_size(s->tls) + mem_size(s->rest.data) +
           mem_size(s->info_text);
}

const struct stream_info *stream_get_info(const struct stream *s)
{
    return &s->info;
}

struct shard *stream_shard(const struct stream *s)
{
    return s->net->shard;
}

bool stream_peer_user(const struct stream *s, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    struct sockaddr_storage sa = {.ss_family = AF_UNSPEC};
    socklen_t sa_size = sizeof sa;
    if (getsockname(s->fd, (struct sockaddr *)&sa, &sa_size) != 0 || sa.ss_family != AF_UNIX ||
        getsockopt(s->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    *ret_uid = peer.uid;
    return true;
}

struct slice stream_peer_name(const struct stream *s, enum peer_name kind, unsigned index)
{
    const char *line = s->info.peer_cert_names;
    while (line && *line) {
        size_t n = strcspn(line, "\n");
        if (line[0] == '0' + (char)kind && index-- == 0)
            return slice_of(line + 1, n - 1);
        line += n + 1;
    }
    return SLICE_EMPTY;
}

bool stream_was_pressed(const struct stream *s, uint64_t within_ms)
{
    return s->pressed_ms && shard_now_ms(s->net->shard) - s->pressed_ms < within_ms;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}

uint64_t stream_last_read_ms(const struct stream *s)
{
    return s->last_read_ms;
}

uint64_t stream_last_write_ms(const struct stream *s)
{
    return s->last_write_ms;
}
