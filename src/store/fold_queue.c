/* Queues in the memtable. A ring's entries are in order of seq, mostly without gaps, so that one is
 * found by its distance from the oldest; what is settled out of order stays as a gap until it is at
 * an end, or until gaps are more than half. */
#include "store/fold_queue.h"

#include "base/mem.h"

#include <stdlib.h>

enum { RING_FIRST = 16, COUNTS_FIRST = 16, GAPS_MIN = 64 };

/* ---- queues ---- */

struct slice fold_replica_key(const void *object)
{
    const struct fold_replica *q = object;
    return slice_of(&q->id, sizeof q->id);
}

struct fold_replica *fold_look_up_queue(struct fold *f, uint64_t id)
{
    struct fold_replica *q = hash_find(&f->queues, slice_of(&id, sizeof id));
    return q && !q->dropped ? q : NULL;
}

struct fold_replica *fold_make_queue(struct fold *f, uint64_t id)
{
    struct fold_replica *q = hash_find(&f->queues, slice_of(&id, sizeof id));
    if (q)
        return q;
    q = NEW(struct fold_replica);
    q->id = id;
    q->next_seq = 1;
    hash_add(&f->queues, q);
    return q;
}

static void free_run(struct fold_run *run)
{
    for (unsigned part = 0; part < FOLD_PARTS; part++) {
        fold_ring_fini(&run->ring[part]);
        fold_ranges_clear(&run->settled[part]);
    }
    fold_ranges_clear(&run->late);
    fold_ranges_clear(&run->dead);
    fold_ranges_clear(&run->next_dead);
    free(run);
}

void fold_free_queue(struct fold *f, struct fold_replica **queue)
{
    struct fold_replica *q = *queue;
    *queue = NULL;
    struct fold_replica **recent = &f->recent[q->id % FOLD_RECENT];
    if (*recent == q)
        *recent = NULL;
    hash_remove(&f->queues, fold_replica_key(q));
    while (q->runs) {
        struct fold_run *next = q->runs->next;
        free_run(q->runs);
        q->runs = next;
    }
    for (unsigned part = 0; part < FOLD_PARTS; part++)
        fold_counts_fini(&q->counts[part]);
    fold_counts_fini(&q->late);
    free(q);
}

void fold_mark_now(struct fold *f, struct fold_replica *q)
{
    struct fold_part *p = fold_active(f);
    q->dirty[f->active] = true;
    MEM_GROW(p->queues, p->queue_cap, p->queue_count + 1);
    p->queues[p->queue_count++] = (struct fold_dirty){.queue = q};
}

struct fold_run *fold_find_run(const struct fold_replica *q, unsigned number)
{
    struct fold_run *run = q->runs;
    while (run && run->number < number)
        run = run->next;
    return run && run->number == number ? run : NULL;
}

struct fold_run *fold_get_run(struct fold_replica *q, unsigned number)
{
    struct fold_run **link = &q->runs;
    while (*link && (*link)->number < number)
        link = &(*link)->next;
    if (*link && (*link)->number == number)
        return *link;
    struct fold_run *run = NEW(struct fold_run);
    run->number = (uint16_t)number;
    run->next = *link;
    *link = run;
    return run;
}

/* ---- rings ---- */

uint32_t fold_ring_find(const struct fold_ring *r, uint64_t seq)
{
    if (!r->count)
        return 0;
    uint64_t oldest = fold_ring_at(r, 0)->seq;
    if (seq <= oldest)
        return 0;
    if (seq - oldest < r->count && fold_ring_at(r, (uint32_t)(seq - oldest))->seq == seq)
        return (uint32_t)(seq - oldest);
    if (seq > fold_ring_at(r, r->count - 1)->seq)
        return r->count;
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (fold_ring_at(r, mid)->seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void grow(struct fold_ring *r)
{
    uint32_t cap = r->cap ? r->cap * 2 : RING_FIRST;
    struct fold_entry *entries = mem_alloc(cap * sizeof *entries);
    if (r->count) {
        uint32_t to_end = r->cap - r->head < r->count ? r->cap - r->head : r->count;
        memcpy(entries, r->entries + r->head, to_end * sizeof *entries);
        memcpy(entries + to_end, r->entries, (r->count - to_end) * sizeof *entries);
    }
    free(r->entries);
    r->entries = entries;
    r->cap = cap;
    r->head = 0;
}

/* Opens a place at i by moving the shorter side. */
static void open_place(struct fold_ring *r, uint32_t i)
{
    if (i < r->count / 2) {
        r->head = (r->head - 1) & (r->cap - 1);
        for (uint32_t k = 0; k < i; k++)
            *fold_ring_at(r, k) = *fold_ring_at(r, k + 1);
    } else {
        for (uint32_t k = r->count; k > i; k--)
            *fold_ring_at(r, k) = *fold_ring_at(r, k - 1);
    }
}

bool fold_ring_add(struct fold_ring *r, const struct fold_entry *e)
{
    uint32_t i = r->count;
    if (i && fold_ring_at(r, i - 1)->seq >= e->seq)
        i = fold_ring_find(r, e->seq);
    bool there = i < r->count && fold_ring_at(r, i)->seq == e->seq;
    if (there && !fold_ring_at(r, i)->gone)
        return false;
    if (!there) {
        if (r->count == r->cap)
            grow(r);
        if (i < r->count)
            open_place(r, i);
        r->count++;
    }
    *fold_ring_at(r, i) = *e;
    r->live++;
    r->bytes += e->body;
    return true;
}

static void close_gaps(struct fold_ring *r)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        struct fold_entry *e = fold_ring_at(r, i);
        if (!e->gone)
            *fold_ring_at(r, kept++) = *e;
    }
    r->count = kept;
}

static void trim(struct fold_ring *r)
{
    while (r->count && fold_ring_at(r, 0)->gone) {
        r->head = (r->head + 1) & (r->cap - 1);
        r->count--;
    }
    while (r->count && fold_ring_at(r, r->count - 1)->gone)
        r->count--;
    if (r->count - r->live > r->live + GAPS_MIN)
        close_gaps(r);
    if (!r->count)
        r->expiry = 0;
}

void fold_ring_settle(struct fold_ring *r, uint64_t first, uint64_t last,
                      void (*gone)(void *arg, const struct fold_entry *e), void *arg)
{
    bool any = false;
    for (uint32_t i = fold_ring_find(r, first); i < r->count; i++) {
        struct fold_entry *e = fold_ring_at(r, i);
        if (e->seq > last)
            break;
        if (e->gone)
            continue;
        e->gone = any = true;
        r->live--;
        r->bytes -= e->body;
        gone(arg, e);
    }
    if (any)
        trim(r);
}

void fold_ring_fini(struct fold_ring *r)
{
    free(r->entries);
    *r = (struct fold_ring){0};
}

/* ---- counts ---- */

static uint32_t place_of(const struct fold_counts *c, uint16_t level, uint64_t seq)
{
    uint32_t i = (uint32_t)hash_mix(seq, level) & (c->cap - 1);
    while (c->slots[i].count && (c->slots[i].seq != seq || c->slots[i].level != level))
        i = (i + 1) & (c->cap - 1);
    return i;
}

static void counts_grow(struct fold_counts *c)
{
    struct fold_counts more = {.cap = c->cap ? c->cap * 2 : COUNTS_FIRST, .n = c->n};
    more.slots = mem_zalloc(more.cap * sizeof *more.slots);
    for (uint32_t i = 0; i < c->cap; i++) {
        if (c->slots[i].count)
            more.slots[place_of(&more, c->slots[i].level, c->slots[i].seq)] = c->slots[i];
    }
    free(c->slots);
    *c = more;
}

void fold_counts_set(struct fold_counts *c, uint16_t level, uint64_t seq, uint32_t count)
{
    if (!count)
        return;
    if (c->n * 2 >= c->cap)
        counts_grow(c);
    uint32_t i = place_of(c, level, seq);
    if (c->slots[i].count >= count)
        return;
    c->n += !c->slots[i].count;
    c->slots[i] = (struct fold_count){.seq = seq, .count = count, .level = level};
}

uint32_t fold_counts_get(const struct fold_counts *c, uint16_t level, uint64_t seq)
{
    return c->n ? c->slots[place_of(c, level, seq)].count : 0;
}

void fold_counts_fini(struct fold_counts *c)
{
    free(c->slots);
    *c = (struct fold_counts){0};
}
