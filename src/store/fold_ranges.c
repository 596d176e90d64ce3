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
        const struct fold_ranges_chunk *c = r->chunks[mid];
        if (c->ranges[c->n - 1].last < seq)
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
    *ret_range = r->chunks[at]->ranges[find_in_chunk(r->chunks[at], seq)];
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
    MEM_GROW(r->chunks, r->cap, r->count + 1);
    memmove(r->chunks + at + 1, r->chunks + at, (r->count - at) * sizeof *r->chunks);
    r->chunks[at] = c;
    r->count++;
}

static void remove_chunk(struct fold_ranges *r, size_t at)
{
    free(r->chunks[at]);
    r->count--;
    memmove(r->chunks + at, r->chunks + at + 1, (r->count - at) * sizeof *r->chunks);
    if (!r->count)
        fold_ranges_clear(r);
}

/* Makes room for one more in chunk *at, which may become the next. */
static void make_room(struct fold_ranges *r, size_t *at, unsigned *i)
{
    struct fold_ranges_chunk *c = r->chunks[*at];
    if (c->n < c->cap)
        return;
    if (c->cap < CHUNK_MAX) {
        r->chunks[*at] = chunk_resize(c, c->cap * 2);
        return;
    }
    /* adding at the end is the rule: then the chunk stays full */
    unsigned keep = *at + 1 == r->count && *i == c->n ? c->n : c->n / 2;
    struct fold_ranges_chunk *more = chunk_resize(NULL, CHUNK_MAX);
    more->n = c->n - keep;
    memcpy(more->ranges, c->ranges + keep, more->n * sizeof c->ranges[0]);
    c->n = keep;
    insert_chunk(r, *at + 1, more);
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
        i = r->chunks[--at]->n;
    else
        i = find_in_chunk(r->chunks[at], first);
    make_room(r, &at, &i);
    struct fold_ranges_chunk *c = r->chunks[at];
    memmove(c->ranges + i + 1, c->ranges + i, (c->n - i) * sizeof c->ranges[0]);
    c->ranges[i] = (struct fold_range){first, last};
    c->n++;
}

static void remove_at(struct fold_ranges *r, size_t at, unsigned i)
{
    struct fold_ranges_chunk *c = r->chunks[at];
    c->n--;
    memmove(c->ranges + i, c->ranges + i + 1, (c->n - i) * sizeof c->ranges[0]);
    if (!c->n)
        remove_chunk(r, at);
}

/* What lies behind the range at i and touches it becomes part of it. */
static void absorb(struct fold_ranges *r, size_t at, unsigned i)
{
    for (;;) {
        struct fold_range *range = &r->chunks[at]->ranges[i];
        size_t next_at = at;
        unsigned next = i + 1;
        if (next == r->chunks[at]->n) {
            next_at++;
            next = 0;
        }
        if (next_at == r->count || range->last == UINT64_MAX)
            return;
        const struct fold_range *behind = &r->chunks[next_at]->ranges[next];
        if (behind->first > range->last + 1)
            return;
        if (behind->last > range->last)
            range->last = behind->last;
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
    unsigned i = find_in_chunk(r->chunks[at], touch);
    struct fold_range *range = &r->chunks[at]->ranges[i];
    if (last != UINT64_MAX && range->first > last + 1) {
        insert(r, at, first, last);
        return;
    }
    if (first < range->first)
        range->first = first;
    if (last > range->last) {
        range->last = last;
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
    while (r->count && r->chunks[0]->ranges[r->chunks[0]->n - 1].last < below)
        remove_chunk(r, 0);
    while (r->count && r->chunks[0]->ranges[0].last < below)
        remove_at(r, 0, 0);
    if (r->count && r->chunks[0]->ranges[0].first < below)
        r->chunks[0]->ranges[0].first = below;
}

void fold_ranges_clear(struct fold_ranges *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->chunks[i]);
    free(r->chunks);
    *r = (struct fold_ranges){0};
}
