/* A binary heap; each chunk knows its place. */
#include "broker/queue/expiry.h"

#include "base/mem.h"

#include <stdlib.h>

enum { KEEP = 64 };

static void put(struct expiry *x, size_t i, struct expiry_item item)
{
    x->heap[i] = item;
    item.chunk->place = (uint32_t)i;
}

/* What expires in the same moment leaves in the order of the queue. */
static bool is_before(const struct expiry_item *a, const struct expiry_item *b)
{
    if (a->earliest != b->earliest)
        return a->earliest < b->earliest;
    return a->chunk->entries[a->chunk->head].seq < b->chunk->entries[b->chunk->head].seq;
}

static void sift_up(struct expiry *x, size_t i, struct expiry_item item)
{
    while (i && is_before(&item, &x->heap[(i - 1) / 2])) {
        put(x, i, x->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(x, i, item);
}

static void sift_down(struct expiry *x, size_t i, struct expiry_item item)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= x->count)
            break;
        if (child + 1 < x->count && is_before(&x->heap[child + 1], &x->heap[child]))
            child++;
        if (!is_before(&x->heap[child], &item))
            break;
        put(x, i, x->heap[child]);
        i = child;
    }
    put(x, i, item);
}

void expiry_note(struct expiry *x, struct ready_chunk *c, uint64_t at)
{
    struct expiry_item item = {at, c};
    if (!c->expiry) {
        MEM_GROW(x->heap, x->cap, x->count + 1);
        c->expiry = x;
        sift_up(x, x->count++, item);
    } else if (at < x->heap[c->place].earliest) {
        sift_up(x, c->place, item);
    }
}

void expiry_inherit(struct ready_chunk *to, const struct ready_chunk *from)
{
    if (from->expiry)
        expiry_note(from->expiry, to, from->expiry->heap[from->place].earliest);
}

void expiry_postpone(struct expiry *x, uint64_t at)
{
    sift_down(x, 0, (struct expiry_item){at, x->heap[0].chunk});
}

uint64_t expiry_turn(const struct expiry *x, uint64_t until)
{
    const struct expiry_item *first = &x->heap[0], *next = &x->heap[1];
    if (x->count < 2)
        return until;
    if (x->count > 2 && is_before(&x->heap[2], next))
        next = &x->heap[2];
    bool behind =
        next->chunk->entries[next->chunk->head].seq < first->chunk->entries[first->chunk->head].seq;
    return next->earliest - behind < until ? next->earliest - behind : until;
}

void expiry_remove(struct ready_chunk *c)
{
    struct expiry *x = c->expiry;
    c->expiry = NULL;
    struct expiry_item last = x->heap[--x->count];
    if (last.chunk != c) {
        size_t i = c->place;
        if (i && is_before(&last, &x->heap[(i - 1) / 2]))
            sift_up(x, i, last);
        else
            sift_down(x, i, last);
    }
    if (!x->count && x->cap > KEEP) {
        free(x->heap);
        *x = (struct expiry){0};
    }
}

void expiry_clear(struct expiry *x)
{
    for (size_t i = 0; i < x->count; i++)
        x->heap[i].chunk->expiry = NULL;
    free(x->heap);
    *x = (struct expiry){0};
}

void expiry_free(struct expiry **x)
{
    if (*x)
        free((*x)->heap);
    free(*x);
    *x = NULL;
}
