/* How long a message waits, and a delay line as a queue: each message leaves when its own time has
 * come. */
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/delay.h"
#include "broker/exchange/exchange.h"
#include "broker/queue/queue_priv.h"
#include "tests/sim/queue_store.h"
#include "unit.h"

#include <stdlib.h>

static uint64_t delay_with(const struct table_value *value)
{
    struct buf headers = BUF_INIT;
    table_put_str(&headers, SLICE("other"), SLICE("5"));
    table_put(&headers, SLICE("x-delay"), value);
    uint64_t delay = delay_of(buf_slice(&headers));
    buf_fini(&headers);
    return delay;
}

static uint64_t delay_of_text(const char *text)
{
    struct table_value value = table_value_str(slice_str(text));
    return delay_with(&value);
}

static uint64_t delay_of_int(enum table_type type, int64_t n)
{
    return delay_with(&(struct table_value){.type = type, .integer = n});
}

static uint64_t delay_of_real(double real)
{
    return delay_with(&(struct table_value){.type = TABLE_DOUBLE, .real = real});
}

UNIT(delay, of_numbers)
{
    cr_expect_eq(delay_of(SLICE_EMPTY), 0);
    cr_expect_eq(delay_of_int(TABLE_U8, 200), 200);
    cr_expect_eq(delay_of_int(TABLE_I32, INT32_MAX), INT32_MAX);
    cr_expect_eq(delay_of_int(TABLE_I64, INT64_C(1) << 33), UINT64_C(1) << 33);
    cr_expect_eq(delay_of_int(TABLE_I64, INT64_MAX), DELAY_MAX);
    cr_expect_eq(delay_of_int(TABLE_I64, 0), 0);
    cr_expect_eq(delay_of_int(TABLE_I64, INT64_MIN), 0);
    cr_expect_eq(delay_of_real(1500.9), 1500);
    cr_expect_eq(delay_of_real(-1500.9), 0);
    cr_expect_eq(delay_of_real(1e300), DELAY_MAX);
    cr_expect_eq(delay_with(&(struct table_value){.type = TABLE_DECIMAL, .decimal = {2, 12345}}),
                 123);
}

UNIT(delay, of_other_values)
{
    cr_expect_eq(delay_of_text("1500"), 1500);
    cr_expect_eq(delay_of_text("+7"), 7);
    cr_expect_eq(delay_of_text("99999999999999999999999999"), DELAY_MAX);
    cr_expect_eq(delay_of_text(""), 0);
    cr_expect_eq(delay_of_text("+"), 0);
    cr_expect_eq(delay_of_text("-7"), 0);
    cr_expect_eq(delay_of_text("7s"), 0);
    cr_expect_eq(delay_with(&(struct table_value){.type = TABLE_BOOL, .boolean = true}), 0);
    cr_expect_eq(delay_with(&(struct table_value){.type = TABLE_TIMESTAMP, .timestamp = 9}), 0);
    cr_expect_eq(delay_with(&(struct table_value){.type = TABLE_VOID}), 0);
}

UNIT(delay, is_turned_over)
{
    struct buf headers = BUF_INIT, over = BUF_INIT;
    struct table_value value;
    table_put_str(&headers, SLICE("x-delay"), SLICE("1500"));
    table_put_str(&headers, SLICE("a"), SLICE("b"));
    delay_put_over(buf_slice(&headers), &over);
    cr_assert(table_find(buf_slice(&over), SLICE("x-delay"), &value));
    cr_expect_eq(value.type, TABLE_I32);
    cr_expect_eq(value.integer, -1500);
    cr_expect_eq(table_count(buf_slice(&over)), 2);
    cr_expect_eq(delay_of(buf_slice(&over)), 0);
    buf_clear(&headers);
    buf_clear(&over);
    table_put_i64(&headers, SLICE("x-delay"), INT64_C(1) << 40);
    delay_put_over(buf_slice(&headers), &over);
    cr_assert(table_find(buf_slice(&over), SLICE("x-delay"), &value));
    cr_expect_eq(value.integer, -(INT64_C(1) << 40));
    buf_fini(&headers);
    buf_fini(&over);
}

/* ---- the type ---- */

static const struct exchange_type *acting(const char *type)
{
    struct buf args = BUF_INIT;
    struct failure why;
    const struct exchange_type *found = NULL;
    if (type)
        table_put_str(&args, SLICE("x-delayed-type"), slice_str(type));
    if (!exchange_delayed.validate(&exchange_delayed, buf_slice(&args), &why))
        found = exchange_type_acting(SLICE("x-delayed-message"), buf_slice(&args));
    buf_fini(&args);
    return found;
}

UNIT(delay, type_acts_as_another)
{
    exchange_types_register();
    cr_expect_eq(acting("topic"), &exchange_topic);
    cr_expect_eq(acting("fanout"), &exchange_fanout);
    cr_expect_null(acting(NULL));
    cr_expect_null(acting("nonesuch"));
    cr_expect_null(acting("x-delayed-message"));
    cr_expect_eq(exchange_type_acting(SLICE("direct"), SLICE_EMPTY), &exchange_direct);
}

/* ---- the line ---- */

static struct queue *line_new(enum line_of of, struct slice args)
{
    struct queue_def *def = NEW(struct queue_def);
    def->refs = 1;
    def->line_of = of;
    def->args = args;
    return queue_new(def, false, 0);
}

static void enqueue(struct queue *q, int64_t delay, uint64_t now, struct queue_out *out)
{
    struct op op = {.kind = OP_ENQUEUE};
    struct buf header = BUF_INIT, headers = BUF_INIT;
    static const uint8_t none[CONTENT_HEADER_FIXED + 2] = {0, 60};
    buf_append(&header, none, CONTENT_HEADER_FIXED);
    table_put_i64(&headers, SLICE("x-delay"), delay);
    props_replace(slice_of(none + CONTENT_HEADER_FIXED, 2), AMQP_PROP_HEADERS, buf_slice(&headers),
                  &header);
    op_body(&op, struct op_enqueue)->msg = msg_new(SLICE("\0\1q"), buf_slice(&header), 0, true);
    queue_step(q, &op, now, out);
    buf_fini(&header);
    buf_fini(&headers);
}

/* How many are due then. */
static size_t due(struct queue *q, uint64_t now, struct queue_out *out)
{
    queue_tick(q, now, out);
    size_t n = out->dead_count;
    for (size_t i = 0; i < n; i++)
        msg_unref(out->dead[i].msg);
    out->dead_count = 0;
    return n;
}

UNIT(delay, each_leaves_at_its_time)
{
    struct ready_pool pool = {.count = 0};
    struct queue_out out = {.pool = &pool};
    struct queue *q = line_new(LINE_OF_EXCHANGE, SLICE_EMPTY);
    for (unsigned i = 0; i < 1000; i++)
        enqueue(q, 1 + (int64_t)(i * 7919 % 1000), 1, &out);
    enqueue(q, INT64_C(1) << 33, 1, &out);
    cr_expect_eq(queue_next_due(q), 2);
    for (uint64_t now = 2; now <= 1001; now++)
        cr_assert_eq(due(q, now, &out), 1);
    cr_expect_eq(queue_count(q).ready, 1);
    cr_expect_eq(queue_next_due(q), (UINT64_C(1) << 33) + 1);
    cr_expect_eq(due(q, UINT64_C(1) << 33, &out), 0);
    cr_expect_eq(due(q, (UINT64_C(1) << 33) + 1, &out), 1);
    queue_free(q);
    queue_out_fini(&out);
    ready_pool_fini(&pool);
}

UNIT(delay, of_a_queue_is_the_same_for_all)
{
    struct ready_pool pool = {.count = 0};
    struct queue_out out = {.pool = &pool};
    struct buf args = BUF_INIT;
    table_put_i64(&args, SLICE("x-delay"), 50);
    table_put_i64(&args, SLICE("x-max-length"), 1);
    struct queue *q = line_new(LINE_OF_QUEUE, buf_slice(&args));
    for (uint64_t now = 1; now <= 3; now++)
        enqueue(q, 9, now, &out);
    cr_expect_eq(due(q, 50, &out), 0);
    for (uint64_t now = 51; now <= 53; now++)
        cr_expect_eq(due(q, now, &out), 1);
    queue_free(q);
    queue_out_fini(&out);
    ready_pool_fini(&pool);
    buf_fini(&args);
}

/* ---- the order ---- */

struct rig {
    struct ready_pool pool;
    struct effect_log log;
    struct queue_out out;
    struct queue *q;
    struct queue_store store;
    uint64_t sent, last; /* of those that wait equally long, the last that left */
};

/* Of an exchange's line; limits NULL: nothing leaves memory. */
static struct rig *rig_new(const struct paging_limits *limits)
{
    struct rig *r = NEW(struct rig);
    r->pool.limits = limits;
    r->out.pool = &r->pool;
    r->out.log = &r->log;
    r->q = line_new(LINE_OF_EXCHANGE, SLICE_EMPTY);
    return r;
}

static void rig_free(struct rig *r)
{
    cr_expect_eq(queue_count(r->q).ready, 0);
    queue_store_fini(&r->store);
    queue_free(r->q);
    queue_out_fini(&r->out);
    ready_pool_fini(&r->pool);
    free(r->log.effects);
    free(r);
}

/* A third of them, if mixed, waits for times of their own. */
static void send(struct rig *r, bool mixed, uint64_t now)
{
    uint64_t n = ++r->sent;
    enqueue(r->q,
            mixed && n % 3 == 0 ? (int64_t)(n * 7919 % 3000)
            : mixed             ? 2000
                                : 1000,
            now, &r->out);
}

/* What a step gave out, to the store; what left is gone. */
static void take_over(struct rig *r)
{
    for (size_t i = 0; i < r->out.dead_count; i++)
        msg_unref(r->out.dead[i].msg);
    r->out.dead_count = 0;
    for (size_t i = 0; i < r->log.count; i++) {
        queue_store_apply(&r->store, &r->log.effects[i]);
        if (r->log.effects[i].msg)
            msg_unref(r->log.effects[i].msg);
    }
    r->log.count = 0;
    ready_sweep(&r->out.paged_out, &r->pool, UINT32_MAX);
    if (r->out.page.max_count)
        queue_store_ask(&r->store, &r->out.page, false);
    r->out.page.max_count = 0;
}

static void look(struct rig *r, bool mixed)
{
    for (size_t i = 0; i < r->out.dead_count; i++) {
        const struct dead_letter *d = &r->out.dead[i];
        if (!mixed || d->seq % 3) {
            cr_assert_gt(d->seq, r->last);
            r->last = d->seq;
        }
    }
    take_over(r);
}

static void answer(struct rig *r, bool mixed, uint64_t now)
{
    struct page_answer a;
    if (!queue_store_answer(&r->store, 40, &a))
        return;
    queue_page_in(r->q, &a, now, &r->out);
    free(a.entries);
    look(r, mixed);
}

/* The timer is late, and so is the store. */
static void run_line(const struct paging_limits *limits, bool mixed)
{
    struct rig *r = rig_new(limits);
    uint64_t now = 1;
    for (; now < 1500; now++) {
        send(r, mixed, now);
        look(r, mixed);
        if (now % 30 == 0)
            answer(r, mixed, now);
    }
    for (now = 1600; queue_count(r->q).ready && now < 30000; now += mixed ? 500 : 20) {
        queue_tick(r->q, now, &r->out);
        look(r, mixed);
        if (now % 160 == 0)
            answer(r, mixed, now);
    }
    rig_free(r);
}

UNIT(delay, equal_ones_keep_their_order)
{
    static const struct paging_limits limits = {.window = 64,
                                                .window_bytes = 1 << 20,
                                                .chunk_bytes = 1 << 20,
                                                .portion = 40,
                                                .portion_bytes = 1 << 20,
                                                .extent = 256,
                                                .transient_bytes = 48 << 10,
                                                .pace_bytes = UINT64_MAX};
    run_line(&limits, false);
}

UNIT(delay, equal_ones_keep_their_order_among_others)
{
    run_line(NULL, true);
}

/* ---- by time, wherever they are ---- */

enum { MIXED = 3000, TICK_MS = 50 };

struct merge {
    uint64_t due[MIXED + 1];
    uint64_t left, last; /* how many, the last one's number */
    uint64_t turns;      /* one out of the store was next to one that was in memory */
};

/* What left in this tick: by time, of the same time by number. */
static void look_at_times(struct rig *r, struct merge *m)
{
    bool stored_before = false;
    for (size_t i = 0; i < r->out.dead_count; i++) {
        const struct dead_letter *d = &r->out.dead[i];
        uint64_t before = m->last ? m->due[m->last] : 0;
        cr_assert(m->due[d->seq] > before || (m->due[d->seq] == before && d->seq > m->last),
                  "%llu, due at %llu, leaves after %llu, due at %llu", (unsigned long long)d->seq,
                  (unsigned long long)m->due[d->seq], (unsigned long long)m->last,
                  (unsigned long long)before);
        m->last = d->seq;
        m->left++;
        m->turns += i && d->stored != stored_before;
        stored_before = d->stored;
    }
    take_over(r);
}

/* The store is in time, the timer is late: what is due lies in chunks and among what was read
 * ahead, each by time, and neither goes before the other. */
UNIT(delay, leave_by_time_from_memory_and_store)
{
    static const struct paging_limits limits = {.window = 64,
                                                .window_bytes = 1 << 20,
                                                .chunk_bytes = 1 << 20,
                                                .portion = 512,
                                                .portion_bytes = 1 << 20,
                                                .extent = 256,
                                                .shard_bytes = 64 << 20,
                                                .transient_bytes = 48 << 10,
                                                .pace_bytes = UINT64_MAX};
    struct rig *r = rig_new(&limits);
    struct merge *m = NEW(struct merge);
    uint64_t now = 1;
    for (uint64_t n = 1; n <= MIXED; n++) {
        uint64_t delay = 1000 + n * 7919 % 300 * 10;
        m->due[n] = now + delay;
        enqueue(r->q, (int64_t)delay, now, &r->out);
        look_at_times(r, m);
    }
    for (now = TICK_MS; m->left < MIXED && now < 10000; now += TICK_MS) {
        queue_tick(r->q, now, &r->out);
        look_at_times(r, m);
        struct page_answer a;
        while (queue_store_answer(&r->store, 512, &a)) {
            queue_page_in(r->q, &a, now, &r->out);
            free(a.entries);
            look_at_times(r, m);
        }
    }
    cr_expect_eq(m->left, MIXED);
    cr_expect_gt(m->turns, 100, "both kinds, side by side");
    rig_free(r);
    free(m);
}
