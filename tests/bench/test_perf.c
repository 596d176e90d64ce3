/* The parts of jackalope-perf that decide what a run says: tracks, histograms, topology, URIs. A
 * plain program, so that it also runs where the unit test library does not. */
#include "perf/hist.h"
#include "perf/options.h"
#include "perf/topology.h"
#include "perf/track.h"

#include <stdio.h>
#include <stdlib.h>

static int failures;

#define CHECK(what)                                                    \
    do {                                                               \
        if (!(what)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #what); \
            failures++;                                                \
        }                                                              \
    } while (0)

static void test_track_in_order(void)
{
    struct track_pool pool = {0};
    struct track t = {0};
    uint64_t n = 5 << TRACK_CHUNK_BITS;

    for (uint64_t i = 0; i < n; i++)
        track_add(&t, &pool, i, false);
    CHECK(t.fresh == n && t.late == 0 && t.again == 0 && t.next == n);
    CHECK(pool.free != NULL || t.nchunks > 0);
    track_add(&t, &pool, 0, false); /* of a chunk that was full and is gone */
    track_add(&t, &pool, n - 1, true);
    CHECK(t.again == 2 && t.fresh == n);
    track_fini(&t);
    track_pool_fini(&pool);
}

static void test_track_disorder(void)
{
    struct track_pool pool = {0};
    struct track t = {0};

    track_add(&t, &pool, 0, false);
    track_add(&t, &pool, 3, false);
    track_add(&t, &pool, 2, false); /* late */
    track_add(&t, &pool, 1, true);  /* redelivered: may be late */
    track_add(&t, &pool, 3, false); /* again */
    CHECK(t.fresh == 4 && t.late == 1 && t.again == 1);
    track_add(&t, &pool, UINT64_C(1) << 47, false);
    CHECK(t.absurd == 1 && t.fresh == 4);
    track_fini(&t);
    track_pool_fini(&pool);
}

static void test_track_merge(void)
{
    struct track_pool pool = {0};
    struct track a = {0};
    struct track b = {0};
    uint64_t n = 3 << TRACK_CHUNK_BITS;

    for (uint64_t i = 0; i < n; i++)
        track_add(i % 3 == 0 ? &a : &b, &pool, i, false);
    CHECK(a.fresh + b.fresh == n && track_overlap(&a, &b) == 0);
    track_add(&a, &pool, 1, false);
    CHECK(track_overlap(&a, &b) == 1);
    track_merge(&a, &pool, &b);
    CHECK(track_overlap(&a, &b) == b.fresh);

    struct track all = {0};
    for (uint64_t i = 0; i <= n; i++)
        track_add(&all, &pool, i, false);
    CHECK(track_overlap(&all, &b) == b.fresh);
    track_fini(&a);
    track_fini(&b);
    track_fini(&all);
    track_pool_fini(&pool);
}

static void test_hist(void)
{
    static struct hist h;
    static struct hist both;

    CHECK(hist_quantile(&h, 0.5) == 0);
    for (uint64_t i = 1; i <= 100000; i++)
        hist_add(&h, i * 100);
    CHECK(h.min == 100 && h.max == 10000000 && hist_mean(&h) == 5000050.0);
    for (int permille = 1; permille <= 1000; permille++) {
        double exact = permille * 10000.0;
        double got = (double)hist_quantile(&h, permille / 1000.0);
        CHECK(got >= exact * 0.999 && got <= exact * 1.009);
    }
    CHECK(hist_quantile(&h, 1) == h.max);
    hist_merge(&both, &h);
    hist_merge(&both, &h);
    CHECK(both.count == 200000 && both.min == 100 &&
          hist_quantile(&both, 0.5) == hist_quantile(&h, 0.5));
    for (uint32_t bit = 0; bit < 64; bit++) {
        CHECK(hist_index(UINT64_C(1) << bit) < HIST_BUCKETS);
        CHECK(hist_index((UINT64_C(1) << bit) - 1) <= hist_index(UINT64_C(1) << bit));
    }
}

/* Every message must be expected by exactly as many queues as it reaches. */
static void check_topology(enum exchange_type type, uint64_t queues, uint64_t bindings,
                           uint64_t match, bool pin)
{
    struct options o = {
        .type = type, .queues = queues, .bindings = bindings, .match = match, .pin = pin};
    struct topology t;
    uint64_t sent = 1000;
    uint64_t sum = 0;

    topology_init(&t, &o);
    for (uint64_t q = 0; q < queues; q++) {
        uint64_t want = 0;
        for (uint64_t s = 0; s < sent; s++)
            want += topology_feeds(&t, 1, q) && s % t.stride == topology_phase(&t, q);
        CHECK(topology_expected(&t, 1, q, sent) == want);
        sum += want;
    }
    CHECK(sum == sent * t.reach);
}

static void test_topology(void)
{
    check_topology(EXCHANGE_DEFAULT, 1, 10, 2, false);
    check_topology(EXCHANGE_DEFAULT, 7, 10, 2, false);
    check_topology(EXCHANGE_DIRECT, 7, 10, 2, true);
    check_topology(EXCHANGE_FANOUT, 100, 10, 2, false);
    check_topology(EXCHANGE_TOPIC, 1, 10, 2, false);
    check_topology(EXCHANGE_TOPIC, 2, 11, 4, false);
    check_topology(EXCHANGE_TOPIC, 8, 99, 4, false);
    check_topology(EXCHANGE_HEADERS, 6, 1000, 2, false);
}

static void test_uri(void)
{
    struct uri u;
    const char *why;

    CHECK(uri_parse(&u, "amqp://", &why) && strcmp(u.host, "127.0.0.1") == 0);
    CHECK(strcmp(u.port, "5672") == 0 && strcmp(u.vhost, "/") == 0);
    CHECK(uri_parse(&u, "amqp://a%40b:p:q@h:1/v%2fw", &why));
    CHECK(strcmp(u.user, "a@b") == 0 && strcmp(u.password, "p:q") == 0);
    CHECK(strcmp(u.host, "h") == 0 && strcmp(u.port, "1") == 0 && strcmp(u.vhost, "v/w") == 0);
    CHECK(uri_parse(&u, "amqp://[::1]:5673", &why) && strcmp(u.host, "::1") == 0);
    CHECK(strcmp(u.port, "5673") == 0);
    CHECK(uri_parse(&u, "unix:/run/s", &why) && strcmp(u.path, "/run/s") == 0);
    CHECK(uri_parse(&u, "amqp://u:p@/v?socket=/run/s", &why) && strcmp(u.path, "/run/s") == 0);
    CHECK(strcmp(u.user, "u") == 0 && strcmp(u.vhost, "v") == 0);
    CHECK(!uri_parse(&u, "amqps://h", &why));
    CHECK(!uri_parse(&u, "http://h", &why));
    CHECK(!uri_parse(&u, "amqp://h/%zz", &why));
    CHECK(!uri_parse(&u, "amqp://h/v?x=1", &why));
    CHECK(!uri_parse(&u, "amqp://[::1", &why));
}

int main(void)
{
    test_track_in_order();
    test_track_disorder();
    test_track_merge();
    test_hist();
    test_topology();
    test_uri();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
