#include "base/table.h"
#include "broker/exchange/exchange.h"
#include "broker/route.h"
#include "fake_routing.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

struct rig {
    struct routing routing;
    struct route route;
    struct buf headers;
    char text[1024];
};

static void setup(struct rig *rig)
{
    fake_init(&rig->routing);
    route_init(&rig->route);
    rig->headers = BUF_INIT;
}

static void teardown(struct rig *rig)
{
    fake_fini(&rig->routing);
    route_fini(&rig->route);
    buf_fini(&rig->headers);
}

static struct target_queue *queue(struct rig *rig, unsigned n)
{
    return &rig->routing.vhost->queues[n];
}

static void bind_queue(struct rig *rig, struct exchange *from, unsigned n, const char *key)
{
    fake_bind(&rig->routing, from, (struct destination){.queue = queue(rig, n)}, key);
}

static void bind_exchange(struct rig *rig, struct exchange *from, struct exchange *to,
                          const char *key)
{
    fake_bind(&rig->routing, from, (struct destination){.exchange = to}, key);
}

static int compare(const void *a, const void *b)
{
    const struct target_queue *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

/* "1 2 5": the numbers of the queues found, sorted. */
static const char *routed(struct rig *rig, struct exchange *x, const char *key)
{
    struct route *r = &rig->route;
    struct failure why = {0};
    struct route_input input = {.key = slice_str(key), .headers = buf_slice(&rig->headers)};
    enum err err = route_message(r, &rig->routing, rig->routing.vhost, x, &input, &why);
    if (err) {
        snprintf(rig->text, sizeof rig->text, "%s", why.text);
        return rig->text;
    }
    qsort(r->targets, r->count, sizeof *r->targets, compare);
    size_t used = 0;
    rig->text[0] = '\0';
    for (size_t i = 0; i < r->count; i++)
        used += (size_t)snprintf(rig->text + used, sizeof rig->text - used, i ? " %zu" : "%zu",
                                 (size_t)(r->targets[i] - queue(rig, 0)));
    return rig->text;
}

#define cr_routed(rig, x, key, want) cr_assert_str_eq(routed((rig), (x), (key)), (want))

UNIT(route, default_exchange_by_queue_name)
{
    struct rig rig;
    setup(&rig);
    cr_routed(&rig, NULL, "q7", "7");
    cr_routed(&rig, NULL, "none", "");
    cr_routed(&rig, NULL, "", "");
    teardown(&rig);
}

UNIT(route, each_queue_once)
{
    struct rig rig;
    setup(&rig);
    struct exchange *x = fake_exchange(&rig.routing, &exchange_topic);
    bind_queue(&rig, x, 1, "a.*");
    bind_queue(&rig, x, 1, "#");
    bind_queue(&rig, x, 1, "*.b");
    bind_queue(&rig, x, 2, "a.b");
    for (unsigned i = 0; i < 3; i++)
        cr_routed(&rig, x, "a.b", "1 2");
    cr_routed(&rig, x, "c", "1");
    teardown(&rig);
}

UNIT(route, through_exchanges)
{
    struct rig rig;
    setup(&rig);
    struct exchange *a = fake_exchange(&rig.routing, &exchange_fanout);
    struct exchange *b = fake_exchange(&rig.routing, &exchange_direct);
    struct exchange *c = fake_exchange(&rig.routing, &exchange_topic);
    bind_exchange(&rig, a, b, "");
    bind_exchange(&rig, a, c, "");
    bind_exchange(&rig, b, c, "k");
    bind_exchange(&rig, c, a, "#"); /* a cycle */
    bind_exchange(&rig, a, a, "");  /* and the shortest one */
    bind_queue(&rig, a, 1, "");
    bind_queue(&rig, b, 2, "k");
    bind_queue(&rig, c, 3, "*");
    bind_queue(&rig, c, 1, "*");
    cr_routed(&rig, a, "k", "1 2 3");
    cr_routed(&rig, b, "k", "1 2 3");
    cr_routed(&rig, b, "other", "");
    cr_routed(&rig, c, "x.y", "1");
    teardown(&rig);
}

/* To its line alone; other exchanges do not mind the header. */
UNIT(route, what_is_delayed_waits)
{
    struct rig rig;
    setup(&rig);
    struct exchange *in = fake_exchange(&rig.routing, &exchange_fanout);
    struct exchange *late = fake_exchange(&rig.routing, &exchange_direct);
    struct exchange *other = fake_exchange(&rig.routing, &exchange_fanout);
    struct queue_def line = {.line_of = LINE_OF_EXCHANGE};
    late->line = queue(&rig, 9);
    late->line->def = &line;
    late->alternate = other;
    bind_exchange(&rig, in, late, "");
    bind_queue(&rig, in, 1, "");
    bind_queue(&rig, late, 2, "k");
    bind_queue(&rig, other, 3, "");
    cr_routed(&rig, in, "k", "1 2");
    table_put_i64(&rig.headers, SLICE("x-delay"), INT64_C(1) << 33);
    cr_routed(&rig, in, "k", "1 9");
    cr_routed(&rig, late, "none", "9");
    buf_clear(&rig.headers);
    table_put_i64(&rig.headers, SLICE("x-delay"), -1);
    cr_routed(&rig, late, "k", "2");
    cr_routed(&rig, late, "none", "3");
    teardown(&rig);
}

/* What has a value goes to the line of an exchange that something is bound to, unless it has passed
 * that one. */
UNIT(route, what_is_sifted)
{
    struct rig rig;
    setup(&rig);
    struct exchange *first = fake_exchange(&rig.routing, &exchange_fanout);
    struct exchange *second = fake_exchange(&rig.routing, &exchange_fanout);
    struct queue_def line = {.line_of = LINE_OF_VALUES};
    first->line = queue(&rig, 8);
    second->line = queue(&rig, 9);
    first->line->def = second->line->def = &line;
    bind_exchange(&rig, first, second, "");
    bind_queue(&rig, first, 1, "");
    cr_routed(&rig, first, "k", "1");
    table_put_i64(&rig.headers, SLICE("x-deduplication-header"), 1);
    cr_routed(&rig, first, "k", "8");
    cr_routed(&rig, second, "k", "");
    rig.route.sifted = first;
    cr_routed(&rig, first, "k", "1");
    bind_queue(&rig, second, 2, "");
    cr_routed(&rig, first, "k", "1 9");
    rig.route.sifted = NULL;
    teardown(&rig);
}

/* A copy goes to the line, and does not count as a route. */
UNIT(route, what_is_remembered)
{
    struct rig rig;
    setup(&rig);
    struct exchange *x = fake_exchange(&rig.routing, &exchange_fanout);
    struct queue_def line = {.line_of = LINE_OF_HISTORY};
    x->line = queue(&rig, 9);
    x->line->def = &line;
    cr_routed(&rig, x, "k", "9");
    cr_assert_eq(rig.route.unheard, 1);
    bind_queue(&rig, x, 1, "");
    cr_routed(&rig, x, "k", "1 9");
    cr_assert_eq(rig.route.unheard, 1);
    table_put_bool(&rig.headers, SLICE("x-recent-history-no-store"), true);
    cr_routed(&rig, x, "k", "1");
    cr_assert_eq(rig.route.unheard, 0);
    teardown(&rig);
}

static unsigned times_asked;

static void count_route(const void *instance, const struct route_input *input,
                        struct route_sink *sink)
{
    times_asked++;
    exchange_fanout.route(instance, input, sink);
}

UNIT(route, each_exchange_is_asked_once)
{
    struct rig rig;
    setup(&rig);
    struct exchange_type counting = exchange_fanout;
    counting.route = count_route;
    struct exchange *x[3];
    for (unsigned i = 0; i < 3; i++)
        x[i] = fake_exchange(&rig.routing, &counting);
    for (unsigned i = 0; i < 9; i++)
        bind_exchange(&rig, x[i / 3], x[i % 3], "");
    cr_routed(&rig, x[1], "k", "");
    cr_assert_eq(times_asked, 3);
    teardown(&rig);
}

UNIT(route, alternates_only_where_nothing_matched)
{
    struct rig rig;
    setup(&rig);
    struct exchange *a = fake_exchange(&rig.routing, &exchange_direct);
    struct exchange *b = fake_exchange(&rig.routing, &exchange_direct);
    struct exchange *c = fake_exchange(&rig.routing, &exchange_direct);
    struct exchange *empty = fake_exchange(&rig.routing, &exchange_fanout);
    bind_queue(&rig, a, 1, "a");
    bind_queue(&rig, b, 2, "b");
    bind_queue(&rig, c, 3, "c");
    bind_exchange(&rig, a, empty, "dead");
    a->alternate = b;
    b->alternate = c;
    cr_routed(&rig, a, "a", "1");
    cr_routed(&rig, a, "b", "2");
    cr_routed(&rig, a, "c", "3");
    cr_routed(&rig, a, "dead", "");
    c->alternate = a; /* a loop of alternates */
    cr_routed(&rig, a, "none", "");
    cr_routed(&rig, c, "b", "2");
    a->alternate = a;
    cr_routed(&rig, a, "none", "");
    /* the alternate of an exchange reached by a binding counts for that exchange */
    empty->alternate = c;
    bind_queue(&rig, c, 4, "dead");
    cr_routed(&rig, a, "dead", "4");
    /* one key of several matching is a match */
    size_t mark = table_open(&rig.headers, SLICE("CC"), TABLE_ARRAY);
    array_put_str(&rig.headers, SLICE("b"));
    table_close(&rig.headers, mark);
    a->alternate = b;
    cr_routed(&rig, a, "a", "1");
    cr_routed(&rig, a, "none", "2");
    teardown(&rig);
}

static void put_keys(struct rig *rig, const char *name, const char *first, const char *second)
{
    size_t mark = table_open(&rig->headers, slice_str(name), TABLE_ARRAY);
    array_put_str(&rig->headers, slice_str(first));
    array_put_i64(&rig->headers, 7);
    array_put_str(&rig->headers, slice_str(second));
    table_close(&rig->headers, mark);
}

UNIT(route, cc_and_bcc)
{
    struct rig rig;
    setup(&rig);
    struct exchange *x = fake_exchange(&rig.routing, &exchange_direct);
    for (unsigned i = 1; i <= 5; i++) {
        char *key = (char *)rig.routing.vhost->names[i].data;
        bind_queue(&rig, x, 10 + i, key);
    }
    table_put_i32(&rig.headers, SLICE("other"), 1);
    put_keys(&rig, "BCC", "q4", "q1");
    put_keys(&rig, "CC", "q2", "q3");
    put_keys(&rig, "CC", "q5", "q5"); /* the first counts */
    cr_routed(&rig, NULL, "q1", "1 2 3 4");
    cr_routed(&rig, x, "q1", "11 12 13 14");
    cr_assert(rig.route.has_bcc);
    cr_assert_eq(rig.route.key_count, 5);
    static const char *const keys[] = {"q1", "q2", "q3", "q4", "q1"};
    for (size_t i = 0; i < 5; i++)
        cr_assert(slice_eq_str(rig.route.keys[i], keys[i]));
    buf_clear(&rig.headers);
    cr_routed(&rig, NULL, "q1", "1");
    cr_assert(!rig.route.has_bcc);
    table_put_array(&rig.headers, SLICE("CC"), SLICE_EMPTY);
    cr_routed(&rig, NULL, "q1", "1");
    teardown(&rig);
}

UNIT(route, refuses_other_types_of_cc)
{
    struct rig rig;
    setup(&rig);
    table_put_str(&rig.headers, SLICE("CC"), SLICE("q1"));
    cr_routed(&rig, NULL, "q1", "invalid message: {unacceptable_type_in_header,\"CC\",longstr}");
    cr_assert_eq(rig.route.count, 0);
    buf_clear(&rig.headers);
    table_put_void(&rig.headers, SLICE("BCC"));
    cr_routed(&rig, NULL, "q1", "invalid message: {unacceptable_type_in_header,\"BCC\",void}");
    teardown(&rig);
}

UNIT(route, headers_reach_the_exchange)
{
    struct rig rig;
    setup(&rig);
    struct exchange *fan = fake_exchange(&rig.routing, &exchange_fanout);
    struct exchange *x = fake_exchange(&rig.routing, &exchange_headers);
    bind_exchange(&rig, fan, x, "");
    struct buf args = BUF_INIT;
    table_put_i32(&args, SLICE("a"), 1);
    struct binding binding = {.to = {.queue = queue(&rig, 1)}, .args = buf_slice(&args)};
    x->type->bind(x->instance, &binding);
    cr_routed(&rig, fan, "k", "");
    table_put_i64(&rig.headers, SLICE("a"), 1);
    cr_routed(&rig, fan, "k", "1");
    buf_fini(&args);
    teardown(&rig);
}

UNIT(route, the_stamp_wraps)
{
    struct rig rig;
    setup(&rig);
    struct exchange *x = fake_exchange(&rig.routing, &exchange_fanout);
    struct exchange *y = fake_exchange(&rig.routing, &exchange_fanout);
    bind_exchange(&rig, x, y, "");
    bind_exchange(&rig, y, x, "");
    bind_queue(&rig, x, 1, "");
    bind_queue(&rig, y, 1, "");
    bind_queue(&rig, y, 2, "");
    cr_routed(&rig, x, "", "1 2");
    rig.routing.stamp = UINT32_MAX - 3;
    for (unsigned i = 0; i < 8; i++)
        cr_routed(&rig, x, "", "1 2");
    teardown(&rig);
}

UNIT(route, allocates_nothing_once_warm)
{
    struct rig rig;
    setup(&rig);
    struct exchange *x = fake_exchange(&rig.routing, &exchange_fanout);
    for (unsigned i = 0; i < 200; i++)
        bind_queue(&rig, x, i, "");
    routed(&rig, x, "");
    struct route before = rig.route;
    for (unsigned i = 0; i < 100; i++)
        routed(&rig, x, "");
    cr_assert_eq(rig.route.targets, before.targets);
    cr_assert_eq(rig.route.keys, before.keys);
    cr_assert_eq(rig.route.target_cap, before.target_cap);
    teardown(&rig);
}
