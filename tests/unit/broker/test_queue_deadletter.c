/* The headers of dead letters, cycles, and messages made of others. */
#include "base/props.h"
#include "base/table.h"
#include "broker/msg.h"
#include "broker/queue/deadletter.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct death_record record(enum death death, const char *queue)
{
    return (struct death_record){.death = death,
                                 .queue = slice_str(queue),
                                 .exchange = SLICE("x"),
                                 .key = SLICE("k"),
                                 .time_s = 1700000000};
}

static void expect(const struct buf *headers, const char *text)
{
    struct buf printed = BUF_INIT;
    table_print(buf_slice(headers), &printed);
    cr_assert_str_eq(buf_cstr(&printed), text);
    buf_fini(&printed);
}

/* The headers after one more death. */
static void die(struct buf *headers, const struct death_record *r)
{
    struct buf next = BUF_INIT;
    death_headers(buf_slice(headers), r, &next);
    cr_assert(table_check(buf_slice(&next)));
    buf_fini(headers);
    *headers = next;
}

UNIT(deadletter, first_death)
{
    struct buf h = BUF_INIT;
    struct death_record r = record(DEATH_EXPIRED, "q");
    table_put_i32(&h, SLICE("mine"), 1);
    r.had_expiration = true;
    r.expiration = SLICE("50");
    die(&h, &r);
    expect(&h, "{mine=1, x-death=[{count=l:1, reason='expired', queue='q', time=T:1700000000, "
               "exchange='x', routing-keys=['k'], original-expiration='50'}], "
               "x-first-death-reason='expired', x-first-death-queue='q', "
               "x-first-death-exchange='x', x-last-death-reason='expired', "
               "x-last-death-queue='q', x-last-death-exchange='x'}");
    buf_fini(&h);
}

static void print_story(const struct buf *headers, struct buf *out)
{
    struct slice deaths, reason;
    struct table_value v;
    int64_t count;
    cr_assert(table_find_array(buf_slice(headers), SLICE("x-death"), &deaths));
    for (struct table_iter it = table_iter(deaths); array_next(&it, &v);) {
        struct slice queue;
        cr_assert(table_find_str(v.bytes, SLICE("queue"), &queue));
        cr_assert(table_find_str(v.bytes, SLICE("reason"), &reason));
        cr_assert(table_find_int(v.bytes, SLICE("count"), &count));
        buf_printf(out, "%.*s %.*s %d; ", SLICE_ARG(queue), SLICE_ARG(reason), (int)count);
    }
}

/* Newest first, one record for a queue and a reason; the first death stays the first. */
UNIT(deadletter, story)
{
    static const struct {
        enum death death;
        const char *queue, *story;
    } steps[] = {
        {DEATH_REJECTED, "a", "a rejected 1; "},
        {DEATH_EXPIRED, "b", "b expired 1; a rejected 1; "},
        {DEATH_EXPIRED, "a", "a expired 1; b expired 1; a rejected 1; "},
        {DEATH_REJECTED, "a", "a rejected 2; a expired 1; b expired 1; "},
        {DEATH_MAXLEN, "c", "c maxlen 1; a rejected 2; a expired 1; b expired 1; "},
        {DEATH_EXPIRED, "b", "b expired 2; c maxlen 1; a rejected 2; a expired 1; "},
        {DEATH_DELIVERY_LIMIT, "q",
         "q delivery_limit 1; b expired 2; c maxlen 1; a rejected 2; a expired 1; "},
    };
    struct buf h = BUF_INIT;
    struct slice first, last;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf story = BUF_INIT;
        struct death_record r = record(steps[i].death, steps[i].queue);
        die(&h, &r);
        print_story(&h, &story);
        cr_assert_str_eq(buf_cstr(&story), steps[i].story);
        cr_assert(table_find_str(buf_slice(&h), SLICE("x-first-death-queue"), &first));
        cr_assert(table_find_str(buf_slice(&h), SLICE("x-last-death-queue"), &last));
        cr_assert(slice_eq_str(first, "a") && slice_eq_str(last, steps[i].queue));
        buf_fini(&story);
    }
    cr_assert_eq(table_count(buf_slice(&h)), 7);
    buf_fini(&h);
}

UNIT(deadletter, ten_hops)
{
    struct buf h = BUF_INIT, story = BUF_INIT;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "q%d", i);
        struct death_record r = record(DEATH_REJECTED, name);
        die(&h, &r);
    }
    print_story(&h, &story);
    cr_assert_str_eq(buf_cstr(&story),
                     "q9 rejected 1; q8 rejected 1; q7 rejected 1; q6 rejected 1; q5 rejected 1; "
                     "q4 rejected 1; q3 rejected 1; q2 rejected 1; q1 rejected 1; q0 rejected 1; ");
    buf_fini(&h);
    buf_fini(&story);
}

UNIT(deadletter, cc)
{
    struct buf h = BUF_INIT;
    struct slice keys;
    size_t mark = table_open(&h, SLICE("CC"), TABLE_ARRAY);
    array_put_str(&h, SLICE("one"));
    array_put_i64(&h, 5);
    array_put_str(&h, SLICE("two"));
    table_close(&h, mark);
    struct death_record r = record(DEATH_REJECTED, "q");
    die(&h, &r);
    cr_assert(table_find_array(buf_slice(&h), SLICE("CC"), &keys));
    r.queue = SLICE("p");
    r.drop_cc = true;
    die(&h, &r);
    cr_assert_not(table_find_array(buf_slice(&h), SLICE("CC"), &keys));
    struct buf printed = BUF_INIT;
    table_print(buf_slice(&h), &printed);
    cr_assert(strstr(buf_cstr(&printed), "routing-keys=['k', 'one', 'two']"));
    buf_fini(&printed);
    buf_fini(&h);
}

/* What clients send under these names is taken as far as it makes sense. */
UNIT(deadletter, odd_headers)
{
    struct buf h = BUF_INIT;
    struct death_record r = record(DEATH_REJECTED, "q");
    table_put_str(&h, SLICE("x-death"), SLICE("none"));
    table_put_str(&h, SLICE("x-first-death-queue"), SLICE("mine"));
    die(&h, &r);
    expect(&h, "{x-first-death-queue='mine', x-death=[{count=l:1, reason='rejected', queue='q', "
               "time=T:1700000000, exchange='x', routing-keys=['k']}], "
               "x-last-death-reason='rejected', x-last-death-queue='q', "
               "x-last-death-exchange='x'}");
    buf_clear(&h);
    size_t mark = table_open(&h, SLICE("x-death"), TABLE_ARRAY), inner;
    array_put_str(&h, SLICE("no record"));
    for (int i = 0; i < 2; i++) {
        inner = array_open(&h, TABLE_TABLE);
        table_put_str(&h, SLICE("queue"), SLICE("q"));
        table_put_str(&h, SLICE("reason"), SLICE("rejected"));
        table_close(&h, inner);
    }
    inner = array_open(&h, TABLE_TABLE);
    table_put_i32(&h, SLICE("queue"), 1);
    table_close(&h, inner);
    table_close(&h, mark);
    die(&h, &r);
    expect(&h, "{x-death=[{queue='q', reason='rejected', count=l:2}, {queue=1}], "
               "x-last-death-reason='rejected', x-last-death-queue='q', "
               "x-last-death-exchange='x'}");
    buf_fini(&h);
}

UNIT(deadletter, cycles)
{
    struct buf h = BUF_INIT;
    struct death_record a = record(DEATH_EXPIRED, "a"), b = record(DEATH_REJECTED, "b"),
                        c = record(DEATH_MAXLEN, "c");
    cr_assert_not(death_is_cycle(buf_slice(&h), SLICE("a")));
    die(&h, &a);
    cr_assert(death_is_cycle(buf_slice(&h), SLICE("a")));
    cr_assert_not(death_is_cycle(buf_slice(&h), SLICE("b")));
    die(&h, &b);
    cr_assert_not(death_is_cycle(buf_slice(&h), SLICE("a"))); /* somebody rejected it */
    cr_assert_not(death_is_cycle(buf_slice(&h), SLICE("b")));
    die(&h, &c);
    cr_assert(death_is_cycle(buf_slice(&h), SLICE("c")));
    cr_assert_not(death_is_cycle(buf_slice(&h), SLICE("a")));
    die(&h, &a);
    cr_assert(death_is_cycle(buf_slice(&h), SLICE("a")));
    buf_fini(&h);
}

static const char bare[] = "\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0";

UNIT(msg, derived_shares_a_large_body)
{
    struct msg *m = msg_new(SLICE("\0\1k"), slice_of(bare, 14), 5000, true);
    memset(m->body, 'x', 5000);
    m->flags |= MSG_PERSISTENT;
    struct msg *d = msg_derive(m, SLICE("\1x\2kk"), slice_of(bare, 14), SLICE("keys"));
    struct msg *e = msg_with_header(d, SLICE("\0\x3c\0\0\0\0\0\0\0\0\0\0\x01\0\1"
                                             "5"));
    cr_assert_eq(d->body, m->body);
    cr_assert_eq(e->body, m->body);
    cr_assert_eq(m->refs, 3);
    msg_unref(m);
    msg_unref(d);
    cr_assert(slice_eq(msg_exchange(e), SLICE("x")) && slice_eq(msg_routing_key(e), SLICE("kk")));
    cr_assert(slice_eq(msg_hidden_keys(e), SLICE("keys")));
    cr_assert_eq(e->flags, MSG_PERSISTENT | MSG_BODY_SHARED | MSG_EXPIRES);
    cr_assert_eq(e->body[4999], 'x');
    msg_unref(e);
}

UNIT(msg, derived_copies_a_small_body)
{
    struct msg *m = msg_new(SLICE("\0\1k"), slice_of(bare, 14), 3, false);
    uint8_t *body = malloc(3);
    memcpy(body, "abc", 3);
    msg_set_body(m, body);
    struct msg *d = msg_with_header(m, slice_of(bare, 14));
    cr_assert_eq(m->refs, 1);
    msg_unref(m);
    cr_assert(slice_eq(msg_body(d), SLICE("abc")));
    cr_assert_eq(d->flags, 0);
    msg_unref(d);
}
