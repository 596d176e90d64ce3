/* Feeding: what a record does to the active part of the memtable. The feeder's thread; the lock is
 * held for a frame's length. */
#include "store/fold.h"

#include "base/mem.h"
#include "store/fold_part.h"
#include "store/fold_queue.h"

#include <stdio.h>
#include <stdlib.h>

/* The bytes that a record was parsed from, and where they lie. */
struct source {
    const uint8_t *start;
    uint32_t offset;
    uint16_t slot;
    bool committed; /* acts by a COMMIT */
    /* what a NEXT refers to */
    uint64_t queue, seq; /* of the last ENQ, or NEXT */
    struct fold_place head;
    uint16_t level;
    bool transient, based;
};

static struct fold_place place_of(const struct source *src, struct slice bytes)
{
    return (struct fold_place){.offset = src->offset + (uint32_t)(bytes.data - src->start),
                               .len = (uint32_t)bytes.len,
                               .slot = src->slot};
}

void fold_report(struct fold *f, uint64_t queue, const char *text)
{
    if (f->options.damage)
        f->options.damage(f->options.arg, queue, text);
}

/* ---- entries ---- */

static void on_gone(void *arg, const struct fold_entry *e)
{
    struct fold *f = arg;
    struct fold_part *p = fold_active(f);
    p->live_bytes -= e->len + FOLD_ENTRY_COST;
    if (fold_entry_id(e))
        fold_message_release(p, e->id);
}

static bool has_older(const struct fold *f, const struct fold_run *run)
{
    return run->stored.count || (f->frozen && run->ring[1 - f->active].live);
}

static void settle_run(struct fold *f, struct fold_replica *q, struct fold_run *run, uint64_t first,
                       uint64_t last)
{
    struct fold_ring *ring = &run->ring[f->active];
    struct fold_entry e;
    if (first == last && fold_ring_shift(ring, first, &e))
        on_gone(f, &e);
    else if (ring->live)
        fold_ring_settle(ring, first, last, on_gone, f);
    if (first >= run->end || !has_older(f, run))
        return;
    fold_ranges_add(&run->settled[f->active], first, last < run->end ? last : run->end - 1);
    fold_mark(f, q);
}

/* Messages of transactions without COMMIT may be settled already: remembered until there are none.
 */
static void settle_late(struct fold_replica *q, uint16_t level, uint64_t first, uint64_t last)
{
    if (q->pending_enqs && last >= q->pending_first)
        fold_ranges_add(&fold_get_run(q, level * 2u)->late, first, last);
}

/* Of a message that the queue had under another number: given back, to the tail, or waited. */
static bool names_again(const struct entry *e)
{
    return e->count > 0 || e->moved;
}

/* An entry that was settled before it came. */
static void come_and_go(struct fold *f, const struct entry *in)
{
    if (!in->id)
        return;
    fold_message_name(fold_active(f), in->id, names_again(in));
    fold_message_release(fold_active(f), in->id);
}

static void apply_enq(struct fold *f, struct fold_replica *q, const struct record *r,
                      const struct source *src)
{
    const struct entry *in = &r->entry;
    unsigned number = in->level * 2u + in->transient;
    struct fold_run *run = q->runs;
    if (in->seq >= UINT64_MAX - 1)
        return;
    if (in->seq >= q->next_seq)
        q->next_seq = in->seq + 1;
    fold_mark(f, q);
    if (!run || run->number != number)
        run = fold_get_run(q, number);
    if (src->committed && q->pending_enqs) {
        q->pending_enqs--;
        const struct fold_run *even = fold_find_run(q, in->level * 2u);
        if (even && fold_ranges_has(&even->late, in->seq)) {
            come_and_go(f, in);
            return;
        }
    }
    if (fold_ranges_has(&run->dead, in->seq)) {
        come_and_go(f, in);
        return;
    }
    struct fold_ring *ring = &run->ring[f->active];
    struct fold_place place = place_of(src, r->raw_entry);
    struct fold_entry e = {.seq = in->seq,
                           .id = in->id,
                           .offset = place.offset,
                           .len = place.len,
                           .body = fold_body_size(in->body_len),
                           .slot = place.slot};
    if (r->kind == RECORD_NEXT) {
        e.head = src->head.offset;
        e.head_len = src->head.len;
        e.next = true;
    }
    if (!fold_ring_push(ring, &e))
        return;
    if (in->expiry && (!ring->expiry || in->expiry < ring->expiry))
        ring->expiry = in->expiry;
    uint32_t count = src->committed ? fold_counts_get(&q->late, in->level, in->seq) : 0;
    if (count || in->count)
        fold_counts_set(&q->counts[f->active], in->level, in->seq, count ? count : in->count);
    struct fold_part *p = fold_active(f);
    p->live_bytes += e.len + FOLD_ENTRY_COST;
    if (fold_entry_id(&e))
        fold_message_name(p, e.id, names_again(in));
}

static void apply_settle(struct fold *f, struct fold_replica *q, uint16_t level, uint64_t first,
                         uint64_t last)
{
    for (struct fold_run *run = q->runs; run && run->number / 2 <= level; run = run->next) {
        if (run->number / 2 == level)
            settle_run(f, q, run, first, last);
    }
    settle_late(q, level, first, last);
}

static void purge_all(struct fold *f, struct fold_replica *q, struct fold_run *run, uint64_t first,
                      uint64_t last)
{
    settle_run(f, q, run, first, last);
    if (run->number % 2 == 0)
        settle_late(q, (uint16_t)(run->number / 2), first, last);
}

static void purge_but(struct fold *f, struct fold_replica *q, struct fold_run *run,
                      const struct fold_ranges *spared, uint64_t first, uint64_t last)
{
    struct fold_range range;
    fold_ranges_each(range, spared, first)
    {
        if (range.first > last)
            break;
        if (range.first > first)
            purge_all(f, q, run, first, range.first - 1);
        if (range.last >= last)
            return;
        first = range.last + 1;
    }
    purge_all(f, q, run, first, last);
}

/* What transactions without COMMIT settled is spared as well: consumers had it, and have it again
 * if the COMMIT does not come. */

static void purge_run(struct fold *f, struct fold_replica *q, struct fold_run *run,
                      const struct record *r)
{
    struct fold_ranges spared = {.count = 0};
    struct record_kept kept = record_kept(r);
    uint64_t from = r->first, first, last;
    fold_pending_settles(f, q->id, run->number / 2, &spared);
    while (from < r->last) {
        bool more = record_next_kept(&kept, &first, &last) && first < r->last;
        if (!more)
            first = r->last;
        if (first > from)
            purge_but(f, q, run, &spared, from, first - 1);
        if (!more)
            break;
        if (last >= from)
            from = last + 1;
    }
    fold_ranges_clear(&spared);
}

static void apply_purge(struct fold *f, struct fold_replica *q, const struct record *r)
{
    if (q->pending_enqs)
        fold_pending_runs(f, q);
    for (struct fold_run *run = q->runs; run; run = run->next)
        purge_run(f, q, run, r);
}

static void apply_drop(struct fold *f, struct fold_replica *q)
{
    for (struct fold_run *run = q->runs; run; run = run->next) {
        fold_ring_settle(&run->ring[f->active], 0, UINT64_MAX, on_gone, f);
        fold_ranges_clear(&run->settled[f->active]);
        fold_ranges_clear(&run->late);
    }
    q->dropped = true;
    fold_mark(f, q);
}

static bool may_have(const struct fold *f, const struct fold_run *run, uint64_t seq)
{
    const struct fold_ring *ring = &run->ring[f->active];
    uint32_t i = fold_ring_find(ring, seq);
    return (i < ring->count && fold_ring_at(ring, i)->seq == seq) ||
           (seq < run->end && has_older(f, run));
}

static void apply_return(struct fold *f, struct fold_replica *q, const struct record *r)
{
    for (unsigned transient = 0; transient < 2; transient++) {
        const struct fold_run *run = fold_find_run(q, r->level * 2u + transient);
        if (!run || !may_have(f, run, r->first))
            continue;
        fold_counts_set(&q->counts[f->active], r->level, r->first, r->count);
        fold_mark(f, q);
        return;
    }
    if (q->pending_enqs && r->first >= q->pending_first)
        fold_counts_set(&q->late, r->level, r->first, r->count);
}

/* ---- queues ---- */

static void apply_open(struct fold *f, const struct record *r)
{
    struct fold_replica *q = fold_make_queue(f, r->queue);
    if (q->dropped)
        return;
    q->durable = r->durable;
    if (r->queue > f->last_queue_id)
        f->last_queue_id = r->queue;
    fold_mark(f, q);
}

static void apply_attach(struct fold *f, struct fold_replica *q)
{
    if (q->attached)
        return;
    q->attached = true;
    fold_mark(f, q);
}

/* ---- records ---- */

static void apply_to_queue(struct fold *f, const struct record *r, const struct source *src)
{
    struct fold_replica *q = fold_find_queue(f, r->queue);
    if (!q)
        return;
    f->recent[r->queue % FOLD_RECENT] = q;
    switch (r->kind) {
    case RECORD_ENQ:
    case RECORD_NEXT:
        apply_enq(f, q, r, src);
        break;
    case RECORD_SETTLE:
        if (r->last >= r->first)
            apply_settle(f, q, r->level, r->first, r->last);
        break;
    case RECORD_RETURN:
        apply_return(f, q, r);
        break;
    case RECORD_PURGE:
    case RECORD_CLEAR:
        apply_purge(f, q, r);
        break;
    case RECORD_DROP:
        apply_drop(f, q);
        break;
    default:
        apply_attach(f, q);
    }
}

static void apply_commit(struct fold *f, uint64_t id);

static void apply(struct fold *f, const struct record *r, struct slice raw,
                  const struct source *src)
{
    struct fold_part *p = fold_active(f);
    switch (r->kind) {
    case RECORD_ENQ:
    case RECORD_NEXT:
    case RECORD_SETTLE:
    case RECORD_RETURN:
    case RECORD_PURGE:
    case RECORD_CLEAR:
    case RECORD_DROP:
    case RECORD_ATTACH:
        apply_to_queue(f, r, src);
        break;
    case RECORD_OPEN:
        apply_open(f, r);
        break;
    case RECORD_MESSAGE:
        if (r->queue > f->last_message_id)
            f->last_message_id = r->queue;
        fold_message_born(p, r, place_of(src, raw));
        break;
    case RECORD_PART:
        fold_message_piece(p, r->queue, r->first, place_of(src, r->value));
        break;
    case RECORD_DEFINE:
    case RECORD_UNDEFINE:
        fold_define(p, r);
        break;
    case RECORD_COMMIT:
        apply_commit(f, r->queue);
        break;
    case RECORD_PENDING:
    case RECORD_SETTLE_TOP:
    case RECORD_RETURN_TOP:
    case RECORD_KIND_END:
        break;
    }
}

/* The bytes move into the heap, where they stay until the checkpoint. */
static void apply_commit(struct fold *f, uint64_t id)
{
    struct fold_transaction *tx = fold_find_transaction(f, id);
    if (!tx)
        return;
    struct fold_part *p = fold_active(f);
    struct source src = {.offset = (uint32_t)p->heap.len, .slot = FOLD_HEAP, .committed = true};
    struct slice rest = buf_slice(&tx->records), before = rest;
    struct record r;
    buf_append_slice(&p->heap, rest);
    src.start = rest.data;
    while (record_get(&rest, &r)) {
        apply(f, &r, slice_of(before.data, before.len - rest.len), &src);
        before = rest;
    }
    fold_end_transaction(f, &tx);
}

/* PENDING: takes the record that follows as well. */
static bool put_aside(struct fold *f, uint64_t id, struct slice *rest)
{
    struct slice before = *rest;
    struct record r;
    if (!record_get(rest, &r) || r.kind == RECORD_PENDING || r.kind == RECORD_COMMIT ||
        r.kind == RECORD_NEXT)
        return false;
    fold_keep_pending(f, id, &r, slice_of(before.data, before.len - rest->len));
    return true;
}

/* Of a plain ENQ: those that follow may refer to it. */
static void set_base(struct source *src, const struct record *r)
{
    src->queue = r->queue;
    src->seq = r->entry.seq;
    src->level = r->entry.level;
    src->transient = r->entry.transient;
    src->head = place_of(src, r->head);
    src->based = true;
}

/* False: there is nothing that it refers to. */
static bool complete_next(struct source *src, struct record *r)
{
    if (!src->based)
        return false;
    r->queue = src->queue;
    r->entry = (struct entry){.seq = ++src->seq,
                              .level = src->level,
                              .transient = src->transient,
                              .body_len = r->entry.body_len};
    return true;
}

static void feed(struct fold *f, struct journal_place payload, struct slice bytes)
{
    struct source src = {.start = bytes.data,
                         .offset = payload.offset,
                         .slot = fold_slot(fold_active(f), payload.segment)};
    struct slice rest = bytes;
    struct record r;
    while (rest.len) {
        struct slice before = rest;
        r.head = SLICE_EMPTY;
        bool good = record_get_brief(&rest, &r);
        if (good && r.kind == RECORD_NEXT)
            good = complete_next(&src, &r);
        if (good && r.head.len)
            set_base(&src, &r);
        if (good && r.kind == RECORD_PENDING)
            good = put_aside(f, r.queue, &rest);
        else if (good)
            apply(f, &r, slice_of(before.data, before.len - rest.len), &src);
        if (good)
            continue;
        char text[128];
        snprintf(text, sizeof text,
                 "a record of the journal cannot be parsed (frame %llu, byte %zu): %zu bytes are "
                 "left out",
                 (unsigned long long)f->lsn, (size_t)(before.data - bytes.data), before.len);
        fold_report(f, 0, text);
        return;
    }
}

void fold_frame(struct fold *f, uint64_t lsn, struct journal_place payload, struct slice bytes)
{
    pthread_rwlock_wrlock(&f->lock);
    if (lsn > f->applied) {
        struct fold_part *p = fold_active(f);
        if (lsn > f->lsn)
            f->lsn = lsn;
        p->any = true;
        p->journal_bytes += bytes.len;
        feed(f, payload, bytes);
    }
    pthread_rwlock_unlock(&f->lock);
}

/* ---- around a run of the broker ---- */

static void recover_queue(struct fold *f, struct fold_replica *q)
{
    q->pending_enqs = 0;
    for (struct fold_run *run = q->runs; run; run = run->next)
        fold_ranges_clear(&run->late);
    fold_counts_fini(&q->late);
    if (!q->durable) {
        apply_drop(f, q);
        return;
    }
    for (struct fold_run *run = q->runs; run; run = run->next) {
        if (run->number % 2)
            settle_run(f, q, run, 0, UINT64_MAX);
    }
    if (!q->attached)
        return;
    q->attached = false;
    q->redelivered_below = q->next_seq;
    fold_mark(f, q);
}

void fold_recovered(struct fold *f)
{
    pthread_rwlock_wrlock(&f->lock);
    fold_forget_transactions(f);
    hash_each (it, &f->queues) {
        struct fold_replica *q = hash_at(&f->queues, it);
        if (!q->dropped)
            recover_queue(f, q);
    }
    f->recovered = true;
    fold_active(f)->any = true;
    pthread_rwlock_unlock(&f->lock);
    if (!f->options.read_only)
        fold_sweep_files(f);
}

void fold_stopping(struct fold *f)
{
    pthread_rwlock_wrlock(&f->lock);
    hash_each (it, &f->queues) {
        struct fold_replica *q = hash_at(&f->queues, it);
        if (!q->attached || q->dropped)
            continue;
        q->attached = false;
        fold_mark(f, q);
        fold_active(f)->any = true;
    }
    pthread_rwlock_unlock(&f->lock);
}

void fold_pressure(struct fold *f, uint64_t *ret_journal_bytes, uint64_t *ret_live_bytes)
{
    pthread_rwlock_rdlock(&f->lock);
    const struct fold_part *p = fold_active(f);
    *ret_journal_bytes = p->journal_bytes;
    *ret_live_bytes = p->live_bytes + p->heap.len;
    if (f->dead_blocks || f->drop_count)
        *ret_live_bytes += FOLD_DEAD_PRESSURE;
    pthread_rwlock_unlock(&f->lock);
}

uint64_t fold_applied(struct fold *f)
{
    pthread_rwlock_rdlock(&f->lock);
    uint64_t applied = f->applied;
    pthread_rwlock_unlock(&f->lock);
    return applied;
}

uint64_t fold_last_message_id(const struct fold *f)
{
    return f->last_message_id;
}

uint64_t fold_last_queue_id(const struct fold *f)
{
    return f->last_queue_id;
}

uint64_t fold_last_transaction(const struct fold *f)
{
    return f->last_transaction;
}
