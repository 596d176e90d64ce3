/* Samples of counters: what is kept, what is asked for, how it is shown. */
#include "http/range.h"
#include "http/trend.h"
#include "http/view.h"
#include "unit.h"

#include <stdio.h>

enum { WALL = 1000000000 /* of the clock of the samples */ };

static const struct trend_span spans[] = {{30, 5}, {120, 20}};

static struct range until(uint64_t ms, uint64_t age, uint64_t step)
{
    return (struct range){WALL + ms - age, WALL + ms, step};
}

static void add(struct trend *h, uint64_t ms, uint64_t a)
{
    const uint64_t counters[] = {a, 2 * a};
    trend_add(h, ms, WALL, counters);
}

static void reads(const struct trend *h, struct range range, size_t counter, const uint64_t *wanted,
                  size_t count)
{
    uint64_t values[TREND_READ_MAX];
    cr_assert_eq(trend_read(h, &range, WALL, counter, values), count);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(values[i], wanted[i], "%zu: %zu", i, (size_t)values[i]);
}
#define READS(h, range, counter, ...)                               \
    reads((h), (range), (counter), (const uint64_t[]){__VA_ARGS__}, \
          sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

UNIT(trend, samples)
{
    struct trend *h = trend_new(spans, 2, 2, true);
    READS(h, until(10000, 10000, 5000), 0, 0, 0, 0);
    add(h, 100000, 10);
    cr_assert_float_eq(trend_rate(h, 100000, 0), 0, 1e-9);
    add(h, 105001, 30);
    add(h, 106000, 31); /* of the same step */
    cr_assert_float_eq(trend_rate(h, 106000, 1), 8, 0.01);
    cr_assert_float_eq(trend_rate(h, 200000, 1), 0, 1e-9);
    READS(h, until(110000, 15000, 5000), 0, 30, 30, 10, 0);
    READS(h, until(110000, 15000, 5000), 1, 60, 60, 20, 0);
    READS(h, until(105000, 4000, 1000), 0, 30, 10, 10, 10, 10);
    for (uint64_t ms = 110000; ms <= 300000; ms += 5000)
        add(h, ms, ms / 1000);
    READS(h, until(300000, 20000, 5000), 0, 300, 295, 290, 285, 280);
    READS(h, until(300000, 60000, 20000), 0, 300, 280, 260, 240);
    READS(h, until(300000, 200000, 50000), 0, 300, 240, 200); /* the rest is lost */
    trend_free(&h);
    h = trend_new(spans, 1, 2, false);
    READS(h, until(100000, 10000, 5000), 0, );
    add(h, 100000, 7);
    READS(h, until(105000, 10000, 5000), 0, 7, 7);
    trend_free(&h);
}

static bool parses(const char *query, bool lists, struct ranges *r, struct failure *why)
{
    struct target t;
    struct buf path = BUF_INIT;
    buf_printf(&path, "/?%s", query);
    cr_assert(target_parse(buf_slice(&path), &t));
    bool ok = ranges_parse(&t, 1234567890123, lists, r, why);
    target_fini(&t);
    buf_fini(&path);
    return ok;
}

UNIT(range, parameters)
{
    struct ranges r;
    struct failure why;
    cr_assert(parses("lengths_age=60&lengths_incr=5&msg_rates_age=600", false, &r, &why));
    cr_assert(r.lengths.last == 1234567890000 && r.lengths.first == 1234567830000);
    cr_assert(r.lengths.step == 5000 && !r.msg_rates.step && !r.data_rates.step);
    cr_assert(parses("lengths_age=60&lengths_incr=5&node_stats_age=60&node_stats_incr=60", true, &r,
                     &why));
    cr_assert(r.lengths.last == 1234567895000 && r.node_stats.last == 1234567860000);
    cr_assert(parses("data_rates_age=x&data_rates_incr=5", true, &r, &why) && !r.data_rates.step);
    cr_assert(parses("data_rates_age=2500&data_rates_incr=5", true, &r, &why));
    static const char *const bad[] = {"5005&lengths_incr=10", "-1&lengths_incr=5",
                                      "60&lengths_incr=0", "9999999999&lengths_incr=99999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char query[80];
        snprintf(query, sizeof query, "lengths_age=%s", bad[i]);
        bool good = parses(query, false, &r, &why);
        cr_assert(good == (i == 0), "%s", bad[i]);
    }
    cr_assert_not(parses("lengths_age=5010&lengths_incr=10", false, &r, &why));
    cr_assert_str_eq(why.text, "Invalid range parameters: age 5010, incr 10");
}

UNIT(view, samples)
{
    struct buf out = BUF_INIT;
    struct view v = view_of(&out, NULL);
    const uint64_t values[] = {30, 20, 10};
    view_begin(&v);
    view_sampled_rate(&v, "a", 1.5, &(struct view_samples){values, 3, 20000, 5000});
    view_sampled_rate(&v, "b", 1.5, &(struct view_samples){values, 1, 20000, 5000});
    view_sampled_rate(&v, "c", 1.5, &(struct view_samples){values, 0, 20000, 5000});
    view_end(&v);
    cr_assert_str_eq(buf_cstr(&out),
                     "{\"a\":{\"rate\":2.0,\"samples\":[{\"sample\":30,\"timestamp\":20000},"
                     "{\"sample\":20,\"timestamp\":15000},{\"sample\":10,\"timestamp\":10000}],"
                     "\"avg_rate\":2.0,\"avg\":20.0},"
                     "\"b\":{\"rate\":1.5,\"samples\":[{\"sample\":30,\"timestamp\":20000}]},"
                     "\"c\":{\"rate\":1.5,\"samples\":[]}}");
    buf_fini(&out);
}
