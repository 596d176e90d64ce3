/* A load: topology, workers (threads), producers and consumers dealt to them, and its stages. The
 * main thread sets up, moves the phase on, and reads the results after the workers have ended. */
#ifndef PERF_BENCH_H
#define PERF_BENCH_H

#include "perf/hist.h"
#include "perf/options.h"
#include "perf/peer.h"
#include "perf/proc.h"
#include "perf/topology.h"
#include "perf/track.h"

#include <pthread.h>
#include <stdatomic.h>

struct bench;
struct worker;

enum phase {
    PHASE_WARMUP,
    PHASE_MEASURE,
    PHASE_DRAIN, /* producers finish what they began, consumers go on */
    PHASE_QUIT,
};

/* One per worker; written by it alone, read by the main thread at any time. */
struct counters {
    uint64_t published;
    uint64_t confirmed;
    uint64_t nacked;
    uint64_t returned;
    uint64_t commits;
    uint64_t delivered;
    uint64_t fresh;
    uint64_t octets; /* of delivered bodies */
};

#define COUNTER_ADD(counter, n) \
    __atomic_store_n(&(counter), (counter) + (uint64_t)(n), __ATOMIC_RELAXED)
#define COUNTER_GET(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

/* A connection with a role. Producers and consumers embed it first. */
struct actor {
    struct peer peer;
    struct bench *bench;
    struct worker *worker;
    /* Does what can be done now; called after every event, at `due`, and when the phase changes. */
    void (*step)(struct actor *, uint64_t now);
    uint64_t due;  /* clock of the next timed step; 0: none */
    bool want_out; /* wishes to be told that the socket takes more */
    bool done;     /* has nothing more to do on its own */
};

struct worker {
    struct bench *bench;
    pthread_t thread;
    int epoll;
    struct actor **actors;
    uint32_t nactors;
    bool timed; /* some actor uses `due` */
    uint64_t last_rx;
    struct track_pool pool;
    struct hist latency; /* publish to delivery, or of a request */
    struct hist confirm; /* publish to confirm, or commit to commit-ok */
    struct counters counters __attribute__((aligned(64)));
};

struct producer;
struct consumer;
struct churner;

/* What one moment looked like. */
struct snapshot {
    uint64_t time;
    uint64_t own_cpu; /* ns of this process */
    struct proc_sample broker;
    struct counters sum;
};

struct stage {
    struct snapshot begin; /* after the warm-up */
    struct snapshot end;   /* producers told to stop, or everything done */
    struct snapshot quiet; /* drained */
    uint64_t last_rx;
    uint64_t last_tx; /* the last producer was done */
    struct proc_sample peak;
    bool drained;
};

struct verdict {
    uint64_t expected;
    uint64_t fresh;
    uint64_t lost;
    uint64_t duplicates;
    uint64_t late;
    uint64_t redelivered;
    uint64_t foreign;
    uint64_t corrupt; /* without a stamp, wrong size, wrong queue, impossible number */
};

struct bench {
    const struct options *o;
    struct topology topology;
    struct fault fault;
    struct peer admin;
    struct worker *workers;
    uint32_t nworkers;
    struct producer *producers;
    struct consumer *consumers;
    struct churner *churners;
    uint32_t nproducers; /* set up and kept over stages: their sequence numbers are the truth */
    uint32_t nconsumers;
    uint32_t nchurners;
    bool producing;
    bool consuming;
    bool getting;
    bool churning;
    uint64_t start;        /* clock at which the stage begins */
    uint64_t measure_from; /* messages stamped before are not in the histograms */
    atomic_uint producers_done;
    atomic_uint consumers_done;
    atomic_uint churners_done;
    atomic_ullong churns; /* begun */
    atomic_int phase;
    bool interrupted;
    struct proc_sample before;
    uint64_t blocked_ns;
    struct hist latency;
    struct hist confirm;
};

static inline enum phase bench_phase(struct bench *b)
{
    return (enum phase)atomic_load_explicit(&b->phase, memory_order_acquire);
}

/* Connects and declares. False: see the fault. */
bool bench_open(struct bench *b, const struct options *o);

enum { STAGE_PRODUCE = 1, STAGE_CONSUME = 2, STAGE_GET = 4, STAGE_CHURN = 8 };

/* Runs one stage from set-up to the end of the drain; false on a fault, what was measured until
 * then is in *stage_ all the same. */
bool bench_stage(struct bench *b, unsigned what, struct stage *stage_);

/* Compares what consumers saw with what producers sent. Call once, after the last stage. */
void bench_verify(struct bench *b, struct verdict *verdict_);

/* Deletes what was declared and frees everything. */
void bench_close(struct bench *b);

struct counters bench_sum(const struct bench *b);

#endif
