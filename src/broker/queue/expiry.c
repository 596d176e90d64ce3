/* A binary heap; each chunk knows its place. */
#include "broker/queue/expiry.h"

#include "base/mem.h"

#include <stdlib.h>

enum { KEEP = 64 };

static void put(struct expiry *x, size_t i, struct ready_chunk *c)
{
    x->heap[i] = c;
    c->place = (uint32_t)i;
}

static void sift_up(struct expiry *x, size_t i, struct ready_chunk *c)
{
    while (i && x->heap[(i - 1) / 2]->earliest > c->earliest) {
        put(x, i, x->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(x, i, c);
}

static void sift_down(struct expiry *x, size_t i, struct ready_chunk *c)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= x->count)
            break;
        if (child + 1 < x->count && x->heap[child + 1]->earliest < x->heap[child]->earliest)
            child++;
        if (c->earliest <= x->heap[child]->earliest)
            break;
        put(x, i, x->heap[child]);
        i = child;
    }
    put(x, i, c);
}

void expiry_note(struct expiry *x, struct ready_chunk *c, uint64_t at)
{
    if (!c->expiry) {
        MEM_GROW(x->heap, x->cap, x->count + 1);
        c->expiry = x;
        c->earliest = at;
        sift_up(x, x->count++, c);
    } else if (at < c->earliest) {
        c->earliest = at;
        sift_up(x, c->place, c);
    }
}

void expiry_postpone(struct expiry *x, uint64_t at)
{
    struct ready_chunk *c = x->heap[0];
    c->earliest = at;
    sift_down(x, 0, c);
}

void expiry_remove(struct ready_chunk *c)
{
    struct expiry *x = c->expiry;
    c->expiry = NULL;
    struct ready_chunk *last = x->heap[--x->count];
    if (last != c) {
        size_t i = c->place;
        if (i && x->heap[(i - 1) / 2]->earliest > last->earliest)
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
        x->heap[i]->expiry = NULL;
    free(x->heap);
    *x = (struct expiry){0};
}
