/* What there is: queues and their counts, exact at any time. */
#include "store/fold_stat.h"
#include "base/mem.h"
#include "store/fold_checkpoint.h"
#include "store/fold_part.h"
#include "store/fold_queue.h"

#include <stdlib.h>
#include <string.h>

static void widen(struct fold_level *l, uint64_t first, uint64_t last, uint64_t expiry)
{
    if (!l->count || first < l->first)
        l->first = first;
    if (last > l->last)
        l->last = last;
    if (expiry && (!l->expiry || expiry < l->expiry))
        l->expiry = expiry;
}

static void add_ring(struct fold_level *l, const struct fold_ring *ring)
{
    if (!ring->live)
        return;
    widen(l, fold_ring_at(ring, 0)->seq, fold_ring_at(ring, ring->count - 1)->seq, ring->expiry);
    l->count += ring->live;
    l->bytes += ring->bytes;
}

/* Entries of the frozen ring that the active part has settled. */
static void take_ring(struct fold_level *l, const struct fold_ring *ring,
                      const struct fold_ranges *settled)
{
    struct fold_range range;
    fold_ranges_each(range, settled, 0)
    {
        for (uint32_t i = fold_ring_find(ring, range.first); i < ring->count; i++) {
            const struct fold_entry *e = fold_ring_at(ring, i);
            if (e->seq > range.last)
                break;
            if (e->gone)
                continue;
            l->count--;
            l->bytes -= e->body;
        }
    }
}

static enum kv_status add_stored(struct fold_level *l, struct kv_txn *txn,
                                 const struct fold_replica *q, const struct fold_run *run)
{
    struct fold_ranges settled = {0};
    uint64_t count = 0, bytes = 0;
    enum kv_status status = KV_OK;
    if (!run->stored.count)
        return KV_OK;
    for (unsigned part = 0; part < FOLD_PARTS; part++)
        fold_ranges_add_all(&settled, &run->settled[part]);
    if (!fold_ranges_empty(&settled))
        status = fold_count_settled(txn, q, run, &settled, &count, &bytes);
    fold_ranges_clear(&settled);
    if (count >= run->stored.count)
        return status;
    widen(l, run->stored.first, run->stored.end - 1, run->stored.expiry);
    l->count += run->stored.count - count;
    l->bytes += run->stored.bytes > bytes ? run->stored.bytes - bytes : 0;
    return status;
}

enum kv_status fold_run_level(struct fold *f, struct kv_txn *txn, const struct fold_replica *q,
                              const struct fold_run *run, struct fold_level *level)
{
    const struct fold_ring *frozen = &run->ring[1 - f->active];
    FOLD_TRY(add_stored(level, txn, q, run));
    add_ring(level, frozen);
    if (frozen->live)
        take_ring(level, frozen, &run->settled[f->active]);
    add_ring(level, &run->ring[f->active]);
    return KV_OK;
}

bool fold_get_queue(struct fold *f, uint64_t id, struct fold_queue *ret_queue)
{
    struct kv_txn *txn;
    if (fold_begin_read(f, &txn) != KV_OK)
        return false;
    const struct fold_replica *q = hash_find(&f->queues, slice_of(&id, sizeof id));
    bool there = q && !q->dropped;
    if (there) {
        ret_queue->id = id;
        ret_queue->next_seq = q->next_seq;
        ret_queue->durable = q->durable;
        ret_queue->level_count = 0;
        const struct fold_run *run = q->runs;
        while (run) {
            struct fold_level l = {.level = (uint16_t)(run->number / 2)};
            for (; run && run->number / 2 == l.level; run = run->next) {
                if (fold_run_level(f, txn, q, run, &l) != KV_OK)
                    fold_report(f, id, kv_error(f->kv));
            }
            if (l.count)
                ret_queue->levels[ret_queue->level_count++] = l;
        }
    }
    fold_end_read(f, &txn);
    return there;
}

static int compare(const void *a, const void *b)
{
    const struct fold_replica *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

struct fold_replica **fold_sorted_queues(struct fold *f, size_t *ret_count)
{
    struct fold_replica **all = mem_alloc((f->queues.count + 1) * sizeof *all);
    size_t n = 0;
    hash_each (it, &f->queues) {
        struct fold_replica *q = hash_at(&f->queues, it);
        if (!q->dropped)
            all[n++] = q;
    }
    qsort(all, n, sizeof *all, compare);
    *ret_count = n;
    return all;
}

void fold_each_queue(struct fold *f, void (*fn)(uint64_t id, bool durable, void *arg), void *arg)
{
    struct seen {
        uint64_t id;
        bool durable;
    } * seen;
    size_t n;
    pthread_rwlock_rdlock(&f->lock);
    struct fold_replica **all = fold_sorted_queues(f, &n);
    seen = mem_alloc((n + 1) * sizeof *seen);
    for (size_t i = 0; i < n; i++)
        seen[i] = (struct seen){all[i]->id, all[i]->durable};
    pthread_rwlock_unlock(&f->lock);
    for (size_t i = 0; i < n; i++)
        fn(seen[i].id, seen[i].durable, arg);
    free(seen);
    free(all);
}
