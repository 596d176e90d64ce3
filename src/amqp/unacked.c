/* A ring of entries. Tags are mostly without gaps, so an entry is looked for where it would be
 * then, else by halves. */
#include "amqp/unacked.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

enum { FIRST_CAP = 16, KEEP_CAP = 1024, COMPACT_MIN = 64 };

void unacked_tags_fini(struct unacked_tags *u)
{
    free(u->entries);
    *u = (struct unacked_tags){0};
}

/* Moves what is not gone to a ring of that capacity. */
static void resize(struct unacked_tags *u, size_t cap)
{
    struct unacked_tag *entries = mem_alloc(cap * sizeof *entries);
    size_t n = 0;
    for (size_t i = 0; i < u->count; i++) {
        const struct unacked_tag *e = unacked_tags_at(u, i);
        if (e->state != TAG_GONE)
            entries[n++] = *e;
    }
    free(u->entries);
    u->entries = entries;
    u->cap = cap;
    u->head = 0;
    u->count = n;
}

struct unacked_tag *unacked_tags_add(struct unacked_tags *u, uint64_t tag, struct addr queue,
                                     uint32_t slot, unsigned kind)
{
    bool fetched = kind & TAG_FETCHED;
    if (u->count == u->cap)
        resize(u, u->cap ? u->cap * 2 : FIRST_CAP);
    u->count++;
    u->live++;
    u->fetched += fetched;
    struct unacked_tag *e = unacked_tags_at(u, u->count - 1);
    *e = (struct unacked_tag){.tag = tag,
                              .queue = queue,
                              .slot = slot,
                              .state = TAG_LIVE,
                              .fetched = fetched,
                              .stored = (kind & TAG_STORED) != 0};
    return e;
}

size_t unacked_tags_upto(const struct unacked_tags *u, uint64_t tag)
{
    if (!u->count || tag < unacked_tags_at(u, 0)->tag)
        return 0;
    uint64_t ahead = tag - unacked_tags_at(u, 0)->tag;
    if (ahead < u->count && unacked_tags_at(u, ahead)->tag == tag)
        return ahead + 1;
    size_t low = 1, high = ahead < u->count ? ahead : u->count;
    while (low < high) { /* entries below low are up to tag, those from high on are not */
        size_t middle = low + (high - low) / 2;
        if (unacked_tags_at(u, middle)->tag <= tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct unacked_tag *look_up(struct unacked_tags *u, uint64_t tag)
{
    size_t n = unacked_tags_upto(u, tag);
    struct unacked_tag *e = n ? unacked_tags_at(u, n - 1) : NULL;
    return e && e->tag == tag ? e : NULL;
}

struct unacked_tag *unacked_tags_find(struct unacked_tags *u, uint64_t tag)
{
    struct unacked_tag *e = look_up(u, tag);
    return e && e->state == TAG_LIVE ? e : NULL;
}

struct unacked_tag *unacked_tags_get(struct unacked_tags *u, uint64_t tag)
{
    struct unacked_tag *e = look_up(u, tag);
    bug_on(!e || e->state == TAG_GONE);
    return e;
}

void unacked_tags_remove(struct unacked_tags *u, struct unacked_tag *entry)
{
    entry->state = TAG_GONE;
    u->live--;
    u->fetched -= entry->fetched;
}

static size_t cap_for(const struct unacked_tags *u)
{
    size_t cap = u->cap;
    while (cap > KEEP_CAP && cap / 4 > u->live)
        cap /= 2;
    return cap;
}

void unacked_tags_trim(struct unacked_tags *u)
{
    while (u->count && unacked_tags_at(u, 0)->state == TAG_GONE) {
        u->head = (u->head + 1) & (u->cap - 1);
        u->count--;
    }
    if (!u->count && u->cap > KEEP_CAP)
        unacked_tags_fini(u);
    else if (u->count > COMPACT_MIN && u->count / 2 > u->live)
        resize(u, cap_for(u));
}
