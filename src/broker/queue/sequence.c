/* The chunks of a sequence are found by a binary search over their first numbers; the table for it
 * exists only when there is more than one chunk. */
#include "broker/queue/sequence.h"

#include "base/mem.h"
#include "broker/limits.h"
#include "broker/queue/expiry.h"

#include <stdlib.h>

enum { TABLE_FIRST = 8, HALF = READY_CHUNK_ENTRIES / 2, FEW = READY_CHUNK_ENTRIES / 4 };

/* ---- chunks ---- */

static struct ready_chunk *chunk_get(struct ready_pool *pool, struct sequence *home, uint32_t start)
{
    struct ready_chunk *c = pool->free;
    if (c) {
        pool->free = c->next;
        pool->count--;
    } else {
        c = mem_alloc(sizeof *c);
    }
    c->home = home;
    c->expiry = NULL;
    c->head = c->tail = start;
    c->holes = 0;
    c->end = READY_CHUNK_ENTRIES;
    c->returned = false;
    c->bytes = c->counted = 0;
    c->limit = pool->limits ? pool->limits->chunk_bytes : UINT64_MAX;
    pool->used++;
    return c;
}

void ready_chunk_put(struct ready_pool *pool, struct ready_chunk *c)
{
    if (c->expiry)
        expiry_remove(c);
    pool->used--;
    pool->bytes -= c->counted;
    if (pool->count >= READY_CHUNKS_KEPT) {
        free(c);
        return;
    }
    c->next = pool->free;
    pool->free = c;
    pool->count++;
}

void ready_pool_fini(struct ready_pool *pool)
{
    while (pool->free) {
        struct ready_chunk *c = pool->free;
        pool->free = c->next;
        free(c);
    }
    pool->count = 0;
}

static uint32_t live(const struct ready_chunk *c)
{
    return c->tail - c->head - c->holes;
}

void ready_chunk_trim(struct ready_chunk *c)
{
    for (; c->holes && !c->entries[c->head].msg; c->holes--)
        c->head++;
    for (; c->holes && !c->entries[c->tail - 1].msg; c->holes--)
        c->tail--;
}

/* Closes up the holes. */
static void squeeze(struct ready_chunk *c)
{
    uint32_t to = c->head;
    for (uint32_t i = c->head; i < c->tail; i++) {
        if (c->entries[i].msg)
            c->entries[to++] = c->entries[i];
    }
    c->tail = to;
    c->holes = 0;
}

/* The first place whose number is higher. */
static uint32_t place_of(const struct ready_chunk *c, uint64_t seq)
{
    uint32_t low = c->head, high = c->tail;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (c->entries[middle].seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Puts an entry in front of place p of a chunk that has room: into a hole, or moving the shorter
 * side. */
static void put_at(struct ready_chunk *c, uint32_t p, const struct ready_entry *entry)
{
    if (p > c->head && !c->entries[p - 1].msg) {
        c->entries[p - 1] = *entry;
        c->holes--;
    } else if (p < c->tail && !c->entries[p].msg) {
        c->entries[p] = *entry;
        c->holes--;
    } else if (c->tail == READY_CHUNK_ENTRIES || (c->head && p - c->head < c->tail - p)) {
        memmove(&c->entries[c->head - 1], &c->entries[c->head], (p - c->head) * sizeof *c->entries);
        c->head--;
        c->entries[p - 1] = *entry;
    } else {
        memmove(&c->entries[p + 1], &c->entries[p], (c->tail - p) * sizeof *c->entries);
        c->tail++;
        c->entries[p] = *entry;
    }
}

/* ---- the table of chunks ---- */

/* The last chunk whose first number is not higher; the first chunk if there is none. */
static uint32_t find_chunk(const struct sequence *s, uint64_t seq)
{
    uint32_t low = 1, high = s->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct ready_chunk *c = sequence_at(s, middle);
        if (c->entries[c->head].seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low - 1;
}

static void make_room(struct sequence *s)
{
    if (!s->chunks) {
        s->cap = TABLE_FIRST;
        s->chunks = mem_alloc(s->cap * sizeof(struct ready_chunk *));
        s->chunks[0] = s->first;
    } else if (s->at + s->count == s->cap && s->at > s->cap / 2) {
        memmove(s->chunks, s->chunks + s->at, s->count * sizeof(struct ready_chunk *));
        s->at = 0;
    } else if (s->at + s->count == s->cap) {
        s->cap *= 2;
        s->chunks = mem_realloc(s->chunks, s->cap * sizeof(struct ready_chunk *));
    }
}

static void link_chunk(struct sequence *s, struct ready_chunk *c, uint32_t i)
{
    if (!s->count++) {
        s->first = s->last = c;
        return;
    }
    s->count--;
    make_room(s);
    struct ready_chunk **at = s->chunks + s->at + i;
    memmove(at + 1, at, (s->count - i) * sizeof(struct ready_chunk *));
    *at = c;
    s->count++;
    s->first = s->chunks[s->at];
    s->last = s->chunks[s->at + s->count - 1];
}

struct ready_chunk *sequence_take(struct sequence *s, uint32_t i)
{
    struct ready_chunk *c = sequence_at(s, i);
    if (s->count == 1) {
        free(s->chunks);
        *s = (struct sequence){.backlog = s->backlog};
        return c;
    }
    struct ready_chunk **at = s->chunks + s->at + i;
    s->count--;
    if (i == 0)
        s->at++;
    else
        memmove(at, at + 1, (s->count - i) * sizeof(struct ready_chunk *));
    s->first = s->chunks[s->at];
    s->last = s->chunks[s->at + s->count - 1];
    return c;
}

static void unlink_chunk(struct sequence *s, struct ready_pool *pool, uint32_t i)
{
    ready_chunk_put(pool, sequence_take(s, i));
}

void sequence_append(struct sequence *s, struct ready_chunk *c)
{
    c->home = s;
    link_chunk(s, c, s->count);
}

/* Into what the chunks of the shard hold. */
static void count_in(struct ready_pool *pool, struct ready_chunk *c)
{
    enum { MESSAGE = 200 }; /* bytes beside its body, about */
    uint64_t bytes = c->bytes + (uint64_t)c->tail * MESSAGE;
    pool->bytes += bytes - c->counted;
    c->counted = bytes;
}

struct ready_chunk *sequence_extend(struct sequence *s, struct ready_pool *pool)
{
    if (s->last)
        count_in(pool, s->last);
    struct ready_chunk *c = chunk_get(pool, s, 0);
    link_chunk(s, c, s->count);
    return c;
}

void sequence_drop_first(struct sequence *s, struct ready_pool *pool)
{
    unlink_chunk(s, pool, 0);
}

/* ---- in the middle ---- */

/* Chunk i is full and has no holes. */
static struct ready_chunk *insert_in_full(struct sequence *s, struct ready_pool *pool, uint32_t i,
                                          uint32_t p, const struct ready_entry *entry)
{
    struct ready_chunk *c = sequence_at(s, i), *fresh;
    if (p == READY_CHUNK_ENTRIES) {
        struct ready_chunk *after = i + 1 < s->count ? sequence_at(s, i + 1) : NULL;
        if (after && after->tail - after->head < READY_CHUNK_ENTRIES) {
            put_at(after, after->head, entry);
            return after;
        }
        fresh = chunk_get(pool, s, 0);
        put_at(fresh, 0, entry);
        link_chunk(s, fresh, i + 1);
        return fresh;
    }
    if (p == 0) {
        fresh = chunk_get(pool, s, HALF);
        put_at(fresh, HALF, entry);
        link_chunk(s, fresh, i);
        return fresh;
    }
    fresh = chunk_get(pool, s, 0);
    memcpy(fresh->entries, c->entries + HALF, HALF * sizeof *c->entries);
    fresh->tail = c->tail = HALF;
    fresh->end = c->end;
    fresh->returned = c->returned;
    expiry_inherit(fresh, c);
    link_chunk(s, fresh, i + 1);
    if (p > HALF) {
        p -= HALF;
        c = fresh;
    }
    put_at(c, p, entry);
    return c;
}

struct ready_chunk *sequence_insert(struct sequence *s, struct ready_pool *pool,
                                    const struct ready_entry *entry)
{
    if (!s->last || s->last->entries[s->last->tail - 1].seq < entry->seq)
        return sequence_push(s, pool, entry);
    uint32_t i = find_chunk(s, entry->seq);
    struct ready_chunk *c = sequence_at(s, i);
    if (c->tail - c->head == READY_CHUNK_ENTRIES && c->holes)
        squeeze(c);
    uint32_t p = place_of(c, entry->seq);
    if (c->tail - c->head == READY_CHUNK_ENTRIES)
        return insert_in_full(s, pool, i, p, entry);
    put_at(c, p, entry);
    return c;
}

/* Chunk i + 1 goes into chunk i if both are small. */
static bool join(struct sequence *s, struct ready_pool *pool, uint32_t i)
{
    struct ready_chunk *c = sequence_at(s, i), *after = sequence_at(s, i + 1);
    if (live(c) + live(after) > HALF)
        return false;
    squeeze(c);
    squeeze(after);
    if (c->tail + live(after) > READY_CHUNK_ENTRIES) {
        memmove(c->entries, c->entries + c->head, live(c) * sizeof *c->entries);
        c->tail -= c->head;
        c->head = 0;
    }
    memcpy(c->entries + c->tail, after->entries + after->head, live(after) * sizeof *c->entries);
    c->tail += live(after);
    c->bytes += after->bytes;
    c->returned |= after->returned;
    expiry_inherit(c, after);
    unlink_chunk(s, pool, i + 1);
    return true;
}

void sequence_tidy(struct sequence *s, struct ready_pool *pool, struct ready_chunk *c)
{
    uint32_t left = live(c);
    if (left > FEW)
        return;
    uint32_t i = find_chunk(s, c->entries[c->head].seq);
    if (!left) {
        unlink_chunk(s, pool, i);
        return;
    }
    if (i + 1 < s->count && join(s, pool, i))
        return;
    if (i)
        join(s, pool, i - 1);
}
