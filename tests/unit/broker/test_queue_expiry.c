/* Very many messages that expire at once: each step takes a portion of them, and consumers get what
 * is behind when all are gone. */
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/msg.h"
#include "broker/queue/consumers.h"
#include "broker/queue/extent.h"
#include "broker/queue/queue_priv.h"
#include "unit.h"

#include <stdlib.h>

enum { EXPIRING = 20000, TTL = 100, MOST = 2000 };

static const struct addr channel = {.slot = 1, .gen = 1};

struct seen {
    unsigned delivered, buried;
    uint32_t slot;
};

static struct seen look(struct queue_out *out)
{
    struct seen seen = {0};
    for (size_t i = 0; i < out->count; i++) {
        if (out->ops[i].kind != OP_DELIVER)
            continue;
        struct op_deliver *d = op_body(&out->ops[i], struct op_deliver);
        seen.delivered++;
        seen.slot = d->slot;
        msg_unref(d->msg);
    }
    for (size_t i = 0; i < out->dead_count; i++) {
        cr_expect(!i || out->dead[i].seq > out->dead[i - 1].seq, "in the order of the queue");
        msg_unref(out->dead[i].msg);
    }
    seen.buried = (unsigned)out->dead_count;
    out->count = out->dead_count = 0;
    return seen;
}

/* With a time of its own. */
static void enqueue_for(struct queue *q, unsigned ttl, uint64_t now, struct queue_out *out)
{
    static const uint8_t none[CONTENT_HEADER_FIXED + 2] = {0, 60};
    struct op op = {.kind = OP_ENQUEUE, .flags = OP_ENQUEUE_EXPIRES};
    struct buf header = BUF_INIT, text = BUF_INIT;
    buf_printf(&text, "%u", ttl);
    buf_append(&header, none, CONTENT_HEADER_FIXED);
    props_replace(slice_of(none + CONTENT_HEADER_FIXED, 2), AMQP_PROP_EXPIRATION, buf_slice(&text),
                  &header);
    struct msg *m = msg_new(SLICE("\0\1q"), buf_slice(&header), 0, true);
    m->flags |= MSG_PERSISTENT | MSG_EXPIRES;
    op_body(&op, struct op_enqueue)->msg = m;
    queue_step(q, &op, now, out);
    buf_fini(&header);
    buf_fini(&text);
}

static struct seen enqueue(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct op op = {.kind = OP_ENQUEUE};
    uint8_t header[14] = {0, 60};
    op_body(&op, struct op_enqueue)->msg =
        msg_new(SLICE("\0\1q"), slice_of(header, sizeof header), 0, true);
    queue_step(q, &op, now, out);
    return look(out);
}

static void consume(struct queue *q, struct queue_out *out)
{
    struct op op = {.kind = OP_CONSUME};
    struct consume_request *r = NEW(struct consume_request);
    r->channel = channel;
    r->tag = slice_dup(SLICE("t"));
    r->prefetch = 1;
    r->window = 100;
    op_body(&op, struct op_consume)->request = r;
    queue_step(q, &op, 0, out);
    look(out);
}

UNIT(queue, expires_in_portions)
{
    struct ready_pool pool = {.count = 0};
    struct queue_out out = {.pool = &pool};
    struct buf args = BUF_INIT;
    struct queue_def *def = NEW(struct queue_def);
    table_put_i64(&args, SLICE("x-message-ttl"), TTL);
    table_put_str(&args, SLICE("x-dead-letter-exchange"), SLICE("dead"));
    def->refs = 1;
    def->addr = (struct addr){.slot = 2, .gen = 1};
    def->args = buf_slice(&args);
    struct queue *q = queue_new(def, false, 0);
    consume(q, &out);
    struct seen held = enqueue(q, 0, &out);
    cr_assert_eq(held.delivered, 1);
    for (int i = 0; i < EXPIRING; i++)
        enqueue(q, 0, &out);
    unsigned buried = enqueue(q, TTL - 1, &out).buried;
    cr_assert_eq(buried, 0);

    struct op ack = {.kind = OP_SETTLE, .flags = SETTLE_ACK, .n = 1};
    op_body(&ack, struct op_settle)->inline_slots[0] = held.slot;
    queue_step(q, &ack, TTL, &out);
    struct seen seen = look(&out);
    for (int ticks = 0; !seen.delivered; ticks++) {
        cr_assert_leq(seen.buried, MOST);
        buried += seen.buried;
        cr_assert_leq(out.deadline_ms, TTL);
        cr_assert_lt(ticks, EXPIRING);
        queue_tick(q, TTL, &out);
        seen = look(&out);
    }
    cr_assert_eq(buried + seen.buried, EXPIRING);
    queue_free(q);
    queue_out_fini(&out);
    ready_pool_fini(&pool);
    buf_fini(&args);
}

static void forget_effects(struct queue_out *out)
{
    struct effect_log *log = out->log;
    for (size_t i = 0; i < log->count; i++) {
        if (log->effects[i].msg)
            msg_unref(log->effects[i].msg);
    }
    log->count = 0;
    ready_sweep(&out->paged_out, out->pool, UINT32_MAX);
    out->extents_changed = out->extents_left = false;
}

/* What is around it may become one run: reads of that have to see that this went. */
UNIT(queue, marks_a_run_that_expired_unseen)
{
    static const struct paging_limits limits = {.window = 2,
                                                .window_bytes = 1 << 20,
                                                .chunk_bytes = 1 << 20,
                                                .portion = 10,
                                                .portion_bytes = 1 << 20,
                                                .extent = EXPIRING,
                                                .shard_bytes = 1 << 30};
    struct ready_pool pool = {.limits = &limits};
    struct effect_log log = {.count = 0};
    struct queue_out out = {.pool = &pool, .log = &log};
    struct buf args = BUF_INIT;
    struct queue_def *def = NEW(struct queue_def);
    table_put_i64(&args, SLICE("x-message-ttl"), TTL);
    def->refs = 1;
    def->args = buf_slice(&args);
    struct queue *q = queue_new(def, true, 0);
    for (int i = 0; i < MOST; i++) {
        enqueue(q, 0, &out);
        forget_effects(&out);
    }
    cr_assert_gt(q->ready.paged->count, 0);
    queue_tick(q, TTL, &out);
    cr_assert_null(q->ready.paged);
    cr_assert(out.extents_left);
    forget_effects(&out);
    queue_free(q);
    queue_out_fini(&out);
    ready_pool_fini(&pool);
    buf_fini(&args);
    free(log.effects);
}

/* Each in its own millisecond, wherever it is, and unread. */
UNIT(queue, what_is_away_expires_at_its_time)
{
    enum { MESSAGES = 5000, SPREAD = 1000 };
    static const struct paging_limits limits = {.window = 2,
                                                .window_bytes = 1 << 20,
                                                .chunk_bytes = 1 << 20,
                                                .portion = 10,
                                                .portion_bytes = 1 << 20,
                                                .extent = 1000,
                                                .shard_bytes = 1 << 30};
    static unsigned due[SPREAD];
    struct ready_pool pool = {.limits = &limits};
    struct effect_log log = {.count = 0};
    struct queue_out out = {.pool = &pool, .log = &log};
    struct queue_def *def = NEW(struct queue_def);
    def->refs = 1;
    struct queue *q = queue_new(def, true, 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        unsigned ttl = i * 7919 % SPREAD;
        due[ttl]++;
        enqueue_for(q, ttl + 1, 1, &out);
        forget_effects(&out);
    }
    cr_assert_gt(q->ready.paged->count, MESSAGES / 2);
    uint64_t left = MESSAGES;
    for (unsigned ms = 0; ms < SPREAD; ms++) {
        cr_assert_leq(queue_next_due(q), 2 + ms);
        queue_tick(q, 2 + ms, &out);
        forget_effects(&out);
        left -= due[ms];
        cr_assert_eq(queue_count(q).ready, left);
        cr_assert_eq(out.page.max_count, 0);
    }
    queue_free(q);
    queue_out_fini(&out);
    ready_pool_fini(&pool);
    free(log.effects);
}

/* What a store has of one queue, by number. */
struct kept {
    struct msg *msg;
    uint64_t expiry;
};

static void keep_effects(struct queue_out *out, struct kept *kept)
{
    struct effect_log *log = out->log;
    for (size_t i = 0; i < log->count; i++) {
        struct effect *e = &log->effects[i];
        if (e->kind == EFFECT_ENQ)
            kept[e->seq] = (struct kept){e->msg, e->expiry};
        for (uint64_t seq = e->seq; e->kind == EFFECT_SETTLE && seq <= e->last; seq++) {
            msg_unref(kept[seq].msg);
            kept[seq].msg = NULL;
        }
    }
    log->count = 0;
    ready_sweep(&out->paged_out, out->pool, UINT32_MAX);
}

/* Answers what was asked for, all of it; how many requests that took. */
static unsigned answer(struct queue *q, struct kept *kept, uint64_t now, struct queue_out *out)
{
    unsigned n = 0;
    for (; out->page.max_count; n++) {
        struct page_request r = out->page;
        struct page_answer a = {.ticket = r.ticket, .next = r.to + 1};
        a.entries = mem_alloc((r.seq_count + 1) * sizeof *a.entries);
        cr_assert_not_null(r.seqs);
        for (uint32_t i = 0; i < r.seq_count; i++) {
            const struct kept *k = &kept[r.seqs[i]];
            cr_assert_not_null(k->msg);
            a.entries[a.count++] = (struct ready_entry){
                .msg = msg_ref_n(k->msg, 1), .seq = r.seqs[i], .expiry = k->expiry};
        }
        out->page.max_count = 0;
        queue_page_in(q, &a, now, out);
        free(a.entries);
        keep_effects(out, kept);
    }
    return n;
}

/* Dead letters leave in their milliseconds too: they are read ahead, many at a time. */
UNIT(queue, dead_letters_that_are_away_leave_at_their_time)
{
    enum { MESSAGES = 20000, SPREAD = 4000, FROM = 10 };
    static const struct paging_limits limits = {.window = 2,
                                                .window_bytes = 1 << 20,
                                                .chunk_bytes = 1 << 20,
                                                .portion = 10,
                                                .portion_bytes = 1 << 20,
                                                .extent = 1000,
                                                .shard_bytes = 64 << 20};
    static unsigned due[SPREAD];
    static struct kept kept[MESSAGES + 2];
    struct ready_pool pool = {.limits = &limits};
    struct effect_log log = {.count = 0};
    struct queue_out out = {.pool = &pool, .log = &log};
    struct buf args = BUF_INIT;
    struct queue_def *def = NEW(struct queue_def);
    table_put_str(&args, SLICE("x-dead-letter-exchange"), SLICE("dead"));
    def->refs = 1;
    def->args = buf_slice(&args);
    struct queue *q = queue_new(def, true, 0);
    for (unsigned i = 0; i < MESSAGES; i++) {
        unsigned ttl = i * 7919 % SPREAD;
        due[ttl]++;
        enqueue_for(q, ttl + FROM, 1, &out);
        keep_effects(&out, kept);
        answer(q, kept, 1, &out);
    }
    cr_assert_gt(q->ready.paged->count, MESSAGES / 2);
    uint64_t left = MESSAGES, most = 0;
    unsigned reads = 0;
    for (unsigned ms = 0; ms < SPREAD; ms++) {
        uint64_t now = FROM + 1 + ms;
        cr_assert_leq(overdue_next(q, 0), now);
        queue_tick(q, now, &out);
        keep_effects(&out, kept);
        reads += answer(q, kept, now, &out);
        left -= due[ms];
        cr_assert_eq(queue_count(q).ready, left, "%u ms", ms);
        most = most > pool.bytes ? most : pool.bytes;
        for (size_t i = 0; i < out.dead_count; i++)
            msg_unref(out.dead[i].msg);
        out.dead_count = 0;
    }
    cr_assert_leq(reads, SPREAD / 200, "%u reads", reads);
    cr_assert_leq(most, MESSAGES * UINT64_C(300) / 2);
    cr_assert_eq(pool.bytes, 0);
    queue_free(q);
    queue_out_fini(&out);
    ready_pool_fini(&pool);
    buf_fini(&args);
    free(log.effects);
}
