/* One-shot timers of a shard: a heap, exact to the loop's millisecond. */
#ifndef SHARD_TIMER_H
#define SHARD_TIMER_H

#include "shard/shard.h"

struct timer {
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    uint32_t index;  /* place in the heap + 1; 0 = not set */
    struct shard *shard;
    void (*fn)(struct timer *t);
};

static inline void timer_init(struct timer *t, struct shard *shard, void (*fn)(struct timer *t))
{
    *t = (struct timer){.shard = shard, .fn = fn};
}
static inline bool timer_is_set(const struct timer *t)
{
    return t->index != 0;
}
/* (Re)sets the timer to fire once, delay_ms from now. */
void timer_set(struct timer *t, uint64_t delay_ms);
/* Harmless if not set. */
void timer_stop(struct timer *t);

#endif
