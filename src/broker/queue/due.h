/* What of an extent expires when: a heap, for messages that are in the store alone and expire in
 * another order than they came in. 16 octets for each. Private to this folder. */
#ifndef BROKER_QUEUE_DUE_H
#define BROKER_QUEUE_DUE_H

#include "broker/queue/sequence.h"

struct due_entry {
    uint64_t expiry;
    uint32_t offset; /* of the number, from the base */
    uint32_t size;   /* of the body, and in the lowest bit whether it is persistent */
};
struct due {
    uint64_t base;
    struct due_entry *items;
    uint32_t count, cap;
    bool heap; /* in order; else it is put so when somebody looks */
};

struct due *due_new(uint64_t base);
void due_free(struct due **d);
/* All numbers are within 32 bits of the lowest. */
void due_add(struct due *d, uint64_t seq, uint64_t expiry, uint64_t size, bool persistent);
/* Numbers of the second are above those of the first, and within 32 bits of its base; it goes. */
void due_join(struct due *d, struct due **other);
/* The one that expires first, of the same time the lowest number; NULL: there is none. */
const struct due_entry *due_first(struct due *d);
void due_pop(struct due *d);
/* Looks at all; false: it is not there. */
bool due_remove(struct due *d, uint64_t seq);
/* What has a lower number leaves. */
void due_drop_below(struct due *d, uint64_t seq);

static inline uint32_t due_pack(uint64_t size, bool persistent)
{
    return (uint32_t)(size * 2 + persistent);
}
static inline uint64_t due_size(uint32_t size)
{
    return size / 2;
}
static inline bool due_is_persistent(uint32_t size)
{
    return size & 1;
}

#endif
