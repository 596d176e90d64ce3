/* Storage of a ring. */
#include "shard/ring.h"

#include "base/mem.h"

#include <stdlib.h>

void ring_init(struct ring *ring, uint32_t slots)
{
    *ring = (struct ring){.mask = slots - 1};
    ring->slots = slots ? mem_alloc(slots * sizeof *ring->slots) : NULL;
}

void ring_fini(struct ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}
