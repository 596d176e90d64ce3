/* What goes in is predicted, what comes out compared. What is not in memory, or waits, leaves when
 * the queue says so, which must be right then. */
#include "tests/sim/queue_model.h"

#include "base/bug.h"
#include "base/err.h"
#include "broker/msg.h"
#include "broker/queue/consumers.h"
#include "broker/queue/extent.h"

#include <stdlib.h>

uint64_t model_random(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

/* ---- the model ---- */

static bool goes_before(const struct world *w, uint64_t a, uint64_t b)
{
    unsigned x = w->messages[a].level, y = w->messages[b].level;
    return x != y ? x > y : a < b;
}

uint64_t model_first(const struct world *w)
{
    uint64_t first = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        if (w->messages[s].state == READY && (!first || goes_before(w, s, first)))
            first = s;
    }
    return first;
}

bool model_is_away(const struct world *w, uint64_t seq)
{
    const struct ready *r = &w->queue->ready;
    unsigned level = w->messages[seq].level;
    if (!seq || (level >= ready_level_count(r) && !ready_is_later(r, level)))
        return false;
    const struct sequence *s = ready_level(r, level);
    return s->backlog && backlog_find(s->backlog, seq);
}

void model_count(const struct world *w, enum state state, uint64_t *ret_count, uint64_t *ret_bytes)
{
    *ret_count = *ret_bytes = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        *ret_count += w->messages[s].state == state;
        *ret_bytes += w->messages[s].state == state ? w->messages[s].size : 0;
    }
}

void model_place(struct world *w, uint64_t seq, const struct model_message *m)
{
    bug_on(seq >= PLACES);
    w->messages[seq] = *m;
    w->places[m->uid] = seq;
}

struct model_message *model_move(struct world *w, uint64_t from, enum state state, unsigned level,
                                 uint64_t expiry)
{
    struct model_message m = w->messages[from];
    w->messages[from].state = GONE;
    m.state = state;
    m.told = ABSENT;
    m.sent = false;
    m.level = level;
    m.expiry = expiry;
    model_place(w, ++w->last, &m);
    return &w->messages[w->last];
}

uint64_t model_back_off(const struct world *w, enum settle_how how, uint32_t n)
{
    const struct retry *r = &w->rules.retry;
    if (r->type == RETRY_DISABLED || (r->type == RETRY_FAILED && how != SETTLE_FAILED) ||
        (r->type == RETRY_RETURNED && how != SETTLE_REQUEUE))
        return 0;
    uint64_t ms = r->exponential ? r->min << (n < 30 ? n - 1 : 30) : r->min * n;
    return ms < r->max ? ms : r->max;
}

void model_death(struct world *w, uint64_t seq, enum death why)
{
    w->messages[seq].state = GONE;
    if (w->rules.dead_letters)
        w->messages[seq].died = (int)why;
}

/* It is not in memory, but expires where it is. */
static bool expires_unread(const struct world *w, uint64_t seq)
{
    const struct paging *p = w->queue->paging;
    unsigned level = w->messages[seq].level;
    const struct extent *x = backlog_find(ready_level(&w->queue->ready, level)->backlog, seq);
    bool being_read = p->reading && p->what != READ_DUE && p->level == level &&
                      p->from >= x->first && p->from <= x->last;
    uint64_t wake = w->queue->ready.paged->expiry;
    return !queue_looks_at_all(w->queue) && wake && wake <= w->now &&
           (x->latest <= w->now || (x->due && !being_read));
}

void model_expire(struct world *w)
{
    for (uint64_t s = 1; s <= w->last; s++) {
        struct model_message *m = &w->messages[s];
        if (m->state == READY && m->expiry && m->expiry <= w->now &&
            (!model_is_away(w, s) || expires_unread(w, s)))
            model_death(w, s, DEATH_EXPIRED);
    }
}

bool model_is_over(const struct world *w)
{
    uint64_t n, bytes;
    model_count(w, READY, &n, &bytes);
    return w->rules.overflow == OVERFLOW_DROP_HEAD && n &&
           (n > w->rules.max_length || bytes > w->rules.max_bytes);
}

void model_drop_head(struct world *w)
{
    while (model_is_over(w) && !model_is_away(w, model_first(w)))
        model_death(w, model_first(w), DEATH_MAXLEN);
}

static bool can_take(const struct world *w, int c)
{
    return w->consumers[c].there && w->consumers[c].window &&
           (w->consumers[c].no_ack || !w->consumers[c].prefetch ||
            w->consumers[c].unacked < w->consumers[c].prefetch);
}

bool model_anybody(const struct world *w)
{
    for (int c = 0; c < CONSUMERS; c++) {
        if (can_take(w, c))
            return true;
    }
    return false;
}

/* ---- what the queue says ---- */

static uint64_t number_of(const struct msg *m)
{
    uint64_t seq;
    memcpy(&seq, m->body, sizeof seq);
    return seq;
}

static void mark_sent(struct world *w, bool sent)
{
    for (size_t i = 0; i < w->out.count; i++) {
        const struct op *op = &w->out.ops[i];
        if (op->kind == OP_DELIVER || op->kind == OP_GET_OK)
            w->messages[op_body(op, const struct op_deliver)->seq].sent = sent;
    }
}

/* By the effects so far the message is the first, and there are too many. */
static bool has_to_go(const struct world *w, uint64_t seq)
{
    uint64_t n = 0, bytes = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        if (m->told != READY || m->state == HELD || m->state == WAITING)
            continue;
        if (!m->sent && goes_before(w, s, seq))
            return false;
        n++;
        bytes += m->size;
    }
    return w->rules.overflow == OVERFLOW_DROP_HEAD &&
           (n > w->rules.max_length || bytes > w->rules.max_bytes);
}

/* The queue lets a message go that the model did not see go: it was not in memory, or others joined
 * it that had waited. */
static void see_settled(struct world *w, uint64_t seq)
{
    struct model_message *m = &w->messages[seq];
    if (m->state == READY && !m->sent) {
        bool late = m->expiry && m->expiry <= w->now;
        bug_on((!w->limits.window && !w->woken) || (!late && !has_to_go(w, seq)));
        model_death(w, seq, late ? DEATH_EXPIRED : DEATH_MAXLEN);
    }
    m->told = GONE;
}

/* Of delays that are all the same, none is over before an earlier one, wherever that is. */
static void check_order(const struct world *w, uint64_t seq)
{
    if (!w->rules.delay || w->rules.retry.type)
        return;
    for (uint64_t s = 1; s < seq; s++)
        bug_on(w->messages[s].state == WAITING);
}

/* A message has waited long enough: its new place, before it leaves the old one. */
static void see_woken(struct world *w, const struct effect *e, const struct effect *left)
{
    const struct model_message *m = &w->messages[left->seq];
    bug_on(e->seq != w->last + 1 || left->kind != EFFECT_SETTLE || m->state != WAITING);
    bug_on(m->expiry > w->now || e->delivery_count != m->count || e->level != m->own_level);
    bug_on(e->msg && number_of(e->msg) != m->uid);
    check_order(w, left->seq);
    uint64_t expiry = m->ttl == RULES_NONE ? 0 : w->now + m->ttl;
    struct model_message *to = model_move(w, left->seq, READY, m->own_level, expiry);
    to->redelivered = m->count != 0;
    to->woken = w->woken = true;
    mark_sent(w, true);
}

void model_apply_effects(struct world *w)
{
    for (size_t i = 0; i < w->log.count; i++) {
        const struct effect *e = &w->log.effects[i];
        switch (e->kind) {
        case EFFECT_ENQ:
            if (e->seq > w->last)
                see_woken(w, e, e + 1);
            bug_on(e->expiry != w->messages[e->seq].expiry);
            bug_on(w->messages[e->seq].told != (e->paged ? READY : ABSENT));
            w->messages[e->seq].told = READY;
            break;
        case EFFECT_SETTLE:
            for (uint64_t s = e->seq; s <= e->last; s++) {
                const struct model_message *m = &w->messages[s];
                bug_on(e->seq != e->last && m->state == HELD && m->level == e->level);
                if (e->seq == e->last || (m->level == e->level && m->told == READY))
                    see_settled(w, s);
            }
            break;
        case EFFECT_RETURN:
            break;
        case EFFECT_PURGE:
            for (uint64_t s = 1, k = 0; s < e->seq; s++) {
                if (k < e->kept_count && e->kept[k] == s)
                    k++;
                else
                    w->messages[s].told = GONE;
            }
            break;
        }
        queue_store_apply(&w->store, e);
        if (e->msg)
            msg_unref(e->msg);
        free(e->kept);
    }
    w->log.count = 0;
}

static void hold(struct world *w, const struct op_deliver *d, int consumer, bool redelivered)
{
    struct model_message *m = &w->messages[d->seq];
    bug_on(m->state != READY);
    for (uint64_t s = 1; s <= w->last; s++) /* the first in order always goes first */
        bug_on(w->messages[s].state == READY && !w->messages[s].woken && goes_before(w, s, d->seq));
    bug_on(m->uid != number_of(d->msg));
    bug_on(redelivered != m->redelivered);
    if (d->slot == SLOT_NO_ACK) {
        m->state = GONE;
    } else {
        m->state = HELD;
        w->held[w->held_count++] = (struct held){d->seq, d->slot, consumer};
    }
    msg_unref(d->msg);
}

static void see_delivery(struct world *w, const struct op *op)
{
    const struct op_deliver *d = (const struct op_deliver *)(const void *)op->body;
    int c = (int)op->n;
    bug_on(!can_take(w, c));
    w->consumers[c].window--;
    bug_on((d->slot == SLOT_NO_ACK) != w->consumers[c].no_ack);
    w->consumers[c].unacked += !w->consumers[c].no_ack;
    hold(w, d, c, op->flags & OP_DELIVER_REDELIVERED);
}

static void see(struct world *w, const struct op *op)
{
    switch (op->kind) {
    case OP_DELIVER:
        see_delivery(w, op);
        break;
    case OP_GET_OK:
        bug_on(w->get_first == w->get_last);
        bug_on((op_body(op, const struct op_deliver)->slot == SLOT_NO_ACK) !=
               w->gets[w->get_first++]);
        hold(w, (const struct op_deliver *)(const void *)op->body, -1,
             op->flags & OP_DELIVER_REDELIVERED);
        break;
    case OP_GET_EMPTY:
        bug_on(model_first(w));
        bug_on(op_body(op, const struct op_queue_query)->cookie != w->get_first++);
        break;
    case OP_CONSUME_REPLY: {
        const struct op_consumer *in = (const struct op_consumer *)(const void *)op->body;
        bug_on(in->code);
        w->consumers[op->n].number = in->consumer;
        w->consumers[op->n].serial = in->serial;
        break;
    }
    case OP_CONFIRM: {
        const struct op_confirm *in = (const struct op_confirm *)(const void *)op->body;
        bug_on(in->first != w->answered + 1);
        w->refused += op->flags & OP_CONFIRM_NACK ? in->last - in->first + 1 : 0;
        w->answered = in->last;
        break;
    }
    case OP_QUEUE_GONE:
        w->gone = true;
        break;
    default:
        break;
    }
}

void model_look(struct world *w)
{
    queue_out_flush(&w->out);
    mark_sent(w, true);
    model_apply_effects(w);
    mark_sent(w, false);
    for (size_t i = 0; i < w->out.count; i++)
        see(w, &w->out.ops[i]);
    for (size_t i = 0; i < w->out.held_count; i++)
        see(w, &w->out.held[i]);
    w->out.count = w->out.held_count = 0;
    for (size_t i = 0; i < w->out.dead_count; i++) {
        struct dead_letter *d = &w->out.dead[i];
        struct model_message *m = &w->messages[w->places[number_of(d->msg)]];
        bug_on(m->buried != ALIVE);
        m->buried = (int)d->death;
        msg_unref(d->msg);
    }
    w->out.dead_count = 0;
    bug_on(w->out.lost);
    ready_sweep(&w->out.paged_out, &w->pool, UINT32_MAX);
    if (w->out.page.max_count)
        queue_store_ask(&w->store, &w->out.page, model_random(w, 2));
    w->out.page.max_count = 0;
    queue_sweep(w->queue, &w->pool, 3);
    for (uint64_t s = 1; w->woken && s <= w->last; s++)
        w->messages[s].woken = false;
    w->woken = false;
}
