/* Reads a queue's state; pure. Between two steps messages are ready only if no consumer can take
 * one or something the queue itself has to do comes first, so one verdict is enough. */
#include "broker/queue/explain.h"

#include "broker/queue/extent.h"
#include "broker/queue/later.h"

const char *queue_verdict_name(enum queue_verdict verdict)
{
    static const char *const names[] = {
#define VERDICT(symbol, name, text) name,
        QUEUE_VERDICTS(VERDICT)
#undef VERDICT
    };
    return names[verdict];
}

const char *queue_verdict_text(enum queue_verdict verdict)
{
    static const char *const texts[] = {
#define VERDICT(symbol, name, text) text,
        QUEUE_VERDICTS(VERDICT)
#undef VERDICT
    };
    return texts[verdict];
}

const char *consumer_standing_name(enum consumer_standing standing)
{
    static const char *const names[] = {
#define STANDING(symbol, name, text) name,
        CONSUMER_STANDINGS(STANDING)
#undef STANDING
    };
    return names[standing];
}

const char *consumer_standing_text(enum consumer_standing standing)
{
    static const char *const texts[] = {
#define STANDING(symbol, name, text) text,
        CONSUMER_STANDINGS(STANDING)
#undef STANDING
    };
    return texts[standing];
}

static bool somebody_can_take(const struct consumers *cs)
{
    for (size_t i = 0; i < cs->level_count; i++) {
        if (consumers_level_ready(cs, i))
            return true;
    }
    return false;
}

static enum queue_verdict judge(const struct queue *q, bool starting, uint64_t now_ms)
{
    if (q->dead)
        return QUEUE_DELETED;
    if (!q->ready.count && ready_later_count(&q->ready) > later_letters(q))
        return QUEUE_WAITING;
    if (!q->ready.count && !q->unacked.count && later_letters(q))
        return QUEUE_LETTERS;
    if (!q->ready.count)
        return q->unacked.count ? QUEUE_HELD : QUEUE_EMPTY;
    if (q->halts)
        return QUEUE_HALTED;
    if (bounds_apply(q) && bounds_due(q, now_ms))
        return QUEUE_EXPIRING;
    if (!q->consumers.count)
        return QUEUE_NO_CONSUMER;
    if (starting)
        return QUEUE_STARTING;
    if (!somebody_can_take(&q->consumers))
        return QUEUE_CONSUMERS;
    return q->paging && q->paging->blocked ? QUEUE_READING : QUEUE_DELIVERING;
}

static void put_limits(const struct queue *q, struct queue_standing *s)
{
    static const char *const overflows[] = {[OVERFLOW_DROP_HEAD] = "drop-head",
                                            [OVERFLOW_REJECT] = "reject-publish",
                                            [OVERFLOW_REJECT_DEAD_LETTER] = "reject-publish-dlx"};
    const struct rules *r = q->rules;
    s->max_length = r ? r->max_length : RULES_NONE;
    s->max_bytes = r ? r->max_bytes : RULES_NONE;
    if (s->max_length == RULES_NONE && s->max_bytes == RULES_NONE)
        return;
    s->overflow = overflows[r->overflow];
    s->full = q->ready.count >= s->max_length || q->ready.bytes >= s->max_bytes;
}

static uint64_t until(uint64_t time_ms, uint64_t now_ms)
{
    return time_ms > now_ms ? time_ms - now_ms : 0;
}

struct queue_standing queue_explain(const struct queue *q, bool starting, uint64_t now_ms)
{
    struct queue_standing s = {.verdict = judge(q, starting, now_ms),
                               .ready = q->ready.count,
                               .ready_bytes = q->ready.bytes,
                               .unacked = q->unacked.count,
                               .later = ready_later_count(&q->ready) - later_letters(q),
                               .later_bytes = ready_later_bytes(&q->ready) - later_letter_bytes(q),
                               .letters = later_letters(q),
                               .consumers = q->consumers.count,
                               .consumer_numbers = (uint32_t)q->consumers.used};
    uint64_t next = ready_next_expiry(&q->ready), later = later_next(q);
    s.away = q->ready.paged ? q->ready.paged->count - later_away(q).count : 0;
    s.later_ms = until(later, now_ms);
    s.expires = next != 0;
    s.expires_ms = until(next, now_ms);
    put_limits(q, &s);
    if (q->rules && q->rules->expires != RULES_NONE && !q->consumers.count) {
        s.has_idle = true;
        s.idle_ms = until(q->used_ms + q->rules->expires, now_ms);
    }
    if (q->paging) {
        s.reading = q->paging->reading;
        s.reading_ms = s.reading ? until(now_ms, q->paging->asked_ms) : 0;
        s.waiting_gets = q->paging->get_count - q->paging->get_at;
    }
    return s;
}

static enum consumer_standing standing_of(const struct consumers *cs, const struct consumer *c)
{
    const struct consume_request *r = c->request;
    if (!consumers_is_active(cs, c))
        return CONSUMER_STANDBY;
    if (consumers_is_leaving(cs, c))
        return CONSUMER_LEAVING;
    if (!r->no_ack && r->prefetch && c->unacked >= r->prefetch)
        return CONSUMER_PREFETCH;
    if (c->paused)
        return CONSUMER_CHANNEL;
    return c->window ? CONSUMER_CAN_TAKE : CONSUMER_SLOW;
}

bool queue_explain_consumer(const struct queue *q, uint32_t number, struct consumer_view *ret_view)
{
    const struct consumer *c = consumers_find(&q->consumers, number, 0);
    if (!c)
        return false;
    const struct consume_request *r = c->request;
    *ret_view = (struct consumer_view){.standing = standing_of(&q->consumers, c),
                                       .tag = r->tag,
                                       .user = r->user,
                                       .connection = r->connection,
                                       .channel = r->channel.slot,
                                       .prefetch = r->prefetch,
                                       .unacked = c->unacked,
                                       .priority = r->priority,
                                       .no_ack = r->no_ack,
                                       .active = consumers_is_active(&q->consumers, c)};
    return true;
}
