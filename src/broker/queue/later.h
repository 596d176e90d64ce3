/* What waits for its time within a queue: messages of one that delays what is published to it,
 * those that clients gave back where there is a back-off, and dead letters that found no place and
 * are tried again (x-dead-letter-strategy at-least-once). They are at a level of their own
 * (struct ready_later): in the store, paged and counted as the queue's other messages, but nobody
 * gets them. Private to this folder. */
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

/* ---- dead letters ---- */
/* Of an entry at that level. Its count of deliveries has the highest bit then, and says for the
 * rest why it died and how often it was tried; it is kept as it was before it died. */
static inline bool later_is_letter(const struct ready_entry *e)
{
    return e->delivery_count >> 31;
}
/* So often. */
uint32_t later_tries(const struct ready_entry *e);
/* Keeps a dead letter, and takes its reference; its number there. */
uint64_t later_keep(struct queue *q, const struct dead_letter *letter, uint64_t now_ms,
                    struct queue_out *out);
/* The entry was put there: it counts if it is a letter. */
void later_came(struct queue *q, const struct ready_entry *e);
/* The entry leaves the level. */
void later_left(struct queue *q, const struct ready_entry *e);
/* The level is as a start found it in the store. */
void later_restored(struct queue *q);
static inline uint64_t later_letters(const struct queue *q)
{
    const struct ready_later *l = q->ready.later;
    return !l ? 0 : l->letters < l->count ? l->letters : l->count;
}
static inline uint64_t later_letter_bytes(const struct queue *q)
{
    const struct ready_later *l = q->ready.later;
    return !l ? 0 : l->letter_bytes < l->bytes ? l->letter_bytes : l->bytes;
}

/* When the next is ready, 0 = nothing waits; later than said if it is not known exactly, since it
 * is in the store alone. */
uint64_t later_next(const struct queue *q);
/* Of those that wait, what is not in memory. */
struct later_away {
    uint64_t count, bytes;
} later_away(const struct queue *q);

#endif
