/* A binary heap. */
#include "broker/queue/ahead.h"

#include "base/mem.h"

#include <stdlib.h>

enum { KEEP = 1024, MESSAGE = 200 }; /* bytes beside its body, about */

static bool is_before(const struct ready_entry *a, const struct ready_entry *b)
{
    return a->expiry < b->expiry || (a->expiry == b->expiry && a->seq < b->seq);
}

static void sift_up(struct ahead *a, size_t i, struct ready_entry e)
{
    while (i && is_before(&e, &a->items[(i - 1) / 2])) {
        a->items[i] = a->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    a->items[i] = e;
}

static void sift_down(struct ahead *a, size_t i, struct ready_entry e)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= a->count)
            break;
        if (child + 1 < a->count && is_before(&a->items[child + 1], &a->items[child]))
            child++;
        if (!is_before(&a->items[child], &e))
            break;
        a->items[i] = a->items[child];
        i = child;
    }
    a->items[i] = e;
}

static uint64_t cost_of(const struct ready_entry *e)
{
    return sizeof *e + MESSAGE + e->msg->body_len;
}

static void count_out(struct ahead *a, const struct ready_entry *e)
{
    uint64_t cost = cost_of(e);
    a->bytes -= cost;
    a->pool->bytes -= cost;
}

static void shrink(struct ahead *a)
{
    if (a->count || a->cap <= KEEP)
        return;
    free(a->items);
    a->items = NULL;
    a->cap = 0;
}

void ahead_add(struct ahead *a, struct ready_pool *pool, const struct ready_entry *e)
{
    MEM_GROW(a->items, a->cap, a->count + 1);
    a->pool = pool;
    a->bytes += cost_of(e);
    pool->bytes += cost_of(e);
    sift_up(a, a->count++, *e);
}

struct ready_entry ahead_pop(struct ahead *a)
{
    struct ready_entry first = a->items[0], last = a->items[--a->count];
    count_out(a, &first);
    if (a->count)
        sift_down(a, 0, last);
    shrink(a);
    return first;
}

void ahead_drop(struct ahead *a, unsigned level, uint64_t first, uint64_t last)
{
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        const struct ready_entry *e = &a->items[i];
        if (e->level != level || e->seq < first || e->seq > last) {
            a->items[n++] = *e;
            continue;
        }
        count_out(a, e);
        msg_unref(e->msg);
    }
    bool changed = n != a->count;
    a->count = n;
    for (size_t i = n / 2; changed && i-- > 0;)
        sift_down(a, i, a->items[i]);
    shrink(a);
}

void ahead_clear(struct ahead *a)
{
    for (size_t i = 0; i < a->count; i++) {
        count_out(a, &a->items[i]);
        msg_unref(a->items[i].msg);
    }
    free(a->items);
    *a = (struct ahead){0};
}
