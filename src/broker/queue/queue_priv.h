/* Insides of a queue, for this folder and its tests. */
#ifndef BROKER_QUEUE_QUEUE_PRIV_H
#define BROKER_QUEUE_QUEUE_PRIV_H

#include "broker/queue/consumers.h"
#include "broker/queue/queue.h"
#include "broker/queue/unacked.h"
#include "meta/def.h"

struct queue {
    struct queue_def *def;
    uint64_t next_seq;
    struct ready ready;
    struct ready garbage; /* purged, to be freed by queue_sweep */
    struct unacked unacked;
    struct consumers consumers;
    bool dead;
    bool had_consumers;
    uint64_t published, delivered, acked, redelivered;
};

/* Emits what is joined so far (confirms). */
void queue_out_flush(struct queue_out *out);

#endif
