/* x-modulus-hash: each message goes to one binding, chosen by a hash of its routing key modulo the
 * number of bindings, whatever their keys. Equal keys go the same way as long as the bindings stay,
 * also after a start; another number of bindings moves most keys.
 * Cost: O(log bindings) a message, O(bindings) an unbind. */
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "broker/exchange/exchange.h"
#include "broker/exchange/hash_ring.h"

#include <inttypes.h>
#include <stdlib.h>

static void *modulus_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    (void)args;
    struct hash_ring *ring = NEW(struct hash_ring);
    hash_ring_init(ring);
    return ring;
}

static void modulus_free(void *instance)
{
    hash_ring_fini(instance);
    free(instance);
}

static void modulus_bind(void *instance, struct binding *binding)
{
    hash_ring_add(instance, binding, 1);
}

static void modulus_unbind(void *instance, struct binding *binding)
{
    hash_ring_remove(instance, binding);
}

static uint64_t place_of(const struct hash_ring *ring, const struct route_input *input)
{
    return hash_stable(input->key.len ? input->key : SLICE("")) % hash_ring_buckets(ring);
}

static void modulus_route(const void *instance, const struct route_input *input,
                          struct route_sink *sink)
{
    const struct hash_ring *ring = instance;
    if (ring->count)
        sink->found(sink, &hash_ring_find(ring, place_of(ring, input))->to);
}

static bool modulus_judge(const struct binding *binding, const struct route_input *input,
                          struct buf *why)
{
    const struct hash_ring *ring = binding->own;
    uint64_t place = place_of(ring, input);
    if (hash_ring_find(ring, place) == binding)
        return true;
    buf_printf(why, "it is not binding %" PRIu64, place);
    return false;
}

static void modulus_tell(const void *instance, const struct route_input *input, struct buf *out)
{
    const struct hash_ring *ring = instance;
    if (ring->count)
        buf_printf(out,
                   "binding %" PRIu64 " of %zu, counted from 0 in the order of their making, by "
                   "the hash of the routing key",
                   place_of(ring, input), ring->count);
}

const struct exchange_type exchange_modulus_hash = {
    .name = "x-modulus-hash",
    .text = "a message goes to one binding, chosen by a hash of its routing key modulo the number "
            "of bindings",
    .keyless = true,
    .new = modulus_new,
    .free = modulus_free,
    .bind = modulus_bind,
    .unbind = modulus_unbind,
    .route = modulus_route,
    .judge = modulus_judge,
    .tell = modulus_tell,
};
