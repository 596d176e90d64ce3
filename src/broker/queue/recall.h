/* After a start a deduplicating queue reads once through what it has in the store, from its first
 * op on; what is published meanwhile waits here, in order. Nothing else does: what consumers take
 * is told to dedup. One a queue that needs it, until it is done.
 *
 * Of that the shard's queues keep READY_RECALL_BYTES; whose publish comes then waits for the queue,
 * with all its connection, and the queue whose dead letter comes then keeps the others (brake.h).
 * Beyond are only what those had on its way, and of each channel the transaction that it commits,
 * which it has had in memory since before. */
#ifndef BROKER_QUEUE_RECALL_H
#define BROKER_QUEUE_RECALL_H

#include "broker/queue/brake.h"
#include "broker/queue/pager.h"

struct recall {
    struct page_reader reader;
    struct queue *queue;
    struct queue_level *levels; /* those still to be read, from at */
    size_t at, count;
    uint64_t ticket;
    bool begun;
    struct op *kept;
    size_t kept_count, kept_cap;
    uint64_t kept_bytes;
    struct brake brake;
    void (*on_done)(void *arg); /* once all was read; may free it */
    void *arg;
};

/* NULL: the queue has no need. */
struct recall *recall_new(struct queue *q, struct pager *pager, const struct queue_level *levels,
                          size_t count, void (*on_done)(void *arg), void *arg);
/* What is kept is released as if the queue had gone. */
void recall_free(struct recall **recall);
/* True: the op waits. */
bool recall_keep(struct recall *r, const struct op *op);

#endif
