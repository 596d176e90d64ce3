/* What waits for its time in a queue: the back-off of what is given back, and that it is neither
 * ready nor lost meanwhile. */
#include "base/mem.h"
#include "base/table.h"
#include "broker/queue/explain.h"
#include "broker/queue/later.h"
#include "broker/queue/letters.h"
#include "unit.h"

#include <stdlib.h>

enum { MIN = 100, MAX = 350, LATER = 255, BEHIND_ALL = 256 };

static const struct addr channel = {.slot = 1, .gen = 1};

struct rig {
    struct ready_pool pool;
    struct queue_out out;
    struct buf args;
    struct queue *q;
    unsigned delivered, dead;
    uint32_t slot, count;
    bool redelivered;
};

static void begin(struct rig *r)
{
    struct queue_def like = {.vhost = SLICE("/"), .name = SLICE("q"), .args = buf_slice(&r->args)};
    r->out.pool = &r->pool;
    r->q = queue_new(queue_def_new(&like), false, 1);
}

static void end(struct rig *r)
{
    queue_free(r->q);
    queue_out_fini(&r->out);
    ready_pool_fini(&r->pool);
    buf_fini(&r->args);
}

static void look(struct rig *r)
{
    r->delivered = r->dead = 0;
    for (size_t i = 0; i < r->out.count; i++) {
        if (r->out.ops[i].kind != OP_DELIVER)
            continue;
        struct op_deliver *d = op_body(&r->out.ops[i], struct op_deliver);
        r->delivered++;
        r->slot = d->slot;
        r->count = (uint32_t)d->delivery_count;
        r->redelivered = r->out.ops[i].flags & OP_DELIVER_REDELIVERED;
        msg_unref(d->msg);
    }
    for (size_t i = 0; i < r->out.dead_count; i++, r->dead++)
        msg_unref(r->out.dead[i].msg);
    r->out.count = r->out.dead_count = 0;
}

static void publish(struct rig *r, uint64_t now)
{
    struct op op = {.kind = OP_ENQUEUE};
    uint8_t header[14] = {0, 60};
    op_body(&op, struct op_enqueue)->msg =
        msg_new(SLICE("\0\1q"), slice_of(header, sizeof header), 0, true);
    queue_step(r->q, &op, now, &r->out);
    look(r);
}

static void consume(struct rig *r)
{
    struct op op = {.kind = OP_CONSUME};
    struct consume_request *c = NEW(struct consume_request);
    c->channel = channel;
    c->tag = slice_dup(SLICE("t"));
    c->window = 1000;
    op_body(&op, struct op_consume)->request = c;
    queue_step(r->q, &op, 1, &r->out);
    look(r);
}

static void settle(struct rig *r, enum settle_how how, uint64_t now)
{
    struct op op = {.kind = OP_SETTLE, .flags = (uint16_t)how, .n = 1};
    op_body(&op, struct op_settle)->inline_slots[0] = r->slot;
    queue_step(r->q, &op, now, &r->out);
    look(r);
}

static void tick(struct rig *r, uint64_t now)
{
    queue_tick(r->q, now, &r->out);
    look(r);
}

static void put_retry(struct rig *r, const char *type)
{
    table_put_str(&r->args, SLICE("x-delayed-retry-type"), slice_str(type));
    table_put_i64(&r->args, SLICE("x-delayed-retry-min"), MIN);
    table_put_i64(&r->args, SLICE("x-delayed-retry-max"), MAX);
}

UNIT(later, backs_off)
{
    struct retry linear = {RETRY_ALL, false, MIN, MAX}, twice = {RETRY_ALL, true, MIN, 4 * MAX};
    static const uint64_t lines[] = {100, 200, 300, 350, 350},
                          doubles[] = {100, 200, 400, 800, 1400};
    for (uint32_t i = 0; i < 5; i++) {
        cr_expect_eq(later_back_off(&linear, SETTLE_REQUEUE, i + 1), lines[i]);
        cr_expect_eq(later_back_off(&twice, SETTLE_FAILED, i + 1), doubles[i]);
    }
    cr_expect_eq(later_back_off(&linear, SETTLE_REQUEUE, UINT32_MAX), MAX);
    cr_expect_eq(later_back_off(&twice, SETTLE_REQUEUE, UINT32_MAX), 4 * MAX);
    struct retry low = {RETRY_ALL, false, MIN, MIN / 2};
    cr_expect_eq(later_back_off(&low, SETTLE_REQUEUE, 1), MIN / 2, "as min(min * count, max)");
}

UNIT(later, means_some_of_what_is_given_back)
{
    struct retry failed = {RETRY_FAILED, false, MIN, MAX},
                 returned = {RETRY_RETURNED, false, MIN, MAX};
    struct retry none = {RETRY_DISABLED, false, MIN, MAX};
    cr_expect_eq(later_back_off(&failed, SETTLE_FAILED, 1), MIN);
    cr_expect_eq(later_back_off(&failed, SETTLE_REQUEUE, 1), 0);
    cr_expect_eq(later_back_off(&returned, SETTLE_REQUEUE, 1), MIN);
    cr_expect_eq(later_back_off(&returned, SETTLE_FAILED, 1), 0);
    cr_expect_eq(later_back_off(&none, SETTLE_FAILED, 1), 0);
}

UNIT(later, waits_and_comes_again)
{
    struct rig r = {.args = BUF_INIT};
    put_retry(&r, "all");
    begin(&r);
    consume(&r);
    publish(&r, 1);
    cr_assert(r.delivered == 1 && !r.redelivered);
    settle(&r, SETTLE_REQUEUE, 1000);
    cr_assert_eq(r.delivered, 0);
    cr_assert_eq(r.out.deadline_ms, 1000 + MIN);
    struct queue_counts n = queue_count(r.q);
    cr_assert(n.ready == 0 && n.later == 1 && n.unacked == 0);
    cr_assert_eq(queue_next_due(r.q), 1000 + MIN);
    cr_assert_eq(queue_explain(r.q, false, 1001).verdict, QUEUE_WAITING);
    tick(&r, 1000 + MIN - 1);
    cr_assert_eq(r.delivered, 0);
    tick(&r, 1000 + MIN);
    cr_assert(r.delivered == 1 && r.redelivered && r.count == 1);
    settle(&r, SETTLE_FAILED, 2000);
    publish(&r, 2000);
    cr_assert(r.delivered == 1 && !r.redelivered, "others do not wait for it");
    tick(&r, 2000 + 2 * MIN - 1);
    cr_assert_eq(r.delivered, 0);
    tick(&r, 2000 + 2 * MIN);
    cr_assert(r.delivered == 1 && r.redelivered && r.count == 2);
    settle(&r, SETTLE_ACK, 3000);
    n = queue_count(r.q);
    cr_assert(n.ready == 0 && n.later == 0 && n.unacked == 1);
    end(&r);
}

UNIT(later, unseen_does_not_wait)
{
    struct rig r = {.args = BUF_INIT};
    put_retry(&r, "all");
    begin(&r);
    consume(&r);
    publish(&r, 1);
    settle(&r, SETTLE_RETURN_UNSEEN, 2);
    struct queue_counts n = queue_count(r.q);
    cr_assert(n.later == 0 && n.ready + n.unacked == 1);
    end(&r);
}

UNIT(later, keeps_its_time_when_rules_change)
{
    struct rig r = {.args = BUF_INIT};
    put_retry(&r, "failed");
    begin(&r);
    consume(&r);
    publish(&r, 1);
    settle(&r, SETTLE_FAILED, 10);
    free(r.q->rules);
    r.q->rules = NULL;
    tick(&r, 10 + MIN - 1);
    cr_assert_eq(r.delivered, 0);
    tick(&r, 10 + MIN);
    cr_assert_eq(r.delivered, 1);
    end(&r);
}

UNIT(later, delays_what_comes)
{
    struct rig r = {.args = BUF_INIT};
    table_put_i64(&r.args, SLICE("x-delay"), 50);
    table_put_i64(&r.args, SLICE("x-max-length"), 1);
    begin(&r);
    publish(&r, 10);
    publish(&r, 20);
    struct queue_counts n = queue_count(r.q);
    cr_assert(n.ready == 0 && n.later == 2, "no limit holds for what waits");
    tick(&r, 60);
    n = queue_count(r.q);
    cr_assert(n.ready == 1 && n.later == 1);
    tick(&r, 70);
    n = queue_count(r.q);
    cr_assert(n.ready == 1 && n.later == 0, "now it does");
    end(&r);
}

UNIT(later, purge_and_if_empty_see_it)
{
    struct rig r = {.args = BUF_INIT};
    table_put_i64(&r.args, SLICE("x-delay"), 50);
    begin(&r);
    publish(&r, 10);
    struct op op = {.kind = OP_DELETE, .flags = OP_DELETE_IF_EMPTY};
    *op_body(&op, struct op_queue_query) = (struct op_queue_query){.reply_to = channel};
    queue_step(r.q, &op, 11, &r.out);
    cr_assert_eq(r.out.count, 1);
    const struct op_queue_query *answer = op_body(&r.out.ops[0], struct op_queue_query);
    cr_assert_eq(answer->why, QUEUE_REFUSED_NOT_EMPTY);
    look(&r);
    op = (struct op){.kind = OP_PURGE};
    *op_body(&op, struct op_queue_query) = (struct op_queue_query){.reply_to = channel};
    queue_step(r.q, &op, 12, &r.out);
    answer = op_body(&r.out.ops[0], struct op_queue_query);
    cr_assert_eq(answer->messages, 1);
    look(&r);
    cr_assert_eq(queue_count(r.q).later, 0);
    tick(&r, 100);
    cr_assert_eq(queue_count(r.q).ready, 0);
    end(&r);
}

UNIT(later, comes_by_priority)
{
    struct rig r = {.args = BUF_INIT};
    table_put_i64(&r.args, SLICE("x-delay"), 50);
    table_put_i64(&r.args, SLICE("x-max-priority"), 254);
    begin(&r);
    publish(&r, 10);
    cr_assert_eq(queue_count(r.q).later, 1);
    tick(&r, 60);
    cr_assert_eq(queue_count(r.q).ready, 1);
    consume(&r);
    cr_assert_eq(r.delivered, 1);
    end(&r);
}

/* Also where all that an octet can say is priorities. */
UNIT(later, is_at_no_level_of_priority)
{
    for (unsigned most = 0; most < 256; most++) {
        struct ready ready;
        ready_init(&ready, most);
        ready_open_later(&ready);
        unsigned level = ready_later_level(&ready), n = 0;
        cr_expect_eq(level, most == 255 ? 256 : 255);
        for (unsigned i = 0; i < READY_LEVELS; i = ready_next_level(&ready, i), n++)
            cr_expect_eq(ready_is_later(&ready, i), i == level);
        cr_expect_eq(n, most + 2);
        ready_fini(&ready);
    }
}

UNIT(later, waits_beside_all_priorities)
{
    struct rig r = {.args = BUF_INIT};
    struct queue_level found[] = {
        {.count = 2, .bytes = 20, .first = 1, .last = 2, .level = 255},
        {.count = 3, .bytes = 30, .first = 3, .last = 5, .expiry = 5000, .level = 256}};
    table_put_i64(&r.args, SLICE("x-max-priority"), 255);
    table_put_i64(&r.args, SLICE("x-delay"), 50);
    begin(&r);
    queue_restore(r.q, found, 2, 6);
    cr_expect_eq(queue_count(r.q).ready, 2);
    cr_expect_eq(queue_count(r.q).later, 3);
    cr_expect_eq(queue_count(r.q).later_bytes, 30);
    publish(&r, 10);
    cr_expect_eq(queue_count(r.q).later, 4);
    end(&r);
}

/* ---- dead letters ---- */

/* The one letter that a step gave out. */
static struct dead_letter take_letter(struct rig *r)
{
    cr_assert_eq(r->out.dead_count, 1);
    r->out.dead_count = 0;
    return r->out.dead[0];
}

UNIT(later, keeps_dead_letters)
{
    struct rig r = {.args = BUF_INIT};
    struct op op = {.kind = OP_SETTLE, .flags = SETTLE_REJECT, .n = 1};
    uint64_t now = 10;
    table_put_str(&r.args, SLICE("x-dead-letter-exchange"), SLICE("none"));
    table_put_str(&r.args, SLICE("x-dead-letter-strategy"), SLICE("at-least-once"));
    table_put_str(&r.args, SLICE("x-overflow"), SLICE("reject-publish"));
    begin(&r);
    consume(&r);
    publish(&r, 1);
    op_body(&op, struct op_settle)->inline_slots[0] = r.slot;
    queue_step(r.q, &op, now, &r.out);
    for (uint32_t tries = 0, pause = 1000; tries < 10; tries++, pause *= 2) {
        struct dead_letter letter = take_letter(&r);
        cr_expect_eq(letter.death, DEATH_REJECTED);
        cr_expect_eq(letter.tries, tries);
        later_keep(r.q, &letter, now, &r.out);
        cr_expect_eq(later_letters(r.q), 1);
        cr_expect_eq(queue_count(r.q).ready, 0);
        cr_expect_eq(queue_explain(r.q, false, now).verdict, QUEUE_LETTERS);
        now += pause < 180000 ? pause : 180000;
        queue_tick(r.q, now - 1, &r.out);
        cr_expect_eq(r.out.dead_count, 0);
        queue_tick(r.q, now, &r.out);
        cr_expect_eq(later_letters(r.q), 0);
    }
    look(&r);
    cr_expect_eq(r.delivered, 0, "nobody gets it");
    end(&r);
}

/* ---- a move that fails ---- */

/* Out, and back since the other queue has gone. */
static uint64_t move_in_vain(struct rig *r, unsigned level, uint64_t seq)
{
    struct queue_def like = {.vhost = SLICE("/"), .name = SLICE("to")};
    struct queue_def *to = queue_def_new(&like);
    struct ready_entry e;
    cr_assert(ready_take(&r->q->ready, &r->pool, level, seq, &e));
    if (ready_is_later(&r->q->ready, level))
        later_left(r->q, &e);
    bounds_let_go(r->q, &e, to, &r->out);
    struct dead_letter moved = take_letter(r);
    cr_assert_eq(moved.to, to);
    queue_def_unref(&moved.to);
    return bounds_take_back(r->q, &moved, &r->out);
}

UNIT(later, comes_back_from_a_move_as_it_was)
{
    struct rig r = {.args = BUF_INIT};
    put_retry(&r, "failed");
    table_put_i64(&r.args, SLICE("x-message-ttl"), 5000);
    begin(&r);
    consume(&r);
    publish(&r, 1);
    settle(&r, SETTLE_FAILED, 1000);
    uint64_t waiting = move_in_vain(&r, LATER, r.q->next_seq - 1);
    struct queue_counts n = queue_count(r.q);
    cr_expect(n.ready == 0 && n.later == 1 && waiting == r.q->next_seq - 1);
    tick(&r, 1000 + MIN - 1);
    cr_expect_eq(r.delivered, 0);
    tick(&r, 1000 + MIN);
    cr_assert(r.delivered == 1 && r.redelivered && r.count == 1);
    struct op op = {.kind = OP_CANCEL};
    queue_step(r.q, &op, 1200, &r.out);
    settle(&r, SETTLE_RETURN_UNSEEN, 1200);
    cr_assert_eq(queue_count(r.q).ready, 1);
    move_in_vain(&r, 0, waiting + 1);
    tick(&r, 1100 + 5000 - 1);
    cr_expect_eq(queue_count(r.q).ready, 1, "its time goes on from where it was");
    tick(&r, 1100 + 5000);
    cr_expect_eq(queue_count(r.q).ready, 0);
    end(&r);
}

UNIT(later, letter_comes_back_from_a_move_as_a_letter)
{
    struct rig r = {.args = BUF_INIT};
    uint8_t header[14] = {0, 60};
    struct dead_letter letter = {.death = DEATH_DELIVERY_LIMIT, .tries = 3};
    table_put_str(&r.args, SLICE("x-dead-letter-exchange"), SLICE("none"));
    table_put_str(&r.args, SLICE("x-dead-letter-strategy"), SLICE("at-least-once"));
    table_put_str(&r.args, SLICE("x-overflow"), SLICE("reject-publish"));
    table_put_i64(&r.args, SLICE("x-max-priority"), 255);
    begin(&r);
    letter.msg = msg_new(SLICE("\0\1q"), slice_of(header, sizeof header), 0, true);
    uint64_t kept = later_keep(r.q, &letter, 10, &r.out);
    move_in_vain(&r, BEHIND_ALL, kept);
    cr_expect_eq(later_letters(r.q), 1);
    queue_tick(r.q, 10 + 8000 - 1, &r.out);
    cr_expect_eq(r.out.dead_count, 0);
    queue_tick(r.q, 10 + 8000, &r.out);
    letter = take_letter(&r);
    cr_expect(letter.death == DEATH_DELIVERY_LIMIT && letter.tries == 4 && !letter.to);
    msg_unref(letter.msg);
    cr_expect_eq(later_letters(r.q), 0);
    end(&r);
}

/* One that drops at the head would never be rid of them. */
UNIT(later, keeps_letters_only_where_it_refuses)
{
    struct rig r = {.args = BUF_INIT};
    table_put_str(&r.args, SLICE("x-dead-letter-exchange"), SLICE("none"));
    table_put_str(&r.args, SLICE("x-dead-letter-strategy"), SLICE("at-least-once"));
    begin(&r);
    cr_expect_not(r.q->rules->keeps_letters);
    end(&r);
}

/* Of what a start found it is not known which are dead letters: if nothing else can wait there, all
 * are, whatever leaves. */
UNIT(later, counts_letters_that_a_start_found)
{
    struct rig r = {.args = BUF_INIT};
    struct queue_level found = {
        .count = 3, .bytes = 30, .first = 1, .last = 3, .expiry = 5000, .level = LATER};
    table_put_str(&r.args, SLICE("x-dead-letter-exchange"), SLICE("none"));
    table_put_str(&r.args, SLICE("x-dead-letter-strategy"), SLICE("at-least-once"));
    table_put_str(&r.args, SLICE("x-overflow"), SLICE("reject-publish"));
    begin(&r);
    queue_restore(r.q, &found, 1, 4);
    cr_expect_eq(later_letters(r.q), 3);
    cr_expect_eq(later_letter_bytes(r.q), 30);
    uint8_t header[14] = {0, 60};
    struct dead_letter letter = {.death = DEATH_REJECTED};
    struct ready_entry kept = {.delivery_count = UINT32_C(1) << 31}, delayed = {.seq = 1};
    letter.msg = msg_new(SLICE("\0\1q"), slice_of(header, sizeof header), 0, true);
    kept.msg = delayed.msg = letter.msg;
    kept.seq = later_keep(r.q, &letter, 1, &r.out);
    cr_expect_eq(kept.seq, 4);
    cr_expect_eq(later_letters(r.q), 4);
    later_left(r.q, &delayed);
    cr_expect_eq(later_letters(r.q), 3);
    later_left(r.q, &kept);
    cr_expect_eq(later_letters(r.q), 2);
    end(&r);
}

static void note(struct letters *l, uint64_t seq)
{
    uint64_t *ids = mem_alloc(sizeof *ids);
    *ids = seq * 2;
    letters_note(l, seq, ids, 1);
}

static void expect_done(struct letters *l, uint64_t seq)
{
    struct letter_done *done = letters_take(l, seq);
    cr_assert(done);
    cr_expect_eq(done->ids[0], seq * 2);
    letter_done_free(&done);
}

UNIT(later, counts_letters_that_some_have)
{
    uint64_t known = 0;
    struct letters one, other;
    letters_init(&one, &known);
    letters_init(&other, &known);
    for (uint64_t seq = 1; seq <= 10; seq++)
        note(&one, seq);
    note(&other, 1);
    cr_expect_eq(known, 11);
    cr_expect_not(letters_take(&other, 2));
    expect_done(&one, 7);
    cr_expect_eq(known, 10);
    letters_move(&one, 3, 11);
    letters_move(&one, 7, 12);
    cr_expect_eq(known, 10);
    cr_expect_not(letters_take(&one, 3));
    letters_look(&one, 5);
    cr_expect_eq(known, 10, "half of them are there still");
    letters_look(&one, 4);
    cr_expect_eq(known, 1);
    cr_expect_not(letters_take(&one, 1));
    expect_done(&other, 1);
    note(&other, 2);
    letters_fini(&one);
    letters_fini(&other);
    cr_expect_eq(known, 0);
}
