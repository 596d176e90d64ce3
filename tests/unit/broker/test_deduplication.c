/* The arguments of a deduplicating exchange, and what its line keeps. */
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/exchange/deduplication.h"
#include "broker/exchange/exchange.h"
#include "broker/queue/queue_priv.h"
#include "meta/def.h"

#include "../unit.h"

static bool is_valid(struct slice args)
{
    struct failure why;
    return !exchange_deduplication.validate(&exchange_deduplication, args, &why);
}

UNIT(deduplication, arguments)
{
    struct buf args = BUF_INIT;
    cr_expect(!is_valid(buf_slice(&args)));
    table_put_i64(&args, SLICE("x-cache-size"), 5);
    cr_expect(is_valid(buf_slice(&args)));
    cr_expect(!exchange_deduplication.sifts(buf_slice(&args), true));
    table_put_str(&args, SLICE("x-cache-ttl"), SLICE("70"));
    table_put_str(&args, SLICE("x-cache-persistence"), SLICE("disk"));
    cr_expect(is_valid(buf_slice(&args)));
    cr_expect(exchange_deduplication.sifts(buf_slice(&args), true));
    cr_expect(!exchange_deduplication.sifts(buf_slice(&args), false));
    cr_expect_eq(exchange_deduplication.acts_as(buf_slice(&args)), &exchange_fanout);
    buf_clear(&args);
    table_put_str(&args, SLICE("x-cache-size"), SLICE("5"));
    table_put_i64(&args, SLICE("x-cache-ttl"), -1);
    cr_expect(!is_valid(buf_slice(&args)));
    buf_fini(&args);
}

UNIT(deduplication, numbers)
{
    const struct {
        struct slice text;
        bool valid;
        uint64_t number;
    } texts[] = {{SLICE("0"), true, 0},
                 {SLICE("10"), true, 10},
                 {SLICE(""), false, 0},
                 {SLICE("-1"), false, 0},
                 {SLICE("1s"), false, 0},
                 {SLICE("999999999999999999"), true, 999999999999999999},
                 {SLICE("9999999999999999999"), false, 0}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf args = BUF_INIT;
        uint64_t n = 77;
        table_put_str(&args, SLICE("n"), texts[i].text);
        cr_expect_eq(deduplication_number(buf_slice(&args), "n", &n), texts[i].valid, "%zu", i);
        cr_expect_eq(n, texts[i].valid ? texts[i].number : 77, "%zu", i);
        buf_fini(&args);
    }
}

/* ---- the line ---- */

struct line {
    struct ready_pool pool;
    struct queue_out out;
    struct buf args;
    struct queue *queue;
};

static void setup(struct line *l, int64_t size)
{
    *l = (struct line){.args = BUF_INIT};
    struct queue_def *def = NEW(struct queue_def);
    table_put_i64(&l->args, SLICE("x-cache-size"), size);
    def->refs = 1;
    def->line_of = LINE_OF_VALUES;
    def->args = buf_slice(&l->args);
    l->out.pool = &l->pool;
    l->queue = queue_new(def, false, 0);
}

static void teardown(struct line *l)
{
    queue_free(l->queue);
    queue_out_fini(&l->out);
    ready_pool_fini(&l->pool);
    buf_fini(&l->args);
}

/* False: it is known. */
static bool put(struct line *l, uint8_t value, const char *expiration, uint64_t now)
{
    struct buf header = BUF_INIT;
    struct wire_writer wr = wire_writer_buf(&header);
    struct amqp_basic_properties props = {.flags = expiration ? AMQP_PROP_EXPIRATION : 0};
    if (expiration)
        props.expiration = slice_str(expiration);
    content_header_encode(&wr,
                          &(struct content_header){.class_id = AMQP_CLASS_BASIC, .body_size = 1});
    props_encode(&wr, &props);
    wire_written(&wr);
    struct op op = {.kind = OP_ENQUEUE};
    struct msg *m = msg_new(SLICE("\0\0"), buf_slice(&header), 1, true);
    struct dedup_key key;
    m->body[0] = value;
    buf_fini(&header);
    op_body(&op, struct op_enqueue)->msg = m;
    queue_tick(l->queue, now, &l->out);
    dedup_key_in(l->queue->dedup, m, &key);
    bool is_new = !queue_has_like(l->queue, &op, &key, &l->out);
    queue_step(l->queue, &op, now, &l->out);
    return is_new;
}

UNIT(deduplication, oldest_goes_first)
{
    struct line l;
    setup(&l, 3);
    for (uint8_t i = 1; i <= 3; i++)
        cr_expect(put(&l, i, NULL, 1));
    cr_expect(!put(&l, 1, NULL, 1));
    cr_expect(put(&l, 4, NULL, 1));
    cr_expect(!put(&l, 2, NULL, 1));
    cr_expect(put(&l, 1, NULL, 1));
    cr_expect(put(&l, 2, NULL, 1));
    cr_expect_eq(queue_count(l.queue).ready, 3);
    cr_expect_eq(l.out.dead_count, 0);
    for (unsigned i = 0; i < 10000; i++)
        put(&l, (uint8_t)(i % 251), NULL, 1);
    cr_expect_eq(queue_count(l.queue).ready, 3);
    cr_expect_eq(l.queue->dedup->there.count, 3);
    teardown(&l);
}

UNIT(deduplication, each_goes_at_its_time)
{
    struct line l;
    setup(&l, 100);
    cr_expect(put(&l, 1, "50", 1));
    cr_expect(put(&l, 2, "20", 1));
    cr_expect(put(&l, 3, NULL, 1));
    cr_expect(!put(&l, 2, "500", 20));
    cr_expect(put(&l, 2, "20", 21));
    cr_expect(!put(&l, 1, "50", 50));
    cr_expect(put(&l, 1, "50", 51));
    cr_expect(!put(&l, 3, NULL, 1000000));
    cr_expect_eq(queue_count(l.queue).ready, 1);
    teardown(&l);
}
