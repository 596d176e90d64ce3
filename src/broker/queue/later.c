/* Whatever moves gets a number of its own, behind all others: so the order of numbers within a
 * level stays that of arrival, and the log has the new place before the old one ends. */
#include "broker/queue/later.h"

#include "broker/queue/expiry.h"
#include "broker/queue/extent.h"

static bool is_meant(enum retry_type type, enum settle_how how)
{
    switch (type) {
    case RETRY_ALL:
        return true;
    case RETRY_FAILED:
        return how == SETTLE_FAILED;
    case RETRY_RETURNED:
        return how == SETTLE_REQUEUE;
    default:
        return false;
    }
}

uint64_t later_back_off(const struct retry *r, enum settle_how how, uint32_t delivery_count)
{
    uint64_t n = delivery_count ? delivery_count : 1;
    if (!is_meant(r->type, how) || !r->min)
        return 0;
    if (!r->exponential)
        return n <= r->max / r->min ? r->min * n : r->max;
    uint64_t ms = r->min;
    for (; n > 1 && ms < r->max; n--)
        ms *= 2;
    return ms < r->max ? ms : r->max;
}

static void put(struct queue *q, const struct ready_entry *e, struct queue_out *out)
{
    ready_open_later(&q->ready);
    ready_push(&q->ready, out->pool, e);
}

void later_put(struct queue *q, struct ready_entry *e, uint64_t due_ms, struct queue_out *out)
{
    e->level = READY_LATER;
    e->expiry = due_ms;
    queue_effect(out, EFFECT_ENQ, e);
    put(q, e, out);
}

void later_return(struct queue *q, const struct ready_entry *held, uint64_t due_ms,
                  struct queue_out *out)
{
    struct ready_entry e = *held;
    e.seq = q->next_seq++;
    e.level = READY_LATER;
    e.expiry = due_ms;
    /* a transient one may be in the store for being paged out */
    e.stored = q->stored && (e.msg->flags & MSG_PERSISTENT || quorum_is(q));
    if (q->dedup)
        dedup_move(q->dedup, e.msg, held->seq, e.seq);
    queue_effect(out, EFFECT_ENQ, &e);
    queue_effect(out, EFFECT_SETTLE, held);
    put(q, &e, out);
}

static void wake_up(struct queue *q, const struct ready_entry *waited, uint64_t now_ms,
                    struct queue_out *out)
{
    struct ready_entry e = *waited;
    e.seq = q->next_seq++;
    e.level = queue_level_of(q, e.msg);
    e.redelivered = e.delivery_count != 0; /* nobody got it while it waited */
    e.expiry = bounds_expiry(q, e.msg, now_ms);
    if (q->dedup)
        dedup_move(q->dedup, e.msg, waited->seq, e.seq);
    queue_arrive(q, &e, waited, out);
}

void later_time_over(struct queue *q, struct ready_entry *e, uint64_t now_ms, struct queue_out *out)
{
    if (ready_is_later(&q->ready, e->level) && !q->dead)
        wake_up(q, e, now_ms, out);
    else
        bounds_bury(q, e, DEATH_EXPIRED, out);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

static uint64_t first_of(const struct sequence *s)
{
    uint64_t first = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct ready_chunk *c = sequence_at(s, i);
        if (c->expiry)
            first = earlier(first, c->expiry->heap[c->place].earliest);
    }
    return first;
}

uint64_t later_next(const struct queue *q)
{
    if (!ready_later_count(&q->ready))
        return 0;
    const struct sequence *s = &q->ready.later->sequence;
    uint64_t first = earlier(first_of(s), overdue_next(q, READY_LATER));
    return s->backlog ? earlier(first, first_of(&s->backlog->tail)) : first;
}

struct later_away later_away(const struct queue *q)
{
    struct later_away away = {0, 0};
    const struct backlog *b = q->ready.later ? q->ready.later->sequence.backlog : NULL;
    for (uint32_t i = 0; b && i < b->count; i++) {
        away.count += backlog_at(b, i)->count;
        away.bytes += backlog_at(b, i)->bytes;
    }
    return away;
}
