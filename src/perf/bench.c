/* See bench.h: set-up of a load and its stages, on the main thread. */
#include "perf/bench.h"

#include "perf/churn.h"
#include "perf/consumer.h"
#include "perf/producer.h"
#include "perf/progress.h"
#include "perf/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum {
    POLL_NS = 20 * 1000 * 1000,
    DRAIN_POLL_NS = 2 * 1000 * 1000,
};

static void *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "jackalope-perf: out of memory\n");
        abort();
    }
    return p;
}

static const struct peer_ops admin_ops = {0};

bool bench_open(struct bench *b, const struct options *o)
{
    struct proc_sample sample;

    *b = (struct bench){.o = o};
    peer_init(&b->admin, &o->uri, &admin_ops, &b->fault, PEER_READ_SMALL * 4);
    topology_init(&b->topology, o);
    if (proc_sample(o->pids, o->npids, &sample))
        b->before = sample;
    else if (o->npids > 0) {
        fault_set(&b->fault, EX_USAGE, "--pid: no such process");
        return false;
    }
    proc_raise_files();
    b->nworkers = (uint32_t)o->threads;
    b->workers = must(aligned_alloc(64, b->nworkers * sizeof *b->workers));
    memset(b->workers, 0, b->nworkers * sizeof *b->workers);
    for (uint32_t i = 0; i < b->nworkers; i++)
        if (!worker_init(&b->workers[i], b))
            return false;
    if (!peer_open(&b->admin))
        return false;
    return o->no_declare || topology_declare(&b->topology, &b->admin);
}

struct counters bench_sum(const struct bench *b)
{
    struct counters sum = {0};

    for (uint32_t i = 0; i < b->nworkers; i++) {
        const struct counters *c = &b->workers[i].counters;
        sum.published += COUNTER_GET(c->published);
        sum.confirmed += COUNTER_GET(c->confirmed);
        sum.nacked += COUNTER_GET(c->nacked);
        sum.returned += COUNTER_GET(c->returned);
        sum.commits += COUNTER_GET(c->commits);
        sum.delivered += COUNTER_GET(c->delivered);
        sum.fresh += COUNTER_GET(c->fresh);
        sum.octets += COUNTER_GET(c->octets);
    }
    return sum;
}

static void snap(struct bench *b, struct snapshot *s)
{
    proc_sample(b->o->pids, b->o->npids, &s->broker);
    s->own_cpu = proc_own_cpu();
    s->sum = bench_sum(b);
    s->time = now_ns();
}

/* Producers sit on workers 0, 1, ..., consumers go on from there, so that with two threads and one
 * of each they run side by side. */
static bool open_actors(struct bench *b)
{
    const struct options *o = b->o;
    uint32_t turn = 0;

    if (b->producing) {
        b->producers = must(calloc(o->producers, sizeof *b->producers));
        b->nproducers = (uint32_t)o->producers;
    }
    if (b->consuming) {
        b->consumers = must(calloc(o->consumers, sizeof *b->consumers));
        b->nconsumers = (uint32_t)o->consumers;
    }
    turn = b->producing ? b->nproducers : 0;
    for (uint32_t i = 0; b->consuming && i < b->nconsumers; i++) {
        struct worker *w = &b->workers[turn++ % b->nworkers];
        if (!consumer_open(&b->consumers[i], w, i, b->getting))
            return false;
        worker_add(w, &b->consumers[i].actor);
    }
    for (uint32_t i = 0; b->producing && i < b->nproducers; i++) {
        struct worker *w = &b->workers[i % b->nworkers];
        if (!producer_open(&b->producers[i], w, (uint16_t)i))
            return false;
        worker_add(w, &b->producers[i].actor);
    }
    if (b->churning) {
        b->nchurners = (uint32_t)o->parallel;
        b->churners = churner_new_all(b);
    }
    return true;
}

static void close_actors(struct bench *b)
{
    bool well = !fault_is_set(&b->fault);

    for (uint32_t i = 0; b->consuming && i < b->nconsumers && well; i++)
        peer_end(&b->consumers[i].actor.peer);
    for (uint32_t i = 0; b->producing && i < b->nproducers; i++) {
        if (well)
            peer_end(&b->producers[i].actor.peer);
        b->blocked_ns += b->producers[i].actor.peer.blocked_ns;
    }
    for (uint32_t i = 0; i < b->nworkers; i++)
        worker_clear(&b->workers[i]);
}

static uint64_t expected_deliveries(const struct bench *b)
{
    uint64_t n = 0;

    for (uint32_t p = 0; p < b->nproducers; p++)
        for (uint64_t q = 0; q < b->o->queues; q++)
            n += topology_expected(&b->topology, p, q, b->producers[p].seq);
    return n * topology_readers(&b->topology);
}

static bool producers_done(const struct bench *b)
{
    if (b->churning)
        return atomic_load_explicit(&b->churners_done, memory_order_acquire) == b->nchurners;
    return !b->producing ||
           atomic_load_explicit(&b->producers_done, memory_order_acquire) == b->nproducers;
}

/* Only for consumers without producers of their own: a count, or everything asked for was got. */
static bool consumers_done(const struct bench *b, uint64_t expected)
{
    if (!b->consuming)
        return true;
    if (b->getting)
        return atomic_load_explicit(&b->consumers_done, memory_order_acquire) == b->nconsumers;
    struct counters sum = bench_sum(b);
    if (b->nproducers > 0)
        return sum.fresh >= expected;
    return b->o->count > 0 && sum.delivered >= b->o->count;
}

/* Waits, keeping the progress line and the peak of the RSS; true when SIGINT came. */
static bool wait_a_little(struct bench *b, struct stage *stage, uint64_t ns)
{
    struct proc_sample sample;

    if (proc_sample(b->o->pids, b->o->npids, &sample))
        proc_peak(&stage->peak, &sample);
    return progress_wait(ns);
}

static uint64_t seconds(double s)
{
    return (uint64_t)(s * 1e9);
}

static void measure(struct bench *b, struct stage *stage, uint64_t expected)
{
    const struct options *o = b->o;
    uint64_t deadline = UINT64_MAX;
    uint64_t moved_at = now_ns();
    uint64_t moved = 0;
    bool fixed = o->count > 0;

    if (!fixed)
        deadline = b->measure_from + seconds(o->duration);
    else if (o->duration_set)
        deadline = b->start + seconds(o->duration);

    while (!b->interrupted && !fault_is_set(&b->fault) && now_ns() < b->measure_from)
        b->interrupted = wait_a_little(b, stage, POLL_NS);
    if (o->warmup > 0)
        snap(b, &stage->begin);
    atomic_store_explicit(&b->phase, PHASE_MEASURE, memory_order_release);
    while (!b->interrupted && !fault_is_set(&b->fault)) {
        uint64_t now = now_ns();
        if (now >= deadline)
            break;
        if (b->producing || b->churning ? producers_done(b) : consumers_done(b, expected))
            break;
        /* A backlog that ends too early must not hold the run for ever. */
        struct counters sum = bench_sum(b);
        if (sum.delivered != moved) {
            moved = sum.delivered;
            moved_at = now;
        }
        if (!b->producing && !b->churning && fixed && now > moved_at + seconds(o->drain))
            break;
        uint64_t ns = deadline - now < POLL_NS ? deadline - now : POLL_NS;
        b->interrupted = wait_a_little(b, stage, ns);
        progress_show(b, "run", now);
    }
    snap(b, &stage->end);
}

static void drain(struct bench *b, struct stage *stage, uint64_t expected)
{
    uint64_t deadline = now_ns() + seconds(b->o->drain);

    atomic_store_explicit(&b->phase, PHASE_DRAIN, memory_order_release);
    while (!fault_is_set(&b->fault)) {
        uint64_t now = now_ns();
        if (producers_done(b)) {
            if (b->producing)
                expected = expected_deliveries(b);
            if (b->nproducers == 0 || consumers_done(b, expected)) {
                stage->drained = true;
                break;
            }
        }
        if (now >= deadline)
            break;
        if (wait_a_little(b, stage, DRAIN_POLL_NS))
            break;
        progress_show(b, "drain", now);
    }
    snap(b, &stage->quiet);
}

static void collect(struct bench *b, struct stage *stage)
{
    for (uint32_t i = 0; i < b->nworkers; i++) {
        struct worker *w = &b->workers[i];
        hist_merge(&b->latency, &w->latency);
        hist_merge(&b->confirm, &w->confirm);
        w->latency = w->confirm = (struct hist){0};
        if (w->last_rx > stage->last_rx)
            stage->last_rx = w->last_rx;
    }
    for (uint32_t i = 0; b->producing && i < b->nproducers; i++)
        if (b->producers[i].done_at > stage->last_tx)
            stage->last_tx = b->producers[i].done_at;
    proc_peak(&stage->peak, &stage->quiet.broker);
}

bool bench_stage(struct bench *b, unsigned what, struct stage *stage_)
{
    uint32_t started = 0;
    uint64_t expected = b->producers != NULL ? expected_deliveries(b) : 0;

    *stage_ = (struct stage){0};
    b->producing = (what & STAGE_PRODUCE) != 0 && b->o->producers > 0;
    b->consuming = (what & (STAGE_CONSUME | STAGE_GET)) != 0 && b->o->consumers > 0;
    b->getting = (what & STAGE_GET) != 0;
    b->churning = (what & STAGE_CHURN) != 0;
    atomic_store(&b->producers_done, 0);
    atomic_store(&b->consumers_done, 0);
    atomic_store(&b->churners_done, 0);
    atomic_store(&b->phase, PHASE_WARMUP);
    b->measure_from = UINT64_MAX;
    bool ok = open_actors(b);
    if (ok)
        snap(b, &stage_->begin);
    b->start = stage_->begin.time;
    b->measure_from = b->start + seconds(b->o->warmup);
    while (ok && started < b->nworkers) {
        ok = worker_start(&b->workers[started]);
        started += ok;
    }
    if (ok) {
        progress_begin(b);
        measure(b, stage_, expected);
        drain(b, stage_, expected);
        progress_end(b);
    }
    atomic_store_explicit(&b->phase, PHASE_QUIT, memory_order_release);
    for (uint32_t i = 0; i < started; i++)
        worker_join(&b->workers[i]);
    collect(b, stage_);
    close_actors(b);
    return !fault_is_set(&b->fault);
}

static void add_verdict(struct verdict *verdict_, uint64_t want, uint64_t fresh)
{
    verdict_->expected += want;
    verdict_->fresh += fresh;
    if (fresh > want)
        verdict_->corrupt += fresh - want;
    else
        verdict_->lost += want - fresh;
}

/* One pair of queue and producer, over all consumers of the queue; of a stream for each of them. */
static void verify_pair(struct bench *b, uint64_t q, uint32_t p, struct verdict *verdict_)
{
    uint64_t want = topology_expected(&b->topology, p, q, b->producers[p].seq);
    uint64_t fresh = 0;
    uint64_t step = b->nconsumers < b->o->queues ? b->nconsumers : b->o->queues;
    struct track *first = NULL;

    for (uint64_t i = q % step; i < b->nconsumers; i += step) {
        struct consumer *c = &b->consumers[i];
        uint32_t local = consumer_local(c, q);
        if (local == UINT32_MAX || c->tracks == NULL)
            continue;
        struct track *t = &c->tracks[(size_t)local * b->nproducers + p];
        verdict_->duplicates += t->again;
        verdict_->late += t->late;
        verdict_->corrupt += t->absurd;
        if (b->o->stream) {
            add_verdict(verdict_, want, t->fresh);
            continue;
        }
        fresh += t->fresh;
        if (first == NULL) {
            first = t;
            continue;
        }
        uint64_t both = track_overlap(first, t);
        verdict_->duplicates += both;
        fresh -= both;
        track_merge(first, &b->workers[0].pool, t);
    }
    if (!b->o->stream)
        add_verdict(verdict_, want, fresh);
}

void bench_verify(struct bench *b, struct verdict *verdict_)
{
    *verdict_ = (struct verdict){0};
    if (b->consumers == NULL)
        return;
    for (uint32_t i = 0; i < b->nconsumers; i++) {
        verdict_->redelivered += b->consumers[i].redelivered;
        verdict_->foreign += b->consumers[i].foreign;
        verdict_->corrupt += b->consumers[i].corrupt;
    }
    for (uint64_t q = 0; q < b->o->queues; q++)
        for (uint32_t p = 0; p < b->nproducers; p++)
            verify_pair(b, q, p, verdict_);
}

void bench_close(struct bench *b)
{
    if (b->admin.state == PEER_OPEN && !b->o->keep && topology_delete(&b->topology, &b->admin))
        peer_end(&b->admin);
    peer_fini(&b->admin);
    for (uint32_t i = 0; b->consumers != NULL && i < b->o->consumers; i++)
        consumer_fini(&b->consumers[i]);
    for (uint32_t i = 0; b->producers != NULL && i < b->o->producers; i++)
        producer_fini(&b->producers[i]);
    free(b->consumers);
    free(b->producers);
    churner_free_all(b);
    for (uint32_t i = 0; b->workers != NULL && i < b->nworkers; i++)
        worker_fini(&b->workers[i]);
    free(b->workers);
}
