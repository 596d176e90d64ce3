/* Bindings side by side in the order of their making, each with a number of buckets: its weight. A
 * new one comes behind the others; when one goes, the buckets behind it move up. The order is the
 * same on every shard and after a start, so what is found by a bucket's number is too.
 * A binding in the ring keeps the ring in binding->own. Embedded in an object that does not move.
 */
#ifndef BROKER_EXCHANGE_HASH_RING_H
#define BROKER_EXCHANGE_HASH_RING_H

#include "meta/exchange_type.h"

struct hash_ring_item {
    struct binding *binding;
    uint64_t end; /* number of the first bucket behind its own */
};

struct hash_ring {
    struct hash_ring_item *items;
    size_t count, cap;
};

void hash_ring_init(struct hash_ring *ring);
void hash_ring_fini(struct hash_ring *ring);
void hash_ring_add(struct hash_ring *ring, struct binding *binding, uint64_t weight);
void hash_ring_remove(struct hash_ring *ring, struct binding *binding);
/* bucket is below hash_ring_buckets(). */
struct binding *hash_ring_find(const struct hash_ring *ring, uint64_t bucket);

static inline uint64_t hash_ring_buckets(const struct hash_ring *ring)
{
    return ring->count ? ring->items[ring->count - 1].end : 0;
}

#endif
