/* Tags of no-ack deliveries in between are entries that are gone from the start. */
#include "amqp/unacked.h"

#include "base/mem.h"

#include <stdlib.h>

enum { FIRST_CAP = 16, KEEP_CAP = 1024 };

void unacked_tags_fini(struct unacked_tags *u)
{
    free(u->entries);
    *u = (struct unacked_tags){0};
}

static void grow(struct unacked_tags *u)
{
    size_t cap = u->cap ? u->cap * 2 : FIRST_CAP;
    struct unacked_tag *entries = mem_alloc(cap * sizeof *entries);
    for (size_t i = 0; i < u->count; i++)
        entries[i] = *unacked_tags_at(u, i);
    free(u->entries);
    u->entries = entries;
    u->cap = cap;
    u->head = 0;
}

static void push(struct unacked_tags *u, struct unacked_tag entry)
{
    if (u->count == u->cap)
        grow(u);
    u->count++;
    *unacked_tags_at(u, u->count - 1) = entry;
}

void unacked_tags_add(struct unacked_tags *u, uint64_t tag, struct addr queue, uint32_t slot)
{
    if (!u->count)
        u->base = tag;
    while (u->base + u->count < tag)
        push(u, (struct unacked_tag){.state = TAG_GONE});
    push(u, (struct unacked_tag){queue, slot, TAG_LIVE});
    u->live++;
}

struct unacked_tag *unacked_tags_find(struct unacked_tags *u, uint64_t tag)
{
    if (tag < u->base || tag - u->base >= u->count)
        return NULL;
    struct unacked_tag *e = unacked_tags_at(u, tag - u->base);
    return e->state == TAG_LIVE ? e : NULL;
}

void unacked_tags_remove(struct unacked_tags *u, struct unacked_tag *entry)
{
    entry->state = TAG_GONE;
    u->live--;
}

void unacked_tags_trim(struct unacked_tags *u)
{
    while (u->count && unacked_tags_at(u, 0)->state == TAG_GONE) {
        u->head = (u->head + 1) & (u->cap - 1);
        u->count--;
        u->base++;
    }
    if (!u->count && u->cap > KEEP_CAP)
        unacked_tags_fini(u);
}
