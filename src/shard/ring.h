/* The single-producer single-consumer ring between two shards. */
#ifndef SHARD_RING_H
#define SHARD_RING_H

#include "shard/shard_priv.h"

void ring_init(struct ring *ring, uint32_t slots);
void ring_fini(struct ring *ring);

/* Producer. False if full. */
static inline bool ring_push(struct ring *ring, const struct op *op)
{
    uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    if (tail - ring->head_seen > ring->mask) {
        ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (tail - ring->head_seen > ring->mask)
            return false;
    }
    ring->slots[tail & ring->mask] = *op;
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

/* Consumer: what may be taken now is head..tail. */
static inline uint32_t ring_tail(const struct ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_acquire);
}

static inline uint32_t ring_head(const struct ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed);
}

static inline const struct op *ring_at(const struct ring *ring, uint32_t index)
{
    return &ring->slots[index & ring->mask];
}

/* Consumer: there is something to take. */
static inline bool ring_pending(const struct ring *ring)
{
    return ring_tail(ring) != ring_head(ring) ||
           atomic_load_explicit(&ring->spilled, memory_order_acquire);
}

/* Producer: the next op has to be spilled. */
static inline bool ring_is_spilled(const struct ring *ring)
{
    return atomic_load_explicit(&ring->spilled, memory_order_acquire);
}

/* Producer, when ring_push failed or the ring is spilled. */
void ring_spill(struct ring *ring, const struct op *op);
/* Consumer: all that was pushed or spilled before. True if there was a spill, which is the caller's
 * to free. */
bool ring_look(struct ring *ring, struct ring_part *ret_part);

void op_fifo_push(struct op_fifo *f, const struct op *op);

/* Consumer: gives the slots before head back. */
static inline void ring_advance(struct ring *ring, uint32_t head)
{
    atomic_store_explicit(&ring->head, head, memory_order_release);
}

#endif
