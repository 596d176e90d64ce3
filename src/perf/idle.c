/* The command idle: opens N connections with a channel each, holds them, closes them, and reads the
 * broker's RSS in between. One thread. */
#include "perf/command.h"
#include "perf/proc.h"
#include "perf/progress.h"
#include "perf/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sysexits.h>
#include <unistd.h>

enum { EVENTS = 256, STALL_NS = 2000000000, FILES_SPARE = 64 };

struct idle {
    const struct options *o;
    struct fault fault;
    struct peer *peers;
    int epoll;
    uint64_t begun;
    uint64_t open;
    uint64_t closed;
    bool interrupted;
};

/* The ops have no owner of their own: there is one such command in a process. */
static struct idle idle;

static void on_open(struct peer *p)
{
    idle.open++;
    octets_fini(&p->out);
}

static void on_closed(struct peer *p)
{
    (void)p;
    idle.closed++;
}

static const struct peer_ops idle_ops = {.on_open = on_open, .on_closed = on_closed};

static void watch(struct peer *p)
{
    uint32_t want = EPOLLIN | (octets_left(&p->out) > 0 ? (uint32_t)EPOLLOUT : 0);
    struct epoll_event ev = {.events = want, .data.ptr = p};

    if (p->fd < 0 || p->events == want)
        return;
    if (epoll_ctl(idle.epoll, p->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, p->fd, &ev) != 0)
        peer_fail(p, EX_OSERR, "epoll_ctl: %s", strerror(errno));
    p->events = want;
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(idle.epoll, events, EVENTS, 100);

    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if (p->state == PEER_CLOSED)
            continue;
        if ((events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0 && !peer_read(p))
            continue;
        if (peer_flush(p))
            watch(p);
        if (p->state == PEER_OPEN && octets_left(&p->in) == 0) {
            octets_fini(&p->in);
            octets_fini(&p->out);
        }
    }
    idle.interrupted = idle.interrupted || progress_wait(0);
}

static bool going_on(void)
{
    return !idle.interrupted && !fault_is_set(&idle.fault);
}

static void open_all(void)
{
    const struct options *o = idle.o;
    uint64_t shown = 0;

    while (idle.open < o->connections && going_on()) {
        while (idle.begun < o->connections && idle.begun - idle.open < o->parallel) {
            struct peer *p = &idle.peers[idle.begun++];
            peer_init(p, &o->uri, &idle_ops, &idle.fault, PEER_READ_SMALL);
            if (!peer_connect(p) || !peer_flush(p))
                return;
            watch(p);
        }
        turn();
        if (!o->quiet && now_ns() - shown > 1000000000U) {
            shown = now_ns();
            progress_line("%llu connections open", (unsigned long long)idle.open);
        }
    }
    progress_clear();
}

static void hold(double s)
{
    uint64_t until = now_ns() + (uint64_t)(s * 1e9);

    while (going_on() && now_ns() < until)
        turn();
}

/* Asks K connections at a time to end, and gives up on stragglers. */
static void close_all(void)
{
    uint64_t asked = 0;
    uint64_t last = now_ns();
    uint64_t seen = 0;

    while (idle.closed < idle.open && now_ns() - last < STALL_NS && !fault_is_set(&idle.fault)) {
        while (asked < idle.begun && asked < idle.closed + idle.o->parallel) {
            struct peer *p = &idle.peers[asked++];
            if (p->state != PEER_OPEN)
                continue;
            peer_close(p);
            if (peer_flush(p))
                watch(p);
        }
        turn();
        if (idle.closed != seen) {
            seen = idle.closed;
            last = now_ns();
        }
    }
    for (uint64_t i = 0; i < idle.begun; i++)
        peer_fini(&idle.peers[i]);
}

static void snap(struct snapshot *s)
{
    proc_sample(idle.o->pids, idle.o->npids, &s->broker);
    s->own_cpu = proc_own_cpu();
    s->time = now_ns();
}

static void report(struct report *r, const struct snapshot s[4])
{
    const struct options *o = idle.o;
    uint64_t before = s[0].broker.rss;
    uint64_t with = s[2].broker.rss;
    double n = idle.open > 0 ? (double)idle.open : 1;

    report_u64(r, "totals", "open", idle.open, "");
    report_f64(r, "rates", "opened", (double)idle.open / ((double)(s[1].time - s[0].time) / 1e9),
               "/s");
    report_cpu(r, o, &s[0], &s[1], idle.open, "per_connection");
    if (o->npids == 0)
        return;
    report_rss(r, o, &s[0].broker, &s[2].broker, &s[3].broker);
    report_f64(r, "broker_rss", "per_connection", ((double)with - (double)before) / 1024 / n,
               "KiB");
    report_f64(r, "broker_rss", "kept_per_connection",
               ((double)s[3].broker.rss - (double)before) / 1024 / n, "KiB");
}

int command_idle(const struct options *o)
{
    static struct report r;
    struct snapshot s[4] = {0};
    uint64_t files = proc_raise_files();

    idle.o = o;
    idle.epoll = epoll_create1(EPOLL_CLOEXEC);
    report_options(&r, o);
    if (o->connections + FILES_SPARE > files) {
        fprintf(stderr, "jackalope-perf: only %llu descriptors are allowed (ulimit -n)\n",
                (unsigned long long)files);
        return EX_OSERR;
    }
    idle.peers = calloc(o->connections, sizeof *idle.peers);
    if (idle.peers == NULL || idle.epoll < 0)
        return EX_OSERR;
    snap(&s[0]);
    if (o->npids > 0 && s[0].broker.rss == 0) {
        fault_set(&idle.fault, EX_USAGE, "--pid: no such process");
    } else {
        open_all();
        snap(&s[1]);
        hold(o->hold);
        snap(&s[2]);
        close_all();
        hold(o->hold);
        snap(&s[3]);
        report(&r, s);
    }
    free(idle.peers);
    close(idle.epoll);
    report_sort(&r);
    return report_finish(&r, o, &idle.fault, true);
}
