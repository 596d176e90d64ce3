/* Dead letters on their way. What was stored in the queue that it left stays in the log as that
 * queue's until every queue it goes to has it in the log, or has refused it: a crash in between
 * leaves it in both, never in neither. One that must come to all is given back if a queue refuses
 * it. One a shard. */
#ifndef BROKER_QUEUE_TRANSFER_H
#define BROKER_QUEUE_TRANSFER_H

#include "broker/queue/deadletter.h"
#include "broker/queue/recorder.h"
#include "shard/shard.h"

/* A letter that must come to all, on its way. */
struct sending {
    struct dead_letter letter; /* with its reference */
    struct recorded *from;     /* NULL: the queue is gone */
    bool settle, refused;
    uint32_t waiting; /* answers */
    uint64_t number;  /* of the first queue's */
    uint64_t *sent;   /* ids of the queues */
    uint64_t *done;   /* of those that have it */
    size_t done_count;
};

struct transfers {
    struct shard *shard;
    struct recorder *recorder;
    struct deferred *turn_end; /* writes what is settled */
    struct addr addr;          /* gets the answers */
    struct transfer *items;    /* from at; the first has number first */
    size_t at, count, cap;
    uint64_t first;
    struct list waits;
    /* A queue has refused it; the others have answered. Its end is not recorded. Takes the letter,
     * and done. */
    void (*on_refused)(struct recorded *from, struct sending *s);
};

/* Runs once all letters have arrived that were on their way when it was made. */
struct transfer_wait {
    struct list link;
    uint64_t below;
    void (*fn)(struct transfer_wait *wait);
};

void transfers_init(struct transfers *t, struct shard *shard, struct recorder *recorder,
                    struct deferred *turn_end);
void transfers_fini(struct transfers *t);
/* The number that the answers for the next letter carry. */
static inline uint64_t transfers_next(const struct transfers *t)
{
    return t->first + (t->count - t->at);
}
/* It was posted to so many queues. settle: its end in the queue is recorded when all have it. */
void transfers_add(struct transfers *t, struct recorded *from, const struct dead_letter *letter,
                   bool settle, size_t targets);
/* It was posted to these queues, with a number for each. Takes the letter's reference, and way's
 * array. */
void transfers_send(struct transfers *t, struct recorded *from, const struct dead_letter *letter,
                    bool settle, struct letter_way *way, size_t targets);
/* Those on their way from that queue, and those that leave in this very step, are also kept by the
 * purges among its effects. */
void transfers_keep(const struct transfers *t, const struct recorded *from,
                    const struct queue_out *out);
/* The queue goes. */
void transfers_forget(struct transfers *t, const struct recorded *from);
static inline bool transfers_any(const struct transfers *t)
{
    return t->at < t->count;
}
/* That one is on its way from the queue, which has it in the store until it has arrived. Looks at
 * all. */
bool transfers_have(const struct transfers *t, const struct recorded *from, uint64_t seq);
void transfers_await(struct transfers *t, struct transfer_wait *wait);

#endif
