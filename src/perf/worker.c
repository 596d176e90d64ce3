/* See worker.h. The loop reads, lets actors step, and keeps what epoll watches in line with what
 * they want. It ends at PHASE_QUIT, or by itself after a fault. */
#include "perf/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    IDLE_NS = 20 * 1000 * 1000, /* how late a change of the phase may be seen */
};

bool worker_init(struct worker *w, struct bench *b)
{
    *w = (struct worker){.bench = b, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (w->epoll < 0) {
        fault_set(&b->fault, EX_OSERR, "epoll_create1: %s", strerror(errno));
        return false;
    }
    return true;
}

void worker_fini(struct worker *w)
{
    if (w->bench == NULL)
        return;
    close(w->epoll);
    free(w->actors);
    track_pool_fini(&w->pool);
}

void worker_add(struct worker *w, struct actor *a)
{
    if ((w->nactors & (w->nactors + 1)) == 0) {
        w->actors = realloc(w->actors, 2 * (w->nactors + 1) * sizeof *w->actors);
        if (w->actors == NULL)
            abort();
    }
    w->actors[w->nactors++] = a;
    a->peer.events = 0;
}

void worker_clear(struct worker *w)
{
    w->nactors = 0;
    free(w->actors);
    w->actors = NULL;
    w->timed = false;
}

/* EPOLLOUT is asked for when wanted and dropped only when it fired for nothing. */
static void watch(struct worker *w, struct actor *a, bool idle_out)
{
    uint32_t want = EPOLLIN | (a->want_out ? (uint32_t)EPOLLOUT : 0);

    if (a->peer.fd < 0)
        return;
    if (a->peer.events == want || (a->peer.events == (EPOLLIN | EPOLLOUT) && !idle_out))
        return;
    struct epoll_event ev = {.events = want, .data.ptr = a};
    if (epoll_ctl(w->epoll, a->peer.events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, a->peer.fd, &ev) !=
        0)
        peer_fail(&a->peer, EX_OSERR, "epoll_ctl: %s", strerror(errno));
    a->peer.events = want;
}

static void step(struct worker *w, struct actor *a, uint64_t now, bool out_fired)
{
    a->step(a, now);
    if (a->due != 0)
        w->timed = true;
    watch(w, a, out_fired && !a->want_out);
}

static void step_all(struct worker *w)
{
    for (uint32_t i = 0; i < w->nactors; i++)
        step(w, w->actors[i], now_ns(), false);
}

static void on_event(struct worker *w, const struct epoll_event *ev)
{
    struct actor *a = ev->data.ptr;

    if (a->peer.state == PEER_CLOSED)
        return;
    if ((ev->events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
        peer_read(&a->peer);
    step(w, a, now_ns(), (ev->events & EPOLLOUT) != 0);
}

/* Steps the actors whose time has come; returns how long the next may wait. */
static uint64_t run_timers(struct worker *w)
{
    uint64_t wait = IDLE_NS;

    if (!w->timed)
        return wait;
    uint64_t now = now_ns();
    for (uint32_t i = 0; i < w->nactors; i++) {
        struct actor *a = w->actors[i];
        if (a->due != 0 && a->due <= now)
            step(w, a, now, false);
        if (a->due != 0 && a->due < now + wait)
            wait = a->due > now ? a->due - now : 0;
    }
    return wait;
}

/* Kernels before 5.11 wait in whole milliseconds. */
static int wait_events(struct worker *w, struct epoll_event *events, uint64_t wait)
{
    struct timespec ts = {.tv_nsec = (long)wait};
    int n = epoll_pwait2(w->epoll, events, EVENTS, &ts, NULL);

    if (n < 0 && errno == ENOSYS)
        n = epoll_wait(w->epoll, events, EVENTS, (int)((wait + 999999) / 1000000));
    return n;
}

static void *loop(void *arg)
{
    struct worker *w = arg;
    struct bench *b = w->bench;
    struct epoll_event events[EVENTS];
    enum phase seen = PHASE_WARMUP;

    prctl(PR_SET_TIMERSLACK, 1000UL);
    step_all(w);
    while (!fault_is_set(&b->fault)) {
        enum phase phase = bench_phase(b);
        if (phase == PHASE_QUIT)
            break;
        if (phase != seen) {
            seen = phase;
            step_all(w);
        }
        int n = wait_events(w, events, run_timers(w));
        if (n < 0 && errno != EINTR) {
            fault_set(&b->fault, EX_OSERR, "epoll_wait: %s", strerror(errno));
            break;
        }
        for (int i = 0; i < n; i++)
            on_event(w, &events[i]);
    }
    return NULL;
}

bool worker_start(struct worker *w)
{
    int rc = pthread_create(&w->thread, NULL, loop, w);

    if (rc != 0)
        fault_set(&w->bench->fault, EX_OSERR, "pthread_create: %s", strerror(rc));
    return rc == 0;
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}
