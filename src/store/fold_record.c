/* What the tables say of a queue: its record in KV_QUEUES, dead ranges in KV_META ("dead"). */
#include "store/fold_record.h"
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"
#include "store/fold_queue.h"

#include <stdlib.h>

enum { QUEUE_DURABLE = 1, QUEUE_ATTACHED = 2, QUEUE_COUNTS = 4, RUN_ROOM = 7 * RECORD_VARINT };

struct fold_run *fold_next_run(struct fold *f, const struct fold_replica *q,
                               const struct fold_run *run)
{
    pthread_rwlock_rdlock(&f->lock);
    struct fold_run *next = run ? run->next : q->runs;
    pthread_rwlock_unlock(&f->lock);
    return next;
}

/* ---- writing ---- */

static void put_run(struct buf *out, const struct fold_run *run)
{
    const struct fold_stored *s = fold_stored_now(run);
    uint8_t *p = buf_reserve(out, RUN_ROOM);
    p = record_varint(p, run->number);
    p = record_varint(p, s->count);
    p = record_varint(p, s->bytes);
    p = record_varint(p, s->first);
    p = record_varint(p, s->end);
    p = record_varint(p, s->expiry);
    *p++ = s->holes;
    out->len = (size_t)(p - out->data);
}

static void put_queue(struct fold *f, const struct fold_replica *q, struct buf *out)
{
    pthread_rwlock_rdlock(&f->lock);
    uint8_t *p = buf_reserve(out, RUN_ROOM);
    *p++ = (uint8_t)((q->durable ? QUEUE_DURABLE : 0) | (q->attached ? QUEUE_ATTACHED : 0) |
                     (q->counts_next ? QUEUE_COUNTS : 0));
    p = record_varint(p, q->redelivered_below);
    p = record_varint(p, q->next_seq);
    out->len = (size_t)(p - out->data);
    for (const struct fold_run *run = q->runs; run; run = run->next) {
        if (fold_stored_now(run)->count || !fold_ranges_empty(fold_dead_now(run)))
            put_run(out, run);
    }
    pthread_rwlock_unlock(&f->lock);
}

static void dead_key(struct fold_key *k, uint64_t queue, uint16_t run)
{
    fold_key_bytes(k, SLICE("dead"));
    fold_key_run(k, queue, run);
}

static enum kv_status write_dead(struct kv_txn *txn, const struct fold_replica *q,
                                 const struct fold_run *run)
{
    struct fold_key k = {0};
    struct fold_range range;
    size_t budget = SIZE_MAX;
    if (fold_ranges_empty(&run->dead) && fold_ranges_empty(&run->next_dead))
        return KV_OK;
    dead_key(&k, q->id, run->number);
    FOLD_TRY(fold_del_prefix(txn, KV_META, fold_key_slice(&k), &budget));
    if (fold_ranges_empty(&run->next_dead))
        return KV_OK;
    struct buf out = BUF_INIT;
    fold_ranges_each(range, &run->next_dead, 0)
    {
        uint8_t *p = buf_reserve(&out, 2 * RECORD_VARINT);
        p = record_varint(p, range.first);
        p = record_varint(p, range.last - range.first);
        out.len = (size_t)(p - out.data);
    }
    enum kv_status status = fold_put_rows(txn, KV_META, fold_key_slice(&k), buf_slice(&out));
    buf_fini(&out);
    return status;
}

/* Rows that the record before had more. */
static enum kv_status del_rest(struct kv_txn *txn, uint64_t id, size_t len)
{
    size_t n = len ? (len + FOLD_VALUE_ROOM - 1) / FOLD_VALUE_ROOM : 1;
    enum kv_status status = KV_OK;
    while (status == KV_OK && n <= UINT16_MAX) {
        struct fold_key k = {0};
        fold_key_u64(&k, id);
        fold_key_u16(&k, (uint16_t)n++);
        status = kv_del(txn, KV_QUEUES, fold_key_slice(&k));
    }
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_write_queue(struct fold_txn *t, struct fold_replica *q)
{
    struct fold_key k = {0};
    fold_key_u64(&k, q->id);
    buf_clear(&t->scratch);
    put_queue(t->f, q, &t->scratch);
    FOLD_TRY(fold_put_rows(t->txn, KV_QUEUES, fold_key_slice(&k), buf_slice(&t->scratch)));
    if (q->in_table)
        FOLD_TRY(del_rest(t->txn, q->id, t->scratch.len));
    for (struct fold_run *run = fold_next_run(t->f, q, NULL); run;
         run = fold_next_run(t->f, q, run)) {
        if (run->staged)
            FOLD_TRY(write_dead(t->txn, q, run));
    }
    return KV_OK;
}

enum kv_status fold_remove_queue(struct fold_txn *t, const struct fold_replica *q)
{
    struct fold_key k = {0}, dead = {0}, drop = {0};
    size_t budget = SIZE_MAX;
    if (!q->in_table)
        return KV_OK;
    fold_key_u64(&k, q->id);
    FOLD_TRY(fold_del_prefix(t->txn, KV_QUEUES, fold_key_slice(&k), &budget));
    fold_key_bytes(&dead, SLICE("dead"));
    fold_key_u64(&dead, q->id);
    FOLD_TRY(fold_del_prefix(t->txn, KV_META, fold_key_slice(&dead), &budget));
    fold_key_bytes(&drop, SLICE("drop"));
    fold_key_u64(&drop, q->id);
    FOLD_TRY(kv_put(t->txn, KV_META, fold_key_slice(&drop), SLICE("1")));
    MEM_GROW(t->drops, t->drop_cap, t->drop_count + 1);
    t->drops[t->drop_count++] = q->id;
    return KV_OK;
}

/* ---- reading ---- */

static bool load_run(struct fold_replica *q, struct slice *in)
{
    uint64_t number, v[5];
    if (!record_get_varint(in, &number) || number >= FOLD_RUNS)
        return false;
    for (unsigned i = 0; i < 5; i++) {
        if (!record_get_varint(in, &v[i]))
            return false;
    }
    if (!in->len)
        return false;
    struct fold_run *run = fold_get_run(q, (unsigned)number);
    run->stored = (struct fold_stored){.count = v[0],
                                       .bytes = v[1],
                                       .first = v[2],
                                       .end = v[3],
                                       .expiry = v[4],
                                       .holes = in->data[0]};
    run->end = v[3];
    *in = slice_of(in->data + 1, in->len - 1);
    return true;
}

bool fold_load_record(struct fold_replica *q, struct slice in)
{
    if (!in.len)
        return false;
    uint8_t flags = in.data[0];
    in = slice_of(in.data + 1, in.len - 1);
    q->durable = flags & QUEUE_DURABLE;
    q->attached = flags & QUEUE_ATTACHED;
    q->counts_stored = q->counts_next = flags & QUEUE_COUNTS;
    if (!record_get_varint(&in, &q->redelivered_below) || !record_get_varint(&in, &q->next_seq))
        return false;
    while (in.len) {
        if (!load_run(q, &in))
            return false;
    }
    return true;
}

bool fold_load_dead(struct fold_run *run, struct slice in)
{
    uint64_t first, len;
    while (in.len) {
        if (!record_get_varint(&in, &first) || !record_get_varint(&in, &len) ||
            len > UINT64_MAX - first)
            return false;
        fold_ranges_add(&run->dead, first, first + len);
    }
    return true;
}
