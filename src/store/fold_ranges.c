/* Sets of ranges. A chunk has its ranges in order; chunks are in order; a full one is split. */
#include "store/fold_ranges.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_MAX = 128 };

struct fold_ranges_chunk {
    unsigned n, cap;
    struct fold_range ranges[];
};

/* The first chunk that ends at seq or later; r->count: none. */
static size_t find_chunk(const struct fold_ranges *r, uint64_t seq)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (r->slots[mid].last < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static unsigned find_in_chunk(const struct fold_ranges_chunk *c, uint64_t seq)
{
    unsigned low = 0, high = c->n;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (c->ranges[mid].last < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool fold_ranges_find(const struct fold_ranges *r, uint64_t seq, struct fold_range *ret_range)
{
    size_t at = find_chunk(r, seq);
    if (at == r->count)
        return false;
    const struct fold_ranges_chunk *c = r->slots[at].chunk;
    *ret_range = c->ranges[find_in_chunk(c, seq)];
    return true;
}

static struct fold_ranges_chunk *chunk_resize(struct fold_ranges_chunk *c, unsigned cap)
{
    bool fresh = !c;
    c = mem_realloc(c, sizeof *c + cap * sizeof c->ranges[0]);
    if (fresh)
        c->n = 0;
    c->cap = cap;
    return c;
}

static void insert_chunk(struct fold_ranges *r, size_t at, struct fold_ranges_chunk *c)
{
    MEM_GROW(r->slots, r->cap, r->count + 1);
    memmove(r->slots + at + 1, r->slots + at, (r->count - at) * sizeof *r->slots);
    r->slots[at].chunk = c;
    r->count++;
}

/* The end of the chunk may have changed. */
static void note_last(struct fold_ranges *r, size_t at)
{
    const struct fold_ranges_chunk *c = r->slots[at].chunk;
    r->slots[at].last = c->ranges[c->n - 1].last;
}

static void remove_chunk(struct fold_ranges *r, size_t at)
{
    free(r->slots[at].chunk);
    r->count--;
    memmove(r->slots + at, r->slots + at + 1, (r->count - at) * sizeof *r->slots);
    if (!r->count)
        fold_ranges_clear(r);
}

/* Makes room for one more in chunk *at, which may become the next. */
static void make_room(struct fold_ranges *r, size_t *at, unsigned *i)
{
    struct fold_ranges_chunk *c = r->slots[*at].chunk;
    if (c->n < c->cap)
        return;
    if (c->cap < CHUNK_MAX) {
        r->slots[*at].chunk = chunk_resize(c, c->cap * 2);
        return;
    }
    /* adding at the end is the rule: then the chunk stays full */
    unsigned keep = *at + 1 == r->count && *i == c->n ? c->n : c->n / 2;
    struct fold_ranges_chunk *more = chunk_resize(NULL, CHUNK_MAX);
    more->n = c->n - keep;
    memcpy(more->ranges, c->ranges + keep, more->n * sizeof c->ranges[0]);
    c->n = keep;
    insert_chunk(r, *at + 1, more);
    note_last(r, *at);
    if (more->n)
        note_last(r, *at + 1);
    if (*i >= keep) {
        *i -= keep;
        (*at)++;
    }
}

static void insert(struct fold_ranges *r, size_t at, uint64_t first, uint64_t last)
{
    unsigned i = 0;
    if (!r->count)
        insert_chunk(r, 0, chunk_resize(NULL, 2));
    else if (at == r->count)
        i = r->slots[--at].chunk->n;
    else
        i = find_in_chunk(r->slots[at].chunk, first);
    make_room(r, &at, &i);
    struct fold_ranges_chunk *c = r->slots[at].chunk;
    memmove(c->ranges + i + 1, c->ranges + i, (c->n - i) * sizeof c->ranges[0]);
    c->ranges[i] = (struct fold_range){first, last};
    c->n++;
    note_last(r, at);
}

static void remove_at(struct fold_ranges *r, size_t at, unsigned i)
{
    struct fold_ranges_chunk *c = r->slots[at].chunk;
    c->n--;
    memmove(c->ranges + i, c->ranges + i + 1, (c->n - i) * sizeof c->ranges[0]);
    if (c->n)
        note_last(r, at);
    else
        remove_chunk(r, at);
}

/* What lies behind the range at i and touches it becomes part of it. */
static void absorb(struct fold_ranges *r, size_t at, unsigned i)
{
    for (;;) {
        struct fold_range *range = &r->slots[at].chunk->ranges[i];
        size_t next_at = at;
        unsigned next = i + 1;
        if (next == r->slots[at].chunk->n) {
            next_at++;
            next = 0;
        }
        if (next_at == r->count || range->last == UINT64_MAX)
            return;
        const struct fold_range *behind = &r->slots[next_at].chunk->ranges[next];
        if (behind->first > range->last + 1)
            return;
        if (behind->last > range->last)
            range->last = behind->last;
        note_last(r, at);
        remove_at(r, next_at, next);
    }
}

void fold_ranges_add(struct fold_ranges *r, uint64_t first, uint64_t last)
{
    if (first > last)
        return;
    uint64_t touch = first ? first - 1 : 0;
    size_t at = find_chunk(r, touch);
    if (at == r->count) {
        insert(r, at, first, last);
        return;
    }
    unsigned i = find_in_chunk(r->slots[at].chunk, touch);
    struct fold_range *range = &r->slots[at].chunk->ranges[i];
    if (last != UINT64_MAX && range->first > last + 1) {
        insert(r, at, first, last);
        return;
    }
    if (first < range->first)
        range->first = first;
    if (last > range->last) {
        range->last = last;
        note_last(r, at);
        absorb(r, at, i);
    }
}

void fold_ranges_add_all(struct fold_ranges *r, const struct fold_ranges *other)
{
    struct fold_range range;
    fold_ranges_each(range, other, 0) fold_ranges_add(r, range.first, range.last);
}

void fold_ranges_cut(struct fold_ranges *r, uint64_t below)
{
    while (r->count && r->slots[0].last < below)
        remove_chunk(r, 0);
    while (r->count && r->slots[0].chunk->ranges[0].last < below)
        remove_at(r, 0, 0);
    if (r->count && r->slots[0].chunk->ranges[0].first < below)
        r->slots[0].chunk->ranges[0].first = below;
}

void fold_ranges_clear(struct fold_ranges *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->slots[i].chunk);
    free(r->slots);
    *r = (struct fold_ranges){0};
}
