/* A queue's part of the memtable: runs of entries, settles, counts. The fold's own. */
#ifndef STORE_FOLD_QUEUE_H
#define STORE_FOLD_QUEUE_H

#include "store/fold_priv.h"

struct slice fold_replica_key(const void *object);
struct fold_replica *fold_look_up_queue(struct fold *f, uint64_t id);
/* NULL: unknown, or dropped. */
static inline struct fold_replica *fold_find_queue(struct fold *f, uint64_t id)
{
    struct fold_replica *recent = f->recent[id % FOLD_RECENT];
    if (recent && recent->id == id)
        return recent->dropped ? NULL : recent;
    return fold_look_up_queue(f, id);
}
/* The one of this id, new if there is none; a dropped one too. */
struct fold_replica *fold_make_queue(struct fold *f, uint64_t id);
void fold_free_queue(struct fold *f, struct fold_replica **queue);
void fold_mark_now(struct fold *f, struct fold_replica *q);
/* The active part has something of it. */
static inline void fold_mark(struct fold *f, struct fold_replica *q)
{
    if (!q->dirty[f->active])
        fold_mark_now(f, q);
}
/* NULL if there is none. */
struct fold_run *fold_find_run(const struct fold_replica *q, unsigned number);
struct fold_run *fold_get_run(struct fold_replica *q, unsigned number);

/* False: there is an entry with that seq. */
bool fold_ring_add(struct fold_ring *r, const struct fold_entry *e);
/* The same, at once where it is the newest and there is room. */
static inline bool fold_ring_push(struct fold_ring *r, const struct fold_entry *e)
{
    if (r->count == r->cap || (r->count && fold_ring_at(r, r->count - 1)->seq >= e->seq))
        return fold_ring_add(r, e);
    *fold_ring_at(r, r->count++) = *e;
    r->live++;
    r->bytes += e->body;
    return true;
}
/* Takes the oldest out if it is this one and the next one lives. */
static inline bool fold_ring_shift(struct fold_ring *r, uint64_t seq, struct fold_entry *ret_entry)
{
    if (r->count < 2 || fold_ring_at(r, 0)->seq != seq || fold_ring_at(r, 0)->gone ||
        fold_ring_at(r, 1)->gone)
        return false;
    *ret_entry = *fold_ring_at(r, 0);
    r->head = (r->head + 1) & (r->cap - 1);
    r->count--;
    r->live--;
    r->bytes -= ret_entry->body;
    return true;
}
/* The first entry at seq or later; r->count: none. */
uint32_t fold_ring_find(const struct fold_ring *r, uint64_t seq);
/* Settles these; gone is called for each that lived. */
void fold_ring_settle(struct fold_ring *r, uint64_t first, uint64_t last,
                      void (*gone)(void *arg, const struct fold_entry *e), void *arg);
void fold_ring_fini(struct fold_ring *r);

/* Unless a higher one is known: one that waited for its COMMIT may come late. */
void fold_counts_set(struct fold_counts *c, uint16_t level, uint64_t seq, uint32_t count);
/* 0: none. */
uint32_t fold_counts_get(const struct fold_counts *c, uint16_t level, uint64_t seq);
void fold_counts_fini(struct fold_counts *c);

#endif
