/* A connection that consumes from one or several queues, or fetches with basic.get, and checks what
 * it gets. */
#ifndef PERF_CONSUMER_H
#define PERF_CONSUMER_H

#include "perf/bench.h"

struct consumer {
    struct actor actor;
    uint32_t id;
    uint32_t nqueues;     /* local queue i is queue id + i * step */
    uint32_t step;        /* consumers, if they are fewer than queues */
    struct track *tracks; /* nqueues times producers */
    uint64_t ack_every;
    uint64_t unacked;
    uint64_t last_tag;
    uint64_t batch_delivered; /* not yet in the worker's counters */
    uint64_t batch_fresh;
    uint64_t batch_octets;
    uint64_t redelivered;
    uint64_t foreign;
    uint64_t corrupt;

    /* basic.get: requests under way, oldest first */
    bool get;
    uint32_t window;
    uint64_t asked;
    uint64_t answered;
    uint32_t *asked_queue; /* rings of `window` */
    uint64_t *asked_at;
    bool *empty; /* local queue i was found empty */
    uint32_t nempty;
    uint32_t turn;
};

bool consumer_open(struct consumer *c, struct worker *w, uint32_t id, bool get);
void consumer_fini(struct consumer *c);

/* The consumer's number for a queue, or UINT32_MAX if it does not take from it. */
uint32_t consumer_local(const struct consumer *c, uint64_t queue);

#endif
