/* Deleting what counts as not there: blocks in dead ranges, and those of dropped queues, a portion
 * a checkpoint. Messages stored once that they name are released. */
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"

#include <stdlib.h>

/* The block where b stands: its messages are released. */
static enum kv_status release_block(struct fold_txn *t, struct fold_blocks *b, bool holes)
{
    struct fold_holes bits;
    struct slice rest;
    struct entry e;
    bool good, any = false;
    if (!b->good || !(b->head.flags & BLOCK_BY_ID))
        return KV_OK;
    FOLD_TRY(fold_blocks_entries(b, &t->scratch, &rest, &good));
    if (!good)
        return KV_OK;
    if (holes)
        FOLD_TRY(fold_holes_get(b->txn, b->queue, b->run, b->first, &bits, &any));
    for (unsigned i = 0; i < b->head.count && record_get_entry(&rest, &e); i++) {
        if (e.id && !(any && fold_holes_has(&bits, i)))
            fold_release_id(t, e.id);
    }
    return KV_OK;
}

/* Deletes the blocks from the one where b stands up to key last. */
static enum kv_status bury_range(struct fold_txn *t, struct fold_blocks *b, uint64_t last,
                                 bool holes, size_t *portion)
{
    enum kv_status status = KV_OK;
    while (status == KV_OK && b->here && b->first <= last && *portion &&
           t->released_count < t->released_max) {
        FOLD_TRY(release_block(t, b, holes));
        status = fold_blocks_del(b, holes);
        (*portion)--;
    }
    return status;
}

static enum kv_status bury_run(struct fold_txn *t, struct fold_replica *q, struct fold_run *run,
                               size_t *portion)
{
    struct fold_range range;
    struct fold_blocks b;
    struct fold_stored *s = fold_stage(t, q, run);
    enum kv_status status = fold_blocks_open(&b, t->txn, q->id, run->number);
    while (status == KV_OK && *portion && t->released_count < t->released_max &&
           fold_ranges_find(&run->next_dead, 0, &range)) {
        status = fold_blocks_at(&b, range.first);
        if (status == KV_OK)
            status = bury_range(t, &b, range.last, s->holes, portion);
        if (status == KV_NONE)
            status = KV_OK;
        else if (status == KV_OK && b.here && b.first <= range.last) {
            fold_ranges_cut(&run->next_dead, b.first);
            break;
        }
        if (range.last == UINT64_MAX)
            fold_ranges_clear(&run->next_dead);
        else
            fold_ranges_cut(&run->next_dead, range.last + 1);
    }
    fold_blocks_close(&b);
    if (!s->count && fold_ranges_empty(&run->next_dead))
        s->holes = false;
    return status;
}

enum kv_status fold_bury_run(struct fold_txn *t, struct fold_replica *q, struct fold_run *run)
{
    size_t all = SIZE_MAX, max = t->released_max;
    t->released_max = SIZE_MAX;
    enum kv_status status = bury_run(t, q, run, &all);
    t->released_max = max;
    return status;
}

static bool may_bury(const struct fold_txn *t)
{
    return t->portion && t->released_count < t->released_max;
}

/* All of a run, with the parts of a block whose beginning is missing. */
static enum kv_status bury_drop_run(struct fold_txn *t, uint64_t queue, uint16_t run)
{
    struct fold_key k = {0};
    struct fold_blocks b;
    enum kv_status status = fold_blocks_open(&b, t->txn, queue, run);
    if (status == KV_OK)
        status = fold_blocks_at(&b, 0);
    if (status == KV_OK)
        status = bury_range(t, &b, UINT64_MAX, true, &t->portion);
    fold_blocks_close(&b);
    if (status != KV_OK && status != KV_NONE)
        return status;
    fold_key_run(&k, queue, run);
    return may_bury(t) ? fold_del_prefix(t->txn, KV_BLOCKS, fold_key_slice(&k), &t->portion)
                       : KV_OK;
}

static enum kv_status bury_drop(struct fold_txn *t, uint64_t queue, bool *ret_done)
{
    struct fold_key k = {0};
    struct slice key, value;
    fold_key_u64(&k, queue);
    *ret_done = false;
    while (may_bury(t)) {
        struct kv_cursor *c;
        FOLD_TRY(kv_cursor_open(t->txn, KV_BLOCKS, &c));
        enum kv_status status = kv_seek(c, fold_key_slice(&k), &key, &value);
        bool more =
            status == KV_OK && key.len == FOLD_BLOCK_KEY && slice_starts(key, fold_key_slice(&k));
        uint16_t run = more ? wire_load_u16(key.data + 8) : 0;
        kv_cursor_close(&c);
        if (status != KV_OK && status != KV_NONE)
            return status;
        if (!more)
            break;
        FOLD_TRY(bury_drop_run(t, queue, run));
    }
    if (!may_bury(t))
        return KV_OK;
    FOLD_TRY(fold_del_prefix(t->txn, KV_HOLES, fold_key_slice(&k), &t->portion));
    FOLD_TRY(fold_del_prefix(t->txn, KV_COUNTS, fold_key_slice(&k), &t->portion));
    *ret_done = t->portion > 0;
    return KV_OK;
}

static enum kv_status bury_drops(struct fold_txn *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->drop_count; i++) {
        bool done = false;
        if (t->portion)
            FOLD_TRY(bury_drop(t, t->drops[i], &done));
        if (!done) {
            t->drops[kept++] = t->drops[i];
            continue;
        }
        struct fold_key k = {0};
        fold_key_bytes(&k, SLICE("drop"));
        fold_key_u64(&k, t->drops[i]);
        enum kv_status status = kv_del(t->txn, KV_META, fold_key_slice(&k));
        if (status != KV_OK && status != KV_NONE)
            return status;
    }
    t->drop_count = kept;
    return KV_OK;
}

/* The queues' hash changes by frames: the lock is held for as long as it is looked at. */
static size_t dead_runs(struct fold *f, struct fold_staged **ret_runs)
{
    struct fold_staged *runs = NULL;
    size_t n = 0, cap = 0;
    pthread_rwlock_rdlock(&f->lock);
    hash_each (it, &f->queues) {
        struct fold_replica *q = hash_at(&f->queues, it);
        for (struct fold_run *run = q->runs; run && q->in_table; run = run->next) {
            if (fold_ranges_empty(fold_dead_now(run)))
                continue;
            if (q->removing)
                break;
            MEM_GROW(runs, cap, n + 1);
            runs[n++] = (struct fold_staged){q, run};
        }
    }
    pthread_rwlock_unlock(&f->lock);
    *ret_runs = runs;
    return n;
}

enum kv_status fold_bury(struct fold_txn *t)
{
    struct fold_staged *runs = NULL;
    enum kv_status status = KV_OK;
    size_t n = 0;
    bool fresh = false;
    for (size_t i = 0; i < t->staged_count && !fresh; i++)
        fresh = !fold_ranges_empty(&t->staged[i].run->next_dead);
    if (fresh || t->f->dead_blocks)
        n = dead_runs(t->f, &runs);
    for (size_t i = 0; i < n && status == KV_OK && t->portion; i++)
        status = bury_run(t, runs[i].queue, runs[i].run, &t->portion);
    free(runs);
    return status == KV_OK ? bury_drops(t) : status;
}
