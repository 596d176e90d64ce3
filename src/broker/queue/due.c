/* Filled in the order of numbers, then made a heap once. */
#include "broker/queue/due.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

enum { GROW = 256 };

struct due *due_new(uint64_t base)
{
    struct due *d = NEW(struct due);
    d->base = base;
    return d;
}

void due_free(struct due **d)
{
    if (!*d)
        return;
    free((*d)->items);
    free(*d);
    *d = NULL;
}

static bool is_before(const struct due_entry *a, const struct due_entry *b)
{
    return a->expiry < b->expiry || (a->expiry == b->expiry && a->offset < b->offset);
}

static void sift_down(struct due *d, uint32_t i, struct due_entry e)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= d->count)
            break;
        if (child + 1 < d->count && is_before(&d->items[child + 1], &d->items[child]))
            child++;
        if (!is_before(&d->items[child], &e))
            break;
        d->items[i] = d->items[child];
        i = child;
    }
    d->items[i] = e;
}

static void make_heap(struct due *d)
{
    for (uint32_t i = d->count / 2; i-- > 0;)
        sift_down(d, i, d->items[i]);
    d->heap = true;
}

static void reserve(struct due *d, uint32_t count)
{
    if (count <= d->cap)
        return;
    d->cap = (count + GROW - 1) / GROW * GROW;
    d->items = mem_realloc(d->items, d->cap * sizeof *d->items);
}

static void lower_base(struct due *d, uint64_t base)
{
    for (uint32_t i = 0; i < d->count; i++)
        d->items[i].offset += (uint32_t)(d->base - base);
    d->base = base;
}

void due_add(struct due *d, uint64_t seq, uint64_t expiry, uint64_t size, bool persistent)
{
    if (seq < d->base)
        lower_base(d, seq);
    bug_on(seq - d->base > UINT32_MAX || size > INT32_MAX);
    reserve(d, d->count + 1);
    d->items[d->count++] = (struct due_entry){
        .expiry = expiry, .offset = (uint32_t)(seq - d->base), .size = due_pack(size, persistent)};
    d->heap = false;
}

void due_join(struct due *d, struct due **other)
{
    struct due *o = *other;
    reserve(d, d->count + o->count);
    for (uint32_t i = 0; i < o->count; i++) {
        struct due_entry e = o->items[i];
        e.offset += (uint32_t)(o->base - d->base);
        d->items[d->count++] = e;
    }
    d->heap = false;
    due_free(other);
}

const struct due_entry *due_first(struct due *d)
{
    if (!d->heap)
        make_heap(d);
    return d->count ? &d->items[0] : NULL;
}

void due_pop(struct due *d)
{
    struct due_entry last = d->items[--d->count];
    if (d->count)
        sift_down(d, 0, last);
}

void due_drop_below(struct due *d, uint64_t seq)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->base + d->items[i].offset >= seq)
            d->items[n++] = d->items[i];
    }
    d->count = n;
    d->heap = false;
}

bool due_remove(struct due *d, uint64_t seq)
{
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->base + d->items[i].offset != seq)
            continue;
        d->items[i] = d->items[--d->count];
        d->heap = false;
        return true;
    }
    return false;
}
