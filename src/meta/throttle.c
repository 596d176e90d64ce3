#include "meta/throttle.h"

#include <stddef.h>

enum { TICK_MS = 100, TAG_BITS = 32 };

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> TAG_BITS) | 1;
}

static uint32_t end_of(uint64_t slot)
{
    return (uint32_t)slot;
}

static uint64_t slot_of(uint32_t tag, uint64_t end)
{
    return (uint64_t)tag << TAG_BITS | (uint32_t)end;
}

static _Atomic uint64_t *place(struct throttle *t, uint64_t hash, unsigned way)
{
    return &t->slots[(hash + way) % THROTTLE_SLOTS];
}

static _Atomic uint64_t *find(struct throttle *t, uint64_t hash)
{
    for (unsigned way = 0; way < THROTTLE_WAYS; way++) {
        _Atomic uint64_t *at = place(t, hash, way);
        if (atomic_load_explicit(at, memory_order_relaxed) >> TAG_BITS == tag_of(hash))
            return at;
    }
    return NULL;
}

/* One that is free, or over first. */
static _Atomic uint64_t *room(struct throttle *t, uint64_t hash)
{
    _Atomic uint64_t *best = place(t, hash, 0);
    for (unsigned way = 1; way < THROTTLE_WAYS; way++) {
        _Atomic uint64_t *at = place(t, hash, way);
        if (end_of(atomic_load_explicit(at, memory_order_relaxed)) <
            end_of(atomic_load_explicit(best, memory_order_relaxed)))
            best = at;
    }
    return best;
}

static uint64_t step_of(uint32_t most)
{
    uint64_t step = THROTTLE_WINDOW_MS / TICK_MS / most;
    return step ? step : 1;
}

bool throttle_is_full(struct throttle *t, uint64_t hash, uint32_t most, uint64_t now_ms)
{
    const _Atomic uint64_t *at = most ? find(t, hash) : NULL;
    if (!at)
        return false;
    uint64_t end = end_of(atomic_load_explicit(at, memory_order_relaxed));
    return end > now_ms / TICK_MS + (most - 1) * step_of(most);
}

void throttle_note(struct throttle *t, uint64_t hash, uint32_t most, uint64_t now_ms)
{
    if (!most)
        return;
    uint64_t now = now_ms / TICK_MS;
    _Atomic uint64_t *at = find(t, hash);
    if (!at)
        at = room(t, hash);
    uint64_t was = atomic_load_explicit(at, memory_order_relaxed), is;
    do {
        uint64_t end = was >> TAG_BITS == tag_of(hash) ? end_of(was) : 0;
        is = slot_of(tag_of(hash), (end > now ? end : now) + step_of(most));
    } while (!atomic_compare_exchange_weak_explicit(at, &was, is, memory_order_relaxed,
                                                    memory_order_relaxed));
}

void throttle_forget(struct throttle *t, uint64_t hash)
{
    _Atomic uint64_t *at = find(t, hash);
    if (at)
        atomic_store_explicit(at, 0, memory_order_relaxed);
}
