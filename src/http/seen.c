#include "http/seen.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

void seen_fini(struct seen *s)
{
    free(s->slots);
    *s = (struct seen){.count = 0};
}

static uint64_t *slot_of(const struct seen *s, uint64_t number)
{
    size_t at = hash_mix(number, 0) & s->mask;
    while (s->slots[at] && s->slots[at] != number)
        at = (at + 1) & s->mask;
    return &s->slots[at];
}

static void grow(struct seen *s)
{
    struct seen old = *s;
    size_t slots = old.slots ? 2 * (old.mask + 1) : FIRST_SLOTS;
    s->slots = mem_zalloc(slots * sizeof *s->slots);
    s->mask = slots - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++) {
        if (old.slots[i])
            *slot_of(s, old.slots[i]) = old.slots[i];
    }
    free(old.slots);
}

bool seen_add(struct seen *s, uint64_t number)
{
    if (!s->slots || s->count > s->mask / 2)
        grow(s);
    uint64_t *slot = slot_of(s, number);
    if (*slot)
        return false;
    *slot = number;
    s->count++;
    return true;
}
