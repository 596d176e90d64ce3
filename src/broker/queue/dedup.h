/* Which values of the header x-deduplication-header the messages of a queue have: a set of hashes,
 * 40 bytes a place, at most three in four used, at most 107 bytes a message. What is stored of the
 * queue tells it all: after a start the set is made anew from there (recall.h).
 *
 * Values are compared as a headers exchange does, whatever the types of numbers. */
#ifndef BROKER_QUEUE_DEDUP_H
#define BROKER_QUEUE_DEDUP_H

#include "broker/msg.h"
#include "shard/op.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dedup_key {
    uint64_t high, low;
};

/* A message that is there. */
struct dedup_place {
    struct dedup_key key;
    uint64_t seq;
    uint64_t transaction; /* came with it, 0: none */
    uint64_t mark;        /* it is committed once all are whose number is below */
};

struct dedup_table {
    struct dedup_place *places; /* seq 0: free */
    size_t mask, count;
};

/* The confirm of a duplicate of what is not committed yet. */
struct dedup_wait {
    struct addr channel;
    uint64_t seq;
    uint64_t mark; /* it goes once all transactions are closed whose number is below */
};

struct dedup {
    struct dedup_table there;
    bool of_bodies;          /* a message is nothing but a value: its body (queue/sieve.h) */
    bool recalling;          /* not all of the queue's messages are known yet */
    struct dedup_table left; /* meanwhile, by number: they are not to be added any more */
    struct dedup_wait *waits;
    size_t wait_count, wait_cap;
};

struct dedup *dedup_new(void);
void dedup_free(struct dedup **d);
/* False: the message has no such header. */
bool dedup_key_of(const struct msg *m, struct dedup_key *ret_key);
/* The same of a message of that queue. */
bool dedup_key_in(const struct dedup *d, const struct msg *m, struct dedup_key *ret_key);
/* One after the other, NULL first; borrowed until the next change. There may be several: of a
 * transaction that was still open when the next one came. */
const struct dedup_place *dedup_find(const struct dedup *d, const struct dedup_key *key,
                                     const struct dedup_place *after);
void dedup_put(struct dedup *d, const struct dedup_place *place);
/* The message with that number leaves the queue. */
void dedup_drop(struct dedup *d, const struct msg *m, uint64_t seq);
/* It has another number from now on. */
void dedup_move(struct dedup *d, const struct msg *m, uint64_t from, uint64_t to);
/* All leave, and all are known. */
void dedup_clear(struct dedup *d);
/* The same; what was there is the caller's, to free its places. */
struct dedup_table dedup_empty(struct dedup *d);
/* But this one stays. */
void dedup_keep(struct dedup *d, const struct dedup_table *before, const struct msg *m,
                uint64_t seq);
/* One that was there from before is found. */
void dedup_recall(struct dedup *d, const struct msg *m, uint64_t seq);
/* All were found. */
void dedup_recalled(struct dedup *d);

void dedup_await(struct dedup *d, const struct dedup_wait *wait);
/* Takes one out that may go: all transactions below oldest are closed. False: there is none. */
bool dedup_awaited(struct dedup *d, uint64_t oldest, struct dedup_wait *ret_wait);
static inline bool dedup_is_awaited(const struct dedup *d)
{
    return d->wait_count;
}

#endif
