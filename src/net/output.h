/* The output of one stream: bytes in order, small ones copied into chunks of a per-shard pool,
 * large ones referenced. An empty output owns no memory. Not shared between shards. */
#ifndef NET_OUTPUT_H
#define NET_OUTPUT_H

#include "base/slice.h"
#include "shard/timer.h"

struct chunk;
struct iovec;
struct segment;

enum {
    CHUNK_SIZE = 64 * 1024, /* with its header */
    CHUNK_RESERVE_MAX = 16 * 1024,
    CHUNKS_KEPT = 16, /* free chunks a quiet shard holds on to */
    CHUNK_TRIM_MS = 1000,
};

/* Free chunks and segments of a shard. What a spike left over goes back to the system: every
 * CHUNK_TRIM_MS half of the chunks that were not needed since the last time. */
struct chunk_pool {
    struct chunk *free;
    size_t free_count, least_free; /* least since the last trim */
    struct segment *free_segments;
    size_t free_segment_count;
    size_t chunk_count; /* free or used */
    struct timer trim;
};

struct output {
    uint8_t *at, *end; /* free room behind the last byte; NULL without a chunk */
    uint8_t *counted;  /* bytes from here to at were committed, but are in no segment yet */
    size_t queued;     /* bytes in segments */
    struct segment *first, *last;
    struct chunk *chunk; /* at points into it */
    struct chunk_pool *pool;
};

size_t chunk_pool_memory(const struct chunk_pool *pool);
void chunk_pool_init(struct chunk_pool *pool, struct shard *shard);
/* Every output must be gone. */
void chunk_pool_fini(struct chunk_pool *pool);

void output_init(struct output *o, struct chunk_pool *pool);
/* Releases what was referenced. */
void output_fini(struct output *o);
/* A fresh chunk: room for CHUNK_RESERVE_MAX bytes at least. */
uint8_t *output_more(struct output *o);
void output_append_slow(struct output *o, const void *data, size_t len);
void output_append_ref(struct output *o, struct slice data, void (*release)(void *owner),
                       void *owner);

/* At most max pieces from the front; their bytes together in *ret_total. */
int output_peek(struct output *o, struct iovec *iov, int max, size_t *ret_total);
/* Drops n bytes from the front, at most what peek showed. */
void output_advance(struct output *o, size_t n);
/* For an output that has to wait: a chunk with little in it is given back, its bytes move to a
 * block of their size. */
void output_shrink(struct output *o);

static inline size_t output_pending(const struct output *o)
{
    return o->queued + (size_t)(o->at - o->counted);
}

static inline uint8_t *output_reserve(struct output *o, size_t n)
{
    return (size_t)(o->end - o->at) >= n ? o->at : output_more(o);
}

static inline void output_append(struct output *o, const void *data, size_t len)
{
    if (len < (size_t)(o->end - o->at)) {
        memcpy(o->at, data, len);
        o->at += len;
    } else {
        output_append_slow(o, data, len);
    }
}

#endif
