/* Settlements come in runs: those of a turn are joined and written last, behind the entries they
 * may be about, in the same unit. In a transaction each is written at once, behind its mark. */
#include "broker/queue/recorder.h"

#include "broker/durable.h"
#include "broker/msg.h"

#include <stdlib.h>

static void write_run(struct recorder *r, struct recorded *q)
{
    record_put_settle(store_records(r->log), q->id, q->level, q->first, q->last);
    q->first = 0;
}

static void write_runs(void *arg)
{
    struct recorder *r = arg;
    while (!list_empty(&r->settling)) {
        struct recorded *q = list_entry(r->settling.next, struct recorded, link);
        list_remove(&q->link);
        write_run(r, q);
    }
}

void recorder_init(struct recorder *r, struct store_log *log)
{
    r->log = log;
    list_init(&r->settling);
    if (log)
        store_before_hand_over(log, write_runs, r);
}

void recorder_fini(struct recorder *r)
{
    if (r->log)
        store_before_hand_over(r->log, NULL, NULL);
    free(r->effects.effects);
}

void recorded_init(struct recorded *q, const struct queue_def *def)
{
    list_init(&q->link);
    q->id = def->id;
    q->opened = durable_queue(def);
}

void recorded_fini(struct recorded *q)
{
    list_remove(&q->link);
}

static void settle(struct recorder *r, struct recorded *q, uint16_t level, uint64_t first,
                   uint64_t last)
{
    if (q->first && q->level == level && q->last + 1 == first) {
        q->last = last;
        return;
    }
    if (q->first)
        write_run(r, q);
    else
        list_append(&r->settling, &q->link);
    q->first = first;
    q->last = last;
    q->level = level;
}

void recorder_settle(struct recorder *r, struct recorded *q, uint16_t level, uint64_t seq)
{
    settle(r, q, level, seq, seq);
}

/* transaction: 0, or the mark that the record gets. */
static void enqueue(struct recorder *r, struct recorded *q, const struct effect *e,
                    uint64_t transaction, uint64_t now_ms)
{
    const struct msg *m = e->msg;
    if (!q->opened)
        record_put_open(store_records(r->log), q->id, false);
    q->opened = true;
    struct entry entry = {.seq = e->seq,
                          /* one of several queues that others name may be gone there */
                          .id = e->paged ? 0 : m->store_id,
                          .body_len = m->body_len,
                          .count = e->delivery_count,
                          .level = e->level,
                          .transient = e->paged,
                          .moved = e->moved};
    if (e->expiry)
        entry.expiry = e->expiry + clock_wall_offset(&r->wall, now_ms);
    if (!entry.id && m->body_len >= DURABLE_LARGE)
        entry.id = durable_store(shard_self(), m, 1);
    if (!entry.id)
        msg_content(m, &entry.content);
    struct buf *out = store_records(r->log);
    if (!transaction) {
        record_put_next(out, store_record_base(r->log), q->id, &entry);
        return;
    }
    record_put_pending(out, transaction);
    record_put_enq(out, q->id, &entry);
}

/* In portions: what consumers hold may be millions. */
static void purge(struct recorder *r, struct recorded *q, const struct effect *e)
{
    uint64_t from = 0;
    size_t taken = 0;
    do {
        taken += record_put_purge_some(store_records(r->log), q->id, &from, e->seq, e->kept + taken,
                                       e->kept_count - taken);
        store_hand_over_large(r->log);
    } while (from < e->seq);
}

static void record(struct recorder *r, struct recorded *q, const struct effect *e,
                   uint64_t transaction, uint64_t now_ms)
{
    struct buf *out = store_records(r->log);
    if (transaction && (e->kind == EFFECT_SETTLE || e->kind == EFFECT_RETURN))
        record_put_pending(out, transaction);
    switch (e->kind) {
    case EFFECT_ENQ:
        enqueue(r, q, e, transaction, now_ms);
        break;
    case EFFECT_SETTLE:
        record_put_settle(out, q->id, e->level, e->seq, e->last);
        break;
    case EFFECT_RETURN:
        record_put_return(out, q->id, e->level, e->seq, e->delivery_count);
        break;
    case EFFECT_PURGE:
        purge(r, q, e);
        break;
    }
}

static void drop(struct effect *e)
{
    if (e->msg)
        msg_unref(e->msg);
    free(e->kept);
}

void recorder_take(struct recorder *r, struct recorded *q, uint64_t transaction, uint64_t now_ms)
{
    struct effect_log *log = &r->effects;
    for (size_t i = 0; i < log->count; i++) {
        struct effect *e = &log->effects[i];
        uint64_t part_of = e->own ? transaction : 0;
        if ((e->kind == EFFECT_PURGE ? !q->opened : !e->stored) || (e->buried && !part_of)) {
            drop(e);
            continue;
        }
        bool moves = e->kind == EFFECT_SETTLE && i && e[-1].kind == EFFECT_ENQ;
        if (!moves) /* a crash between the two would have it twice */
            store_hand_over_large(r->log);
        if (e->kind == EFFECT_SETTLE && !part_of)
            settle(r, q, e->level, e->seq, e->last);
        else
            record(r, q, e, part_of, now_ms);
        drop(e);
    }
    log->count = 0;
}

void recorder_attach(struct recorder *r, struct recorded *q)
{
    record_put_attach(store_records(r->log), q->id);
    store_hand_over_large(r->log);
}

void recorder_forget(struct recorder *r, struct recorded *q, const struct queue_def *def)
{
    if (q->opened && !durable_queue(def)) {
        record_put_drop(store_records(r->log), q->id);
        store_hand_over_large(r->log);
    }
    q->opened = false;
}

void recorder_flush(struct recorder *r)
{
    if (list_empty(&r->settling))
        return;
    write_runs(r);
    store_hand_over_large(r->log);
}
