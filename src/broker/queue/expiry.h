/* Which chunk of ready messages has the one that expires first: a heap of chunks, so the index
 * costs a few octets for each 128 messages and nothing for those that never expire. A chunk's time
 * may be too early (the message it stood for was delivered), never too late. Private to this
 * folder. */
#ifndef BROKER_QUEUE_EXPIRY_H
#define BROKER_QUEUE_EXPIRY_H

#include "broker/queue/sequence.h"

struct expiry_item {
    uint64_t earliest; /* nothing in the chunk expires before */
    struct ready_chunk *chunk;
};
struct expiry {
    struct expiry_item *heap;
    size_t count, cap;
};

/* Something in the chunk expires at that time. */
void expiry_note(struct expiry *x, struct ready_chunk *c, uint64_t at);
/* Entries moved between chunks: they expire no earlier than their chunk said. */
void expiry_inherit(struct ready_chunk *to, const struct ready_chunk *from);
/* Sets the time of the first chunk anew. */
void expiry_postpone(struct expiry *x, uint64_t at);
/* Up to when the first chunk is in front of all others, at most until. */
uint64_t expiry_turn(const struct expiry *x, uint64_t until);
/* Takes a chunk out of the index that it is in. */
void expiry_remove(struct ready_chunk *c);
/* Takes all out. */
void expiry_clear(struct expiry *x);
/* No chunk may be in it. */
void expiry_free(struct expiry **x);
/* When something may expire, 0 = never. */
static inline uint64_t expiry_first(const struct expiry *x)
{
    return x->count ? x->heap[0].earliest : 0;
}

#endif
