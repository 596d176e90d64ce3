/* In place of libev: what a shard uses of it, for loops that turn when they are told to and have no
 * files. One turn is: check watchers, what was sent or is due, prepare watchers. */
#include "base/bug.h"
#include "base/mem.h"
#include "tests/sim/machine.h"

#include <ev.h>
#include <stdlib.h>

enum { ASYNCS = 8 };

struct ev_loop {
    ev_prepare *prepare;
    ev_check *check;
    ev_idle *idle;
    ev_timer *timer;
    uint64_t timer_ns;
    ev_async *asyncs[ASYNCS];
    unsigned async_count;
};

bool loop_has_work(const struct ev_loop *loop)
{
    bool sent = false;
    for (unsigned i = 0; i < loop->async_count; i++)
        sent |= loop->asyncs[i]->sent != 0;
    return sent || loop->idle || loop_next_ns(loop) <= machine_now_ns();
}

uint64_t loop_next_ns(const struct ev_loop *loop)
{
    return loop->timer ? loop->timer_ns : UINT64_MAX;
}

struct ev_loop *ev_loop_new(unsigned flags)
{
    (void)flags;
    return NEW(struct ev_loop);
}

void ev_loop_destroy(struct ev_loop *loop)
{
    free(loop);
}

static void fire_timer(struct ev_loop *loop)
{
    ev_timer *w = loop->timer;
    if (loop_next_ns(loop) > machine_now_ns())
        return;
    ev_timer_stop(loop, w);
    w->cb(loop, w, EV_TIMER);
}

int ev_run(struct ev_loop *loop, int flags)
{
    (void)flags;
    loop->check->cb(loop, loop->check, EV_CHECK);
    for (unsigned i = 0; i < loop->async_count; i++) {
        ev_async *w = loop->asyncs[i];
        if (!w->sent)
            continue;
        w->sent = 0;
        w->cb(loop, w, EV_ASYNC);
    }
    fire_timer(loop);
    loop->prepare->cb(loop, loop->prepare, EV_PREPARE);
    return 0;
}

void ev_break(struct ev_loop *loop, int how)
{
    (void)loop;
    (void)how;
}

void ev_now_update(struct ev_loop *loop)
{
    (void)loop;
}

void ev_prepare_start(struct ev_loop *loop, ev_prepare *w)
{
    loop->prepare = w;
}

void ev_check_start(struct ev_loop *loop, ev_check *w)
{
    loop->check = w;
}

void ev_idle_start(struct ev_loop *loop, ev_idle *w)
{
    loop->idle = w;
}

void ev_idle_stop(struct ev_loop *loop, ev_idle *w)
{
    (void)w;
    loop->idle = NULL;
}

/* The time that a timer was set with is relative. */
void ev_timer_start(struct ev_loop *loop, ev_timer *w)
{
    loop->timer = w;
    loop->timer_ns = machine_now_ns() + (uint64_t)(w->at * 1e9);
}

void ev_timer_stop(struct ev_loop *loop, ev_timer *w)
{
    (void)w;
    loop->timer = NULL;
}

void ev_async_start(struct ev_loop *loop, ev_async *w)
{
    bug_on(loop->async_count == ASYNCS);
    loop->asyncs[loop->async_count++] = w;
}

void ev_async_stop(struct ev_loop *loop, ev_async *w)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < loop->async_count; i++) {
        if (loop->asyncs[i] != w)
            loop->asyncs[kept++] = loop->asyncs[i];
    }
    loop->async_count = kept;
}

void ev_async_send(struct ev_loop *loop, ev_async *w)
{
    (void)loop;
    w->sent = 1;
}

/* ---- what no simulation has ---- */

void ev_io_start(struct ev_loop *loop, ev_io *w)
{
    (void)loop;
    (void)w;
    bug_on(true);
}

void ev_io_stop(struct ev_loop *loop, ev_io *w)
{
    (void)loop;
    (void)w;
}

void ev_signal_start(struct ev_loop *loop, ev_signal *w)
{
    (void)loop;
    (void)w;
    bug_on(true);
}

void ev_signal_stop(struct ev_loop *loop, ev_signal *w)
{
    (void)loop;
    (void)w;
}

/* No loop is polled by another: shards do not share threads. */
unsigned ev_backend(struct ev_loop *loop)
{
    (void)loop;
    return 0;
}

unsigned ev_embeddable_backends(void)
{
    return 0;
}

void ev_embed_start(struct ev_loop *loop, ev_embed *w)
{
    (void)loop;
    (void)w;
    bug_on(true);
}

void ev_embed_stop(struct ev_loop *loop, ev_embed *w)
{
    (void)loop;
    (void)w;
}
