/* The checkpoint: what was frozen goes into the tables, in one transaction without the lock. Then
 * the lock is taken for a moment and memory says what the tables say (thaw).
 *
 * Where there is no room for it, settles alone are committed: they free room, and doing them again
 * changes nothing. */
#include "store/fold_checkpoint.h"

#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_queue.h"

#include <stdlib.h>

/* ---- counts ---- */

enum found { NOWHERE, PERHAPS, HERE };

/* Whether it lives in this run: what the database has of it is not looked up. */
static enum found find_in_run(const struct fold_txn *t, const struct fold_run *run, uint64_t seq)
{
    const struct fold_ring *ring = &run->ring[t->index];
    uint32_t i = fold_ring_find(ring, seq);
    if (i < ring->count && fold_ring_at(ring, i)->seq == seq)
        return fold_ring_at(ring, i)->gone ? NOWHERE : HERE;
    const struct fold_stored *s = fold_stored_now(run);
    return s->count && seq < s->end && !fold_ranges_has(&run->settled[t->index], seq) ? PERHAPS
                                                                                      : NOWHERE;
}

static uint64_t stored_count(struct fold_txn *t, const struct fold_key *k)
{
    struct slice value, payload;
    uint64_t count;
    bool there = kv_get(t->txn, KV_COUNTS, fold_key_slice(k), &value) == KV_OK;
    return there && fold_unseal(value, &payload) && record_get_varint(&payload, &count) ? count : 0;
}

static enum kv_status write_count(struct fold_txn *t, struct fold_replica *q,
                                  const struct fold_count *row)
{
    for (const struct fold_run *run = fold_next_run(t->f, q, NULL);
         run && run->number / 2 <= row->level; run = fold_next_run(t->f, q, run)) {
        enum found found = run->number / 2 == row->level ? find_in_run(t, run, row->seq) : NOWHERE;
        if (found == NOWHERE)
            continue;
        struct fold_key k = {0};
        uint8_t value[RECORD_VARINT];
        fold_key_run(&k, q->id, run->number);
        fold_key_u64(&k, row->seq);
        size_t len = (size_t)(record_varint(value, row->count) - value);
        q->counts_next = true;
        if (q->counts_stored && stored_count(t, &k) >= row->count)
            continue;
        FOLD_TRY(fold_put_sealed(t->txn, KV_COUNTS, fold_key_slice(&k), slice_of(value, len)));
    }
    return KV_OK;
}

static enum kv_status write_counts(struct fold_txn *t, struct fold_replica *q)
{
    const struct fold_counts *c = &q->counts[t->index];
    for (uint32_t i = 0; i < c->cap; i++) {
        if (c->slots[i].count)
            FOLD_TRY(write_count(t, q, &c->slots[i]));
    }
    return KV_OK;
}

/* ---- transactions without COMMIT ---- */

static enum kv_status del_pending(struct fold_txn *t, uint64_t id)
{
    struct fold_key k = {0};
    size_t budget = SIZE_MAX;
    fold_key_u64(&k, id);
    return fold_del_prefix(t->txn, KV_PENDING, fold_key_slice(&k), &budget);
}

static enum kv_status put_pending(struct fold_txn *t, uint64_t id, uint32_t chunk,
                                  struct slice records)
{
    while (records.len) {
        struct fold_key k = {0};
        size_t len = records.len < FOLD_VALUE_ROOM ? records.len : FOLD_VALUE_ROOM;
        fold_key_u64(&k, id);
        fold_key_u16(&k, (uint16_t)(chunk >> 16));
        fold_key_u16(&k, (uint16_t)chunk++);
        FOLD_TRY(
            fold_put_sealed(t->txn, KV_PENDING, fold_key_slice(&k), slice_of(records.data, len)));
        records = slice_of(records.data + len, records.len - len);
    }
    return KV_OK;
}

static enum kv_status write_pending(struct fold_txn *t)
{
    const struct fold_part *p = t->part;
    for (size_t i = 0; i < p->ended_count; i++)
        FOLD_TRY(del_pending(t, p->ended[i]));
    if (p->late.len || t->f->late_saved) {
        FOLD_TRY(del_pending(t, FOLD_LATE_ID));
        FOLD_TRY(put_pending(t, FOLD_LATE_ID, 0, buf_slice(&p->late)));
    }
    for (size_t i = 0; i < p->save_count; i++)
        FOLD_TRY(put_pending(t, p->saves[i].id, p->saves[i].chunk, p->saves[i].records));
    return KV_OK;
}

/* ---- the transaction ---- */

static enum kv_status put_number(struct fold_txn *t, struct slice name, uint64_t v)
{
    uint8_t value[8];
    wire_store_u64(value, v);
    return kv_put(t->txn, KV_META, name, slice_of(value, sizeof value));
}

static enum kv_status settle_all(struct fold_txn *t)
{
    for (size_t i = 0; i < t->part->queue_count; i++) {
        struct fold_replica *q = t->part->queues[i].queue;
        if (t->part->queues[i].dropped)
            continue;
        for (struct fold_run *run = fold_next_run(t->f, q, NULL); run;
             run = fold_next_run(t->f, q, run))
            FOLD_TRY(fold_apply_settled(t, q, run));
    }
    return KV_OK;
}

static enum kv_status remove_dropped(struct fold_txn *t)
{
    for (size_t i = 0; i < t->part->queue_count; i++) {
        if (!t->part->queues[i].dropped)
            continue;
        t->part->queues[i].queue->removing = true;
        FOLD_TRY(fold_remove_queue(t, t->part->queues[i].queue));
    }
    return KV_OK;
}

/* Of dirty queues, and of others whose runs changed. */
static enum kv_status write_queues(struct fold_txn *t, bool dirty)
{
    struct fold_replica *before = NULL;
    for (size_t i = 0; i < t->part->queue_count && dirty; i++) {
        struct fold_replica *q = t->part->queues[i].queue;
        if (t->part->queues[i].dropped)
            continue;
        FOLD_TRY(write_counts(t, q));
        FOLD_TRY(fold_write_queue(t, q));
    }
    for (size_t i = 0; i < t->staged_count; i++) {
        struct fold_replica *q = t->staged[i].queue;
        if (q == before || q->removing || (dirty && q->dirty_frozen))
            continue;
        before = q;
        FOLD_TRY(fold_write_queue(t, q));
    }
    return KV_OK;
}

static enum kv_status write_all(struct fold_txn *t)
{
    struct fold *f = t->f;
    FOLD_TRY(fold_set_aside(t));
    FOLD_TRY(remove_dropped(t));
    FOLD_TRY(settle_all(t));
    FOLD_TRY(fold_pack_all(t));
    FOLD_TRY(fold_bury(t));
    FOLD_TRY(fold_write_messages(t));
    FOLD_TRY(fold_sweep_messages(t));
    FOLD_TRY(fold_write_definitions(t));
    FOLD_TRY(write_pending(t));
    FOLD_TRY(write_queues(t, true));
    FOLD_TRY(put_number(t, SLICE("applied"), t->part->lsn));
    FOLD_TRY(put_number(t, SLICE("checkpoint"), f->checkpoint + 1));
    FOLD_TRY(put_number(t, SLICE("last message"), t->last_message_id));
    return put_number(t, SLICE("last queue"), t->last_queue_id);
}

static enum kv_status write_settles(struct fold_txn *t)
{
    FOLD_TRY(settle_all(t));
    FOLD_TRY(fold_bury(t));
    FOLD_TRY(fold_write_messages(t));
    FOLD_TRY(write_queues(t, false));
    return put_number(t, SLICE("checkpoint"), t->f->checkpoint + 1);
}

/* ---- thaw ---- */

static void take_staged(struct fold_txn *t, bool committed)
{
    for (size_t i = 0; i < t->staged_count; i++) {
        struct fold_run *run = t->staged[i].run;
        run->staged = false;
        if (committed) {
            struct fold_ranges dead = run->dead;
            run->dead = run->next_dead;
            run->next_dead = dead;
            run->stored = run->next_stored;
        }
        fold_ranges_clear(&run->next_dead);
    }
}

static void take_drops(struct fold_txn *t)
{
    free(t->f->drops);
    t->f->drops = t->drops;
    t->f->drop_count = t->drop_count;
    t->f->drop_cap = t->drop_cap;
    t->drops = NULL;
}

static void look_for_dead(struct fold *f)
{
    f->dead_blocks = false;
    hash_each (it, &f->queues) {
        const struct fold_replica *q = hash_at(&f->queues, it);
        for (const struct fold_run *run = q->runs; run; run = run->next)
            f->dead_blocks |= !fold_ranges_empty(&run->dead);
    }
}

static void forget_damaged(struct fold_txn *t)
{
    struct fold *f = t->f;
    pthread_mutex_lock(&f->damage_lock);
    f->damaged_count -= t->damage_handled;
    if (f->damaged_count)
        memmove(f->damaged, f->damaged + t->damage_handled, f->damaged_count * sizeof *f->damaged);
    pthread_mutex_unlock(&f->damage_lock);
}

/* Under the lock: the queue has nothing frozen any more. */
static void thaw_queue(struct fold_txn *t, struct fold_dirty *dirty)
{
    struct fold_replica *q = dirty->queue;
    q->dirty[t->index] = q->dirty_frozen = false;
    q->in_table = true;
    if (dirty->dropped) {
        fold_free_queue(t->f, &dirty->queue);
        return;
    }
    for (struct fold_run *run = q->runs; run; run = run->next) {
        fold_ring_fini(&run->ring[t->index]);
        fold_ranges_clear(&run->settled[t->index]);
    }
    fold_counts_fini(&q->counts[t->index]);
    q->counts_stored = q->counts_next;
}

static void note_saved(struct fold *f, const struct fold_part *p)
{
    for (size_t i = 0; i < p->save_count; i++) {
        struct fold_transaction *tx = fold_find_transaction(f, p->saves[i].id);
        if (!tx)
            continue;
        tx->saved += p->saves[i].records.len;
        tx->chunks += (uint32_t)((p->saves[i].records.len + FOLD_VALUE_ROOM - 1) / FOLD_VALUE_ROOM);
    }
    f->late_saved = p->late.len != 0;
}

/* The frozen part is in the tables: returns what is left of it, to be freed without the lock. */
static struct fold_part thaw(struct fold_txn *t)
{
    struct fold *f = t->f;
    struct fold_part *p = t->part, old;
    bool dead = f->dead_blocks;
    pthread_rwlock_wrlock(&f->lock);
    for (size_t i = 0; i < t->staged_count; i++)
        dead |= !fold_ranges_empty(&t->staged[i].run->next_dead);
    take_staged(t, true);
    take_drops(t);
    for (size_t i = 0; i < p->queue_count; i++)
        thaw_queue(t, &p->queues[i]);
    note_saved(f, p);
    if (dead)
        look_for_dead(f);
    f->applied = p->lsn;
    f->checkpoint++;
    f->zero_waiting = t->zero_waiting;
    f->frozen = false;
    old = *p;
    fold_part_init(p);
    pthread_rwlock_unlock(&f->lock);
    forget_damaged(t);
    return old;
}

/* Settles alone are in the tables. */
static void thaw_settles(struct fold_txn *t)
{
    struct fold *f = t->f;
    pthread_rwlock_wrlock(&f->lock);
    take_staged(t, true);
    take_drops(t);
    for (size_t i = 0; i < t->part->queue_count; i++) {
        if (t->part->queues[i].dropped)
            continue;
        for (struct fold_run *run = t->part->queues[i].queue->runs; run; run = run->next)
            fold_ranges_clear(&run->settled[t->index]);
    }
    look_for_dead(f);
    f->checkpoint++;
    f->zero_waiting |= t->zero_waiting;
    pthread_rwlock_unlock(&f->lock);
}

/* ---- one try ---- */

static void txn_init(struct fold_txn *t, struct fold *f)
{
    unsigned index = fold_frozen_index(f);
    *t = (struct fold_txn){.f = f,
                           .part = &f->parts[index],
                           .index = index,
                           .portion = fold_portion(f),
                           .released_max = FOLD_RELEASED_MAX};
    MEM_GROW(t->drops, t->drop_cap, f->drop_count + 1);
    if (f->drop_count)
        memcpy(t->drops, f->drops, f->drop_count * sizeof *t->drops);
    t->drop_count = f->drop_count;
    pthread_rwlock_rdlock(&f->lock);
    t->last_message_id = f->last_message_id;
    t->last_queue_id = f->last_queue_id;
    pthread_rwlock_unlock(&f->lock);
    for (size_t i = 0; i < t->part->queue_count; i++) {
        struct fold_replica *q = t->part->queues[i].queue;
        q->dirty_frozen = true;
        q->removing = false;
        q->counts_next = q->counts_stored;
    }
}

static void txn_fini(struct fold_txn *t)
{
    free(t->staged);
    free(t->released);
    free(t->unlink);
    free(t->made);
    free(t->drops);
    buf_fini(&t->scratch);
}

static enum kv_status try_it(struct fold_txn *t, enum kv_status (*write)(struct fold_txn *t))
{
    enum kv_status status = kv_begin(t->f->kv, true, &t->txn);
    if (status == KV_OK)
        status = write(t);
    if (status == KV_OK)
        status = kv_commit(&t->txn);
    else
        kv_abort(&t->txn);
    if (status != KV_OK)
        take_staged(t, false);
    return status;
}

static void free_some_room(struct fold *f)
{
    struct fold_txn t;
    txn_init(&t, f);
    t.only_settles = true;
    enum kv_status status = try_it(&t, write_settles);
    if (status == KV_OK)
        thaw_settles(&t);
    if (status != KV_FAILED)
        fold_unlink_files(&t, status == KV_OK);
    txn_fini(&t);
}

static bool nothing_to_do(struct fold *f)
{
    pthread_mutex_lock(&f->damage_lock);
    bool idle = !f->damaged_count;
    pthread_mutex_unlock(&f->damage_lock);
    pthread_rwlock_rdlock(&f->lock);
    idle = idle && !f->frozen && !fold_active(f)->any && !f->dead_blocks && !f->drop_count &&
           !f->zero_waiting;
    pthread_rwlock_unlock(&f->lock);
    return idle;
}

enum kv_status fold_checkpoint(struct fold *f)
{
    struct fold_txn t;
    if (nothing_to_do(f))
        return KV_OK;
    if (!f->frozen)
        fold_freeze(f);
    txn_init(&t, f);
    enum kv_status status = try_it(&t, write_all);
    if (status == KV_OK) {
        struct fold_part old = thaw(&t);
        fold_part_fini(&old);
    }
    if (status != KV_FAILED) /* else nobody knows whether it was committed */
        fold_unlink_files(&t, status == KV_OK);
    txn_fini(&t);
    if (status == KV_FULL)
        free_some_room(f);
    return status;
}
