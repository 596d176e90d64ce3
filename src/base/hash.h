/* Open-addressing hash table of pointers to objects that embed their own key.
 * The table stores {hash, object}; growth doubles, deletion shifts back, no tombstones.
 * Hashes are seeded per process, so that a peer cannot choose colliding names. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

struct hash_slot {
    uint64_t hash; /* never 0 for a used slot */
    void *object;
};

struct hash {
    struct hash_slot *slots;
    size_t mask; /* slots - 1; 0 while empty */
    size_t count;
    /* the key bytes of an object */
    struct slice (*key_of)(const void *object);
};

/* Seeded XXH3 of the bytes, never 0. */
uint64_t hash_bytes(struct slice key);
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a ^ (b + 0x9e3779b97f4a7c15ULL + (a << 12) + (a >> 4))) * 0xbf58476d1ce4e5b9ULL;
    h ^= h >> 31;
    return h ? h : 1;
}

/* The same in every process and release: of what is kept, or seen by users, as a place on a ring.
 */
uint64_t hash_stable(struct slice bytes);
/* 128 bits, seeded per process as hash_bytes. */
void hash_wide(struct slice bytes, uint64_t ret_hash[2]);

void hash_init(struct hash *h, struct slice (*key_of)(const void *object));
/* Frees the table, not the objects. */
void hash_fini(struct hash *h);
/* NULL if there is none. */
void *hash_find(const struct hash *h, struct slice key);
void *hash_find_hashed(const struct hash *h, struct slice key, uint64_t hash);
/* The key must not be in the table yet. */
void hash_add(struct hash *h, void *object);
/* Returns the object taken out, NULL if there was none. */
void *hash_remove(struct hash *h, struct slice key);

/* Visits every object; the table must not change meanwhile. */
#define hash_each(it, h) \
    for (size_t it = hash_next((h), 0); it < hash_end(h); it = hash_next((h), it + 1))
size_t hash_next(const struct hash *h, size_t from);
static inline size_t hash_end(const struct hash *h)
{
    return h->slots ? h->mask + 1 : 0;
}
static inline void *hash_at(const struct hash *h, size_t it)
{
    return h->slots[it].object;
}

#endif
