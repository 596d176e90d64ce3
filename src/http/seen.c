#include "http/seen.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 8, PART_SHIFT = 48 };

void seen_fini(struct seen *s)
{
    for (size_t i = 0; i < SEEN_PARTS; i++)
        free(s->parts[i].slots);
    *s = (struct seen){.parts = {{NULL, 0, 0}}};
}

static uint64_t *slot_of(const struct seen_part *s, uint64_t number, uint64_t hash)
{
    size_t at = hash & s->mask;
    while (s->slots[at] && s->slots[at] != number)
        at = (at + 1) & s->mask;
    return &s->slots[at];
}

static void grow(struct seen_part *s)
{
    struct seen_part old = *s;
    size_t slots = old.slots ? 2 * (old.mask + 1) : FIRST_SLOTS;
    s->slots = mem_zalloc(slots * sizeof *s->slots);
    s->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++) {
        if (old.slots[i])
            *slot_of(s, old.slots[i], hash_mix(old.slots[i], 0)) = old.slots[i];
    }
    free(old.slots);
}

bool seen_add(struct seen *seen, uint64_t number)
{
    uint64_t hash = hash_mix(number, 0);
    struct seen_part *s = &seen->parts[(hash >> PART_SHIFT) % SEEN_PARTS];
    if (!s->slots || s->count > s->mask / 2)
        grow(s);
    uint64_t *slot = slot_of(s, number, hash);
    if (*slot)
        return false;
    *slot = number;
    s->count++;
    return true;
}
