/* A queue as a pure step: an op in; ops, dead letters and effects out; no I/O, no clock of its own.
 * Times are milliseconds of a clock that never goes back (the actor gives the shard's monotonic
 * one) and never 0.
 *
 * Invariant between steps: if messages are ready, no consumer can take one. */
#ifndef BROKER_QUEUE_QUEUE_H
#define BROKER_QUEUE_QUEUE_H

#include "base/value.h"
#include "broker/queue/ready.h"
#include "meta/ops.h"

struct queue;
struct queue_def;

/* What changed in the contents, for a log that a replica or a recovery can apply without judging
 * anything again. */
enum effect_kind {
    EFFECT_ENQ,    /* seq, msg (borrowed) */
    EFFECT_SETTLE, /* seq: gone for good */
    EFFECT_RETURN, /* seq: ready again, redelivered */
    EFFECT_PURGE,  /* all ready messages below seq that are not unacknowledged */
};
struct effect {
    enum effect_kind kind;
    uint32_t delivery_count;
    uint64_t seq;
    uint64_t expiry; /* 0 = never */
    struct msg *msg;
};
struct effect_log {
    struct effect *effects;
    size_t count, cap;
};

/* Why a message left otherwise than by acknowledgement. */
enum death { DEATH_REJECTED, DEATH_EXPIRED, DEATH_MAXLEN, DEATH_DELIVERY_LIMIT };
struct dead_letter {
    struct msg *msg; /* one reference */
    enum death death;
};

/* Where a step writes. One a shard, reused. */
struct queue_out {
    struct op *ops;
    size_t count, cap;
    /* publishes first..last of that channel became safe (or are refused); runs are joined */
    struct addr confirm_channel;
    uint64_t confirm_first, confirm_last;
    bool confirm_refused;
    /* of a queue with a dead-letter exchange, for the caller to route */
    struct dead_letter *dead;
    size_t dead_count, dead_cap;
    uint64_t deadline_ms; /* the last step's: when to call queue_tick, 0 = never */
    struct ready_pool *pool;
    struct effect_log *log; /* NULL: nobody keeps effects */
    struct addr meta;       /* the metadata master */
};
void queue_out_fini(struct queue_out *out);

/* Takes the reference of def. */
struct queue *queue_new(struct queue_def *def, uint64_t now_ms);
void queue_free(struct queue *q);
/* Consumes what the op carries. */
void queue_step(struct queue *q, struct op *op, uint64_t now_ms, struct queue_out *out);
/* Lets expire what is due: messages, in portions, or the queue. */
void queue_tick(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* Frees messages that were purged or died with the queue, about budget; true if some are left. */
bool queue_sweep(struct queue *q, struct ready_pool *pool, unsigned budget);
bool queue_is_dead(const struct queue *q);
const struct queue_def *queue_get_def(const struct queue *q);

struct queue_counts {
    uint64_t ready, ready_bytes, unacked, unacked_bytes;
    uint32_t consumers;
    uint64_t published, delivered, acked, redelivered;
};
struct queue_counts queue_count(const struct queue *q);

/* By rabbitmqctl's column name. */
struct value queue_column(const struct queue *q, const char *column);
/* Columns of list_consumers, one call a consumer in order of arrival. */
struct consumer;
void queue_each_consumer(const struct queue *q,
                         void (*fn)(const struct queue *q, const struct consumer *c, void *arg),
                         void *arg);
struct value queue_consumer_column(const struct queue *q, const struct consumer *c,
                                   const char *column);

#endif
