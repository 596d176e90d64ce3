/* Whatever moves gets a number of its own, behind all others: so the order of numbers within a
 * level stays that of arrival, and the log has the new place before the old one ends. */
#include "broker/queue/later.h"

#include "broker/queue/expiry.h"
#include "broker/queue/extent.h"

enum { FIRST_TRY_MS = 1000, LAST_TRY_MS = 180000, TRIES_MAX = 0xffffff, DEATH_SHIFT = 24 };
#define LETTER (UINT32_C(1) << 31)

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

static uint16_t level(const struct queue *q)
{
    return (uint16_t)ready_later_level(&q->ready);
}

static void put(struct queue *q, const struct ready_entry *e, struct queue_out *out)
{
    ready_open_later(&q->ready);
    ready_push(&q->ready, out->pool, e);
}

void later_put(struct queue *q, struct ready_entry *e, uint64_t due_ms, struct queue_out *out)
{
    e->level = level(q);
    e->expiry = due_ms;
    queue_effect(out, EFFECT_ENQ, e);
    put(q, e, out);
}

void later_return(struct queue *q, const struct ready_entry *held, uint64_t due_ms,
                  struct queue_out *out)
{
    struct ready_entry e = *held;
    e.seq = q->next_seq++;
    e.level = level(q);
    e.expiry = due_ms;
    /* a transient one may be in the store for being paged out */
    e.stored = q->stored && (e.msg->flags & MSG_PERSISTENT || quorum_is(q));
    if (q->dedup)
        dedup_move(q->dedup, e.msg, held->seq, e.seq);
    queue_effect_move(out, &e, held);
    put(q, &e, out);
}

static void wake_up(struct queue *q, const struct ready_entry *waited, uint64_t now_ms,
                    struct queue_out *out)
{
    struct ready_entry e = *waited;
    later_left(q, waited);
    e.seq = q->next_seq++;
    e.level = queue_level_of(q, e.msg);
    e.redelivered = e.delivery_count != 0; /* nobody got it while it waited */
    e.expiry = bounds_expiry(q, e.msg, now_ms);
    if (q->dedup)
        dedup_move(q->dedup, e.msg, waited->seq, e.seq);
    queue_arrive(q, &e, waited, out);
}

/* ---- dead letters ---- */

static uint32_t letter_count(enum death death, uint32_t tries)
{
    return LETTER | (uint32_t)death << DEATH_SHIFT | tries;
}

uint32_t later_tries(const struct ready_entry *e)
{
    return e->delivery_count & TRIES_MAX;
}

/* A second at first, twice as long each time, three minutes at most. */
static uint64_t pause_after(uint32_t tries)
{
    uint64_t ms = tries < 16 ? (uint64_t)FIRST_TRY_MS << tries : LAST_TRY_MS;
    return ms < LAST_TRY_MS ? ms : LAST_TRY_MS;
}

uint64_t later_keep(struct queue *q, const struct dead_letter *letter, uint64_t now_ms,
                    struct queue_out *out)
{
    uint32_t tries = letter->tries < TRIES_MAX ? letter->tries + 1 : TRIES_MAX;
    struct ready_entry e = {.msg = letter->msg,
                            .seq = q->next_seq++,
                            .level = level(q),
                            .expiry = now_ms + pause_after(letter->tries),
                            .delivery_count = letter_count(letter->death, tries)};
    e.stored = q->stored && (e.msg->flags & MSG_PERSISTENT || quorum_is(q));
    out->own = false;
    queue_effect(out, EFFECT_ENQ, &e);
    put(q, &e, out);
    later_came(q, &e);
    return e.seq;
}

void later_came(struct queue *q, const struct ready_entry *e)
{
    if (!later_is_letter(e))
        return;
    q->ready.later->letters++;
    q->ready.later->letter_bytes += e->msg->body_len;
}

void later_left(struct queue *q, const struct ready_entry *e)
{
    struct ready_later *l = q->ready.later;
    bool found = l && e->seq < l->found_below;
    if (!l || !(found ? l->found_are_letters : later_is_letter(e)))
        return;
    l->letters--;
    l->letter_bytes -= e->msg->body_len;
}

/* Which those are that the store has nobody has looked. */
void later_restored(struct queue *q)
{
    const struct rules *r = q->rules;
    struct ready_later *l = q->ready.later;
    if (!l)
        return;
    l->found_below = q->next_seq;
    l->found_are_letters = r && r->keeps_letters && !r->delay && !r->retry.type;
    l->letters = l->found_are_letters ? l->count : 0;
    l->letter_bytes = l->found_are_letters ? l->bytes : 0;
}

static void try_again(struct queue *q, const struct ready_entry *e, struct queue_out *out)
{
    later_left(q, e);
    out->own = false;
    bounds_send(q, e, (enum death)(e->delivery_count >> DEATH_SHIFT & 3), later_tries(e), out);
}

/* ---- its time ---- */

void later_time_over(struct queue *q, struct ready_entry *e, uint64_t now_ms, struct queue_out *out)
{
    bool waited = ready_is_later(&q->ready, e->level) && !q->dead;
    if (waited && later_is_letter(e))
        try_again(q, e, out);
    else if (waited)
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
    uint64_t first = earlier(first_of(s), overdue_next(q, q->ready.later->level));
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
