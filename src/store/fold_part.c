/* Parts of the memtable: setting one apart, taking one into another. */
#include "store/fold_part.h"

#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_queue.h"

#include <sched.h>
#include <stdlib.h>

void fold_part_init(struct fold_part *p)
{
    *p = (struct fold_part){0};
    hash_init(&p->messages, fold_message_key);
    hash_init(&p->definitions, fold_definition_key);
    MEM_GROW(p->segments, p->segment_cap, 1);
    p->segments[p->segment_count++] = UINT64_MAX; /* FOLD_HEAP */
}

void fold_part_fini(struct fold_part *p)
{
    hash_each (it, &p->messages) {
        struct fold_message *m = hash_at(&p->messages, it);
        fold_message_free(&m);
    }
    hash_fini(&p->messages);
    hash_each (it, &p->definitions) {
        struct fold_definition *d = hash_at(&p->definitions, it);
        fold_definition_free(&d);
    }
    hash_fini(&p->definitions);
    for (size_t i = 0; i < p->save_count; i++)
        slice_free(&p->saves[i].records);
    free(p->saves);
    free(p->queues);
    free(p->segments);
    free(p->ended);
    buf_fini(&p->heap);
    buf_fini(&p->late);
}

uint16_t fold_slot(struct fold_part *p, uint64_t segment)
{
    for (size_t i = p->segment_count; i-- > 1;) {
        if (p->segments[i] == segment)
            return (uint16_t)i;
    }
    MEM_GROW(p->segments, p->segment_cap, p->segment_count + 1);
    p->segments[p->segment_count] = segment;
    return (uint16_t)p->segment_count++;
}

bool fold_fetch(struct fold *f, const struct fold_part *p, struct fold_place place, void *data)
{
    if (place.slot != FOLD_HEAP) {
        struct journal_place at = {p->segments[place.slot], place.offset};
        return journal_read(f->options.journal, at, data, place.len);
    }
    if (place.len)
        memcpy(data, p->heap.data + place.offset, place.len);
    return true;
}

/* ---- reads ---- */

/* The number of the checkpoint that the snapshot is of. */
static enum kv_status snapshot_checkpoint(struct kv_txn *txn, uint64_t *ret_checkpoint)
{
    struct slice value;
    enum kv_status status = kv_get(txn, KV_META, SLICE("checkpoint"), &value);
    *ret_checkpoint = status == KV_OK && value.len == 8 ? wire_load_u64(value.data) : 0;
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_begin_read(struct fold *f, struct kv_txn **ret_txn)
{
    for (;;) {
        struct kv_txn *txn = NULL;
        uint64_t checkpoint = 0;
        pthread_rwlock_rdlock(&f->lock);
        enum kv_status status = kv_begin(f->kv, false, &txn);
        if (status == KV_OK)
            status = snapshot_checkpoint(txn, &checkpoint);
        if (status == KV_OK && checkpoint == f->checkpoint) {
            *ret_txn = txn;
            return KV_OK;
        }
        kv_abort(&txn);
        pthread_rwlock_unlock(&f->lock);
        if (status != KV_OK)
            return status;
        sched_yield(); /* between commit and thaw */
    }
}

void fold_end_read(struct fold *f, struct kv_txn **txn)
{
    kv_abort(txn);
    pthread_rwlock_unlock(&f->lock);
}

/* ---- taking a part into another ---- */

struct merge {
    struct fold_part *to, *from;
    unsigned to_index, from_index;
    uint16_t *map;  /* slots */
    uint32_t shift; /* of the heap */
};

static void on_gone(void *arg, const struct fold_entry *e)
{
    struct merge *m = arg;
    m->to->live_bytes -= e->len + FOLD_ENTRY_COST;
    if (fold_entry_id(e))
        fold_message_release(m->to, e->id);
}

static void merge_run(struct merge *m, struct fold_run *run, bool dropped)
{
    struct fold_ring *to = &run->ring[m->to_index], *from = &run->ring[m->from_index];
    struct fold_ranges *settled = &run->settled[m->from_index];
    struct fold_range range;
    fold_ranges_each(range, settled, 0) fold_ring_settle(to, range.first, range.last, on_gone, m);
    fold_ranges_add_all(&run->settled[m->to_index], settled);
    fold_ranges_clear(settled);
    if (dropped)
        fold_ring_settle(to, 0, UINT64_MAX, on_gone, m);
    for (uint32_t i = 0; i < from->count; i++) {
        struct fold_entry e = *fold_ring_at(from, i);
        if (e.gone)
            continue;
        if (e.slot == FOLD_HEAP)
            e.offset += m->shift;
        e.slot = m->map[e.slot];
        if (!fold_ring_add(to, &e))
            on_gone(m, &e);
    }
    if (from->expiry && (!to->expiry || from->expiry < to->expiry))
        to->expiry = from->expiry;
    fold_ring_fini(from);
}

static void merge_queue(struct merge *m, struct fold_replica *q)
{
    q->dirty[m->from_index] = false;
    if (!q->dirty[m->to_index]) {
        q->dirty[m->to_index] = true;
        MEM_GROW(m->to->queues, m->to->queue_cap, m->to->queue_count + 1);
        m->to->queues[m->to->queue_count++] = (struct fold_dirty){.queue = q};
    }
    for (struct fold_run *run = q->runs; run; run = run->next)
        merge_run(m, run, q->dropped);
    struct fold_counts *from = &q->counts[m->from_index];
    for (uint32_t i = 0; i < from->cap; i++)
        fold_counts_set(&q->counts[m->to_index], from->slots[i].level, from->slots[i].seq,
                        from->slots[i].count);
    fold_counts_fini(from);
}

static void merge(struct fold *f)
{
    struct merge m = {.to_index = 1 - f->active, .from_index = f->active};
    m.to = &f->parts[m.to_index];
    m.from = &f->parts[m.from_index];
    m.map = mem_zalloc(m.from->segment_count * sizeof *m.map);
    m.shift = (uint32_t)m.to->heap.len;
    for (size_t i = 1; i < m.from->segment_count; i++)
        m.map[i] = fold_slot(m.to, m.from->segments[i]);
    if (m.from->heap.len)
        buf_append_slice(&m.to->heap, buf_slice(&m.from->heap));
    m.to->live_bytes += m.from->live_bytes;
    /* before entries, so that what these release is there */
    fold_merge_messages(m.to, m.from, m.map, m.shift);
    for (size_t i = 0; i < m.from->queue_count; i++)
        merge_queue(&m, m.from->queues[i].queue);
    fold_merge_definitions(m.to, m.from);
    for (size_t i = 0; i < m.from->ended_count; i++) {
        MEM_GROW(m.to->ended, m.to->ended_cap, m.to->ended_count + 1);
        m.to->ended[m.to->ended_count++] = m.from->ended[i];
    }
    m.to->journal_bytes += m.from->journal_bytes;
    m.to->any |= m.from->any;
    free(m.map);
    fold_part_fini(m.from);
    fold_part_init(m.from);
}

/* ---- the freeze ---- */

static void freeze_queue(struct fold_dirty *dirty, unsigned index)
{
    struct fold_replica *q = dirty->queue;
    dirty->dropped = q->dropped;
    for (struct fold_run *run = q->runs; run; run = run->next) {
        const struct fold_ring *ring = &run->ring[index];
        if (ring->count && fold_ring_at(ring, ring->count - 1)->seq >= run->end)
            run->end = fold_ring_at(ring, ring->count - 1)->seq + 1;
    }
}

static int compare(const void *a, const void *b)
{
    const struct fold_dirty *x = a, *y = b;
    return (x->queue->id > y->queue->id) - (x->queue->id < y->queue->id);
}

void fold_freeze(struct fold *f)
{
    pthread_rwlock_wrlock(&f->lock);
    if (f->frozen)
        merge(f);
    else
        f->active = 1 - f->active;
    f->frozen = true;
    struct fold_part *p = &f->parts[1 - f->active];
    for (size_t i = 0; i < p->queue_count; i++)
        freeze_queue(&p->queues[i], 1 - f->active);
    p->lsn = f->lsn;
    fold_collect_pending(f, p);
    pthread_rwlock_unlock(&f->lock);
    if (p->queue_count)
        qsort(p->queues, p->queue_count, sizeof *p->queues, compare);
}
