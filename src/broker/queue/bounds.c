/* What makes a queue let go of messages (length, time) and of itself (no use). */
#include "broker/queue/later.h"

#include "base/props.h"
#include "broker/delay.h"

/* Messages that one step lets expire; the rest waits for the next tick. */
enum { EXPIRE_PORTION = 1000 };

static uint64_t own_ttl(const struct msg *m)
{
    struct slice text = props_expiration(msg_properties(m));
    uint64_t ms = 0;
    for (size_t i = 0; i < text.len; i++)
        ms = ms * 10 + (uint64_t)(text.data[i] - '0'); /* digits, at most ten years */
    return text.len ? ms : RULES_NONE;
}

static uint64_t delay_in(const struct rules *line, const struct msg *m)
{
    return line->delay ? line->delay : delay_of(props_headers(msg_properties(m)));
}

uint64_t bounds_expiry(const struct queue *q, const struct msg *m, uint64_t now_ms)
{
    uint64_t ttl = q->rules ? q->rules->ttl : RULES_NONE;
    if (q->rules && q->rules->line)
        return now_ms + delay_in(q->rules, m);
    if (m->flags & MSG_EXPIRES) {
        uint64_t own = own_ttl(m);
        ttl = own < ttl ? own : ttl;
    }
    return ttl == RULES_NONE ? 0 : now_ms + ttl;
}

bool bounds_refuse(const struct queue *q, const struct msg *m)
{
    const struct rules *r = q->rules;
    if (!r || r->overflow == OVERFLOW_DROP_HEAD)
        return false;
    uint64_t count = q->ready.count + ready_later_count(&q->ready);
    uint64_t bytes = q->ready.bytes + ready_later_bytes(&q->ready);
    return count >= r->max_length ||
           (r->max_bytes != RULES_NONE && bytes + m->body_len > r->max_bytes);
}

static void add_letter(struct queue_out *out, const struct dead_letter *letter)
{
    MEM_GROW(out->dead, out->dead_cap, out->dead_count + 1);
    out->dead[out->dead_count++] = *letter;
}

void bounds_send(struct queue *q, const struct ready_entry *e, enum death death, uint32_t tries,
                 struct queue_out *out)
{
    queue_effect(out, EFFECT_SETTLE, e);
    if (!q->rules || !q->rules->dead_letters || q->dead) {
        msg_unref(e->msg);
        return;
    }
    bool stored = e->stored && out->log;
    if (stored)
        out->log->effects[out->log->count - 1].buried = true;
    add_letter(out, &(struct dead_letter){.msg = e->msg,
                                          .death = death,
                                          .level = e->level,
                                          .stored = stored,
                                          .own = out->own,
                                          .tries = tries,
                                          .seq = e->seq});
}

void bounds_bury(struct queue *q, const struct ready_entry *e, enum death death,
                 struct queue_out *out)
{
    queue_leave(q, e->msg, e->seq);
    bounds_send(q, e, death, 0, out);
}

void bounds_let_go(struct queue *q, const struct ready_entry *e, struct queue_def *to,
                   struct queue_out *out)
{
    bool stored = e->stored && out->log;
    queue_leave(q, e->msg, e->seq);
    queue_effect(out, EFFECT_SETTLE, e);
    if (!to) {
        msg_unref(e->msg);
        return;
    }
    if (stored)
        out->log->effects[out->log->count - 1].buried = true;
    add_letter(out, &(struct dead_letter){.msg = e->msg,
                                          .level = e->level,
                                          .stored = stored,
                                          .own = out->own,
                                          .seq = e->seq,
                                          .to = to,
                                          .expiry = e->expiry,
                                          .delivery_count = e->delivery_count,
                                          .redelivered = e->redelivered});
}

uint64_t bounds_take_back(struct queue *q, const struct dead_letter *moved, struct queue_out *out)
{
    bool waits = ready_is_later(&q->ready, moved->level);
    struct ready_entry e = {.msg = moved->msg,
                            .seq = q->next_seq++,
                            .level = waits ? moved->level : queue_level_of(q, moved->msg),
                            .expiry = moved->expiry,
                            .delivery_count = moved->delivery_count,
                            .redelivered = moved->redelivered};
    struct dedup_place place = {.seq = e.seq};
    if (q->dedup && !(waits && later_is_letter(&e)) && dedup_key_in(q->dedup, e.msg, &place.key))
        dedup_put(q->dedup, &place);
    e.stored = q->stored && (e.msg->flags & MSG_PERSISTENT || quorum_is(q));
    out->own = false;
    queue_effect(out, EFFECT_ENQ, &e);
    ready_push(&q->ready, out->pool, &e);
    if (waits)
        later_came(q, &e);
    return e.seq;
}

void bounds_bury_refused(struct queue *q, struct msg *m, struct queue_out *out)
{
    if (q->rules->dead_letters)
        add_letter(out, &(struct dead_letter){.msg = m, .death = DEATH_MAXLEN});
    else
        msg_unref(m);
}

bool bounds_over(const struct queue *q)
{
    const struct rules *r = q->rules;
    return r && r->overflow == OVERFLOW_DROP_HEAD &&
           (q->ready.count > r->max_length || q->ready.bytes > r->max_bytes);
}

/* Until a message is the first that is not in memory, and cannot be dropped unseen. A dead letter
 * goes its way whatever becomes of the transaction that it fell off for. */
static void drop_head(struct queue *q, struct queue_out *out)
{
    struct ready_entry e;
    out->own &= !(q->rules && q->rules->dead_letters);
    while (bounds_over(q)) {
        if (ready_pop(&q->ready, out->pool, &e)) {
            bounds_bury(q, &e, DEATH_MAXLEN, out);
        } else if (!paging_drop_first(q, out)) {
            break;
        }
    }
}

/* About a chunk. */
static unsigned expire_in_memory(struct queue *q, uint64_t now_ms, struct queue_out *out)
{
    struct ready_entry due[READY_CHUNK_ENTRIES];
    unsigned n = order_expire(q, out->pool, now_ms, due);
    for (unsigned i = 0; i < n; i++)
        later_time_over(q, &due[i], now_ms, out);
    return n;
}

void bounds_expire(struct queue *q, uint64_t now_ms, struct queue_out *out)
{
    uint64_t waiting = ready_later_count(&q->ready);
    unsigned n = !q->halts;
    for (unsigned done = 0; n && done < EXPIRE_PORTION; done += n) {
        n = bounds_due(q, now_ms) ? expire_in_memory(q, now_ms, out) : 0;
        n += overdue_expire(q, now_ms, EXPIRE_PORTION - done, out);
    }
    if (ready_later_count(&q->ready) != waiting)
        drop_head(q, out);
}

void bounds_enforce(struct queue *q, uint64_t now_ms, struct queue_out *out)
{
    drop_head(q, out);
    out->own = false;
    bounds_expire(q, now_ms, out);
}

bool bounds_unused(const struct queue *q, uint64_t now_ms)
{
    return q->rules && q->rules->expires != RULES_NONE && !q->consumers.count && !q->dead &&
           now_ms >= q->used_ms + q->rules->expires;
}

uint64_t bounds_deadline(const struct queue *q)
{
    if (q->halts)
        return 0;
    uint64_t next = order_deadline(q), away = overdue_deadline(q);
    if (away && (!next || away < next))
        next = away;
    if (!q->rules || q->rules->expires == RULES_NONE || q->consumers.count || q->dead)
        return next;
    uint64_t unused = q->used_ms + q->rules->expires;
    return !next || unused < next ? unused : next;
}
