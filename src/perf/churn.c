/* The command churn and its actor: connect, channel, publish, close, K connections at a time. Each
 * churner belongs to its worker; the number of rounds begun is shared. */
#include "perf/churn.h"

#include "perf/command.h"
#include "perf/producer.h"
#include "perf/report.h"
#include "perf/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static void on_open(struct peer *peer)
{
    struct churner *c = (struct churner *)peer;
    struct bench *b = c->actor.bench;
    uint64_t run = (uint64_t)b->topology.run << 48;

    struct message_traits m = {.size = b->o->size_min};
    size_t stamp = producer_put_message(b, &peer->out, 0, 0, &m, peer->frame_max);
    stamp_put(peer->out.data + peer->out.off + stamp, 0, run | (c->begun & STAMP_MASK));
    COUNTER_ADD(c->actor.worker->counters.published, 1);
    peer_close(peer);
}

static void on_closed(struct peer *peer)
{
    struct churner *c = (struct churner *)peer;

    c->busy = false;
    COUNTER_ADD(c->actor.worker->counters.delivered, 1);
    COUNTER_ADD(c->actor.worker->counters.fresh, 1);
    hist_add(&c->actor.worker->latency, peer->now - c->begun);
    c->actor.worker->last_rx = peer->now;
}

static const struct peer_ops churner_ops = {.on_open = on_open, .on_closed = on_closed};

static bool may_begin(struct bench *b)
{
    if (bench_phase(b) >= PHASE_DRAIN)
        return false;
    unsigned long long n = atomic_fetch_add_explicit(&b->churns, 1, memory_order_relaxed);
    return b->o->count == 0 || n < b->o->count;
}

static void churner_step(struct actor *a, uint64_t now)
{
    struct churner *c = (struct churner *)a;

    if (!c->busy && !a->done) {
        if (!may_begin(a->bench)) {
            a->done = true;
            atomic_fetch_add_explicit(&a->bench->churners_done, 1, memory_order_release);
            return;
        }
        c->begun = now;
        c->busy = true;
        if (!peer_connect(&a->peer))
            return;
    }
    if (c->busy && a->peer.fd >= 0 && peer_flush(&a->peer))
        a->want_out = octets_left(&a->peer.out) > 0;
}

struct churner *churner_new_all(struct bench *b)
{
    struct churner *all = calloc(b->nchurners, sizeof *all);

    if (all == NULL)
        abort();
    for (uint32_t i = 0; i < b->nchurners; i++) {
        struct worker *w = &b->workers[i % b->nworkers];
        all[i].actor = (struct actor){.bench = b, .worker = w, .step = churner_step};
        peer_init(&all[i].actor.peer, &b->o->uri, &churner_ops, &b->fault, PEER_READ_SMALL);
        worker_add(w, &all[i].actor);
    }
    return all;
}

void churner_free_all(struct bench *b)
{
    for (uint32_t i = 0; b->churners != NULL && i < b->nchurners; i++)
        peer_fini(&b->churners[i].actor.peer);
    free(b->churners);
}

/* How many messages the queue holds; the broker may still be moving some. */
static uint64_t queue_length(struct bench *b, uint64_t want)
{
    char name[TOPOLOGY_NAME_MAX];

    topology_queue_name(&b->topology, 0, name);
    for (int i = 0; i < 100; i++) {
        size_t mark = method_begin(&b->admin.out, PEER_CHANNEL, QUEUE_DECLARE);
        put_u16(&b->admin.out, 0);
        put_shortstr(&b->admin.out, name);
        put_u8(&b->admin.out, 1); /* passive */
        put_u32(&b->admin.out, 0);
        method_end(&b->admin.out, mark);
        if (!peer_await(&b->admin, QUEUE_DECLARE_OK, 1) || b->admin.message_count >= want)
            break;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return b->admin.message_count;
}

int command_churn(const struct options *o)
{
    static struct bench b;
    static struct report r;
    struct stage s = {0};
    struct verdict v = {0};

    report_options(&r, o);
    if (bench_open(&b, o) && bench_stage(&b, STAGE_CHURN, &s)) {
        uint64_t n = s.quiet.sum.delivered;
        double span = (double)(s.end.time - s.begin.time) / 1e9;
        report_f64(&r, "rates", "connections", (double)s.end.sum.delivered / span, "/s");
        report_u64(&r, "totals", "connections", n, "");
        report_hist(&r, "latency", &b.latency);
        report_cpu(&r, o, &s.begin, &s.quiet, n, "per_connection");
        report_rss(&r, o, &b.before, &s.peak, &s.quiet.broker);
        v.expected = s.quiet.sum.published;
        v.fresh = queue_length(&b, v.expected);
        v.lost = v.expected > v.fresh ? v.expected - v.fresh : 0;
        report_u64(&r, "verify", "expected", v.expected, "");
        report_u64(&r, "verify", "queued", v.fresh, "");
        report_u64(&r, "verify", "lost", v.lost, "");
    }
    bench_close(&b);
    report_sort(&r);
    return report_finish(&r, o, &b.fault, v.lost == 0);
}
