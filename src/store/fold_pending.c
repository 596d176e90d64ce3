/* Transactions whose COMMIT has not been seen. Their records are copied; a checkpoint saves the
 * copies in KV_PENDING, and under FOLD_LATE_ID what may have overtaken them: settles
 * (fold_run.late) and returns (fold_replica.late). */
#include "base/mem.h"
#include "store/fold_part.h"
#include "store/fold_queue.h"

#include <stdlib.h>

struct slice fold_transaction_key(const void *object)
{
    const struct fold_transaction *tx = object;
    return slice_of(&tx->id, sizeof tx->id);
}

struct fold_transaction *fold_find_transaction(struct fold *f, uint64_t id)
{
    return hash_find(&f->transactions, slice_of(&id, sizeof id));
}

static void note_enq(struct fold *f, const struct record *r)
{
    struct fold_replica *q = fold_find_queue(f, r->queue);
    if (!q)
        return;
    if (!q->pending_enqs) {
        q->pending_first = r->entry.seq;
        for (struct fold_run *run = q->runs; run; run = run->next)
            fold_ranges_clear(&run->late);
        fold_counts_fini(&q->late);
    }
    if (r->entry.seq < q->pending_first)
        q->pending_first = r->entry.seq;
    q->pending_enqs++;
}

void fold_keep_pending(struct fold *f, uint64_t id, const struct record *r, struct slice raw)
{
    struct fold_transaction *tx = fold_find_transaction(f, id);
    if (id > f->last_transaction)
        f->last_transaction = id;
    if (!tx) {
        tx = NEW(struct fold_transaction);
        tx->id = id;
        hash_add(&f->transactions, tx);
    }
    buf_append_slice(&tx->records, raw);
    fold_active(f)->live_bytes += raw.len;
    if (r->kind == RECORD_ENQ)
        note_enq(f, r);
}

void fold_pending_runs(struct fold *f, struct fold_replica *q)
{
    hash_each (it, &f->transactions) {
        const struct fold_transaction *tx = hash_at(&f->transactions, it);
        struct slice rest = buf_slice(&tx->records);
        struct record r;
        while (record_get(&rest, &r)) {
            if (r.kind == RECORD_ENQ && r.queue == q->id)
                fold_get_run(q, r.entry.level * 2u);
        }
    }
}

void fold_pending_settles(const struct fold *f, uint64_t queue, unsigned level,
                          struct fold_ranges *ret_settles)
{
    hash_each (it, &f->transactions) {
        const struct fold_transaction *tx = hash_at(&f->transactions, it);
        struct slice rest = buf_slice(&tx->records);
        struct record r;
        while (record_get(&rest, &r)) {
            if (r.kind == RECORD_SETTLE && r.queue == queue && r.level == level)
                fold_ranges_add(ret_settles, r.first, r.last);
        }
    }
}

static void free_transaction(struct fold_transaction **tx)
{
    buf_fini(&(*tx)->records);
    free(*tx);
    *tx = NULL;
}

void fold_end_transaction(struct fold *f, struct fold_transaction **tx)
{
    struct fold_part *p = fold_active(f);
    /* a checkpoint under way may save it yet */
    if ((*tx)->saved || f->frozen) {
        MEM_GROW(p->ended, p->ended_cap, p->ended_count + 1);
        p->ended[p->ended_count++] = (*tx)->id;
    }
    hash_remove(&f->transactions, fold_transaction_key(*tx));
    free_transaction(tx);
}

void fold_forget_transactions(struct fold *f)
{
    while (f->transactions.count) {
        struct fold_transaction *tx = hash_at(&f->transactions, hash_next(&f->transactions, 0));
        fold_end_transaction(f, &tx);
    }
}

void fold_free_transactions(struct fold *f)
{
    hash_each (it, &f->transactions) {
        struct fold_transaction *tx = hash_at(&f->transactions, it);
        free_transaction(&tx);
    }
    hash_fini(&f->transactions);
}

static void collect_late(struct fold *f, struct buf *out)
{
    buf_clear(out);
    if (!f->transactions.count)
        return;
    hash_each (it, &f->queues) {
        const struct fold_replica *q = hash_at(&f->queues, it);
        if (!q->pending_enqs)
            continue;
        for (const struct fold_run *run = q->runs; run; run = run->next) {
            struct fold_range range;
            fold_ranges_each(range, &run->late, 0)
                record_put_settle(out, q->id, (uint16_t)(run->number / 2), range.first, range.last);
        }
        for (uint32_t i = 0; i < q->late.cap; i++) {
            const struct fold_count *c = &q->late.slots[i];
            if (c->count)
                record_put_return(out, q->id, c->level, c->seq, c->count);
        }
    }
}

void fold_collect_pending(struct fold *f, struct fold_part *p)
{
    for (size_t i = 0; i < p->save_count; i++)
        slice_free(&p->saves[i].records);
    p->save_count = 0;
    collect_late(f, &p->late);
    hash_each (it, &f->transactions) {
        const struct fold_transaction *tx = hash_at(&f->transactions, it);
        if (tx->saved == tx->records.len)
            continue;
        MEM_GROW(p->saves, p->save_cap, p->save_count + 1);
        p->saves[p->save_count++] = (struct fold_save){
            .id = tx->id,
            .records =
                slice_dup(slice_of(tx->records.data + tx->saved, tx->records.len - tx->saved)),
            .chunk = tx->chunks};
    }
}
