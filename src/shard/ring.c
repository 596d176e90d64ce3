/* Storage of a ring, and its spill. */
#include "shard/ring.h"

#include "base/mem.h"

#include <stdlib.h>

void ring_init(struct ring *ring, uint32_t slots)
{
    *ring = (struct ring){.mask = slots - 1};
    ring->slots = slots ? mem_alloc(slots * sizeof *ring->slots) : NULL;
    pthread_mutex_init(&ring->lock, NULL);
}

void ring_fini(struct ring *ring)
{
    pthread_mutex_destroy(&ring->lock);
    free(ring->spill.ops);
    free(ring->slots);
    ring->slots = NULL;
}

static void grow(struct op_fifo *f)
{
    size_t cap = f->cap ? f->cap * 2 : 64;
    struct op *ops = mem_alloc(cap * sizeof *ops);
    for (size_t i = 0; i < f->count; i++)
        ops[i] = f->ops[(f->head + i) & (f->cap - 1)];
    free(f->ops);
    *f = (struct op_fifo){.ops = ops, .count = f->count, .cap = cap};
}

void op_fifo_push(struct op_fifo *f, const struct op *op)
{
    if (f->count == f->cap)
        grow(f);
    f->ops[(f->head + f->count++) & (f->cap - 1)] = *op;
}

void ring_spill(struct ring *ring, const struct op *op)
{
    pthread_mutex_lock(&ring->lock);
    op_fifo_push(&ring->spill, op);
    atomic_store_explicit(&ring->spilled, true, memory_order_release);
    pthread_mutex_unlock(&ring->lock);
}

bool ring_look(struct ring *ring, struct ring_part *ret_part)
{
    *ret_part = (struct ring_part){.tail = 0};
    if (!atomic_load_explicit(&ring->spilled, memory_order_acquire)) {
        ret_part->tail = ring_tail(ring);
        return false;
    }
    pthread_mutex_lock(&ring->lock);
    ret_part->tail = ring_tail(ring); /* nothing is pushed before the spill is gone */
    ret_part->spill = ring->spill;
    ring->spill = (struct op_fifo){0};
    atomic_store_explicit(&ring->spilled, false, memory_order_release);
    pthread_mutex_unlock(&ring->lock);
    return true;
}
