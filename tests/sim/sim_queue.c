/* A queue's step in one process, driven by a seeded stream of operations, against a naive model:
 * contents, order, redelivered flags, counters, and contents rebuilt from the effects alone.
 *
 *   sim_queue [SEEDS [FIRST]]     each seed is one run of 400 operations */
#include "base/bug.h"
#include "base/err.h"
#include "base/mem.h"
#include "broker/msg.h"
#include "broker/queue/consumers.h"
#include "broker/queue/queue_priv.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONSUMERS = 4, MESSAGES = 1024, STEPS = 400 };
enum state { ABSENT, READY, HELD, GONE };

struct held {
    uint64_t seq;
    uint32_t slot;
    int consumer; /* -1: basic.get */
};

struct world {
    uint64_t random;
    struct queue *queue;
    struct queue_out out;
    struct ready_pool pool;
    struct effect_log log;
    /* the model, by seq */
    enum state states[MESSAGES];
    bool redelivered[MESSAGES];
    uint64_t last;
    struct held held[MESSAGES];
    size_t held_count;
    /* what the effects say */
    enum state told[MESSAGES];
    struct {
        bool there, no_ack;
        uint32_t number, serial, prefetch, unacked, window;
    } consumers[CONSUMERS];
    uint64_t confirmed, published;
};

static struct addr channel = {.slot = 1, .gen = 1};

static uint64_t rnd(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static void apply_effects(struct world *w)
{
    for (size_t i = 0; i < w->log.count; i++) {
        const struct effect *e = &w->log.effects[i];
        switch (e->kind) {
        case EFFECT_ENQ:
            w->told[e->seq] = READY;
            break;
        case EFFECT_SETTLE:
            w->told[e->seq] = GONE;
            break;
        case EFFECT_RETURN:
            break;
        case EFFECT_PURGE:
            for (uint64_t s = 1; s < e->seq; s++) {
                if (w->told[s] == READY && w->states[s] == READY)
                    w->told[s] = GONE;
            }
            break;
        }
    }
    w->log.count = 0;
}

static void hold(struct world *w, const struct op_deliver *d, int consumer, bool redelivered)
{
    bug_on(w->states[d->seq] != READY);
    bug_on(redelivered != w->redelivered[d->seq]);
    for (uint64_t s = 1; s < d->seq; s++)
        bug_on(w->states[s] == READY); /* the first in order always goes first */
    if (d->slot == SLOT_NO_ACK) {
        w->states[d->seq] = GONE;
    } else {
        w->states[d->seq] = HELD;
        w->held[w->held_count++] = (struct held){d->seq, d->slot, consumer};
    }
    msg_unref(d->msg);
}

static void see_delivery(struct world *w, const struct op *op)
{
    const struct op_deliver *d = (const struct op_deliver *)(const void *)op->body;
    int c = (int)op->n;
    bug_on(!w->consumers[c].there || !w->consumers[c].window);
    w->consumers[c].window--;
    bug_on((d->slot == SLOT_NO_ACK) != w->consumers[c].no_ack);
    if (!w->consumers[c].no_ack) {
        w->consumers[c].unacked++;
        bug_on(w->consumers[c].prefetch && w->consumers[c].unacked > w->consumers[c].prefetch);
    }
    hold(w, d, c, op->flags & OP_DELIVER_REDELIVERED);
}

static void see(struct world *w, const struct op *op)
{
    switch (op->kind) {
    case OP_DELIVER:
        see_delivery(w, op);
        break;
    case OP_GET_OK:
        hold(w, (const struct op_deliver *)(const void *)op->body, -1,
             op->flags & OP_DELIVER_REDELIVERED);
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
        bug_on(in->first != w->confirmed + 1);
        w->confirmed = in->last;
        break;
    }
    default:
        break;
    }
}

static void step(struct world *w, struct op *op)
{
    queue_step(w->queue, op, &w->out);
    queue_out_flush(&w->out);
    for (size_t i = 0; i < w->out.count; i++)
        see(w, &w->out.ops[i]);
    w->out.count = 0;
    apply_effects(w);
    queue_sweep(w->queue, &w->pool, 3);
}

/* ---- operations ---- */

static void enqueue(struct world *w)
{
    struct op op = {.kind = OP_ENQUEUE, .flags = OP_ENQUEUE_CONFIRM};
    if (w->last + 1 >= MESSAGES)
        return;
    struct msg *m = msg_new(SLICE("\0\1k"), SLICE("\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0"), 1, true);
    m->body[0] = 'x';
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = m, .channel = channel, .seq = ++w->published};
    w->states[++w->last] = READY;
    step(w, &op);
}

static void consume(struct world *w, int c)
{
    struct consume_request *r = NEW(struct consume_request);
    struct op op = {.kind = OP_CONSUME};
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
    step(w, &op);
}

static void cancel(struct world *w, int c)
{
    struct op op = {.kind = OP_CANCEL, .n = (uint32_t)c};
    *op_body(&op, struct op_consumer) = (struct op_consumer){
        .consumer = w->consumers[c].number, .serial = w->consumers[c].serial, .channel = channel};
    w->consumers[c].there = false;
    for (size_t i = 0; i < w->held_count; i++) {
        if (w->held[i].consumer == c)
            w->held[i].consumer = -1;
    }
    step(w, &op);
}

static void credit(struct world *w, int c)
{
    struct op op = {.kind = OP_CREDIT, .n = 1 + (uint32_t)rnd(w, 3)};
    *op_body(&op, struct op_consumer) = (struct op_consumer){
        .consumer = w->consumers[c].number, .serial = w->consumers[c].serial, .channel = channel};
    w->consumers[c].window += op.n;
    step(w, &op);
}

static void settle(struct world *w)
{
    struct op op = {.kind = OP_SETTLE, .flags = (uint16_t)rnd(w, 3)};
    struct op_settle *in = op_body(&op, struct op_settle);
    in->slots = NULL;
    while (w->held_count && op.n < SETTLE_INLINE && (op.n == 0 || rnd(w, 2))) {
        size_t i = rnd(w, w->held_count);
        struct held h = w->held[i];
        w->held[i] = w->held[--w->held_count];
        in->inline_slots[op.n++] = h.slot;
        if (h.consumer >= 0)
            w->consumers[h.consumer].unacked--;
        w->states[h.seq] = op.flags == SETTLE_REQUEUE ? READY : GONE;
        w->redelivered[h.seq] |= op.flags == SETTLE_REQUEUE;
    }
    if (op.n)
        step(w, &op);
}

static void ask(struct world *w, enum op_symbol kind)
{
    struct op op = {.kind = (uint16_t)kind,
                    .flags = kind == OP_GET && rnd(w, 2) ? OP_GET_NO_ACK : 0};
    *op_body(&op, struct op_queue_query) = (struct op_queue_query){.reply_to = channel};
    if (kind == OP_PURGE) {
        /* effects are applied while the model still knows what was ready */
        queue_step(w->queue, &op, &w->out);
        w->out.count = 0;
        apply_effects(w);
        for (uint64_t s = 1; s <= w->last; s++) {
            if (w->states[s] == READY)
                w->states[s] = GONE;
        }
        return;
    }
    step(w, &op);
}

/* ---- what always holds ---- */

static void check(struct world *w)
{
    uint64_t ready = 0, held = 0;
    for (uint64_t s = 1; s <= w->last; s++) {
        ready += w->states[s] == READY;
        held += w->states[s] == HELD;
        bug_on((w->told[s] == GONE) != (w->states[s] == GONE));
    }
    struct queue_counts counts = queue_count(w->queue);
    bug_on(counts.ready != ready || counts.unacked != held);
    bug_on(counts.ready_bytes != ready || counts.unacked_bytes != held);
    bug_on(w->confirmed != w->published);
    for (int c = 0; ready && c < CONSUMERS; c++) {
        bool can = w->consumers[c].there && w->consumers[c].window &&
                   (w->consumers[c].no_ack || !w->consumers[c].prefetch ||
                    w->consumers[c].unacked < w->consumers[c].prefetch);
        bug_on(can);
    }
}

static void operate(struct world *w)
{
    int c = (int)rnd(w, CONSUMERS);
    switch (rnd(w, 12)) {
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
        ask(w, OP_GET);
        break;
    case 8:
        if (rnd(w, 10) == 0)
            ask(w, OP_PURGE);
        break;
    default:
        enqueue(w);
    }
}

static void run(uint64_t seed)
{
    struct world *w = NEW(struct world);
    struct queue_def *def = NEW(struct queue_def);
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    def->refs = 1;
    def->name = SLICE("q");
    def->addr = (struct addr){.slot = 2, .gen = 1};
    w->queue = queue_new(def);
    w->out.pool = &w->pool;
    w->out.log = &w->log;
    for (int i = 0; i < STEPS; i++) {
        operate(w);
        check(w);
    }
    queue_free(w->queue);
    queue_out_fini(&w->out);
    ready_pool_fini(&w->pool);
    free(w->log.effects);
    free(w);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    for (uint64_t s = first; s < first + seeds; s++)
        run(s);
    printf("%llu seeds, no invariant broken\n", (unsigned long long)seeds);
    return 0;
}
