/* Why a queue delivers nothing: the verdict, and what keeps each consumer. */
#include "base/table.h"
#include "broker/msg.h"
#include "broker/queue/explain.h"
#include "broker/queue/queue_priv.h"
#include "unit.h"

#include <stdlib.h>

enum { NOW = 1000 };

struct rig {
    struct queue *q;
    struct queue_out out;
    struct ready_pool pool;
};

static struct queue_def *def_of(bool single, struct slice args)
{
    struct queue_def like = {
        .vhost = SLICE("/"), .name = SLICE("q"), .args = args, .single_active_consumer = single};
    struct queue_def *def = queue_def_new(&like);
    def->single_active_consumer = single;
    return def;
}

static void rig_init(struct rig *r, bool single, struct slice args)
{
    *r = (struct rig){.out = {.count = 0}};
    r->out.pool = &r->pool;
    r->q = queue_new(def_of(single, args), false, NOW);
}

/* What the queue sent is dropped; deliveries stay unacknowledged. */
static void step(struct rig *r, struct op *op)
{
    queue_step(r->q, op, NOW, &r->out);
    queue_out_flush(&r->out);
    for (size_t i = 0; i < r->out.count; i++) {
        if (r->out.ops[i].kind == OP_DELIVER)
            msg_unref(op_body(&r->out.ops[i], struct op_deliver)->msg);
    }
    r->out.count = 0;
}

static void rig_fini(struct rig *r)
{
    queue_free(r->q);
    queue_out_fini(&r->out);
    ready_pool_fini(&r->pool);
}

static void publish(struct rig *r, unsigned count)
{
    static const uint8_t names[] = {0, 1, 'q'}, header[14] = {0, 60};
    while (count--) {
        struct op op = {.kind = OP_ENQUEUE};
        op_body(&op, struct op_enqueue)->msg =
            msg_new(slice_of(names, sizeof names), slice_of(header, sizeof header), 0, true);
        step(r, &op);
    }
}

static void consume(struct rig *r, uint32_t prefetch, uint32_t window)
{
    struct consume_request *request = NEW(struct consume_request);
    request->tag = slice_dup(SLICE("tag"));
    request->user = slice_dup(SLICE("guest"));
    request->prefetch = prefetch;
    request->window = window;
    struct op op = {.kind = OP_CONSUME};
    op_body(&op, struct op_consume)->request = request;
    step(r, &op);
}

static enum queue_verdict verdict(const struct rig *r, bool starting)
{
    return queue_explain(r->q, starting, NOW).verdict;
}

static enum consumer_standing standing(const struct rig *r, uint32_t number)
{
    struct consumer_view view;
    cr_assert(queue_explain_consumer(r->q, number, &view));
    cr_assert(slice_eq_str(view.tag, "tag") && slice_eq_str(view.user, "guest"));
    return view.standing;
}

UNIT(explain, without_consumers)
{
    struct rig r;
    rig_init(&r, false, SLICE_EMPTY);
    cr_assert_eq(verdict(&r, false), QUEUE_EMPTY);
    publish(&r, 2);
    cr_assert_eq(verdict(&r, false), QUEUE_NO_CONSUMER);
    struct queue_standing s = queue_explain(r.q, false, NOW);
    cr_assert(s.ready == 2 && s.unacked == 0 && s.consumers == 0 && !s.expires && !s.has_idle);
    cr_assert_null(s.overflow);
    rig_fini(&r);
}

UNIT(explain, prefetch_and_window)
{
    struct rig r;
    rig_init(&r, false, SLICE_EMPTY);
    consume(&r, 2, 100);
    publish(&r, 2);
    cr_assert_eq(verdict(&r, false), QUEUE_HELD);
    cr_assert_eq(standing(&r, 0), CONSUMER_PREFETCH);
    publish(&r, 1);
    cr_assert_eq(verdict(&r, false), QUEUE_CONSUMERS);
    cr_assert_eq(verdict(&r, true), QUEUE_STARTING);
    consume(&r, 0, 1);
    cr_assert_eq(standing(&r, 1), CONSUMER_SLOW);
    struct consumer_view view;
    cr_assert_not(queue_explain_consumer(r.q, 2, &view));
    cr_assert(queue_explain_consumer(r.q, 0, &view));
    cr_assert(view.unacked == 2 && view.prefetch == 2 && view.active);
    rig_fini(&r);
}

UNIT(explain, channel_limit)
{
    struct rig r;
    rig_init(&r, false, SLICE_EMPTY);
    consume(&r, 0, 100);
    publish(&r, 1);
    struct op back = {.kind = OP_SETTLE, .flags = SETTLE_RETURN_UNSEEN, .n = 1};
    op_body(&back, struct op_settle)->inline_slots[0] = 0;
    step(&r, &back);
    cr_assert_eq(verdict(&r, false), QUEUE_CONSUMERS);
    cr_assert_eq(standing(&r, 0), CONSUMER_CHANNEL);
    rig_fini(&r);
}

UNIT(explain, single_active)
{
    struct rig r;
    rig_init(&r, true, SLICE_EMPTY);
    consume(&r, 1, 100);
    consume(&r, 1, 100);
    publish(&r, 2);
    cr_assert_eq(verdict(&r, false), QUEUE_CONSUMERS);
    cr_assert_eq(standing(&r, 0), CONSUMER_PREFETCH);
    cr_assert_eq(standing(&r, 1), CONSUMER_STANDBY);
    rig_fini(&r);
}

UNIT(explain, limits)
{
    struct buf args = BUF_INIT;
    struct rig r;
    table_put_i32(&args, SLICE("x-max-length"), 2);
    table_put_str(&args, SLICE("x-overflow"), SLICE("reject-publish"));
    table_put_i32(&args, SLICE("x-message-ttl"), 50);
    table_put_i32(&args, SLICE("x-expires"), 500);
    rig_init(&r, false, buf_slice(&args));
    cr_assert_not(queue_explain(r.q, false, NOW).full);
    publish(&r, 3);
    struct queue_standing s = queue_explain(r.q, false, NOW + 20);
    cr_assert(s.full && s.ready == 2 && s.max_length == 2 && s.max_bytes == UINT64_MAX);
    cr_assert_str_eq(s.overflow, "reject-publish");
    cr_assert(s.expires && s.expires_ms == 30 && s.has_idle && s.idle_ms == 480);
    cr_assert_eq(queue_explain(r.q, false, NOW + 50).verdict, QUEUE_EXPIRING);
    rig_fini(&r);
    buf_fini(&args);
}

UNIT(explain, deleted)
{
    struct rig r;
    rig_init(&r, false, SLICE_EMPTY);
    struct op destroy = {.kind = OP_QUEUE_DESTROY};
    step(&r, &destroy);
    cr_assert_eq(verdict(&r, false), QUEUE_DELETED);
    rig_fini(&r);
}

UNIT(explain, every_name_is_there)
{
    for (int i = 0; i < QUEUE_VERDICT_COUNT; i++)
        cr_assert(*queue_verdict_name((enum queue_verdict)i) &&
                  *queue_verdict_text((enum queue_verdict)i));
    for (int i = 0; i < CONSUMER_STANDING_COUNT; i++)
        cr_assert(*consumer_standing_name((enum consumer_standing)i) &&
                  *consumer_standing_text((enum consumer_standing)i));
}
