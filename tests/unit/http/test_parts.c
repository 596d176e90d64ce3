/* Paths, patterns, logins, JSON bodies, rates, runs. */
#include "base/table.h"
#include "definitions/document.h"
#include "http/bounds.h"
#include "http/gauge.h"
#include "http/login.h"
#include "http/multipart.h"
#include "http/payload.h"
#include "http/rates.h"
#include "http/route.h"
#include "http/run.h"
#include "http/seen.h"
#include "http/session.h"
#include "http/target.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

UNIT(target, parts)
{
    struct target t;
    uint64_t n;
    cr_assert(target_parse(
        SLICE("/api/queues/a%2Fb//%C3%A9/?page=3&name=a+b%26&empty&=x&page=4#there"), &t));
    cr_assert_eq(t.segment_count, 5);
    cr_assert(slice_eq_str(t.segments[2], "a/b"));
    cr_assert(slice_eq_str(t.segments[3], ""));
    cr_assert(slice_eq_str(t.segments[4], "\xc3\xa9"));
    cr_assert(target_number(&t, "page", &n) && n == 3);
    cr_assert(slice_eq_str(target_param(&t, "name"), "a b&"));
    cr_assert_not_null(target_param(&t, "empty").data);
    cr_assert_null(target_param(&t, "none").data);
    cr_assert_not(target_number(&t, "name", &n));
    target_fini(&t);
    cr_assert(target_parse(SLICE("/"), &t));
    cr_assert_eq(t.segment_count, 0);
    target_fini(&t);
    static const char *const bad[] = {"",     "api",      "/%",   "/%2",
                                      "/%zz", "/a?b=%x1", "/%ff", "/1/2/3/4/5/6/7/8/9/10/11/12/13"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(target_parse(slice_str(bad[i]), &t), "%s", bad[i]);
    struct buf text = BUF_INIT;
    target_encode(&text, SLICE("a.b/c d~\xc3\xa9"));
    cr_assert(slice_eq_str(buf_slice(&text), "a.b%2Fc%20d~%C3%A9"));
    buf_fini(&text);
}

static bool matches(const char *pattern, const char *path, struct slice *args, struct slice *vhost)
{
    static struct target t; /* borrowed by args */
    target_fini(&t);
    cr_assert(target_parse(slice_str(path), &t));
    bool match = route_matches(pattern, &t, args, vhost);
    return match;
}

UNIT(route, patterns)
{
    struct slice args[SESSION_ARGS], vhost;
    cr_assert(matches("/api/queues/:vhost/:name", "/api/queues/%2F/q", args, &vhost));
    cr_assert(slice_eq_str(vhost, "/") && slice_eq_str(args[1], "q") && !args[2].data);
    cr_assert(matches("/api/queues", "/api/queues", args, &vhost));
    cr_assert(!args[0].data && !vhost.data);
    cr_assert_not(matches("/api/queues", "/api/queues/x", args, &vhost));
    cr_assert_not(matches("/api/queues/:vhost", "/api/queues", args, &vhost));
    cr_assert_not(matches("/api/queues/:vhost/:name", "/api/exchanges/a/b", args, &vhost));
    cr_assert(matches("/api", "/api/", args, &vhost));
    (void)matches("/", "/", args, &vhost);
    struct target none;
    cr_assert(target_parse(SLICE("/"), &none)); /* the last one's memory is given back */
    target_fini(&none);
    for (size_t i = 0; route_at(i); i++)
        cr_assert(*route_at(i)->text && route_at(i)->run && route_at(i)->pattern[0] == '/');
}

UNIT(login, basic)
{
    uint8_t room[100];
    struct slice user, password;
    cr_assert(login_parse(SLICE("bASIC  dXNlcjpwOmFzcw=="), room, &user, &password));
    cr_assert(slice_eq_str(user, "user") && slice_eq_str(password, "p:ass"));
    cr_assert(login_parse(SLICE("Basic Og=="), room, &user, &password));
    cr_assert(!user.len && !password.len);
    static const char *const bad[] = {"", "Basic", "Basic !",
                                      "Bearer dXNlcjpwOmFzcw==", "Basic dXNlcg=="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(login_parse(slice_str(bad[i]), room, &user, &password), "%s", bad[i]);
}

UNIT(document, tables)
{
    struct buf table = BUF_INIT;
    struct slice inner;
    int64_t n;
    cr_assert(document_parse(
        SLICE(" {\"a\":1,\"b\":{\"c\":[1,{\"d\":null},[]]},\"e\":1.5,\"f\":true,\"a\":2} "),
        &table));
    cr_assert(table_check(buf_slice(&table)));
    cr_assert(table_find_int(buf_slice(&table), SLICE("a"), &n) && n == 1);
    cr_assert(table_find_table(buf_slice(&table), SLICE("b"), &inner));
    cr_assert(table_find_array(inner, SLICE("c"), &inner));
    buf_clear(&table);
    static const char *const bad[] = {"",
                                      "1",
                                      "[]",
                                      "{",
                                      "{} {}",
                                      "{\"a\":1e999}",
                                      "{\"a\":99999999999999999999}",
                                      "{'a':1}",
                                      "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not(document_parse(slice_str(bad[i]), &table), "%s", bad[i]);
        buf_clear(&table);
    }
    struct buf deep = BUF_INIT;
    buf_append_str(&deep, "{\"a\":");
    for (int i = 0; i < DOCUMENT_DEPTH_MAX; i++)
        buf_append_byte(&deep, '[');
    cr_assert_not(document_parse(buf_slice(&deep), &table));
    buf_fini(&deep);
    buf_fini(&table);
}

UNIT(rates, growth)
{
    struct rates *r = rates_new();
    double growth[2];
    uint64_t counters[2] = {10, 100};
    rates_look(r, RATES_CONNECTION, 7, 1000, counters, 2, growth);
    cr_assert(growth[0] == 0 && growth[1] == 0);
    counters[0] = 20;
    rates_look(r, RATES_CONNECTION, 7, 2000, counters, 2, growth); /* too soon */
    cr_assert(growth[0] == 0);
    counters[0] = 60;
    counters[1] = 90;
    rates_look(r, RATES_CONNECTION, 7, 6000, counters, 2, growth);
    cr_assert(growth[0] == 10 && growth[1] == -2);
    counters[0] = 1000;
    rates_look(r, RATES_CONNECTION, 7, 7000, counters, 2, growth);
    cr_assert(growth[0] == 10);
    rates_look(r, RATES_CONNECTION, 8, 7000, counters, 2, growth);
    cr_assert(growth[0] == 0);
    rates_look(r, RATES_CHANNEL, 7, 7000, counters, 2, growth); /* another object with that id */
    cr_assert(growth[0] == 0);
    rates_look(r, RATES_CONNECTION, 7, 7000 + 2 * RATES_FORGET_MS, counters, 2,
               growth); /* looked at too long ago */
    cr_assert(growth[0] == 0);
    rates_free(&r);
}

UNIT(runs, merge)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        struct runs r = {.count = 0};
        for (uint64_t run = 0; run < 7; run++) {
            runs_begin(&r, reverse);
            for (uint64_t i = run; i < 100 && run != 3; i += 7) {
                struct buf *key = runs_begin_key(&r);
                buf_printf(key, "%03u", (unsigned)(i * 37 % 100));
                runs_end_key(&r, (struct place){.number = i * 37 % 100});
            }
            runs_end(&r);
        }
        runs_merge(&r);
        struct place place;
        uint64_t before = reverse ? 100 : 0, count = 0;
        while (runs_pop(&r, &place)) {
            cr_assert(reverse ? place.number < before : !count || place.number > before);
            before = place.number;
            count++;
        }
        cr_assert_eq(count, 86);
        runs_fini(&r);
    }
    struct runs none = {.count = 0};
    struct place place;
    runs_merge(&none);
    cr_assert_not(runs_pop(&none, &place));
    runs_fini(&none);
}

/* The more there are, the longer their totals are good enough. */
UNIT(gauge, memory)
{
    static const struct {
        size_t objects;
        uint64_t ms;
    } cases[] = {{0, 0},        {10000, 0},     {10001, 1000},  {50000, 1000},
                 {75000, 1500}, {100000, 2000}, {250000, 5000}, {1000000, 5000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(gauge_memory_ms(cases[i].objects), cases[i].ms, "%zu", cases[i].objects);
}

/* Of many keys the first are kept, whatever order they come in, and few others. */
UNIT(runs, keep)
{
    enum { KEYS = 20000, A_RUN = 100, KEEP = 150, HELD_MAX = 2 * KEEP + 2 * A_RUN + 200 };
    static const uint64_t steps[] = {1, KEYS - 1, 7919}; /* up, down, all over */
    for (unsigned i = 0; i < 2 * sizeof steps / sizeof *steps; i++) {
        bool reverse = i % 2;
        size_t whole = 0; /* keys that were made to their end */
        struct runs r = {.count = 0};
        struct place place;
        runs_keep(&r, KEEP);
        for (uint64_t n = 0, key = 0; n < KEYS; n++, key = (key + steps[i / 2]) % KEYS) {
            if (n % A_RUN == 0)
                runs_begin(&r, reverse);
            struct buf *bytes = runs_begin_key(&r);
            buf_printf(bytes, "%03u", (unsigned)key / 100);
            if (runs_wants_key(&r)) {
                buf_printf(bytes, "%02u", (unsigned)key % 100);
                (void)runs_end_key(&r, (struct place){.number = key});
                whole++;
            }
            if (n % A_RUN == A_RUN - 1)
                runs_end(&r);
            cr_assert_leq(r.held, HELD_MAX);
        }
        runs_merge(&r);
        for (uint64_t n = 0; n < KEEP; n++) {
            cr_assert(runs_pop(&r, &place));
            cr_assert_eq(place.number, reverse ? KEYS - 1 - n : n);
        }
        cr_assert(whole < KEYS / 10 || whole == KEYS, "%zu keys were made", whole);
        runs_fini(&r);
    }
}

static bool gather(void *arg, struct slice bytes)
{
    buf_append_slice(arg, bytes);
    return true;
}

/* Keys that are made again go on behind the last one, in either order. */
UNIT(runs, restart)
{
    for (int reverse = 0; reverse < 2; reverse++) {
        struct runs r = {.count = 0};
        struct place place;
        unsigned n = 0;
        for (int round = 0; round < 4; round++) {
            runs_begin(&r, reverse);
            for (unsigned i = 1; i <= 20; i++) {
                buf_append_byte(runs_begin_key(&r), (uint8_t)(i / 4)); /* many are equal */
                bool kept = runs_end_key(&r, (struct place){.number = i});
                cr_assert_eq(kept, reverse ? i <= 20 - n : i > n);
            }
            runs_end(&r);
            runs_merge(&r);
            for (int i = 0; i < 5; i++) {
                cr_assert(runs_pop(&r, &place));
                n++;
                cr_assert_eq(place.number, reverse ? 21 - n : n);
            }
            runs_restart(&r);
        }
        runs_begin(&r, reverse);
        runs_end(&r);
        runs_merge(&r);
        cr_assert_not(runs_pop(&r, &place));
        runs_fini(&r);
    }
}

UNIT(seen, slots)
{
    struct seen s = {.tables = {{NULL, 0}}};
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            cr_assert(seen_add(&s, i * 3));
            cr_assert(seen_add(&s, 0x80000000u | i));
        }
        for (uint32_t i = 0; i < 5000; i++) {
            cr_assert_not(seen_add(&s, i * 3));
            cr_assert_not(seen_add(&s, 0x80000000u | i));
        }
        cr_assert(seen_add(&s, 1));
        seen_clear(&s);
    }
    seen_fini(&s);
}

/* How many portions it took. */
static unsigned payload_of(struct slice body, bool base64, struct buf *out)
{
    struct payload p;
    unsigned portions = 1;
    payload_begin(&p, body, base64);
    for (size_t before = 0; payload_next(&p, out); before = out->len, portions++)
        cr_assert_leq(out->len - before, 6 * HTTP_GET_PIECE + 20);
    return portions;
}

UNIT(payload, portions)
{
    struct buf out = BUF_INIT, body = BUF_INIT;
    cr_assert_eq(payload_of(SLICE("a\"b"), false, &out), 1);
    cr_assert_str_eq(buf_cstr(&out), "\"payload\":\"a\\\"b\",\"payload_encoding\":\"string\"");
    buf_clear(&out);
    cr_assert_eq(payload_of(SLICE("ab"), true, &out), 1);
    cr_assert_str_eq(buf_cstr(&out), "\"payload\":\"YWI=\",\"payload_encoding\":\"base64\"");
    buf_clear(&out);
    cr_assert_eq(payload_of(SLICE_EMPTY, false, &out), 1);
    cr_assert_str_eq(buf_cstr(&out), "\"payload\":\"\",\"payload_encoding\":\"string\"");
    buf_clear(&out);
    for (size_t i = 0; i < HTTP_GET_PIECE; i++)
        buf_append_str(&body, "\xe2\x82\xac"); /* portions end within characters */
    cr_assert_gt(payload_of(buf_slice(&body), false, &out), 5);
    cr_assert(memmem(out.data, out.len, body.data, body.len));
    cr_assert_not(memmem(out.data, out.len, "\xef\xbf\xbd", 3), "no character was cut");
    buf_clear(&out);
    body.len--;
    cr_assert_gt(payload_of(buf_slice(&body), false, &out), 5);
    cr_assert(memmem(out.data, out.len, "\"base64\"", 8), "the last character is not whole");
    cr_assert_eq(memchr(out.data + 12, '=', out.len - 60), NULL, "padding comes last");
    buf_fini(&out);
    buf_fini(&body);
}

static const char form[] = "--xyz\r\nContent-Disposition: form-data; name=\"auth\"\r\n\r\nabc\r\n"
                           "--xyz\r\nContent-Disposition: form-data; name=\"file\"; "
                           "filename=\"d.json\"\r\nContent-Type: text/plain\r\n\r\n"
                           "{\"a\":\"\r\n--xy\"}\r\n--xyz--\r\n";

UNIT(multipart, file_of_a_form)
{
    for (size_t step = 1; step < sizeof form; step++) {
        struct multipart m;
        struct buf got = BUF_INIT;
        cr_assert(multipart_is(SLICE("multipart/form-data; boundary=xyz; charset=x"), &m));
        for (size_t at = 0; at < sizeof form - 1; at += step) {
            size_t n = sizeof form - 1 - at < step ? sizeof form - 1 - at : step;
            cr_assert(multipart_feed(&m, slice_of(form + at, n), gather, &got));
        }
        cr_assert(m.found && m.phase == MULTIPART_END);
        cr_assert(slice_eq_str(buf_slice(&got), "\r\n{\"a\":\"\r\n--xy\"}"), "%zu: %s", step,
                  buf_cstr(&got));
        multipart_fini(&m);
        buf_fini(&got);
    }
}

UNIT(multipart, others)
{
    struct multipart m;
    struct buf got = BUF_INIT;
    cr_assert_not(multipart_is(SLICE("application/json"), &m));
    cr_assert_not(multipart_is(SLICE("multipart/form-data"), &m));
    cr_assert_not(multipart_is(SLICE("multipart/form-data; boundary="), &m));
    cr_assert(multipart_is(SLICE("Multipart/Form-Data; boundary=\"a b\""), &m));
    cr_assert(multipart_feed(&m, SLICE("--a\r\nname=\"file\"\r\n\r\n\r\n--a--"), gather, &got));
    cr_assert(m.found && m.phase == MULTIPART_END && slice_eq_str(buf_slice(&got), "\r\n"));
    multipart_fini(&m);
    cr_assert(multipart_is(SLICE("multipart/form-data; boundary=a"), &m));
    cr_assert(multipart_feed(&m, SLICE("--a\r\n"), gather, &got));
    buf_clear(&got);
    for (int i = 0; i <= MULTIPART_HEAD_MAX; i++)
        buf_append_byte(&got, 'x');
    cr_assert_not(multipart_feed(&m, buf_slice(&got), gather, &got));
    multipart_fini(&m);
    buf_fini(&got);
}
