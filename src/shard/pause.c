/* A timerfd of each: epoll counts in milliseconds. */
#include "shard/pause.h"

#include "base/bug.h"
#include "base/mem.h"
#include "shard/io.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct pause {
    int fd;
    struct io *io;
    void (*fn)(void *arg);
    void *arg;
};

static void over(void *arg, unsigned events)
{
    struct pause *p = arg;
    uint64_t times;
    (void)events;
    if (read(p->fd, &times, sizeof times) == sizeof times)
        p->fn(p->arg);
}

struct pause *pause_new(struct shard *shard, void (*fn)(void *arg), void *arg)
{
    struct pause *p = NEW(struct pause);
    p->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    bug_on(p->fd < 0);
    p->fn = fn;
    p->arg = arg;
    p->io = io_new(shard, p->fd, over, p);
    io_want(p->io, IO_READ);
    return p;
}

void pause_begin(struct pause *pause, uint64_t ns)
{
    enum { SECOND = 1000 * 1000 * 1000 };
    ns += !ns; /* 0 would end it */
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)}};
    bug_on(timerfd_settime(pause->fd, 0, &when, NULL) != 0);
}

void pause_free(struct pause **pause)
{
    if (!*pause)
        return;
    io_free(&(*pause)->io);
    close((*pause)->fd);
    free(*pause);
    *pause = NULL;
}
