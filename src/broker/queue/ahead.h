/* Messages that are in the store and were read since they expire soon: a heap, the first to expire
 * on top. They still count as what is not in memory. Private to this folder. */
#ifndef BROKER_QUEUE_AHEAD_H
#define BROKER_QUEUE_AHEAD_H

#include "broker/queue/due.h"

struct ahead {
    struct ready_entry *items; /* each has a reference */
    size_t count, cap;
    uint64_t bytes;          /* of memory, about */
    struct ready_pool *pool; /* which counts them too; NULL: there never were any */
};

/* Takes the reference. */
void ahead_add(struct ahead *a, struct ready_pool *pool, const struct ready_entry *e);
/* The one that expires first, of the same time the lowest number; NULL: there is none. */
static inline const struct ready_entry *ahead_first(const struct ahead *a)
{
    return a->count ? &a->items[0] : NULL;
}
/* The reference is the caller's then. */
struct ready_entry ahead_pop(struct ahead *a);
/* Lets go of the level's messages with these numbers. */
void ahead_drop(struct ahead *a, unsigned level, uint64_t first, uint64_t last);
void ahead_clear(struct ahead *a);

#endif
