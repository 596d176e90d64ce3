/* What waits for its time within a queue: messages of one that delays what is published to it, and
 * those that clients gave back where there is a back-off. They are at a level of their own
 * (READY_LATER): in the store, paged and counted as the queue's other messages, but nobody gets
 * them. Private to this folder. */
#ifndef BROKER_QUEUE_LATER_H
#define BROKER_QUEUE_LATER_H

#include "broker/queue/queue_priv.h"

/* How long a message that was given back so often waits, ms; 0: it does not. */
uint64_t later_back_off(const struct retry *r, enum settle_how how, uint32_t delivery_count);

/* Puts an entry with a number of its own there, of a message that is at no other place. */
void later_put(struct queue *q, struct ready_entry *e, uint64_t due_ms, struct queue_out *out);
/* Moves there what a consumer held. */
void later_return(struct queue *q, const struct ready_entry *held, uint64_t due_ms,
                  struct queue_out *out);
/* Of an entry that is out of the queue's order since its time has come: it expires or, if it
 * waited, is ready as if it came now, but that it keeps its count of deliveries. */
void later_time_over(struct queue *q, struct ready_entry *e, uint64_t now_ms,
                     struct queue_out *out);

/* When the next is ready, 0 = nothing waits; later than said if it is not known exactly, since it
 * is in the store alone. */
uint64_t later_next(const struct queue *q);
/* Of those that wait, what is not in memory. */
struct later_away {
    uint64_t count, bytes;
} later_away(const struct queue *q);

#endif
