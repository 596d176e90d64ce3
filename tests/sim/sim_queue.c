/* A queue's step in one process and in virtual time, driven by a seeded stream of operations,
 * against a naive model: contents, order, redelivered flags, counters, priorities, limits, expiry,
 * dead letters, deadlines, and contents rebuilt from the effects alone. Most runs keep little in
 * memory, the rest in a store that is made of the effects too, and survives restarts of the queue.
 *
 *   sim_queue [SEEDS [FIRST]]     each seed is one run of 400 operations */
#include "base/bug.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/msg.h"
#include "broker/queue/consumers.h"
#include "broker/queue/extent.h"
#include "broker/queue/queue_priv.h"
#include "tests/sim/queue_store.h"
#include "tests/sim/workers.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONSUMERS = 4, MESSAGES = 1024, STEPS = 400, ALIVE = -1 };
#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 1000 };
#else
enum { SEEDS = 3000 };
#endif
enum state { ABSENT, READY, HELD, GONE };

struct held {
    uint64_t seq;
    uint32_t slot;
    int consumer; /* -1: basic.get */
};

struct model_message {
    enum state state, told; /* told: what the effects say */
    bool redelivered, persistent, sent;
    unsigned level;
    uint64_t expiry, size;
    int died, buried; /* enum death by the model, by the queue */
};

struct world {
    uint64_t random, now;
    struct queue *queue;
    struct queue_def *def;
    struct queue_out out;
    struct ready_pool pool;
    struct effect_log log;
    struct rules rules; /* as the model knows them */
    struct model_message messages[MESSAGES];
    uint64_t last, used;
    struct held held[MESSAGES];
    size_t held_count;
    struct {
        bool there, no_ack;
        uint32_t number, serial, prefetch, unacked, window;
    } consumers[CONSUMERS];
    uint64_t answered, refused, published;
    bool gone;
    struct paging_limits limits; /* window 0: all stays in memory */
    struct queue_store store;
    bool gets[STEPS]; /* no_ack of each; those that were answered before get_first */
    size_t get_first, get_last;
};

static uint64_t current_seed; /* for panics */
static struct addr channel = {.slot = 1, .gen = 1};

static uint64_t rnd(struct world *w, uint64_t below)
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

/* The next in order, 0 = none. */
static uint64_t first_ready(const struct world *w)
{
    uint64_t first = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        if (w->messages[s].state == READY && (!first || goes_before(w, s, first)))
            first = s;
    }
    return first;
}

/* Not in memory. */
static bool is_away(const struct world *w, uint64_t seq)
{
    const struct ready *r = &w->queue->ready;
    if (!seq || w->messages[seq].level >= ready_level_count(r))
        return false;
    const struct sequence *s = ready_level(&w->queue->ready, w->messages[seq].level);
    return s->backlog && backlog_find(s->backlog, seq);
}

static void count_ready(const struct world *w, uint64_t *ret_count, uint64_t *ret_bytes)
{
    *ret_count = *ret_bytes = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        *ret_count += w->messages[s].state == READY;
        *ret_bytes += w->messages[s].state == READY ? w->messages[s].size : 0;
    }
}

static void model_death(struct world *w, uint64_t seq, enum death why)
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
    return !w->rules.dead_letters && wake && wake <= w->now &&
           (x->latest <= w->now || (x->due && !being_read));
}

static void model_expire(struct world *w)
{
    for (uint64_t s = 1; s <= w->last; s++) {
        struct model_message *m = &w->messages[s];
        if (m->state == READY && m->expiry && m->expiry <= w->now &&
            (!is_away(w, s) || expires_unread(w, s)))
            model_death(w, s, DEATH_EXPIRED);
    }
}

static bool is_over(const struct world *w)
{
    uint64_t count, bytes;
    count_ready(w, &count, &bytes);
    return w->rules.overflow == OVERFLOW_DROP_HEAD && count &&
           (count > w->rules.max_length || bytes > w->rules.max_bytes);
}

/* Until one is met that is not in memory. */
static void model_drop_head(struct world *w)
{
    while (is_over(w) && !is_away(w, first_ready(w)))
        model_death(w, first_ready(w), DEATH_MAXLEN);
}

static bool can_take(const struct world *w, int c)
{
    return w->consumers[c].there && w->consumers[c].window &&
           (w->consumers[c].no_ack || !w->consumers[c].prefetch ||
            w->consumers[c].unacked < w->consumers[c].prefetch);
}

static bool anybody(const struct world *w)
{
    for (int c = 0; c < CONSUMERS; c++) {
        if (can_take(w, c))
            return true;
    }
    return false;
}

/* ---- what the queue says ---- */

/* By the effects so far the message is the first, and there are too many. */
static bool has_to_go(const struct world *w, uint64_t seq)
{
    uint64_t count = 0, bytes = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        if (m->told != READY || m->state == HELD)
            continue;
        if (goes_before(w, s, seq))
            return false;
        count++;
        bytes += m->size;
    }
    return w->rules.overflow == OVERFLOW_DROP_HEAD &&
           (count > w->rules.max_length || bytes > w->rules.max_bytes);
}

/* The queue lets a message go that the model did not see go: it was not in memory. */
static void see_settled(struct world *w, uint64_t seq)
{
    struct model_message *m = &w->messages[seq];
    if (m->state == READY && !m->sent) {
        bool late = m->expiry && m->expiry <= w->now;
        bug_on(!w->limits.window || (!late && !has_to_go(w, seq)));
        model_death(w, seq, late ? DEATH_EXPIRED : DEATH_MAXLEN);
    }
    m->told = GONE;
}

static void apply_effects(struct world *w)
{
    for (size_t i = 0; i < w->log.count; i++) {
        const struct effect *e = &w->log.effects[i];
        switch (e->kind) {
        case EFFECT_ENQ:
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

static uint64_t number_of(const struct msg *m)
{
    uint64_t seq;
    memcpy(&seq, m->body, sizeof seq);
    return seq;
}

static void hold(struct world *w, const struct op_deliver *d, int consumer, bool redelivered)
{
    struct model_message *m = &w->messages[d->seq];
    bug_on(d->seq != first_ready(w)); /* the first in order always goes first */
    bug_on(d->seq != number_of(d->msg));
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
        bug_on(first_ready(w));
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

static void mark_sent(struct world *w, bool sent)
{
    for (size_t i = 0; i < w->out.count; i++) {
        const struct op *op = &w->out.ops[i];
        if (op->kind == OP_DELIVER || op->kind == OP_GET_OK)
            w->messages[op_body(op, const struct op_deliver)->seq].sent = sent;
    }
}

static void look(struct world *w)
{
    queue_out_flush(&w->out);
    mark_sent(w, true);
    apply_effects(w);
    mark_sent(w, false);
    for (size_t i = 0; i < w->out.count; i++)
        see(w, &w->out.ops[i]);
    for (size_t i = 0; i < w->out.held_count; i++)
        see(w, &w->out.held[i]);
    w->out.count = w->out.held_count = 0;
    for (size_t i = 0; i < w->out.dead_count; i++) {
        struct dead_letter *d = &w->out.dead[i];
        struct model_message *m = &w->messages[number_of(d->msg)];
        bug_on(m->buried != ALIVE);
        m->buried = (int)d->death;
        msg_unref(d->msg);
    }
    w->out.dead_count = 0;
    bug_on(w->out.lost);
    ready_sweep(&w->out.paged_out, &w->pool, UINT32_MAX);
    if (w->out.page.max_count)
        queue_store_ask(&w->store, &w->out.page, rnd(w, 2));
    w->out.page.max_count = 0;
    queue_sweep(w->queue, &w->pool, 3);
}

/* What the store read, late. */
static void answer_page(struct world *w)
{
    struct page_answer a;
    if (!queue_store_answer(&w->store, 1 + (uint32_t)rnd(w, 10), &a))
        return;
    queue_page_in(w->queue, &a, w->now, &w->out);
    free(a.entries);
    look(w);
}

static void step(struct world *w, struct op *op)
{
    queue_step(w->queue, op, w->now, &w->out);
    look(w);
}

/* ---- operations ---- */

static struct msg *make_message(struct world *w, uint64_t size, uint64_t *ret_ttl,
                                unsigned *ret_priority)
{
    char text[24];
    uint8_t room[64];
    struct wire_writer wr = wire_writer(room, sizeof room);
    struct amqp_basic_properties props = {0};
    *ret_ttl = RULES_NONE;
    *ret_priority = 0;
    if (rnd(w, 4) == 0) {
        *ret_ttl = rnd(w, 5) ? 1 + rnd(w, 300) : 0;
        props.flags |= AMQP_PROP_EXPIRATION;
        props.expiration =
            slice_of(text, (size_t)snprintf(text, sizeof text, "%u", (unsigned)*ret_ttl));
    }
    if (rnd(w, 2)) {
        *ret_priority = (unsigned)rnd(w, 256);
        props.flags |= AMQP_PROP_PRIORITY;
        props.priority = (uint8_t)*ret_priority;
    }
    wire_put_u16(&wr, AMQP_CLASS_BASIC);
    wire_put_u16(&wr, 0);
    wire_put_u64(&wr, size);
    props_encode(&wr, &props);
    struct msg *m = msg_new(SLICE("\0\1k"), slice_of(room, wire_written(&wr)), size, true);
    m->flags = (uint16_t)(m->flags | (rnd(w, 2) ? MSG_PERSISTENT : 0));
    return m;
}

static bool is_unused(const struct world *w)
{
    for (int c = 0; c < CONSUMERS; c++) {
        if (w->consumers[c].there)
            return false;
    }
    return w->rules.expires != RULES_NONE && w->now >= w->used + w->rules.expires;
}

/* What expired in the store leaves before it counts against the limits; false: the queue itself
 * would leave. */
static bool tick_first(struct world *w)
{
    if (!w->queue->ready.paged)
        return true;
    if (is_unused(w))
        return false;
    model_expire(w);
    queue_tick(w->queue, w->now, &w->out);
    look(w);
    return true;
}

/* A dead letter may be made of a message that never was in the queue. */
static void see_refusal(struct world *w, struct op *op, const struct msg *m)
{
    bool buried = false;
    queue_step(w->queue, op, w->now, &w->out);
    for (size_t i = 0; i < w->out.dead_count; i++) {
        struct dead_letter *d = &w->out.dead[i];
        if (d->msg != m)
            continue;
        bug_on(d->death != DEATH_MAXLEN);
        buried = true;
        msg_unref(d->msg);
        *d = w->out.dead[--w->out.dead_count];
    }
    bug_on(buried != (w->rules.dead_letters && w->rules.overflow == OVERFLOW_REJECT_DEAD_LETTER));
    look(w);
}

static void enqueue(struct world *w)
{
    struct op op = {.kind = OP_ENQUEUE, .flags = OP_ENQUEUE_CONFIRM};
    uint64_t size = sizeof(uint64_t) + rnd(w, 20), ttl, count, bytes, seq = w->last + 1;
    unsigned priority;
    if (seq >= MESSAGES || !tick_first(w))
        return;
    struct msg *m = make_message(w, size, &ttl, &priority);
    memcpy(m->body, &seq, sizeof seq);
    op.flags |= m->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0;
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = m, .channel = channel, .seq = ++w->published};
    model_expire(w);
    count_ready(w, &count, &bytes);
    const struct rules *r = &w->rules;
    uint64_t refused = w->refused;
    if (r->overflow != OVERFLOW_DROP_HEAD &&
        (count + 1 > r->max_length || bytes + size > r->max_bytes)) {
        see_refusal(w, &op, m);
        bug_on(w->refused != refused + 1);
        return;
    }
    ttl = ttl < r->ttl ? ttl : r->ttl;
    w->messages[++w->last] =
        (struct model_message){.state = READY,
                               .persistent = m->flags & MSG_PERSISTENT,
                               .size = size,
                               .expiry = ttl == RULES_NONE ? 0 : w->now + ttl,
                               .level = priority < r->max_priority ? priority : r->max_priority,
                               .died = ALIVE,
                               .buried = ALIVE};
    if (count || !anybody(w)) {
        if (!r->ttl && !r->dead_letters)
            model_death(w, w->last, DEATH_EXPIRED);
        model_drop_head(w);
        model_expire(w);
    }
    step(w, &op);
    bug_on(w->refused != refused);
}

static void consume(struct world *w, int c)
{
    struct op op = {.kind = OP_CONSUME};
    struct consume_request *r = NEW(struct consume_request);
    r->channel = channel;
    r->number = (uint32_t)c;
    r->tag = slice_dup(SLICE("t"));
    r->queue = slice_dup(SLICE("q"));
    r->user = slice_dup(SLICE("u"));
    r->args = slice_dup(SLICE_EMPTY);
    r->priority = (int64_t)rnd(w, 3);
    r->no_ack = rnd(w, 3) == 0;
    r->prefetch = r->no_ack ? 0 : (uint32_t)rnd(w, 4);
    r->window = 1 + (uint32_t)rnd(w, 5);
    w->consumers[c].there = true;
    w->consumers[c].no_ack = r->no_ack;
    w->consumers[c].prefetch = r->prefetch;
    w->consumers[c].window = r->window;
    w->consumers[c].unacked = 0;
    op_body(&op, struct op_consume)->request = r;
    model_expire(w);
    step(w, &op);
}

static struct op consumer_op(struct world *w, enum op_symbol kind, int c)
{
    struct op op = {.kind = (uint16_t)kind, .n = (uint32_t)c};
    *op_body(&op, struct op_consumer) = (struct op_consumer){
        .consumer = w->consumers[c].number, .serial = w->consumers[c].serial, .channel = channel};
    model_expire(w);
    return op;
}

static void cancel(struct world *w, int c)
{
    struct op op = consumer_op(w, OP_CANCEL, c);
    w->consumers[c].there = false;
    w->used = w->now;
    for (size_t i = 0; i < w->held_count; i++) {
        if (w->held[i].consumer == c)
            w->held[i].consumer = -1;
    }
    step(w, &op);
}

static void credit(struct world *w, int c)
{
    struct op op = consumer_op(w, OP_CREDIT, c);
    op.n = 1 + (uint32_t)rnd(w, 3);
    w->consumers[c].window += op.n;
    step(w, &op);
}

static void settle(struct world *w)
{
    struct op op = {.kind = OP_SETTLE, .flags = (uint16_t)rnd(w, 3)};
    struct op_settle *in = op_body(&op, struct op_settle);
    in->slots = NULL;
    if (!w->held_count || !tick_first(w))
        return;
    model_expire(w);
    while (w->held_count && op.n < SETTLE_INLINE && (op.n == 0 || rnd(w, 2))) {
        size_t i = rnd(w, w->held_count);
        struct held h = w->held[i];
        struct model_message *m = &w->messages[h.seq];
        w->held[i] = w->held[--w->held_count];
        in->inline_slots[op.n++] = h.slot;
        if (h.consumer >= 0)
            w->consumers[h.consumer].unacked--;
        m->state = op.flags == SETTLE_REQUEUE ? READY : GONE;
        m->redelivered |= op.flags == SETTLE_REQUEUE;
        if (op.flags == SETTLE_REJECT)
            model_death(w, h.seq, DEATH_REJECTED);
    }
    if (op.flags == SETTLE_REQUEUE) {
        model_drop_head(w);
        model_expire(w);
    }
    step(w, &op);
}

static void ask(struct world *w, enum op_symbol kind)
{
    struct op op = {.kind = (uint16_t)kind,
                    .flags = kind == OP_GET && rnd(w, 2) ? OP_GET_NO_ACK : 0};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = channel, .cookie = w->get_last};
    if (kind == OP_GET)
        w->gets[w->get_last++] = op.flags & OP_GET_NO_ACK;
    model_expire(w);
    if (kind != OP_PURGE) {
        w->used = w->now;
        step(w, &op);
        return;
    }
    /* effects are applied while the model still knows what was ready */
    queue_step(w->queue, &op, w->now, &w->out);
    apply_effects(w);
    for (uint64_t s = 1; s <= w->last; s++) {
        if (w->messages[s].state == READY)
            w->messages[s].state = GONE;
    }
    look(w);
}

/* Time goes by; the timer may be late. */
static void wait(struct world *w)
{
    w->now += rnd(w, 60);
    if (rnd(w, 3) == 0)
        return;
    bool unused = is_unused(w);
    model_expire(w);
    queue_tick(w->queue, w->now, &w->out);
    look(w);
    bug_on(w->gone != unused);
}

/* ---- what always holds ---- */

static void check_deadline(const struct world *w)
{
    uint64_t deadline = bounds_deadline(w->queue);
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        if (m->state != READY || !m->expiry)
            continue;
        if (!is_away(w, s))
            bug_on(!deadline || deadline > m->expiry);
        else if (!w->queue->paging->reading)
            bug_on(!deadline || deadline > m->expiry);
    }
    if (w->rules.expires != RULES_NONE && !w->queue->consumers.count)
        bug_on(!deadline || deadline > w->used + w->rules.expires);
}

/* Late is what the timer did not take yet. */
static bool is_late(const struct world *w, const struct model_message *m)
{
    return m->state == READY && m->expiry && m->expiry <= w->now;
}

/* What is in memory, what is in extents, and what it costs. */
static void check_paging(const struct world *w)
{
    struct ready *r = &w->queue->ready;
    uint64_t away = 0, bytes = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        bug_on(m->state == HELD && is_away(w, s));
        bug_on(m->state == GONE && w->store.messages[s].there);
        bug_on((m->state == READY || m->state == HELD) && m->persistent &&
               !w->store.messages[s].there && m->told != READY);
        away += m->state == READY && is_away(w, s);
        bytes += m->state == READY && is_away(w, s) ? m->size : 0;
    }
    bug_on((r->paged ? r->paged->count : 0) != away || (r->paged ? r->paged->bytes : 0) != bytes);
    if (w->queue->paging && w->queue->paging->reading)
        bug_on(!w->store.read_count);
    if (w->get_first != w->get_last)
        bug_on(!is_away(w, first_ready(w)) || !w->queue->paging->reading);
    if (is_over(w))
        bug_on(!is_away(w, first_ready(w)) || !w->queue->paging->reading);
}

static void check(struct world *w)
{
    uint64_t ready = 0, bytes = 0, held = 0, held_bytes = 0;
    bool late = false;
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        ready += m->state == READY;
        bytes += m->state == READY ? m->size : 0;
        held += m->state == HELD;
        held_bytes += m->state == HELD ? m->size : 0;
        late |= is_late(w, m);
        bug_on((m->told == GONE) != (m->state == GONE));
        bug_on(m->died != m->buried);
    }
    struct queue_counts counts = queue_count(w->queue);
    bug_on(counts.ready != ready || counts.unacked != held);
    bug_on(counts.ready_bytes != bytes || counts.unacked_bytes != held_bytes);
    bug_on(w->answered != w->published);
    if (ready && !late && anybody(w))
        bug_on(!is_away(w, first_ready(w)) || !w->queue->paging->reading);
    check_deadline(w);
    check_paging(w);
}

/* The queue starts anew from what the store has. */
static void restart(struct world *w)
{
    struct queue_level levels[256];
    struct queue_def *def = queue_def_ref(w->queue->def);
    size_t n = queue_store_restart(&w->store, levels);
    queue_free(w->queue);
    w->queue = queue_new(def, true, w->now);
    queue_restore(w->queue, levels, n, w->last + 1);
    w->used = w->now;
    w->held_count = 0;
    w->get_first = w->get_last;
    for (int c = 0; c < CONSUMERS; c++)
        w->consumers[c].there = false;
    for (uint64_t s = 1; s <= w->last; s++) {
        struct model_message *m = &w->messages[s];
        if (m->state != READY && m->state != HELD)
            continue;
        m->state = w->store.messages[s].there ? READY : GONE;
        m->told = m->state;
    }
    queue_tick(w->queue, w->now, &w->out);
    look(w);
}

static void burst(struct world *w)
{
    for (uint64_t n = w->limits.window ? rnd(w, 8) : 1; n--;)
        enqueue(w);
}

static void operate(struct world *w)
{
    int c = (int)rnd(w, CONSUMERS);
    if (w->limits.window && rnd(w, 80) == 0)
        restart(w);
    if (rnd(w, 3) == 0)
        answer_page(w);
    if (w->gone)
        return;
    switch (rnd(w, 14)) {
    case 0:
        if (!w->consumers[c].there)
            consume(w, c);
        break;
    case 1:
        if (w->consumers[c].there && rnd(w, 3) == 0)
            cancel(w, c);
        break;
    case 2:
    case 3:
        if (w->consumers[c].there)
            credit(w, c);
        break;
    case 4:
    case 5:
    case 6:
        settle(w);
        break;
    case 7:
        ask(w, rnd(w, 4) ? OP_GET : OP_STAT);
        break;
    case 8:
        if (rnd(w, 10) == 0)
            ask(w, OP_PURGE);
        break;
    case 9:
        wait(w);
        break;
    default:
        burst(w);
    }
}

/* ---- a run ---- */

static void on_panic(int fd)
{
    dprintf(fd, "  again: sim_queue 1 %llu\n", (unsigned long long)current_seed);
}

static uint64_t choose(struct world *w, struct buf *args, const char *name, uint64_t below)
{
    if (rnd(w, 3))
        return RULES_NONE;
    uint64_t n = rnd(w, below);
    table_put_i64(args, slice_str(name), (int64_t)n);
    return n;
}

/* A third of the queues is plain. */
static void choose_rules(struct world *w, struct buf *args)
{
    static const char *const words[] = {"drop-head", "reject-publish", "reject-publish-dlx"};
    struct rules *r = &w->rules;
    *r = (struct rules){.ttl = RULES_NONE,
                        .expires = RULES_NONE,
                        .max_length = RULES_NONE,
                        .max_bytes = RULES_NONE};
    if (rnd(w, 3) == 0)
        return;
    r->ttl = choose(w, args, "x-message-ttl", 300);
    if (rnd(w, 4) == 0)
        r->expires = choose(w, args, "x-expires", 400);
    uint64_t scale = w->limits.window && rnd(w, 2) ? 8 : 1;
    r->max_length = choose(w, args, "x-max-length", 30 * scale);
    r->max_bytes = choose(w, args, "x-max-length-bytes", 400 * scale);
    uint64_t max = choose(w, args, "x-max-priority", 256);
    r->max_priority = max == RULES_NONE ? 0 : (unsigned)max;
    r->overflow = (enum overflow)rnd(w, 3);
    table_put_str(args, SLICE("x-overflow"), slice_str(words[r->overflow]));
    r->dead_letters = rnd(w, 2);
    if (r->dead_letters)
        table_put_str(args, SLICE("x-dead-letter-exchange"), SLICE("dlx"));
}

/* A quarter keeps all in memory. */
static void choose_limits(struct world *w)
{
    if (rnd(w, 4) == 0)
        return;
    w->limits = (struct paging_limits){.window = 1 + (uint32_t)rnd(w, 24),
                                       .window_bytes = 1 + rnd(w, 500),
                                       .chunk_bytes = 1 + rnd(w, 120),
                                       .portion = 1 + (uint32_t)rnd(w, 20),
                                       .portion_bytes = 1 + rnd(w, 400),
                                       .extent = 1 + (uint32_t)rnd(w, 30),
                                       .shard_bytes = rnd(w, 100000),
                                       .transient_bytes = rnd(w, 2) ? 0 : rnd(w, 100000),
                                       .pace_bytes = UINT64_MAX};
    w->pool.limits = &w->limits;
}

static void run(uint64_t seed)
{
    struct world *w = NEW(struct world);
    struct queue_def *def = NEW(struct queue_def);
    struct buf args = BUF_INIT;
    current_seed = seed;
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    w->now = w->used = 1000;
    choose_limits(w);
    choose_rules(w, &args);
    def->refs = 1;
    def->name = SLICE("q");
    def->addr = (struct addr){.slot = 2, .gen = 1};
    def->args = buf_slice(&args);
    w->queue = queue_new(def, true, w->now);
    w->out.pool = &w->pool;
    w->out.log = &w->log;
    w->log.all = true;
    for (int i = 0; i < STEPS && !w->gone; i++) {
        operate(w);
        if (!w->gone)
            check(w);
    }
    queue_store_forget_reads(&w->store);
    queue_free(w->queue);
    queue_out_fini(&w->out);
    ready_pool_fini(&w->pool);
    buf_fini(&args);
    free(w->log.effects);
    free(w);
}

int main(int argc, char **argv)
{
    bug_on_panic(on_panic);
    return workers_main(argc, argv, SEEDS, run);
}
