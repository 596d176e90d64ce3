/* Confirms of a long queue keep publishers in step with its consumers, if these nearly keep up. */
#include "base/table.h"
#include "broker/msg.h"
#include "broker/queue/pace.h"
#include "unit.h"

#include <stdlib.h>

enum { AHEAD = 4, CHUNK = 128, PERIOD_MS = 100, RUN = 32 };

static const struct paging_limits limits = {.window = 1 << 20,
                                            .window_bytes = 1 << 30,
                                            .chunk_bytes = 1 << 20,
                                            .portion = 100,
                                            .portion_bytes = 1 << 20,
                                            .extent = 100,
                                            .shard_bytes = 1 << 30,
                                            .transient_bytes = 1 << 30,
                                            .pace_bytes = 100,
                                            .pace_ahead = AHEAD};

struct rig {
    struct queue *q;
    struct queue_out out;
    struct ready_pool pool;
    struct op consumer; /* the answer to consume */
    uint64_t now, published, confirmed, delivered;
};

static void rig_init(struct rig *r)
{
    struct queue_def like = {.vhost = SLICE("/"), .name = SLICE("q")};
    *r = (struct rig){.now = 1000, .pool.limits = &limits};
    r->out.pool = &r->pool;
    r->q = queue_new(queue_def_new(&like), false, r->now);
}

static void look(struct rig *r)
{
    queue_out_flush(&r->out);
    for (size_t i = 0; i < r->out.count; i++) {
        const struct op *op = &r->out.ops[i];
        if (op->kind == OP_DELIVER) {
            msg_unref(op_body(op, const struct op_deliver)->msg);
            r->delivered++;
        } else if (op->kind == OP_CONFIRM) {
            const struct op_confirm *in = op_body(op, const struct op_confirm);
            cr_assert(in->first == r->confirmed + 1 && !(op->flags & OP_CONFIRM_NACK));
            r->confirmed = in->last;
        } else if (op->kind == OP_CONSUME_REPLY) {
            r->consumer = *op;
        }
    }
    r->out.count = 0;
}

static void step(struct rig *r, struct op *op)
{
    queue_step(r->q, op, r->now, &r->out);
    look(r);
}

static void publish(struct rig *r, unsigned count)
{
    static const uint8_t names[] = {0, 1, 'q'}, header[14] = {0, 60};
    while (count--) {
        struct op op = {.kind = OP_ENQUEUE, .flags = OP_ENQUEUE_CONFIRM};
        struct op_enqueue *in = op_body(&op, struct op_enqueue);
        in->channel = (struct addr){.slot = 7, .gen = 1};
        in->seq = ++r->published;
        in->msg = msg_new(slice_of(names, sizeof names), slice_of(header, sizeof header), 0, true);
        step(r, &op);
    }
}

static void consume(struct rig *r, uint32_t window)
{
    struct consume_request *request = NEW(struct consume_request);
    request->tag = slice_dup(SLICE("tag"));
    request->user = slice_dup(SLICE("guest"));
    request->no_ack = true;
    request->window = window;
    struct op op = {.kind = OP_CONSUME};
    op_body(&op, struct op_consume)->request = request;
    step(r, &op);
}

/* The consumer takes so many more. */
static void take(struct rig *r, uint32_t count)
{
    struct op op = {.kind = OP_CREDIT, .n = count};
    *op_body(&op, struct op_consumer) = *op_body(&r->consumer, const struct op_consumer);
    step(r, &op);
}

static void wait(struct rig *r, uint64_t ms)
{
    r->now += ms;
    queue_tick(r->q, r->now, &r->out);
    look(r);
}

static void rig_fini(struct rig *r)
{
    queue_free(r->q);
    queue_out_fini(&r->out);
    ready_pool_fini(&r->pool);
}

UNIT(pace, nobody_consumes)
{
    struct rig r;
    rig_init(&r);
    publish(&r, 3 * CHUNK);
    cr_assert_eq(r.confirmed, 3 * CHUNK);
    rig_fini(&r);
}

static void has_state(const struct rig *r, const char *wanted)
{
    struct value state = queue_column(r->q, "state");
    cr_assert(state.type == VALUE_TEXT && slice_eq_str(state.bytes, wanted));
    value_fini(&state);
}

/* From the chunk on that makes it long. */
UNIT(pace, in_step)
{
    struct rig r;
    rig_init(&r);
    consume(&r, 1);
    publish(&r, 1 + CHUNK);
    cr_assert_eq(r.confirmed, 1 + CHUNK);
    publish(&r, 100);
    cr_assert_eq(r.confirmed, 1 + CHUNK + AHEAD);
    has_state(&r, "flow");
    take(&r, 40);
    cr_assert_eq(r.delivered, 41);
    cr_assert_eq(r.confirmed, 1 + CHUNK + AHEAD + RUN);
    cr_assert_eq(r.out.deadline_ms, r.now + PERIOD_MS);
    rig_fini(&r);
}

UNIT(pace, at_most_a_period)
{
    struct rig r;
    rig_init(&r);
    consume(&r, 1);
    publish(&r, 1 + CHUNK + 100);
    take(&r, 40);
    wait(&r, PERIOD_MS - 1);
    cr_assert_lt(r.confirmed, r.published);
    wait(&r, 1);
    cr_assert_eq(r.confirmed, r.published);
    publish(&r, 20); /* 40 of 100 is enough: on it goes */
    cr_assert_eq(r.published - r.confirmed, 20 - AHEAD);
    rig_fini(&r);
}

UNIT(pace, consumers_are_slow)
{
    struct rig r;
    rig_init(&r);
    consume(&r, 1);
    publish(&r, 1 + CHUNK + 100);
    take(&r, 20);
    wait(&r, PERIOD_MS);
    publish(&r, 1000);
    cr_assert_eq(r.confirmed, r.published);
    has_state(&r, "running");
    rig_fini(&r);
}

UNIT(pace, short_again)
{
    struct rig r;
    rig_init(&r);
    consume(&r, 1);
    publish(&r, 1 + CHUNK + 100);
    take(&r, 1000);
    cr_assert_eq(r.confirmed, 1 + CHUNK + 100);
    wait(&r, PERIOD_MS);
    cr_assert_null(r.q->pace);
    rig_fini(&r);
}

UNIT(pace, deleted)
{
    struct rig r;
    rig_init(&r);
    consume(&r, 1);
    publish(&r, 1 + CHUNK + 100);
    cr_assert_lt(r.confirmed, r.published);
    queue_die(r.q, NULL, &r.out);
    queue_finish(r.q, r.now, &r.out);
    look(&r);
    cr_assert_eq(r.confirmed, r.published);
    publish(&r, 100);
    cr_assert_eq(r.confirmed, r.published);
    rig_fini(&r);
}
