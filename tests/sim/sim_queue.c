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
#include "tests/sim/queue_model.h"
#include "tests/sim/workers.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 1000 };
#else
enum { SEEDS = 3000 };
#endif

static uint64_t current_seed; /* for panics */
static struct addr channel = {.slot = 1, .gen = 1};

/* What the store read, late. */
static void answer_page(struct world *w)
{
    struct page_answer a;
    if (!queue_store_answer(&w->store, 1 + (uint32_t)model_random(w, 10), &a))
        return;
    queue_page_in(w->queue, &a, w->now, &w->out);
    free(a.entries);
    model_look(w);
}

static void step(struct world *w, struct op *op)
{
    queue_step(w->queue, op, w->now, &w->out);
    model_look(w);
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
    if (model_random(w, 4) == 0) {
        *ret_ttl = model_random(w, 5) ? 1 + model_random(w, 300) : 0;
        props.flags |= AMQP_PROP_EXPIRATION;
        props.expiration =
            slice_of(text, (size_t)snprintf(text, sizeof text, "%u", (unsigned)*ret_ttl));
    }
    if (model_random(w, 2)) {
        *ret_priority = (unsigned)model_random(w, 256);
        props.flags |= AMQP_PROP_PRIORITY;
        props.priority = (uint8_t)*ret_priority;
    }
    wire_put_u16(&wr, AMQP_CLASS_BASIC);
    wire_put_u16(&wr, 0);
    wire_put_u64(&wr, size);
    props_encode(&wr, &props);
    struct msg *m = msg_new(SLICE("\0\1k"), slice_of(room, wire_written(&wr)), size, true);
    m->flags = (uint16_t)(m->flags | (model_random(w, 2) ? MSG_PERSISTENT : 0));
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

/* What expired in the store leaves before it counts against the limits, and what has waited long
 * enough counts; false: the queue itself would leave. */
static bool tick_first(struct world *w)
{
    if (!w->queue->ready.paged && !w->queue->ready.later)
        return true;
    if (is_unused(w))
        return false;
    model_expire(w);
    queue_tick(w->queue, w->now, &w->out);
    model_look(w);
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
    model_look(w);
}

/* Of what waits. */
static unsigned later_level(const struct world *w)
{
    return w->rules.max_priority == 255 ? 256 : 255;
}

static void enqueue(struct world *w)
{
    struct op op = {.kind = OP_ENQUEUE, .flags = OP_ENQUEUE_CONFIRM};
    uint64_t size = sizeof(uint64_t) + model_random(w, 20), ttl, n, bytes, later, later_bytes;
    uint64_t uid = w->uids + 1;
    unsigned priority;
    if (uid >= MESSAGES || w->last + MESSAGES >= PLACES || !tick_first(w))
        return;
    struct msg *m = make_message(w, size, &ttl, &priority);
    memcpy(m->body, &uid, sizeof uid);
    w->uids = uid;
    op.flags |= m->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0;
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = m, .channel = channel, .seq = ++w->published};
    model_expire(w);
    model_count(w, READY, &n, &bytes);
    model_count(w, WAITING, &later, &later_bytes);
    const struct rules *r = &w->rules;
    uint64_t refused = w->refused;
    if (r->overflow != OVERFLOW_DROP_HEAD &&
        (n + later + 1 > r->max_length || bytes + later_bytes + size > r->max_bytes)) {
        see_refusal(w, &op, m);
        bug_on(w->refused != refused + 1);
        return;
    }
    ttl = ttl < r->ttl ? ttl : r->ttl;
    unsigned level = priority < r->max_priority ? priority : r->max_priority;
    uint64_t expiry = ttl == RULES_NONE ? 0 : w->now + ttl;
    model_place(w, ++w->last,
                &(struct model_message){.uid = uid,
                                        .state = r->delay ? WAITING : READY,
                                        .persistent = m->flags & MSG_PERSISTENT,
                                        .size = size,
                                        .ttl = ttl,
                                        .expiry = r->delay ? w->now + r->delay : expiry,
                                        .level = r->delay ? later_level(w) : level,
                                        .own_level = level,
                                        .died = ALIVE,
                                        .buried = ALIVE});
    if (!r->delay && (n || !model_anybody(w))) {
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
    r->priority = (int64_t)model_random(w, 3);
    r->no_ack = model_random(w, 3) == 0;
    r->prefetch = r->no_ack ? 0 : (uint32_t)model_random(w, 4);
    r->window = 1 + (uint32_t)model_random(w, 5);
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
    if (!tick_first(w))
        return;
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
    op.n = 1 + (uint32_t)model_random(w, 3);
    w->consumers[c].window += op.n;
    step(w, &op);
}

/* A message that a client gave back. */
static void model_return(struct world *w, uint64_t seq, enum settle_how how)
{
    struct model_message *m = &w->messages[seq];
    uint64_t ms = model_back_off(w, how, ++m->count);
    m->redelivered = true;
    m->state = READY;
    if (ms)
        model_move(w, seq, WAITING, later_level(w), w->now + ms);
}

static void settle(struct world *w)
{
    struct op op = {.kind = OP_SETTLE, .flags = (uint16_t)model_random(w, SETTLE_RETURN_UNSEEN)};
    bool returned = op.flags == SETTLE_REQUEUE || op.flags == SETTLE_FAILED;
    struct op_settle *in = op_body(&op, struct op_settle);
    in->slots = NULL;
    if (!w->held_count || w->last + MESSAGES >= PLACES || !tick_first(w))
        return;
    model_expire(w);
    while (w->held_count && op.n < SETTLE_INLINE && (op.n == 0 || model_random(w, 2))) {
        size_t i = model_random(w, w->held_count);
        struct held h = w->held[i];
        w->held[i] = w->held[--w->held_count];
        in->inline_slots[op.n++] = h.slot;
        if (h.consumer >= 0)
            w->consumers[h.consumer].unacked--;
        w->messages[h.seq].state = GONE;
        if (returned)
            model_return(w, h.seq, (enum settle_how)op.flags);
        if (op.flags == SETTLE_REJECT)
            model_death(w, h.seq, DEATH_REJECTED);
    }
    if (returned) {
        model_drop_head(w);
        model_expire(w);
    }
    step(w, &op);
}

static void ask(struct world *w, enum op_symbol kind)
{
    struct op op = {.kind = (uint16_t)kind,
                    .flags = kind == OP_GET && model_random(w, 2) ? OP_GET_NO_ACK : 0};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = channel, .cookie = w->get_last};
    if (kind == OP_PURGE && !tick_first(w))
        return;
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
    model_apply_effects(w);
    for (uint64_t s = 1; s <= w->last; s++) {
        if (w->messages[s].state == READY || w->messages[s].state == WAITING)
            w->messages[s].state = GONE;
    }
    model_look(w);
}

/* Time goes by; the timer may be late. */
static void wait(struct world *w)
{
    w->now += model_random(w, 60);
    if (model_random(w, 3) == 0)
        return;
    bool unused = is_unused(w);
    model_expire(w);
    queue_tick(w->queue, w->now, &w->out);
    model_look(w);
    bug_on(w->gone != unused);
}

/* ---- what always holds ---- */

/* It is not in memory, or waits for what is not, and that is being read. */
static bool waits_for_page(const struct world *w, const struct model_message *m, uint64_t seq)
{
    const struct paging *p = w->queue->paging;
    return p && p->reading && (model_is_away(w, seq) || m->state == WAITING);
}

static void check_deadline(const struct world *w)
{
    uint64_t deadline = bounds_deadline(w->queue);
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        if ((m->state != READY && m->state != WAITING) || !m->expiry)
            continue;
        if (!waits_for_page(w, m, s))
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
        bug_on(m->state == HELD && model_is_away(w, s));
        bug_on(m->state == GONE && w->store.messages[s].msg);
        bug_on((m->state == READY || m->state == WAITING || m->state == HELD) && m->persistent &&
               !w->store.messages[s].msg && m->told != READY);
        bool there = m->state == READY || m->state == WAITING;
        away += there && model_is_away(w, s);
        bytes += there && model_is_away(w, s) ? m->size : 0;
    }
    bug_on((r->paged ? r->paged->count : 0) != away || (r->paged ? r->paged->bytes : 0) != bytes);
    if (w->queue->paging && w->queue->paging->reading)
        bug_on(!w->store.read_count);
    if (w->get_first != w->get_last)
        bug_on(!model_is_away(w, model_first(w)) || !w->queue->paging->reading);
    if (model_is_over(w))
        bug_on(!model_is_away(w, model_first(w)) || !w->queue->paging->reading);
}

/* In memory, away or held. */
static void check_persistent(const struct world *w)
{
    const struct queue *q = w->queue;
    uint64_t count = 0, bytes = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        bool there = m->state == READY || m->state == WAITING || m->state == HELD;
        count += there && m->persistent;
        bytes += there && m->persistent ? m->size : 0;
    }
    bug_on(q->ready.persistent + q->unacked.persistent != count);
    bug_on(q->ready.persistent_bytes + q->unacked.persistent_bytes != bytes);
}

static void check(struct world *w)
{
    uint64_t ready, bytes, held, held_bytes, later, later_bytes;
    bool late = false;
    model_count(w, READY, &ready, &bytes);
    model_count(w, HELD, &held, &held_bytes);
    model_count(w, WAITING, &later, &later_bytes);
    for (uint64_t s = 1; s <= w->last; s++) {
        const struct model_message *m = &w->messages[s];
        late |= is_late(w, m);
        bug_on((m->told == GONE) != (m->state == GONE));
        bug_on(m->died != m->buried);
    }
    struct queue_counts counts = queue_count(w->queue);
    bug_on(counts.ready != ready || counts.unacked != held || counts.later != later);
    bug_on(counts.ready_bytes != bytes || counts.unacked_bytes != held_bytes);
    bug_on(counts.later_bytes != later_bytes);
    bug_on(w->answered != w->published);
    if (ready && !late && model_anybody(w))
        bug_on(!model_is_away(w, model_first(w)) || !w->queue->paging->reading);
    check_deadline(w);
    check_paging(w);
    check_persistent(w);
}

/* The queue starts anew from what the store has. */
static void restart(struct world *w)
{
    struct queue_level levels[READY_LEVELS];
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
        if (m->state != READY && m->state != WAITING && m->state != HELD)
            continue;
        if (m->state == HELD)
            m->state = READY;
        m->state = w->store.messages[s].msg ? m->state : GONE;
        m->told = m->state == GONE ? GONE : READY;
    }
    queue_tick(w->queue, w->now, &w->out);
    model_look(w);
}

static void burst(struct world *w)
{
    for (uint64_t n = w->limits.window ? model_random(w, 8) : 1; n--;)
        enqueue(w);
}

static void operate(struct world *w)
{
    int c = (int)model_random(w, CONSUMERS);
    if (w->limits.window && model_random(w, 80) == 0)
        restart(w);
    if (model_random(w, 3) == 0)
        answer_page(w);
    if (w->gone)
        return;
    switch (model_random(w, 14)) {
    case 0:
        if (!w->consumers[c].there)
            consume(w, c);
        break;
    case 1:
        if (w->consumers[c].there && model_random(w, 3) == 0)
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
        ask(w, model_random(w, 4) ? OP_GET : OP_STAT);
        break;
    case 8:
        if (model_random(w, 10) == 0)
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
    if (model_random(w, 3))
        return RULES_NONE;
    uint64_t n = model_random(w, below);
    table_put_i64(args, slice_str(name), (int64_t)n);
    return n;
}

/* What comes, and what is given back, is ready later. */
static void choose_waiting(struct world *w, struct buf *args)
{
    static const char *const types[] = {"disabled", "all", "failed", "returned"};
    struct rules *r = &w->rules;
    uint64_t delay = choose(w, args, "x-delay", 200), min, max;
    r->delay = delay == RULES_NONE ? 0 : delay;
    r->retry.type = (enum retry_type)model_random(w, 4);
    table_put_str(args, SLICE("x-delayed-retry-type"), slice_str(types[r->retry.type]));
    r->retry.exponential = model_random(w, 2);
    if (r->retry.exponential)
        table_put_str(args, SLICE("x-delayed-retry-schedule"), SLICE("exponential"));
    min = model_random(w, 100);
    table_put_i64(args, SLICE("x-delayed-retry-min"), (int64_t)min);
    max = choose(w, args, "x-delayed-retry-max", 400);
    r->retry.min = min;
    r->retry.max = max != RULES_NONE ? max : r->retry.exponential ? 86400000 : min;
    if (!min)
        r->retry.type = RETRY_DISABLED;
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
    if (model_random(w, 3) == 0)
        return;
    r->ttl = choose(w, args, "x-message-ttl", 300);
    if (model_random(w, 4) == 0)
        r->expires = choose(w, args, "x-expires", 400);
    uint64_t scale = w->limits.window && model_random(w, 2) ? 8 : 1;
    r->max_length = choose(w, args, "x-max-length", 30 * scale);
    r->max_bytes = choose(w, args, "x-max-length-bytes", 400 * scale);
    if (model_random(w, 3) == 0) {
        r->max_priority = model_random(w, 3) ? (unsigned)model_random(w, 256) : 255;
        table_put_i64(args, SLICE("x-max-priority"), r->max_priority);
    }
    r->overflow = (enum overflow)model_random(w, 3);
    table_put_str(args, SLICE("x-overflow"), slice_str(words[r->overflow]));
    if (model_random(w, 3) == 0)
        choose_waiting(w, args);
    r->dead_letters = model_random(w, 2);
    if (r->dead_letters)
        table_put_str(args, SLICE("x-dead-letter-exchange"), SLICE("dlx"));
}

/* A quarter keeps all in memory. */
static void choose_limits(struct world *w)
{
    if (model_random(w, 4) == 0)
        return;
    w->limits =
        (struct paging_limits){.window = 1 + (uint32_t)model_random(w, 24),
                               .window_bytes = 1 + model_random(w, 500),
                               .chunk_bytes = 1 + model_random(w, 120),
                               .portion = 1 + (uint32_t)model_random(w, 20),
                               .portion_bytes = 1 + model_random(w, 400),
                               .extent = 1 + (uint32_t)model_random(w, 30),
                               .shard_bytes = model_random(w, 100000),
                               .transient_bytes = model_random(w, 2) ? 0 : model_random(w, 100000),
                               .pace_bytes = UINT64_MAX};
    w->pool.limits = &w->limits;
}

/* Whatever waits is ready at last, if the store answers. */
static void outwait(struct world *w)
{
    uint64_t later = 0, bytes;
    for (int i = 0; i < 2000; i++) {
        model_count(w, WAITING, &later, &bytes);
        if (!later || w->gone)
            return;
        w->now += 100;
        model_expire(w);
        queue_tick(w->queue, w->now, &w->out);
        model_look(w);
        for (int k = 0; k < 4 && !w->gone; k++)
            answer_page(w);
    }
    bug_on(w->rules.retry.max < 100000);
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
    for (int i = 0; i < MODEL_STEPS && !w->gone; i++) {
        operate(w);
        if (!w->gone)
            check(w);
    }
    if (!w->gone)
        outwait(w);
    queue_store_fini(&w->store);
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
