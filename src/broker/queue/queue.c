/* The step of a queue: enqueue, settle, consume, get, purge, delete. A plain queue (no rules, no
 * message with an expiration) meets none of bounds.c. */
#include "broker/queue/queue.h"

#include "base/bug.h"
#include "base/err.h"
#include "base/props.h"
#include "broker/queue/extent.h"
#include "broker/queue/later.h"
#include "broker/queue/pace.h"

#include <stdlib.h>

void queue_out_fini(struct queue_out *out)
{
    free(out->ops);
    free(out->dead);
    free(out->held);
    out->ops = out->held = NULL;
    out->dead = NULL;
    out->count = out->cap = out->dead_count = out->dead_cap = 0;
    out->held_count = out->held_cap = 0;
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void queue_effect_purge(const struct queue *q, struct queue_out *out)
{
    struct ready_entry all = {.seq = q->next_seq, .stored = true};
    const struct unacked *u = &q->unacked;
    if (!out->log)
        return;
    queue_effect(out, EFFECT_PURGE, &all);
    struct effect *e = &out->log->effects[out->log->count - 1];
    if (!u->count)
        return;
    e->kept = mem_alloc(u->count * sizeof *e->kept);
    for (size_t i = 0; i < u->used; i++) {
        const struct ready_entry *held = &u->slots[i].entry;
        if (held->msg && (held->stored || out->log->all))
            e->kept[e->kept_count++] = held->seq;
    }
    qsort(e->kept, e->kept_count, sizeof *e->kept, compare_seqs);
}

static void flush_run(struct queue_out *out, enum confirm_when when)
{
    struct confirm_run *run = &out->confirms[when];
    if (addr_is_none(run->channel))
        return;
    struct op op = {.to = run->channel, .kind = OP_CONFIRM, .flags = run->flags};
    *op_body(&op, struct op_confirm) = (struct op_confirm){run->first, run->last};
    run->channel = ADDR_NONE;
    if (when == CONFIRM_NOW) {
        *queue_emit(out, OP_CONFIRM, op.to) = op;
        return;
    }
    MEM_GROW(out->held, out->held_cap, out->held_count + 1);
    out->held[out->held_count++] = op;
}

void queue_out_flush(struct queue_out *out)
{
    for (int when = 0; when < CONFIRM_RUNS; when++)
        flush_run(out, (enum confirm_when)when);
}

void queue_confirm(struct queue_out *out, enum confirm_when when, struct addr channel, uint64_t seq,
                   uint16_t flags)
{
    struct confirm_run *run = &out->confirms[when];
    if (addr_eq(run->channel, channel) && run->last + 1 == seq && run->flags == flags) {
        run->last = seq;
        return;
    }
    flush_run(out, when);
    *run = (struct confirm_run){channel, seq, seq, flags};
}

struct queue *queue_new(struct queue_def *def, bool stored, uint64_t now_ms)
{
    struct queue *q = NEW(struct queue);
    q->def = def;
    q->stored = stored;
    q->rules = rules_new(def, &q->applied);
    q->next_seq = 1;
    q->used_ms = q->active_ms = now_ms;
    ready_init(&q->ready, q->rules ? q->rules->max_priority : 0);
    consumers_init(&q->consumers, def->single_active_consumer, quorum_is(q));
    if (q->rules && q->rules->deduplicates) {
        q->dedup = dedup_new();
        q->dedup->of_bodies = def->line_of == LINE_OF_VALUES;
    }
    return q;
}

void queue_free(struct queue *q)
{
    struct unacked_entry u;
    struct ready_pool none = {.count = 0};
    while (!list_empty(&q->consumers.all))
        consumers_remove(&q->consumers, list_entry(q->consumers.all.next, struct consumer, link));
    consumers_fini(&q->consumers);
    for (uint32_t slot = 0; q->unacked.count; slot++) {
        if (unacked_take(&q->unacked, slot, &u))
            msg_unref(u.entry.msg);
    }
    unacked_fini(&q->unacked);
    paging_free(&q->paging);
    pace_free(q);
    ready_discard(&q->ready, &q->garbage);
    while (queue_sweep(q, &none, 1u << 20))
        ;
    ready_pool_fini(&none);
    ready_fini(&q->ready);
    free(q->rules);
    dedup_free(&q->dedup);
    applied_fini(&q->applied);
    queue_def_unref(&q->def);
    free(q);
}

/* ---- delivery ---- */

/* What goes out for an entry, a reference of its own; the entry's goes along unless it is kept. */
static inline struct msg *hand_out(const struct ready_entry *e, bool keep, bool counted)
{
    if (counted) {
        struct msg *copy = quorum_counted(e->msg, e->delivery_count);
        if (!keep)
            msg_unref(e->msg);
        return copy;
    }
    return keep ? msg_ref_n(e->msg, 1) : e->msg;
}

static inline uint16_t delivery_flags(const struct ready_entry *e)
{
    return (uint16_t)((e->redelivered ? OP_DELIVER_REDELIVERED : 0) |
                      (e->stored ? OP_DELIVER_STORED : 0));
}

static void send(struct queue *q, struct consumer *c, const struct ready_entry *e,
                 struct queue_out *out)
{
    const struct consume_request *r = c->request;
    struct op *op = queue_emit(out, OP_DELIVER, r->channel);
    struct op_deliver *d = op_body(op, struct op_deliver);
    op->n = r->number;
    op->flags = delivery_flags(e);
    *d = (struct op_deliver){.msg = hand_out(e, !r->no_ack, e->delivery_count && quorum_counts(q)),
                             .queue = q->def->addr,
                             .seq = e->seq,
                             .slot = SLOT_NO_ACK,
                             .delivery_count = e->delivery_count};
    c->delivered++;
    q->given[GIVEN + r->no_ack]++;
    q->redelivered += e->redelivered;
    c->window--;
    if (r->no_ack) {
        queue_effect(out, EFFECT_SETTLE, e);
        queue_leave(q, d->msg, e->seq);
    } else {
        d->slot = unacked_add(&q->unacked, e, c->number, c->serial);
        c->unacked++;
    }
    if (!c->window || (r->prefetch && c->unacked >= r->prefetch))
        consumers_update(&q->consumers, c);
}

/* The first message whose time has not come. */
static inline bool pop(struct queue *q, uint64_t now, struct ready_entry *ret_entry,
                       struct queue_out *out)
{
    while (ready_pop(&q->ready, out->pool, ret_entry)) {
        if (!ret_entry->expiry || ret_entry->expiry > now)
            return true;
        bounds_bury(q, ret_entry, DEATH_EXPIRED, out);
    }
    return false;
}

/* While a portion of what expired waits for the next tick, so do the consumers: else one step would
 * meet all of it. */
void queue_dispatch(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct ready_entry e;
    if (q->halts || bounds_due(q, now))
        return;
    while (q->ready.count && !ready_is_blocked(&q->ready)) {
        struct consumer *c = consumers_next(&q->consumers);
        if (!c || !pop(q, now, &e, out))
            break;
        send(q, c, &e, out);
    }
}

uint8_t queue_level_of(const struct queue *q, const struct msg *m)
{
    unsigned max = q->rules ? q->rules->max_priority : 0;
    uint8_t priority = max ? props_priority(msg_properties(m)) : 0;
    return priority < max ? priority : (uint8_t)max;
}

/* What a consumer without acknowledgements takes at once need not be kept. A quorum queue has no
 * transient messages. */
static inline bool is_stored(const struct queue *q, const struct msg *m, const struct consumer *c)
{
    return q->stored && (m->flags & MSG_PERSISTENT || quorum_is(q)) && !(c && c->request->no_ack);
}

/* Answers the publisher: when it is safe; in a transaction, that it will be with its commit; the
 * queue that a dead letter comes from, at once. */
static inline void take_over(struct queue *q, const struct op *op, bool stored, bool refused,
                             struct queue_out *out)
{
    const struct op_enqueue *in = op_body(op, const struct op_enqueue);
    if (!(op->flags & OP_ENQUEUE_CONFIRM))
        return;
    bool wait = stored && !in->transaction && !(op->flags & OP_ENQUEUE_LETTER);
    uint16_t flags = (uint16_t)((refused ? OP_CONFIRM_NACK : 0) |
                                (stored && in->transaction ? OP_CONFIRM_LOGGED : 0));
    if (q->pace && !wait && !flags && !in->transaction && !(op->flags & OP_ENQUEUE_LETTER) &&
        pace_keep(q, in->channel, in->seq, out->pool->limits))
        return;
    queue_confirm(out, wait ? CONFIRM_WHEN_SAFE : CONFIRM_NOW, in->channel, in->seq, flags);
}

enum presence { ABSENT, UNCERTAIN, PRESENT };

/* UNCERTAIN: the one that is there is of a transaction that may still be open; which ones have to
 * be closed is in *ret_mark. */
static enum presence find_like(const struct queue *q, const struct op_enqueue *in,
                               const struct dedup_key *key, const struct queue_out *out,
                               uint64_t *ret_mark)
{
    const struct dedup_place *p = NULL;
    enum presence presence = ABSENT;
    uint64_t next;
    while ((p = dedup_find(q->dedup, key, p))) {
        if (!p->transaction || p->transaction == in->transaction || !out->oldest_transaction ||
            out->oldest_transaction(out, &next) >= p->mark)
            return PRESENT;
        presence = UNCERTAIN;
        *ret_mark = p->mark;
    }
    return presence;
}

/* Transactions and dead letters do not wait for transactions: what they have in common while one is
 * open comes twice. */
static enum presence find_duplicate(const struct queue *q, const struct op *op,
                                    const struct dedup_key *key, const struct queue_out *out,
                                    uint64_t *ret_mark)
{
    const struct op_enqueue *in = op_body(op, const struct op_enqueue);
    enum presence presence = find_like(q, in, key, out, ret_mark);
    bool may_wait = !in->transaction && !(op->flags & OP_ENQUEUE_LETTER);
    return presence == UNCERTAIN && !may_wait ? ABSENT : presence;
}

bool queue_has_like(const struct queue *q, const struct op *op, const struct dedup_key *key,
                    const struct queue_out *out)
{
    uint64_t mark;
    return find_duplicate(q, op, key, out, &mark) != ABSENT;
}

/* One of these is in the queue already: this one is answered when that one would be. Else, if it
 * has the header, its place is to be noted. */
static bool drop_duplicate(struct queue *q, const struct op *op, struct dedup_place *ret_place,
                           struct queue_out *out)
{
    const struct op_enqueue *in = op_body(op, const struct op_enqueue);
    struct dedup_place place = {.seq = q->next_seq, .transaction = in->transaction};
    uint64_t mark = 0;
    if (!q->ready.count && !q->unacked.count && !ready_later_count(&q->ready))
        dedup_clear(q->dedup);
    if (!dedup_key_in(q->dedup, in->msg, &place.key))
        return false;
    bool stored = is_stored(q, in->msg, NULL);
    enum presence presence = find_duplicate(q, op, &place.key, out, &mark);
    if (presence == ABSENT) {
        if (in->transaction && out->oldest_transaction)
            out->oldest_transaction(out, &place.mark);
        *ret_place = place;
        return false;
    }
    if (presence == UNCERTAIN && stored && op->flags & OP_ENQUEUE_CONFIRM)
        dedup_await(q->dedup, &(struct dedup_wait){in->channel, in->seq, mark});
    else
        take_over(q, op, stored, false, out);
    msg_unref(in->msg);
    return true;
}

/* Confirms duplicates of what is committed by now, or of a queue that goes. */
static void answer_duplicates(struct queue *q, struct queue_out *out)
{
    struct dedup_wait w;
    uint64_t next, oldest = UINT64_MAX;
    if (out->oldest_transaction && !q->dead)
        oldest = out->oldest_transaction(out, &next);
    while (dedup_awaited(q->dedup, oldest, &w))
        queue_confirm(out, CONFIRM_NOW, w.channel, w.seq, 0);
}

/* Into a queue with rules, or a message with a time of its own. */
static void enqueue_bounded(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct op_enqueue *in = op_body(op, struct op_enqueue);
    struct dedup_place place = {.seq = 0};
    if (q->dedup && drop_duplicate(q, op, &place, out))
        return;
    bool refused = !(op->flags & OP_ENQUEUE_MOVED) && bounds_refuse(q, in->msg);
    uint64_t delay = q->rules ? q->rules->delay : 0;
    bool waits = refused || q->halts || q->ready.count || (delay && !q->rules->line);
    struct consumer *c = waits ? NULL : consumers_next(&q->consumers);
    bool stored = !refused && is_stored(q, in->msg, c);
    take_over(q, op, stored, refused, out);
    if (refused && q->rules->overflow == OVERFLOW_REJECT_DEAD_LETTER) {
        bounds_bury_refused(q, in->msg, out);
        return;
    }
    if (refused) {
        msg_unref(in->msg);
        return;
    }
    struct ready_entry e = {.msg = in->msg,
                            .seq = q->next_seq++,
                            .expiry = bounds_expiry(q, in->msg, now),
                            .stored = stored,
                            .level = queue_level_of(q, in->msg)};
    q->published++;
    out->own = stored; /* what falls off for it too */
    if (place.seq) {
        place.transaction = stored ? place.transaction : 0;
        dedup_put(q->dedup, &place);
    }
    if (delay && !q->rules->line) {
        later_put(q, &e, now + delay, out);
        out->own = false;
        return;
    }
    queue_effect(out, EFFECT_ENQ, &e);
    if (c) {
        send(q, c, &e, out);
    } else if (q->rules && !q->rules->ttl && !q->rules->dead_letters) {
        /* as in RabbitMQ it is gone before limits are looked at */
        queue_effect(out, EFFECT_SETTLE, &e);
        queue_leave(q, e.msg, e.seq);
        msg_unref(e.msg);
    } else {
        ready_push(&q->ready, out->pool, &e);
        bounds_enforce(q, now, out);
    }
    out->own = false;
}

static void on_enqueue(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct op_enqueue *in = op_body(op, struct op_enqueue);
    if ((q->rules || op->flags & OP_ENQUEUE_EXPIRES) && !q->dead) {
        enqueue_bounded(q, op, now, out);
        return;
    }
    if (q->dead) {
        take_over(q, op, false, op_enqueue_is_letter(op), out);
        msg_unref(in->msg);
        return;
    }
    struct consumer *c = q->ready.count ? NULL : consumers_next(&q->consumers);
    struct ready_entry e = {
        .msg = in->msg, .seq = q->next_seq++, .stored = is_stored(q, in->msg, c)};
    take_over(q, op, e.stored, false, out);
    q->published++;
    out->own = true;
    queue_effect(out, EFFECT_ENQ, &e);
    out->own = false;
    if (c)
        send(q, c, &e, out);
    else
        ready_push(&q->ready, out->pool, &e);
}

void queue_arrive(struct queue *q, struct ready_entry *e, const struct ready_entry *before,
                  struct queue_out *out)
{
    struct consumer *c = q->ready.count || q->halts ? NULL : consumers_next(&q->consumers);
    e->stored = is_stored(q, e->msg, c);
    out->own = false;
    queue_effect(out, EFFECT_ENQ, e);
    if (out->log && e->stored)
        out->log->effects[out->log->count - 1].moved = true;
    queue_effect(out, EFFECT_SETTLE, before);
    if (c)
        send(q, c, e, out);
    else
        ready_push(&q->ready, out->pool, e);
}

/* ---- settlement ---- */

/* A client gives a message back. */
static void requeue(struct queue *q, struct ready_entry *e, enum settle_how how, uint64_t now,
                    struct queue_out *out)
{
    e->redelivered = true;
    e->delivery_count++;
    bool worn = q->rules && e->delivery_count > q->rules->delivery_limit;
    uint64_t ms = q->rules ? later_back_off(&q->rules->retry, how, e->delivery_count) : 0;
    if (q->dead || worn) {
        bounds_bury(q, e, DEATH_DELIVERY_LIMIT, out);
    } else if (ms) {
        later_return(q, e, now + ms, out);
    } else if (quorum_is(q)) {
        quorum_return(q, e, out);
    } else {
        queue_effect(out, EFFECT_RETURN, e);
        ready_return(&q->ready, out->pool, e);
    }
}

static void settle_one(struct queue *q, uint32_t slot, enum settle_how how, uint64_t now,
                       struct queue_out *out)
{
    struct unacked_entry u;
    if (!unacked_take(&q->unacked, slot, &u))
        return;
    struct consumer *c = u.consumer == UNACKED_NO_CONSUMER
                             ? NULL
                             : consumers_find(&q->consumers, u.consumer, u.serial);
    if (c) {
        c->unacked--;
        c->acked += how == SETTLE_ACK;
        if (how == SETTLE_RETURN_UNSEEN) {
            c->paused = true;
            c->window++;
        }
        consumers_update(&q->consumers, c);
    }
    switch (how) {
    case SETTLE_ACK:
        q->acked++;
        queue_effect(out, EFFECT_SETTLE, &u.entry);
        queue_leave(q, u.entry.msg, u.entry.seq);
        msg_unref(u.entry.msg);
        return;
    case SETTLE_REJECT:
        bounds_bury(q, &u.entry, DEATH_REJECTED, out);
        return;
    case SETTLE_REQUEUE:
    case SETTLE_FAILED:
        requeue(q, &u.entry, how, now, out);
        return;
    case SETTLE_RETURN_UNSEEN:
        if (q->dead)
            msg_unref(u.entry.msg);
        else
            ready_return(&q->ready, out->pool, &u.entry);
        return;
    }
}

static void on_settle(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct op_settle *in = op_body(op, struct op_settle);
    const uint32_t *slots = in->slots ? in->slots : in->inline_slots;
    out->own = true;
    for (uint32_t i = 0; i < op->n; i++)
        settle_one(q, slots[i], (enum settle_how)op->flags, now, out);
    out->own = false;
    free(in->slots);
    if (op->flags >= SETTLE_REQUEUE && bounds_apply(q))
        bounds_enforce(q, now, out);
    queue_dispatch(q, now, out);
}

/* ---- consumers ---- */

static void answer_consume(struct queue *q, const struct consume_request *r,
                           const struct consumer *c, enum err code, enum consume_refusal why,
                           struct queue_out *out)
{
    struct op *op = queue_emit(out, OP_CONSUME_REPLY, r->channel);
    op->n = r->number;
    *op_body(op, struct op_consumer) = (struct op_consumer){.consumer = c ? c->number : 0,
                                                            .serial = c ? c->serial : 0,
                                                            .queue = q->def->addr,
                                                            .channel = r->channel,
                                                            .code = code,
                                                            .why = why};
}

static void on_consume(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct consume_request *r = op_body(op, struct op_consume)->request;
    enum consume_refusal why = CONSUME_REFUSED_NOT;
    if (q->dead)
        why = CONSUME_REFUSED_GONE;
    else if (!quorum_is(q) &&
             (q->consumers.exclusive ||
              (r->exclusive && (q->consumers.count || q->consumers.single_active))))
        why = CONSUME_REFUSED_EXCLUSIVE;
    if (why) {
        answer_consume(q, r, NULL, why == CONSUME_REFUSED_GONE ? ERR_NOT_FOUND : ERR_ACCESS_REFUSED,
                       why, out);
        consume_request_free(&r);
        return;
    }
    struct consumer *c = consumers_add(&q->consumers, r);
    answer_consume(q, r, c, ERR_NONE, CONSUME_REFUSED_NOT, out);
    queue_dispatch(q, now, out);
}

static void on_credit(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct op_consumer *in = op_body(op, struct op_consumer);
    struct consumer *c = consumers_find(&q->consumers, in->consumer, in->serial);
    if (!c)
        return;
    c->window += op->n;
    if (op->flags & OP_CREDIT_RESUME)
        c->paused = false;
    consumers_update(&q->consumers, c);
    queue_dispatch(q, now, out);
}

/* Of what a consumer holds duplicates are still duplicates. */
static void keep_unacked(struct queue *q)
{
    struct dedup_table before = dedup_empty(q->dedup);
    for (size_t i = 0; i < q->unacked.used; i++) {
        const struct ready_entry *held = &q->unacked.slots[i].entry;
        if (held->msg)
            dedup_keep(q->dedup, &before, held->msg, held->seq);
    }
    free(before.places);
}

static void discard_ready(struct queue *q, struct queue_out *out)
{
    queue_effect_purge(q, out);
    ready_discard(&q->ready, &q->garbage);
    paging_forget(q);
    if (q->dedup)
        keep_unacked(q);
}

void queue_die(struct queue *q, const struct op_queue_query *reply, struct queue_out *out)
{
    q->dead = true;
    while (!list_empty(&q->consumers.all)) {
        struct consumer *c = list_entry(q->consumers.all.next, struct consumer, link);
        struct op *op = queue_emit(out, OP_CANCELLED, c->request->channel);
        op->n = c->request->number;
        *op_body(op, struct op_consumer) = (struct op_consumer){.consumer = c->number,
                                                                .serial = c->serial,
                                                                .queue = q->def->addr,
                                                                .channel = c->request->channel};
        consumers_remove(&q->consumers, c);
    }
    discard_ready(q, out);
    paging_refuse_gets(q, out);
    if (!reply)
        return;
    struct op *gone = queue_emit(out, OP_QUEUE_GONE, out->meta);
    *op_body(gone, struct op_queue_gone) = (struct op_queue_gone){*reply, q->def->addr};
}

static void on_cancel(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct op_consumer *in = op_body(op, struct op_consumer);
    struct consumer *c = consumers_find(&q->consumers, in->consumer, in->serial);
    if (!(op->flags & OP_CANCEL_SILENT)) {
        struct op *ok = queue_emit(out, OP_CANCEL_OK, in->channel);
        ok->n = op->n;
        *op_body(ok, struct op_consumer) = *in;
    }
    if (!c)
        return;
    q->used_ms = now;
    consumers_remove(&q->consumers, c);
    if (!q->consumers.count && q->def->auto_delete) {
        struct op_queue_query nobody = {.reply_to = ADDR_NONE};
        queue_die(q, &nobody, out);
        return;
    }
    queue_dispatch(q, now, out);
}

/* ---- questions ---- */

static void answer(const struct op *op, const struct op_queue_query *in, struct queue_out *out)
{
    struct op *reply = queue_emit(out, OP_QUERY_REPLY, in->reply_to);
    reply->n = op->kind;
    *op_body(reply, struct op_queue_query) = *in;
}

void queue_refuse(const struct op *op, enum err code, enum queue_refusal why, struct queue_out *out)
{
    struct op_queue_query in = *op_body(op, const struct op_queue_query);
    in.code = code;
    in.why = why;
    answer(op, &in, out);
}

bool queue_get(struct queue *q, const struct op *op, uint64_t now, struct queue_out *out)
{
    const struct op_queue_query *in = op_body(op, const struct op_queue_query);
    struct ready_entry e;
    if (!pop(q, now, &e, out)) {
        if (q->ready.count)
            return false;
        q->get_empty++;
        struct op *empty = queue_emit(out, OP_GET_EMPTY, in->reply_to);
        *op_body(empty, struct op_queue_query) = *in;
        return true;
    }
    struct op *ok = queue_emit(out, OP_GET_OK, in->reply_to);
    ok->flags = delivery_flags(&e);
    struct op_deliver *d = op_body(ok, struct op_deliver);
    bool keep = !(op->flags & OP_GET_NO_ACK);
    if (!keep)
        queue_leave(q, e.msg, e.seq);
    *d = (struct op_deliver){.msg = hand_out(&e, keep, quorum_counts(q)),
                             .queue = q->def->addr,
                             .seq = e.seq,
                             .slot = SLOT_NO_ACK,
                             .remaining = (uint32_t)q->ready.count,
                             .delivery_count = e.delivery_count};
    q->given[GOT + !keep]++;
    q->redelivered += e.redelivered;
    if (keep)
        d->slot = unacked_add(&q->unacked, &e, UNACKED_NO_CONSUMER, 0);
    else
        queue_effect(out, EFFECT_SETTLE, &e);
    return true;
}

static void on_get(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    q->used_ms = now;
    if (paging_has_gets(q) || !queue_get(q, op, now, out))
        paging_keep_get(q, op);
}

static void on_purge(struct queue *q, struct op *op, struct queue_out *out)
{
    struct op_queue_query *in = op_body(op, struct op_queue_query);
    in->messages = (uint32_t)(q->ready.count + ready_later_count(&q->ready));
    discard_ready(q, out);
    answer(op, in, out);
}

static void on_delete(struct queue *q, struct op *op, struct queue_out *out)
{
    struct op_queue_query *in = op_body(op, struct op_queue_query);
    uint64_t messages = q->ready.count + ready_later_count(&q->ready);
    if ((op->flags & OP_DELETE_IF_UNUSED) && q->consumers.count) {
        queue_refuse(op, ERR_PRECONDITION_FAILED, QUEUE_REFUSED_IN_USE, out);
    } else if ((op->flags & OP_DELETE_IF_EMPTY) && messages) {
        queue_refuse(op, ERR_PRECONDITION_FAILED, QUEUE_REFUSED_NOT_EMPTY, out);
    } else {
        in->messages = (uint32_t)messages;
        queue_die(q, in, out);
    }
}

static void on_query(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    struct op_queue_query *in = op_body(op, struct op_queue_query);
    if (q->dead) {
        queue_refuse(op, ERR_NOT_FOUND, QUEUE_REFUSED_GONE, out);
        return;
    }
    switch (op->kind) {
    case OP_GET:
        on_get(q, op, now, out);
        break;
    case OP_PURGE:
        on_purge(q, op, out);
        break;
    case OP_DELETE:
        on_delete(q, op, out);
        break;
    default:
        q->used_ms = now;
        in->messages = (uint32_t)q->ready.count;
        in->consumers = q->consumers.count;
        answer(op, in, out);
    }
}

/* What came before in the transaction was met. */
static void on_tx_barrier(const struct op *op, struct queue_out *out)
{
    const struct op_enqueue *in = op_body(op, const struct op_enqueue);
    queue_confirm(out, CONFIRM_NOW, in->channel, in->seq, op->flags);
}

static inline void take(struct queue *q, struct op *op, uint64_t now, struct queue_out *out)
{
    switch (op->kind) {
    case OP_ENQUEUE:
        on_enqueue(q, op, now, out);
        break;
    case OP_SETTLE:
        on_settle(q, op, now, out);
        break;
    case OP_CREDIT:
        on_credit(q, op, now, out);
        break;
    case OP_CONSUME:
        on_consume(q, op, now, out);
        break;
    case OP_CANCEL:
        on_cancel(q, op, now, out);
        break;
    case OP_GET:
    case OP_PURGE:
    case OP_STAT:
    case OP_DELETE:
        on_query(q, op, now, out);
        break;
    case OP_TX_BARRIER:
        on_tx_barrier(op, out);
        break;
    case OP_QUEUE_DESTROY:
        if (!q->dead)
            queue_die(q, NULL, out);
        break;
    default:
        bug_on(true);
    }
}

static uint64_t bounded_deadline(struct queue *q, uint64_t now_ms, struct queue_out *out)
{
    uint64_t next = bounds_deadline(q);
    if (!q->dedup || !dedup_is_awaited(q->dedup))
        return next;
    answer_duplicates(q, out);
    return dedup_is_awaited(q->dedup) && (!next || next > now_ms + 1) ? now_ms + 1 : next;
}

void queue_finish(struct queue *q, uint64_t now_ms, struct queue_out *out)
{
    if (paging_is_due(q))
        paging_step(q, now_ms, out);
    if (q->pace)
        pace_step(q, now_ms, out);
    out->deadline_ms = bounds_apply(q) ? bounded_deadline(q, now_ms, out) : 0;
    if (q->ready.filled && (!out->deadline_ms || out->deadline_ms > now_ms + 1))
        out->deadline_ms = now_ms + 1; /* more than one step may page out */
    uint64_t pace = q->pace ? pace_deadline(q) : 0;
    if (pace && (!out->deadline_ms || out->deadline_ms > pace))
        out->deadline_ms = pace;
}

void queue_step(struct queue *q, struct op *op, uint64_t now_ms, struct queue_out *out)
{
    if (bounds_apply(q))
        bounds_expire(q, now_ms, out);
    q->active_ms = now_ms;
    take(q, op, now_ms, out);
    if (q->transactional)
        paging_doubt(q);
    queue_finish(q, now_ms, out);
}

void queue_tick(struct queue *q, uint64_t now_ms, struct queue_out *out)
{
    struct op_queue_query nobody = {.reply_to = ADDR_NONE};
    bounds_enforce(q, now_ms, out);
    if (bounds_unused(q, now_ms))
        queue_die(q, &nobody, out);
    else
        queue_dispatch(q, now_ms, out);
    queue_finish(q, now_ms, out);
}

/* ---- policies ---- */

static uint64_t expires_of(const struct queue *q)
{
    return q->rules ? q->rules->expires : RULES_NONE;
}

bool queue_set_policies(struct queue *q, const struct applied *applied, uint64_t now_ms,
                        struct queue_out *out)
{
    if (q->dead || applied_equal(&q->applied, applied))
        return false;
    uint64_t expires = expires_of(q);
    free(q->rules);
    applied_set(&q->applied, applied);
    q->rules = rules_new(q->def, &q->applied);
    if (expires_of(q) != expires)
        q->used_ms = now_ms; /* the time it may be unused begins now */
    bounds_enforce(q, now_ms, out);
    queue_finish(q, now_ms, out);
    return true;
}

/* ---- the rest ---- */

bool queue_sweep(struct queue *q, struct ready_pool *pool, unsigned budget)
{
    return ready_sweep(&q->garbage, pool, budget);
}

bool queue_is_dead(const struct queue *q)
{
    return q->dead;
}

const struct queue_def *queue_get_def(const struct queue *q)
{
    return q->def;
}

uint64_t queue_next_due(const struct queue *q)
{
    if (!q->def->line_of)
        return later_next(q);
    uint64_t next = ready_next_expiry(&q->ready), away = overdue_next(q, 0);
    return away && (!next || away < next) ? away : next;
}

bool queue_delays(const struct queue *q)
{
    return ready_later_count(&q->ready) > later_letters(q) ||
           (q->rules && !q->rules->line && q->rules->delay);
}

struct queue_counts queue_count(const struct queue *q)
{
    return (struct queue_counts){.ready = q->ready.count,
                                 .ready_bytes = q->ready.bytes,
                                 .later = ready_later_count(&q->ready),
                                 .later_bytes = ready_later_bytes(&q->ready),
                                 .unacked = q->unacked.count,
                                 .unacked_bytes = q->unacked.bytes,
                                 .consumers = q->consumers.count,
                                 .paged_out = q->ready.paged ? q->ready.paged->count : 0,
                                 .paged_out_bytes = q->ready.paged ? q->ready.paged->bytes : 0,
                                 .published = q->published,
                                 .delivered = queue_given(q),
                                 .acked = q->acked,
                                 .redelivered = q->redelivered};
}
