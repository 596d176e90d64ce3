/* Opening: queue records, dead ranges, transactions without COMMIT. Backlogs are not looked at. */
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_block.h"
#include "store/fold_part.h"
#include "store/fold_queue.h"
#include "store/fold_record.h"

#include <stdlib.h>

struct load {
    struct fold *f;
    struct kv_txn *txn;
    uint64_t id; /* of the queue or transaction whose rows are being read */
    struct buf rows;
    bool any, good;
};

/* ---- a queue whose record is damaged ---- */

/* From its blocks: nothing is lost but which messages were given back. */
static enum kv_status rebuild_run(struct load *l, struct fold_replica *q, uint16_t number)
{
    struct fold_blocks b;
    struct fold_run *run = fold_get_run(q, number);
    struct fold_stored s = {.holes = true};
    struct buf scratch = BUF_INIT;
    enum kv_status status = fold_blocks_open(&b, l->txn, q->id, number);
    if (status == KV_OK)
        status = fold_blocks_at(&b, 0);
    s.first = b.here ? b.first : 0;
    for (; status == KV_OK; status = fold_blocks_next(&b)) {
        struct fold_holes holes;
        struct slice rest;
        struct entry e;
        bool any, good;
        status = fold_holes_get(l->txn, q->id, number, b.first, &holes, &any);
        if (status == KV_OK)
            status = fold_blocks_entries(&b, &scratch, &rest, &good);
        if (status != KV_OK)
            break;
        for (unsigned i = 0; good && i < b.head.count && record_get_entry(&rest, &e); i++) {
            s.end = e.seq + 1;
            if (fold_holes_has(&holes, i))
                continue;
            s.count++;
            s.bytes += fold_body_size(e.body_len);
            if (e.expiry && (!s.expiry || e.expiry < s.expiry))
                s.expiry = e.expiry;
        }
    }
    fold_blocks_close(&b);
    buf_fini(&scratch);
    run->stored = s;
    run->end = s.end;
    if (s.end > q->next_seq)
        q->next_seq = s.end;
    return status == KV_NONE ? KV_OK : status;
}

static enum kv_status rebuild(struct load *l, struct fold_replica *q)
{
    enum kv_status status = KV_OK;
    fold_report(l->f, q->id,
                "its record in the database is damaged: counted anew from its messages");
    q->durable = q->attached = q->counts_stored = q->counts_next = true;
    for (unsigned number = 0; number < FOLD_RUNS && status == KV_OK; number++) {
        struct kv_cursor *c;
        struct slice key, value;
        struct fold_key k = {0};
        fold_key_run(&k, q->id, (uint16_t)number);
        status = kv_cursor_open(l->txn, KV_BLOCKS, &c);
        if (status != KV_OK)
            return status;
        status = kv_seek(c, fold_key_slice(&k), &key, &value);
        bool more =
            status == KV_OK && key.len == FOLD_BLOCK_KEY && wire_load_u64(key.data) == q->id;
        number = more ? wire_load_u16(key.data + 8) : FOLD_RUNS;
        kv_cursor_close(&c);
        if (status == KV_NONE)
            status = KV_OK;
        if (more && number < FOLD_RUNS && status == KV_OK)
            status = rebuild_run(l, q, (uint16_t)number);
    }
    return status;
}

/* ---- rows ---- */

static enum kv_status finish_queue(struct load *l)
{
    if (!l->any)
        return KV_OK;
    l->any = false;
    struct fold_replica *q = fold_make_queue(l->f, l->id);
    q->in_table = true;
    if (l->id > l->f->last_queue_id)
        l->f->last_queue_id = l->id;
    if (l->good && fold_load_record(q, buf_slice(&l->rows)))
        return KV_OK;
    return rebuild(l, q);
}

static enum kv_status on_queue(void *arg, struct slice key, struct slice value)
{
    struct load *l = arg;
    struct slice payload;
    if (key.len != 10)
        return KV_OK;
    if (!l->any || wire_load_u64(key.data) != l->id) {
        FOLD_TRY(finish_queue(l));
        l->id = wire_load_u64(key.data);
        l->any = l->good = true;
        buf_clear(&l->rows);
    }
    if (fold_unseal(value, &payload))
        buf_append_slice(&l->rows, payload);
    else
        l->good = false;
    return KV_OK;
}

static enum kv_status on_dead(void *arg, struct slice key, struct slice value)
{
    struct load *l = arg;
    struct slice payload;
    if (key.len != 16)
        return KV_OK;
    uint64_t id = wire_load_u64(key.data + 4);
    uint16_t number = wire_load_u16(key.data + 12);
    struct fold_replica *q = fold_find_queue(l->f, id);
    if (!q || number > 511)
        return KV_OK;
    /* a range may go on in the next row */
    if (wire_load_u16(key.data + 14) == 0)
        buf_clear(&l->rows);
    if (!fold_unseal(value, &payload))
        return KV_OK;
    buf_append_slice(&l->rows, payload);
    fold_load_dead(fold_get_run(q, number), buf_slice(&l->rows));
    l->f->dead_blocks = true;
    return KV_OK;
}

static enum kv_status on_drop(void *arg, struct slice key, struct slice value)
{
    struct fold *f = ((struct load *)arg)->f;
    (void)value;
    if (key.len != 12)
        return KV_OK;
    MEM_GROW(f->drops, f->drop_cap, f->drop_count + 1);
    f->drops[f->drop_count++] = wire_load_u64(key.data + 4);
    return KV_OK;
}

static enum kv_status on_zero(void *arg, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    ((struct load *)arg)->f->zero_waiting = true;
    return KV_NONE; /* one is enough */
}

/* ---- transactions ---- */

static void load_late(struct fold_replica *q, const struct record *r)
{
    if (!q || !q->pending_enqs)
        return;
    if (r->kind == RECORD_SETTLE)
        fold_ranges_add(&fold_get_run(q, r->level * 2u)->late, r->first, r->last);
    else if (r->kind == RECORD_RETURN)
        fold_counts_set(&q->late, r->level, r->first, r->count);
}

static void finish_transaction(struct load *l)
{
    struct slice rest = buf_slice(&l->rows), before = rest;
    struct record r;
    if (!l->any)
        return;
    l->any = false;
    if (!l->good)
        fold_report(l->f, 0,
                    "a transaction in the database is damaged; what is lost was not "
                    "committed");
    while (record_get(&rest, &r)) {
        if (l->id != FOLD_LATE_ID) {
            fold_keep_pending(l->f, l->id, &r, slice_of(before.data, before.len - rest.len));
        } else {
            load_late(fold_find_queue(l->f, r.queue), &r);
        }
        before = rest;
    }
    struct fold_transaction *tx = fold_find_transaction(l->f, l->id);
    if (tx) {
        tx->saved = tx->records.len;
        tx->chunks = (uint32_t)((l->rows.len + FOLD_VALUE_ROOM - 1) / FOLD_VALUE_ROOM) + 1;
    }
    l->f->late_saved |= l->id == FOLD_LATE_ID;
}

static enum kv_status on_pending(void *arg, struct slice key, struct slice value)
{
    struct load *l = arg;
    struct slice payload;
    if (key.len != 12)
        return KV_OK;
    if (!l->any || wire_load_u64(key.data) != l->id) {
        finish_transaction(l);
        l->id = wire_load_u64(key.data);
        l->any = l->good = true;
        buf_clear(&l->rows);
    }
    if (l->good && fold_unseal(value, &payload))
        buf_append_slice(&l->rows, payload);
    else
        l->good = false;
    return KV_OK;
}

/* ---- opening ---- */

static uint64_t number(struct kv_txn *txn, struct slice name)
{
    struct slice value;
    return kv_get(txn, KV_META, name, &value) == KV_OK && value.len == 8 ? wire_load_u64(value.data)
                                                                         : 0;
}

static enum kv_status load_all(struct load *l)
{
    struct fold *f = l->f;
    f->applied = f->lsn = number(l->txn, SLICE("applied"));
    f->checkpoint = f->opened = number(l->txn, SLICE("checkpoint"));
    f->last_message_id = number(l->txn, SLICE("last message"));
    f->last_queue_id = number(l->txn, SLICE("last queue"));
    FOLD_TRY(fold_each_prefix(l->txn, KV_QUEUES, SLICE_EMPTY, on_queue, l));
    FOLD_TRY(finish_queue(l));
    FOLD_TRY(fold_each_prefix(l->txn, KV_META, SLICE("dead"), on_dead, l));
    FOLD_TRY(fold_each_prefix(l->txn, KV_META, SLICE("drop"), on_drop, l));
    FOLD_TRY(fold_each_prefix(l->txn, KV_META, SLICE("zero"), on_zero, l));
    FOLD_TRY(fold_each_prefix(l->txn, KV_PENDING, SLICE_EMPTY, on_pending, l));
    finish_transaction(l);
    return KV_OK;
}

static void lock_init(struct fold *f)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&f->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&f->damage_lock, NULL);
}

enum err fold_open(const struct fold_options *options, struct fold **ret_fold, struct failure *why)
{
    struct fold *f = NEW(struct fold);
    struct load l = {.f = f};
    f->options = *options;
    f->kv = options->kv;
    lock_init(f);
    hash_init(&f->queues, fold_replica_key);
    hash_init(&f->transactions, fold_transaction_key);
    for (unsigned i = 0; i < FOLD_PARTS; i++)
        fold_part_init(&f->parts[i]);
    enum kv_status status = kv_begin(f->kv, false, &l.txn);
    if (status == KV_OK)
        status = load_all(&l);
    kv_abort(&l.txn);
    buf_fini(&l.rows);
    if (status != KV_OK) {
        fold_close(&f);
        return failure_set(why, ERR_INTERNAL_ERROR, "cannot read the database: %s",
                           kv_error(options->kv));
    }
    *ret_fold = f;
    return ERR_NONE;
}

void fold_close(struct fold **fold)
{
    struct fold *f = *fold;
    *fold = NULL;
    if (!f)
        return;
    fold_free_transactions(f);
    while (f->queues.count) {
        struct fold_replica *q = hash_at(&f->queues, hash_next(&f->queues, 0));
        fold_free_queue(f, &q);
    }
    hash_fini(&f->queues);
    for (unsigned i = 0; i < FOLD_PARTS; i++)
        fold_part_fini(&f->parts[i]);
    free(f->drops);
    free(f->damaged);
    pthread_rwlock_destroy(&f->lock);
    pthread_mutex_destroy(&f->damage_lock);
    free(f);
}
