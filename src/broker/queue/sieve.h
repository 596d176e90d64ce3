/* What a deduplicating exchange lets in: the part of its line that has to do with messages. The
 * line is a queue of values, each a message whose body is the value and whose expiration is its
 * time; the queue's rules bound it, its store keeps it.
 *
 * Invariant: a value is in the queue, and recorded, only behind the message that it came with,
 * which is in every queue then that it goes to, and recorded there. A crash in between lets the
 * message in again, but it was never confirmed. */
#ifndef BROKER_QUEUE_SIEVE_H
#define BROKER_QUEUE_SIEVE_H

#include "broker/queue/brake.h"
#include "broker/queue/deadletter.h"
#include "broker/queue/dedup.h"

struct passage;

/* What the actor of the line does for it. */
struct sieve_owner {
    /* The queue lets go of what expired. */
    void (*expire)(void *arg);
    /* It takes the op, with whatever comes of it. */
    void (*take)(void *arg, struct op *op);
    /* The publish that op was is answered with these flags; safe: once all that is recorded is. */
    void (*answer)(void *arg, const struct op *op, bool safe, uint16_t flags);
    void *arg;
};

/* One a line. */
struct sieve {
    struct queue *queue;
    struct deadletters *tools; /* the shard's */
    const struct queue_out *out;
    struct sieve_owner owner;
    struct addr addr;       /* gets the answers */
    uint64_t ttl;           /* ms, RULES_NONE: for ever */
    struct passage *passed; /* messages on their way, from at; the first has number first */
    size_t at, count, cap;
    uint64_t first;
    struct dedup *passing; /* their values, by their numbers */
    uint64_t bytes;        /* of all that, and of what waits for it */
    struct brake brake;
};

struct sieve *sieve_new(struct queue *queue, struct deadletters *tools, const struct queue_out *out,
                        const struct sieve_owner *owner);
void sieve_free(struct sieve **sieve);
/* Takes an ENQUEUE that is for the exchange. */
void sieve_put(struct sieve *s, struct op *op);
/* Nothing is on its way. */
bool sieve_is_idle(const struct sieve *s);

#endif
