/* Chunks, segments and their pool. A chunk is counted: once while it is open for writing, once by
 * each segment that lies in it; it returns to the pool at 0. A segment is a run of bytes in a
 * chunk, or a reference with its release function. */
#include "net/output.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/uio.h>

enum {
    SEGMENTS_KEPT = 1024,
    SHRINK_LIMIT = 4096, /* a waiting chunk with less in it is given back */
};

struct chunk {
    struct chunk *next; /* in the pool */
    size_t refs;
    uint8_t data[CHUNK_SIZE - 16];
};

_Static_assert(sizeof(struct chunk) == CHUNK_SIZE, "the header of a chunk is 16 bytes");
_Static_assert(sizeof((struct chunk *)0)->data >= CHUNK_RESERVE_MAX, "a reservation fits a chunk");

struct segment {
    struct segment *next;
    const uint8_t *data;
    size_t len;
    struct chunk *chunk; /* NULL for a reference */
    void (*release)(void *owner);
    void *owner;
};

static void free_one_chunk(struct chunk_pool *pool)
{
    struct chunk *c = pool->free;
    pool->free = c->next;
    pool->free_count--;
    pool->chunk_count--;
    free(c);
}

static void trim(struct timer *t)
{
    struct chunk_pool *pool = list_entry(t, struct chunk_pool, trim);
    size_t surplus = (pool->least_free + 1) / 2;
    while (surplus-- && pool->free_count > CHUNKS_KEPT)
        free_one_chunk(pool);
    pool->least_free = pool->free_count;
    if (pool->free_count > CHUNKS_KEPT)
        timer_set(&pool->trim, CHUNK_TRIM_MS);
}

void chunk_pool_init(struct chunk_pool *pool, struct shard *shard)
{
    *pool = (struct chunk_pool){0};
    timer_init(&pool->trim, shard, trim);
}

void chunk_pool_fini(struct chunk_pool *pool)
{
    timer_stop(&pool->trim);
    while (pool->free)
        free_one_chunk(pool);
    bug_on(pool->chunk_count != 0);
    while (pool->free_segments) {
        struct segment *g = pool->free_segments;
        pool->free_segments = g->next;
        free(g);
    }
}

size_t chunk_pool_memory(const struct chunk_pool *pool)
{
    return pool->chunk_count * sizeof(struct chunk) +
           pool->free_segment_count * sizeof(struct segment);
}

static struct chunk *take_chunk(struct chunk_pool *pool)
{
    struct chunk *c = pool->free;
    if (c) {
        pool->free = c->next;
        if (--pool->free_count < pool->least_free)
            pool->least_free = pool->free_count;
    } else {
        c = mem_alloc(sizeof *c);
        pool->chunk_count++;
        pool->least_free = 0;
    }
    c->refs = 1;
    return c;
}

static void unref_chunk(struct chunk_pool *pool, struct chunk *c)
{
    if (--c->refs)
        return;
#ifdef JK_DEBUG
    memset(c->data, 0xdb, sizeof c->data);
#endif
    c->next = pool->free;
    pool->free = c;
    if (++pool->free_count > CHUNKS_KEPT && !timer_is_set(&pool->trim)) {
        pool->least_free = pool->free_count;
        timer_set(&pool->trim, CHUNK_TRIM_MS);
    }
}

static struct segment *add_segment(struct output *o, const uint8_t *data, size_t len)
{
    struct chunk_pool *pool = o->pool;
    struct segment *g = pool->free_segments;
    if (g) {
        pool->free_segments = g->next;
        pool->free_segment_count--;
    } else {
        g = mem_alloc(sizeof *g);
    }
    *g = (struct segment){.data = data, .len = len};
    if (o->last)
        o->last->next = g;
    else
        o->first = g;
    o->last = g;
    o->queued += len;
    return g;
}

static void drop_first(struct output *o)
{
    struct chunk_pool *pool = o->pool;
    struct segment *g = o->first;
    o->first = g->next;
    if (!o->first)
        o->last = NULL;
    if (g->chunk)
        unref_chunk(pool, g->chunk);
    else if (g->release)
        g->release(g->owner);
    if (pool->free_segment_count >= SEGMENTS_KEPT) {
        free(g);
        return;
    }
    g->next = pool->free_segments;
    pool->free_segments = g;
    pool->free_segment_count++;
}

/* Puts the bytes committed since the last time into a segment. */
static void count_bytes(struct output *o)
{
    size_t n = (size_t)(o->at - o->counted);
    if (n == 0)
        return;
    struct segment *g = o->last;
    if (g && g->chunk == o->chunk && g->data + g->len == o->counted) {
        g->len += n;
        o->queued += n;
    } else {
        g = add_segment(o, o->counted, n);
        g->chunk = o->chunk;
        o->chunk->refs++;
    }
    o->counted = o->at;
}

static void close_chunk(struct output *o)
{
    if (o->chunk)
        unref_chunk(o->pool, o->chunk);
    o->chunk = NULL;
    o->at = o->end = o->counted = NULL;
}

void output_init(struct output *o, struct chunk_pool *pool)
{
    *o = (struct output){.pool = pool};
}

void output_fini(struct output *o)
{
    while (o->first)
        drop_first(o);
    close_chunk(o);
    o->queued = 0;
}

uint8_t *output_more(struct output *o)
{
    count_bytes(o);
    close_chunk(o);
    o->chunk = take_chunk(o->pool);
    o->at = o->counted = o->chunk->data;
    o->end = o->at + sizeof o->chunk->data;
    return o->at;
}

void output_append_slow(struct output *o, const void *data, size_t len)
{
    const uint8_t *from = data;
    while (len) {
        if (o->at == o->end)
            output_more(o);
        size_t n = (size_t)(o->end - o->at);
        if (n > len)
            n = len;
        memcpy(o->at, from, n);
        o->at += n;
        from += n;
        len -= n;
    }
}

void output_append_ref(struct output *o, struct slice data, void (*release)(void *owner),
                       void *owner)
{
    count_bytes(o);
    struct segment *g = add_segment(o, data.data, data.len);
    g->release = release;
    g->owner = owner;
}

int output_peek(struct output *o, struct iovec *iov, int max, size_t *ret_total)
{
    count_bytes(o);
    int n = 0;
    size_t total = 0;
    for (const struct segment *g = o->first; g && n < max; g = g->next) {
        iov[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)g->data, .iov_len = g->len};
        total += g->len;
    }
    *ret_total = total;
    return n;
}

void output_advance(struct output *o, size_t n)
{
    bug_on(n > o->queued);
    o->queued -= n;
    while (o->first && n >= o->first->len) {
        n -= o->first->len;
        drop_first(o);
    }
    if (n) {
        o->first->data += n;
        o->first->len -= n;
    }
    if (!o->first && o->at == o->counted)
        close_chunk(o);
}

void output_shrink(struct output *o)
{
    count_bytes(o);
    struct segment *g = o->first;
    if (!o->chunk || !g || g != o->last || g->chunk != o->chunk || g->len >= SHRINK_LIMIT)
        return;
    uint8_t *block = mem_alloc(g->len);
    memcpy(block, g->data, g->len);
    unref_chunk(o->pool, g->chunk);
    g->data = block;
    g->chunk = NULL;
    g->release = free;
    g->owner = block;
    close_chunk(o);
}
