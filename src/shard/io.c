/* ev_io and ev_signal behind opaque handles. */
#include "shard/io.h"

#include "base/mem.h"
#include "shard/shard_priv.h"

#include <stdlib.h>

struct io {
    ev_io watcher;
    struct shard *shard;
    void (*on_ready)(void *arg, unsigned events);
    void *arg;
};

static void ready(struct ev_loop *loop, ev_io *w, int revents)
{
    (void)loop;
    struct io *io = w->data;
    unsigned events = (revents & EV_READ ? IO_READ : 0) | (revents & EV_WRITE ? IO_WRITE : 0);
    if (revents & EV_ERROR)
        events = IO_READ | IO_WRITE;
    io->shard->busy = true;
    io->on_ready(io->arg, events);
}

struct io *io_new(struct shard *shard, int fd, void (*on_ready)(void *arg, unsigned events),
                  void *arg)
{
    struct io *io = NEW(struct io);
    io->shard = shard;
    io->on_ready = on_ready;
    io->arg = arg;
    ev_io_init(&io->watcher, ready, fd, 0);
    io->watcher.data = io;
    return io;
}

void io_want(struct io *io, unsigned events)
{
    int wanted = (events & IO_READ ? EV_READ : 0) | (events & IO_WRITE ? EV_WRITE : 0);
    if ((io->watcher.events & (EV_READ | EV_WRITE)) == wanted &&
        ev_is_active(&io->watcher) == (wanted != 0))
        return;
    ev_io_stop(io->shard->loop, &io->watcher);
    ev_io_set(&io->watcher, io->watcher.fd, wanted);
    io->shard->busy = true; /* in the next turn the loop tells the system: there must be one */
    if (wanted)
        ev_io_start(io->shard->loop, &io->watcher);
}

void io_free(struct io **io)
{
    if (!*io)
        return;
    ev_io_stop((*io)->shard->loop, &(*io)->watcher);
    free(*io);
    *io = NULL;
}

struct signal_watch {
    ev_signal watcher;
    struct list link;
    void (*fn)(void *arg, int signum);
    void *arg;
};

static void caught(struct ev_loop *loop, ev_signal *w, int revents)
{
    (void)loop;
    (void)revents;
    struct signal_watch *watch = w->data;
    watch->fn(watch->arg, w->signum);
}

void shard_on_signal(struct shard *shard, int signum, void (*fn)(void *arg, int signum), void *arg)
{
    struct signal_watch *watch = NEW(struct signal_watch);
    watch->fn = fn;
    watch->arg = arg;
    ev_signal_init(&watch->watcher, caught, signum);
    watch->watcher.data = watch;
    list_append(&shard->signals, &watch->link);
    ev_signal_start(shard->loop, &watch->watcher);
}

void shard_signals_fini(struct shard *shard)
{
    list_each_safe (it, &shard->signals) {
        struct signal_watch *watch = list_entry(it, struct signal_watch, link);
        ev_signal_stop(shard->loop, &watch->watcher);
        free(watch);
    }
    list_init(&shard->signals);
}
