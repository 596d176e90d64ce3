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
struct applied;

/* What changed in the contents, for a log that a replica or a recovery can apply without judging
 * anything again. */
enum effect_kind {
    EFFECT_ENQ,    /* seq, msg: a reference, the reader of effects drops it */
    EFFECT_SETTLE, /* seq..last of the level: gone for good */
    EFFECT_RETURN, /* seq: ready again, redelivered */
    EFFECT_PURGE,  /* all below seq but those kept */
};
struct effect {
    enum effect_kind kind;
    uint32_t delivery_count;
    uint16_t level;
    bool stored; /* ENQ: to be; else: is */
    bool paged;  /* ENQ: of a message that was not stored, and leaves memory now */
    bool own;    /* asked for by the op, and so part of its transaction; else the queue's doing */
    bool moved;  /* ENQ: the queue had it under another number, which is settled next */
    bool buried; /* SETTLE: it lives on as a dead letter (queue_out.dead) */
    uint64_t seq, last;
    uint64_t expiry; /* 0 = never */
    struct msg *msg;
    uint64_t *kept; /* PURGE: ascending; freed by the reader of effects */
    size_t kept_count;
};
struct effect_log {
    struct effect *effects;
    size_t count, cap;
    bool all; /* also what is not stored */
};

/* Why a message left otherwise than by acknowledgement. */
enum death { DEATH_REJECTED, DEATH_EXPIRED, DEATH_MAXLEN, DEATH_DELIVERY_LIMIT };
struct dead_letter {
    struct msg *msg; /* one reference */
    enum death death;
    uint16_t level;
    bool stored;    /* was, in the queue that it left; the rest is for that */
    bool own;       /* as its EFFECT_SETTLE */
    uint32_t tries; /* before, in vain */
    uint64_t seq;
    struct queue_def *to; /* one reference: it did not die, but moves there. NULL: a dead letter */
    /* of one that moves, as it was */
    uint64_t expiry;
    uint32_t delivery_count;
    bool redelivered;
};

/* Publishes first..last of that channel are taken (or refused); runs in a row are joined. */
enum confirm_when { CONFIRM_NOW, CONFIRM_WHEN_SAFE, CONFIRM_RUNS };
struct confirm_run {
    struct addr channel; /* none: no run */
    uint64_t first, last;
    uint16_t flags; /* OP_CONFIRM_ */
};

/* Messages of a level that the queue wants back from the store, to be answered by queue_page_in. */
struct page_request {
    uint64_t ticket;
    uint64_t from, to; /* seqs, inclusive */
    uint64_t max_bytes;
    uint32_t max_count; /* 0: nothing is wanted */
    uint16_t level;
    /* these alone, in order; borrowed from the queue, until it asks again or goes. NULL: all */
    const uint64_t *seqs;
    uint32_t seq_count;
};
struct seq_range {
    uint64_t first, last;
};
struct page_answer {
    uint64_t ticket;
    struct ready_entry *entries; /* in order, with msg, seq, expiry, delivery_count, redelivered */
    size_t count;
    uint64_t next; /* there are no others below */
};

/* Where a step writes. One a shard, reused. */
struct queue_out {
    struct op *ops;
    size_t count, cap;
    struct confirm_run confirms[CONFIRM_RUNS];
    /* those that may go once the effects so far are safe */
    struct op *held;
    size_t held_count, held_cap;
    /* of a queue with a dead-letter exchange, for the caller to route */
    struct dead_letter *dead;
    size_t dead_count, dead_cap;
    uint64_t deadline_ms; /* the last step's: when to call queue_tick, 0 = never */
    bool own;             /* what effects are for now */
    struct page_request page;
    /* that and later requests must see the effects so far: all of them, or those for numbers within
     * these that went to the end of their level */
    bool extents_changed;
    /* the same of requests that do not name their messages: some that were asked for before left */
    bool extents_left;
    struct seq_range paged;         /* last 0: none */
    bool commits_count;             /* among these are some of a transaction, committed by now */
    struct ready_garbage paged_out; /* free it (ready_sweep) when the effects were seen */
    uint64_t lost;                  /* messages that were counted, but not in the store */
    struct ready_pool *pool;
    /* the number of the oldest open transaction, and of the next; NULL: there are none */
    uint64_t (*oldest_transaction)(const struct queue_out *out, uint64_t *ret_next);
    struct effect_log *log; /* NULL: nobody wants effects */
    struct addr meta;       /* the metadata master */
};
void queue_out_fini(struct queue_out *out);

/* Takes the reference of def. stored: persistent messages are for the log, their confirms wait. */
struct queue *queue_new(struct queue_def *def, bool stored, uint64_t now_ms);
void queue_free(struct queue *q);
/* Policies are in effect for it from now on; what is too much goes. False: nothing changed. */
bool queue_set_policies(struct queue *q, const struct applied *applied, uint64_t now_ms,
                        struct queue_out *out);
/* Consumes what the op carries. */
void queue_step(struct queue *q, struct op *op, uint64_t now_ms, struct queue_out *out);
/* The next step is part of a transaction: what it does is not in the store before the commit. */
void queue_in_transaction(struct queue *q);
/* Lets go of what is over the limits, and of what is due: messages, in portions, or the queue. */
void queue_tick(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* What out->page asked for, at some later time. Consumes the messages. */
void queue_page_in(struct queue *q, const struct page_answer *answer, uint64_t now_ms,
                   struct queue_out *out);
/* Ready messages that are in the store from before, for a queue that never saw a step. */
struct queue_level {
    uint64_t count, bytes; /* of bodies */
    uint64_t first, last;  /* seqs within these */
    uint64_t expiry;       /* none expires before, 0 = none ever */
    uint16_t level;
};
void queue_restore(struct queue *q, const struct queue_level *levels, size_t count,
                   uint64_t next_seq);
/* Frees messages that were purged or died with the queue, about budget; true if some are left. */
bool queue_sweep(struct queue *q, struct ready_pool *pool, unsigned budget);
bool queue_is_dead(const struct queue *q);
const struct queue_def *queue_get_def(const struct queue *q);

struct queue_counts {
    uint64_t ready, ready_bytes, unacked, unacked_bytes;
    uint64_t later, later_bytes; /* wait for their time, and are not ready */
    uint32_t consumers;
    uint64_t paged_out, paged_out_bytes; /* on the disk alone */
    uint64_t published, delivered, acked, redelivered;
};
/* Messages wait in it for their time, or would. */
bool queue_delays(const struct queue *q);
/* When the next is ready, of a delay line: leaves, at the earliest; 0: never. */
uint64_t queue_next_due(const struct queue *q);
struct queue_counts queue_count(const struct queue *q);

/* By rabbitmqctl's column name. */
struct value queue_column(const struct queue *q, const char *column);
/* Columns of list_consumers. */
struct consumer;
struct value queue_consumer_column(const struct queue *q, const struct consumer *c,
                                   const char *column);

#endif
