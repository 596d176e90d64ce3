/* What one consumer has seen of one producer's messages in one queue: a bit a message, in chunks
 * that are recycled once every bit is set. One thread uses a track; merging is for after the run.
 *
 * Indexes are dense: the caller maps the sequence numbers a queue expects to 0, 1, 2, ... */
#ifndef PERF_TRACK_H
#define PERF_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACK_CHUNK_BITS = 15,
    TRACK_CHUNK_WORDS = 1 << (TRACK_CHUNK_BITS - 6),
    TRACK_CHUNKS_MAX = 1 << 22,
};

/* Chunks at rest, one pool a thread. */
struct track_pool {
    uint64_t *free;
};

struct track {
    uint64_t *bits;  /* of the chunk in use; NULL: none yet, or it was full already */
    uint64_t chunk;  /* its number */
    uint64_t next;   /* highest index seen, plus 1 */
    uint64_t fresh;  /* seen for the first time */
    uint64_t late;   /* fresh, but below one seen earlier, and not marked redelivered */
    uint64_t again;  /* seen before */
    uint64_t absurd; /* index out of any range */
    uint64_t **chunks;
    uint64_t nchunks;
};

void track_pool_fini(struct track_pool *pool);
void track_fini(struct track *t);

/* Makes the chunk of `index` current; false if the index is absurd. */
bool track_turn(struct track *t, struct track_pool *pool, uint64_t index);

static inline void track_add(struct track *t, struct track_pool *pool, uint64_t index,
                             bool redelivered)
{
    if ((t->bits == NULL || index >> TRACK_CHUNK_BITS != t->chunk) && !track_turn(t, pool, index))
        return;
    uint64_t *word = &t->bits[index >> 6 & (TRACK_CHUNK_WORDS - 1)];
    uint64_t bit = UINT64_C(1) << (index & 63);
    if (*word & bit) {
        t->again++;
        return;
    }
    *word |= bit;
    t->fresh++;
    if (index >= t->next)
        t->next = index + 1;
    else if (!redelivered)
        t->late++;
}

/* How many indexes both have seen. */
uint64_t track_overlap(const struct track *a, const struct track *b);

/* Adds what `b` has seen to `a`, for further overlaps. */
void track_merge(struct track *a, struct track_pool *pool, const struct track *b);

#endif
