/* A bump allocator in growing chunks. */
#include "base/mem.h"
#include "conf/conf_priv.h"

#include <stdalign.h>
#include <stdlib.h>

enum { CHUNK_FIRST = 4096, CHUNK_MAX = 256 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

static struct arena_chunk *add_chunk(struct arena *arena, size_t need)
{
    struct arena_chunk *last = arena->chunks;
    size_t size = !last ? CHUNK_FIRST : last->size * 2 < CHUNK_MAX ? last->size * 2 : CHUNK_MAX;
    if (size < need)
        size = need;
    struct arena_chunk *chunk = mem_zalloc(sizeof *chunk + size);
    chunk->size = size;
    chunk->next = last;
    return arena->chunks = chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t n = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < n)
        chunk = add_chunk(arena, n);
    void *p = chunk->bytes + chunk->used;
    chunk->used += n;
    return p;
}

const char *arena_text(struct arena *arena, struct slice text)
{
    char *copy = arena_alloc(arena, text.len + 1);
    if (text.len)
        memcpy(copy, text.data, text.len);
    return copy;
}

void arena_fini(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
}
