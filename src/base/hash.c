/* Linear probing at a load of at most 3/4 with backward-shift deletion. */
#include "base/hash.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HASH_FIRST = 8 };

static uint64_t seed; /* exception: one secret of the process, written before main */

__attribute__((constructor)) static void seed_once(void)
{
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)(uintptr_t)&seed;
}

uint64_t hash_bytes(struct slice key)
{
    uint64_t h = XXH3_64bits_withSeed(key.data, key.len, seed);
    return h ? h : 1;
}

uint64_t hash_stable(struct slice bytes)
{
    return XXH3_64bits(bytes.data, bytes.len);
}

void hash_wide(struct slice bytes, uint64_t ret_hash[2])
{
    XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data, bytes.len, seed);
    ret_hash[0] = h.high64;
    ret_hash[1] = h.low64;
}

void hash_init(struct hash *h, struct slice (*key_of)(const void *object))
{
    *h = (struct hash){.key_of = key_of};
}

void hash_fini(struct hash *h)
{
    free(h->slots);
    h->slots = NULL;
    h->mask = h->count = 0;
}

void *hash_find_hashed(const struct hash *h, struct slice key, uint64_t hash)
{
    if (!h->count)
        return NULL;
    for (size_t i = hash & h->mask; h->slots[i].hash; i = (i + 1) & h->mask) {
        if (h->slots[i].hash == hash && slice_eq(h->key_of(h->slots[i].object), key))
            return h->slots[i].object;
    }
    return NULL;
}

void *hash_find(const struct hash *h, struct slice key)
{
    return h->count ? hash_find_hashed(h, key, hash_bytes(key)) : NULL;
}

static void place(struct hash *h, uint64_t hash, void *object)
{
    size_t i = hash & h->mask;
    while (h->slots[i].hash)
        i = (i + 1) & h->mask;
    h->slots[i] = (struct hash_slot){hash, object};
}

static void resize(struct hash *h, size_t slots)
{
    struct hash_slot *old = h->slots;
    size_t n = hash_end(h);
    h->slots = mem_zalloc(slots * sizeof *h->slots);
    h->mask = slots - 1;
    for (size_t i = 0; i < n; i++) {
        if (old[i].hash)
            place(h, old[i].hash, old[i].object);
    }
    free(old);
}

void hash_add(struct hash *h, void *object)
{
    if (!h->slots)
        resize(h, HASH_FIRST);
    else if ((h->count + 1) * 4 > (h->mask + 1) * 3)
        resize(h, (h->mask + 1) * 2);
    place(h, hash_bytes(h->key_of(object)), object);
    h->count++;
}

static void shift_back(struct hash *h, size_t hole)
{
    for (size_t i = (hole + 1) & h->mask; h->slots[i].hash; i = (i + 1) & h->mask) {
        size_t home = h->slots[i].hash & h->mask;
        if (((i - home) & h->mask) >= ((i - hole) & h->mask)) {
            h->slots[hole] = h->slots[i];
            hole = i;
        }
    }
    h->slots[hole] = (struct hash_slot){0, NULL};
}

void *hash_remove(struct hash *h, struct slice key)
{
    if (!h->count)
        return NULL;
    uint64_t hash = hash_bytes(key);
    for (size_t i = hash & h->mask; h->slots[i].hash; i = (i + 1) & h->mask) {
        void *object = h->slots[i].object;
        if (h->slots[i].hash != hash || !slice_eq(h->key_of(object), key))
            continue;
        shift_back(h, i);
        h->count--;
        if (!h->count)
            hash_fini(h);
        else if (h->mask + 1 > 64 && h->count * 8 < h->mask + 1)
            resize(h, (h->mask + 1) / 2);
        return object;
    }
    return NULL;
}

size_t hash_next(const struct hash *h, size_t from)
{
    size_t n = hash_end(h);
    while (from < n && !h->slots[from].hash)
        from++;
    return from;
}
