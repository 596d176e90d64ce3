#include "broker/exchange/hash_ring.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

void hash_ring_init(struct hash_ring *ring)
{
    *ring = (struct hash_ring){0};
}

void hash_ring_fini(struct hash_ring *ring)
{
    free(ring->items);
    hash_ring_init(ring);
}

static uint64_t start_of(const struct hash_ring *ring, size_t at)
{
    return at ? ring->items[at - 1].end : 0;
}

void hash_ring_add(struct hash_ring *ring, struct binding *binding, uint64_t weight)
{
    MEM_GROW(ring->items, ring->cap, ring->count + 1);
    size_t at = ring->count++;
    for (; at && ring->items[at - 1].binding->order > binding->order; at--) {
        ring->items[at] = ring->items[at - 1];
        ring->items[at].end += weight;
    }
    ring->items[at] = (struct hash_ring_item){binding, start_of(ring, at) + weight};
    binding->own = ring;
}

void hash_ring_remove(struct hash_ring *ring, struct binding *binding)
{
    size_t at = 0;
    while (at < ring->count && ring->items[at].binding != binding)
        at++;
    bug_on(at == ring->count);
    uint64_t weight = ring->items[at].end - start_of(ring, at);
    for (ring->count--; at < ring->count; at++) {
        ring->items[at] = ring->items[at + 1];
        ring->items[at].end -= weight;
    }
    if (!ring->count)
        hash_ring_fini(ring);
}

struct binding *hash_ring_find(const struct hash_ring *ring, uint64_t bucket)
{
    size_t low = 0, high = ring->count;
    bug_on(bucket >= hash_ring_buckets(ring));
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ring->items[middle].end > bucket)
            high = middle;
        else
            low = middle + 1;
    }
    return ring->items[low].binding;
}
