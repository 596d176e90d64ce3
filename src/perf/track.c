/* Chunks of tracks: turning over, recycling, merging. A chunk pointer is NULL (nothing seen), FULL
 * (all seen, memory given back) or memory of TRACK_CHUNK_WORDS words. */
#include "perf/track.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t full_mark;
#define FULL (&full_mark)

static void *must(void *p)
{
    if (p == NULL) {
        fprintf(stderr, "jackalope-perf: out of memory\n");
        abort();
    }
    return p;
}

static uint64_t *chunk_new(struct track_pool *pool)
{
    uint64_t *c = pool->free;

    if (c != NULL) {
        memcpy(&pool->free, c, sizeof pool->free);
        memset(c, 0, TRACK_CHUNK_WORDS * sizeof *c);
        return c;
    }
    return must(calloc(TRACK_CHUNK_WORDS, sizeof *c));
}

static void chunk_free(struct track_pool *pool, uint64_t *c)
{
    memcpy(c, &pool->free, sizeof pool->free);
    pool->free = c;
}

static bool chunk_full(const uint64_t *c)
{
    for (uint32_t i = 0; i < TRACK_CHUNK_WORDS; i++)
        if (c[i] != UINT64_MAX)
            return false;
    return true;
}

void track_pool_fini(struct track_pool *pool)
{
    while (pool->free != NULL) {
        uint64_t *c = pool->free;
        memcpy(&pool->free, c, sizeof pool->free);
        free(c);
    }
}

void track_fini(struct track *t)
{
    for (uint64_t i = 0; i < t->nchunks; i++)
        if (t->chunks[i] != FULL)
            free(t->chunks[i]);
    free(t->chunks);
    *t = (struct track){0};
}

static void reserve(struct track *t, uint64_t chunk)
{
    uint64_t n = t->nchunks;

    if (chunk < n)
        return;
    n = n == 0 ? 4 : n;
    while (n <= chunk)
        n *= 2;
    t->chunks = must(realloc(t->chunks, n * sizeof *t->chunks));
    memset(t->chunks + t->nchunks, 0, (n - t->nchunks) * sizeof *t->chunks);
    t->nchunks = n;
}

bool track_turn(struct track *t, struct track_pool *pool, uint64_t index)
{
    uint64_t chunk = index >> TRACK_CHUNK_BITS;

    if (chunk >= TRACK_CHUNKS_MAX) {
        t->absurd++;
        return false;
    }
    reserve(t, chunk);
    if (t->bits != NULL && chunk_full(t->bits)) {
        chunk_free(pool, t->bits);
        t->chunks[t->chunk] = FULL;
    }
    t->bits = NULL;
    if (t->chunks[chunk] == FULL) {
        t->again++;
        return false;
    }
    if (t->chunks[chunk] == NULL)
        t->chunks[chunk] = chunk_new(pool);
    t->bits = t->chunks[chunk];
    t->chunk = chunk;
    return true;
}

static uint64_t popcount(const uint64_t *c)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < TRACK_CHUNK_WORDS; i++)
        n += (uint64_t)__builtin_popcountll(c[i]);
    return n;
}

uint64_t track_overlap(const struct track *a, const struct track *b)
{
    uint64_t n = a->nchunks < b->nchunks ? a->nchunks : b->nchunks;
    uint64_t both = 0;

    for (uint64_t i = 0; i < n; i++) {
        const uint64_t *x = a->chunks[i];
        const uint64_t *y = b->chunks[i];
        if (x == NULL || y == NULL)
            continue;
        if (x == FULL)
            both += y == FULL ? UINT64_C(1) << TRACK_CHUNK_BITS : popcount(y);
        else if (y == FULL)
            both += popcount(x);
        else
            for (uint32_t w = 0; w < TRACK_CHUNK_WORDS; w++)
                both += (uint64_t)__builtin_popcountll(x[w] & y[w]);
    }
    return both;
}

void track_merge(struct track *a, struct track_pool *pool, const struct track *b)
{
    if (b->nchunks > 0)
        reserve(a, b->nchunks - 1);
    for (uint64_t i = 0; i < b->nchunks; i++) {
        const uint64_t *y = b->chunks[i];
        if (y == NULL || a->chunks[i] == FULL)
            continue;
        if (y == FULL) {
            if (a->chunks[i] != NULL)
                chunk_free(pool, a->chunks[i]);
            a->chunks[i] = FULL;
            continue;
        }
        if (a->chunks[i] == NULL)
            a->chunks[i] = chunk_new(pool);
        for (uint32_t w = 0; w < TRACK_CHUNK_WORDS; w++)
            a->chunks[i][w] |= y[w];
    }
    a->bits = NULL;
}
