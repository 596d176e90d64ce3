/* The ready messages of a queue in order: a FIFO of chunks, and beside it a heap of those that were
 * returned, which go back to where they were (by sequence number). Costs are independent of the
 * length; an empty one holds no memory. */
#ifndef BROKER_QUEUE_READY_H
#define BROKER_QUEUE_READY_H

#include "broker/msg.h"

struct ready_chunk;

struct ready_entry {
    struct msg *msg;
    uint64_t seq;
    uint32_t delivery_count;
    bool redelivered;
};

struct ready {
    struct ready_chunk *first, *last;
    struct ready_entry *returned; /* heap by seq */
    size_t returned_count, returned_cap;
    uint64_t count, bytes; /* bytes of bodies */
};

/* Spare chunks, one store a shard. */
struct ready_pool {
    struct ready_chunk *free;
    unsigned count;
};

void ready_pool_fini(struct ready_pool *pool);

/* seq must be above all that were pushed before. */
void ready_push(struct ready *r, struct ready_pool *pool, const struct ready_entry *entry);
/* Puts an entry back at its place. */
void ready_return(struct ready *r, const struct ready_entry *entry);
/* The first in order; false if there is none. */
bool ready_pop(struct ready *r, struct ready_pool *pool, struct ready_entry *ret_entry);
/* Moves everything of r to garbage, whose order does not matter. */
void ready_discard(struct ready *r, struct ready *garbage);

#endif
