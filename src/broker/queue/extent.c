/* An array of extents, a ring's worth of slack at its front. */
#include "broker/queue/extent.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

enum { FIRST_CAP = 4 };

struct extent extent_empty(void)
{
    return (struct extent){.first = UINT64_MAX, .ordered = true};
}

void extent_add(struct extent *x, const struct ready_entry *entry)
{
    const struct msg *m = entry->msg;
    if (!x->count++)
        x->first = entry->seq;
    x->last = entry->seq;
    x->bytes += m->body_len;
    if (m->flags & MSG_PERSISTENT) {
        x->persistent++;
        x->persistent_bytes += m->body_len;
    }
    if (!entry->expiry) {
        x->latest = EXTENT_UNKNOWN;
        return;
    }
    if (!x->expiry || entry->expiry < x->expiry)
        x->expiry = entry->expiry;
    if (entry->expiry > x->latest)
        x->latest = entry->expiry;
    if (entry->expiry < x->last_expiry)
        x->ordered = false;
    else
        x->last_expiry = entry->expiry;
}

void extent_add_due(struct extent *x, const struct ready_entry *entry)
{
    if (!entry->expiry)
        return;
    if (!x->due)
        x->due = due_new(x->first);
    due_add(x->due, entry->seq, entry->expiry, entry->msg->body_len,
            entry->msg->flags & MSG_PERSISTENT);
}

void extent_look_at_due(struct extent *x)
{
    const struct due_entry *first = due_first(x->due);
    x->expiry = first ? first->expiry : 0;
    if (!first)
        due_free(&x->due);
}

void extent_keep_times(const struct extent *x, struct ready_entry *entries, size_t count)
{
    uint64_t least = x->expiry;
    for (size_t i = 0; x->ordered && i < count; i++) {
        uint64_t *expiry = &entries[i].expiry;
        if (!*expiry)
            continue;
        *expiry = *expiry < x->last_expiry ? *expiry : x->last_expiry;
        *expiry = *expiry > least ? *expiry : least;
        least = *expiry;
    }
}

static bool may_join(const struct extent *a, const struct extent *b, uint32_t limit)
{
    if (!a->expiry && !b->expiry)
        return true;
    if (a->count + b->count > limit)
        return false;
    if (!a->expiry || !b->expiry)
        return true;
    if (a->due && b->due)
        return !a->fifo && !b->fifo && b->last - a->due->base <= UINT32_MAX;
    return !a->due && !b->due && a->ordered && b->ordered && a->last_expiry <= b->expiry;
}

static struct due *join_due(const struct extent *a, const struct extent *b)
{
    struct due *due = a->due ? a->due : b->due, *other = b->due;
    if (a->due && b->due)
        due_join(due, &other);
    return due;
}

/* b lies behind a. */
static struct extent join(const struct extent *a, const struct extent *b)
{
    bool a_first = a->expiry && (!b->expiry || a->expiry < b->expiry);
    return (struct extent){.first = a->first,
                           .last = b->last,
                           .count = a->count + b->count,
                           .bytes = a->bytes + b->bytes,
                           .expiry = a_first ? a->expiry : b->expiry,
                           .latest = a->latest > b->latest ? a->latest : b->latest,
                           .persistent = a->persistent + b->persistent,
                           .persistent_bytes = a->persistent_bytes + b->persistent_bytes,
                           .last_expiry = b->expiry ? b->last_expiry : a->last_expiry,
                           .ordered = a->ordered && b->ordered,
                           .losses = a->losses > b->losses ? a->losses : b->losses,
                           .due = join_due(a, b)};
}

static void make_room(struct backlog *b)
{
    if (b->at + b->count < b->cap)
        return;
    if (b->at > b->cap / 2) {
        memmove(b->extents, b->extents + b->at, b->count * sizeof *b->extents);
        b->at = 0;
        return;
    }
    b->cap = b->cap ? b->cap * 2 : FIRST_CAP;
    b->extents = mem_realloc(b->extents, b->cap * sizeof *b->extents);
}

void backlog_insert(struct backlog *b, uint32_t i, const struct extent *x)
{
    if (!i && b->at) {
        b->at--;
    } else {
        make_room(b);
        struct extent *at = backlog_at(b, i);
        memmove(at + 1, at, (b->count - i) * sizeof *at);
    }
    b->count++;
    *backlog_at(b, i) = *x;
}

void backlog_remove(struct backlog *b, uint32_t i)
{
    struct extent *at = backlog_at(b, i);
    due_free(&at->due);
    b->count--;
    if (!i)
        b->at++;
    else
        memmove(at, at + 1, (b->count - i) * sizeof *at);
    if (!b->count)
        b->at = 0;
}

void backlog_append(struct backlog *b, const struct extent *x, uint32_t limit)
{
    struct extent *last = b->count ? backlog_at(b, b->count - 1) : NULL;
    bug_on(last && x->first <= last->last);
    if (last && may_join(last, x, limit))
        *last = join(last, x);
    else
        backlog_insert(b, b->count, x);
}

void backlog_prepend(struct backlog *b, const struct extent *x, uint32_t limit)
{
    struct extent *first = b->count ? backlog_at(b, 0) : NULL;
    bug_on(first && x->last >= first->first);
    if (first && may_join(x, first, limit))
        *first = join(x, first);
    else
        backlog_insert(b, 0, x);
}

uint32_t backlog_from(const struct backlog *b, uint64_t seq)
{
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (backlog_at(b, middle)->last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct extent *backlog_find(const struct backlog *b, uint64_t seq)
{
    uint32_t i = backlog_from(b, seq);
    return i < b->count && backlog_at(b, i)->first <= seq ? backlog_at(b, i) : NULL;
}

void backlog_free(struct backlog **b)
{
    for (uint32_t i = 0; i < (*b)->count; i++)
        due_free(&backlog_at(*b, i)->due);
    free((*b)->extents);
    free(*b);
    *b = NULL;
}
