/* When the cores are kept awake: rates over virtual time, and what the device is told. */
#include "shard/shard_priv.h"

#include "base/log.h"
#include "shard/bell.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARDS = 4, NOTHING = 2000 * 1000 * 1000, US = 7 };
static const uint64_t ms = 1000 * 1000;

/* Shard 0 looks every 50 ms while it holds. */
struct rig {
    struct awake *awake;
    char path[40];
    int reader;
    uint64_t now, look_ns; /* 0: not held */
    unsigned asked;
};

static void rig_init(struct rig *r, uint32_t wakes_per_s)
{
    *r = (struct rig){.path = "/tmp/test_awake.XXXXXX", .now = 1000 * 1000 * ms};
    r->reader = mkstemp(r->path);
    cr_assert(r->reader >= 0);
    struct awake_options options = {
        .device = r->path, .latency_us = US, .wakes_per_s = wakes_per_s};
    r->awake = awake_new(&options, SHARDS);
}

static void rig_fini(struct rig *r)
{
    awake_free(&r->awake);
    close(r->reader);
    unlink(r->path);
}

/* What was written since the last time; -1: nothing. */
static int32_t told(struct rig *r)
{
    int32_t value;
    ssize_t n = read(r->reader, &value, sizeof value);
    return n == sizeof value ? value : -1;
}

static struct awake_facts facts(struct rig *r)
{
    struct awake_facts f;
    awake_read(r->awake, r->now, &f);
    return f;
}

/* Waits end for duration_ms, rate of them a second, in turn on the shards of mask. */
static void load(struct rig *r, uint64_t duration_ms, unsigned rate, unsigned mask)
{
    uint64_t end = r->now + duration_ms * ms, step = rate ? 1000 * ms / rate : UINT64_MAX;
    uint64_t next = rate ? r->now + step : UINT64_MAX;
    unsigned shard = 0;
    for (;;) {
        uint64_t look = r->look_ns ? r->look_ns : UINT64_MAX, first = next < look ? next : look;
        if (first > end)
            break;
        r->now = first;
        if (first == look) {
            r->look_ns = awake_stays_held(r->awake, r->now) ? r->now + 50 * ms : 0;
            continue;
        }
        do
            shard = (shard + 1) % SHARDS;
        while (!(mask >> shard & 1));
        next += step;
        if (!awake_count(r->awake, shard, r->now))
            continue;
        r->asked++;
        awake_hold(r->awake, r->now);
        r->look_ns = r->now + 50 * ms;
    }
    r->now = end;
}

UNIT(awake, holds_at_the_rate)
{
    struct rig r;
    rig_init(&r, 1000);
    load(&r, 2000, 900, 1);
    cr_assert_eq(r.asked, 0);
    cr_assert_eq(told(&r), -1);
    load(&r, 50, 1100, 1);
    cr_assert_eq(r.asked, 1);
    cr_assert_eq(told(&r), US);
    load(&r, 5000, 1100, 1);
    cr_assert_eq(told(&r), -1, "told once");
    cr_assert(facts(&r).held && facts(&r).held_ns > 5000 * ms && facts(&r).held_ns < 5050 * ms);
    rig_fini(&r);
}

UNIT(awake, a_burst_of_an_instant_is_no_load)
{
    struct rig r;
    rig_init(&r, 1000);
    for (int i = 0; i < 20; i++) {
        load(&r, 30, 20000, 1);
        load(&r, 970, 0, 1);
    }
    cr_assert_eq(r.asked, 0);
    rig_fini(&r);
}

UNIT(awake, counts_all_shards)
{
    struct rig r;
    rig_init(&r, 1000);
    load(&r, 1000, 1200, 0xf); /* 300 of each */
    cr_assert_eq(r.asked, 1);
    cr_assert_eq(told(&r), US);
    rig_fini(&r);
}

UNIT(awake, a_shard_that_slept_long_counts_no_more)
{
    struct rig r;
    rig_init(&r, 1000);
    load(&r, 1000, 900, 1);
    load(&r, 1000, 0, 1);
    load(&r, 1000, 900, 2);
    cr_assert_eq(r.asked, 0);
    rig_fini(&r);
}

UNIT(awake, lets_go_when_it_is_over)
{
    struct rig r;
    rig_init(&r, 1000);
    load(&r, 1000, 100 * 1000, 0xf);
    cr_assert_eq(told(&r), US);
    load(&r, 1000, 0, 1);
    cr_assert_eq(told(&r), NOTHING);
    cr_assert_eq(r.look_ns, 0, "nothing looks any more");
    struct awake_facts f = facts(&r);
    cr_assert(!f.held && f.held_ns > 1150 * ms && f.held_ns < 1500 * ms);
    load(&r, 5000, 0, 1);
    cr_assert_eq(facts(&r).held_ns, f.held_ns);
    load(&r, 500, 3000, 1);
    cr_assert_eq(told(&r), US, "and again");
    cr_assert_eq(r.asked, 2);
    rig_fini(&r);
}

UNIT(awake, a_shard_that_always_finds_work_lets_go_too)
{
    struct rig r;
    rig_init(&r, 1000);
    load(&r, 500, 3000, 1); /* then it counts no wait, and publishes no rate */
    load(&r, 900, 20, 2);
    cr_assert_eq(told(&r), US);
    cr_assert_eq(told(&r), NOTHING);
    rig_fini(&r);
}

UNIT(awake, does_not_flap)
{
    struct rig r;
    rig_init(&r, 1000);
    load(&r, 500, 1100, 1);
    for (int i = 0; i < 20; i++) {
        load(&r, 100, 600, 1); /* above half */
        load(&r, 100, 0, 1);   /* a pause shorter than 200 ms */
        load(&r, 100, 1500, 1);
    }
    cr_assert_eq(r.asked, 1);
    load(&r, 5000, 600, 1);
    cr_assert_eq(told(&r), US);
    cr_assert_eq(told(&r), -1);
    load(&r, 1000, 400, 1);
    cr_assert_eq(told(&r), NOTHING);
    rig_fini(&r);
}

/* However bursts come, a hold lasts 200 ms at least. */
UNIT(awake, writes_seldom)
{
    struct rig r;
    rig_init(&r, 1000);
    for (unsigned i = 0; i < 100; i++) {
        load(&r, 40 + i, 20000, 1);
        load(&r, 1 + 5 * i, 0, 1);
    }
    uint64_t seconds = (r.now - 1000 * 1000 * ms) / (1000 * ms);
    cr_assert_geq(r.asked, 2);
    cr_assert_leq(r.asked, 5 * seconds);
    rig_fini(&r);
}

UNIT(awake, takes_the_smallest_rate)
{
    struct rig r;
    rig_init(&r, 1);
    load(&r, 10000, 5, 1);
    cr_assert_eq(r.asked, 1);
    cr_assert_eq(told(&r), US);
    cr_assert_eq(told(&r), -1);
    load(&r, 10000, 0, 1);
    cr_assert_eq(told(&r), NOTHING);
    rig_fini(&r);
}

UNIT(awake, says_why_there_is_no_device)
{
    struct awake_options options = {.device = "/nonexistent/device", .wakes_per_s = 1000};
    struct rig r = {.awake = awake_new(&options, SHARDS), .now = 1000 * 1000 * ms};
    load(&r, 1000, 5000, 1);
    cr_assert_eq(r.asked, 0);
    struct awake_facts f = facts(&r);
    cr_assert(f.asked && f.error == ENOENT && !f.held && !f.held_ns);
    awake_free(&r.awake);
}

/* Written to no more, and the broker runs on. */
UNIT(awake, says_why_the_device_fails)
{
    struct awake_options options = {.device = "/dev/full", .wakes_per_s = 1000};
    struct rig r = {.awake = awake_new(&options, SHARDS), .now = 1000 * 1000 * ms};
    log_set_level_all(LOG_NONE_);
    load(&r, 1000, 5000, 1);
    struct awake_facts f = facts(&r);
    cr_assert(f.error == ENOSPC && !f.held && !f.held_ns);
    cr_assert_eq(r.asked, 1);
    awake_free(&r.awake);
}

/* ---- on a node ---- */

struct pacer {
    struct node *node;
    struct bell *bell;
    bool paced;
    _Atomic unsigned rung;
};

static void on_ring(void *arg)
{
    ((struct pacer *)arg)->rung++;
}

static void *pace(void *arg)
{
    struct pacer *p = arg;
    usleep(300 * 1000);
    for (unsigned i = 0; p->paced && i < 2000; i++) {
        bell_ring(p->bell);
        usleep(100);
    }
    usleep((p->paced ? 1500 : 700) * 1000);
    node_stop(p->node);
    return NULL;
}

/* Returns what was written, one value after the other; -1 ends. */
static void run_node(bool paced, int32_t ret_told[4])
{
    static const struct op_kind kinds[1] = {{"none", NULL}};
    struct rig r;
    rig_init(&r, 1000);
    struct node_options options = {
        .shards = 2,
        .busy_wait_ns = 50 * 1000,
        .gather_ns = 5 * ms,
        .awake = {.device = r.path, .latency_us = US, .wakes_per_s = 200},
        .ops = kinds,
        .op_count = 1};
    struct pacer p = {.node = node_new(&options), .paced = paced};
    pthread_t thread;
    p.bell = bell_new(node_shard(p.node, 1), on_ring, &p);
    cr_assert_eq(pthread_create(&thread, NULL, pace, &p), 0);
    node_run(p.node);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < 4; i++)
        ret_told[i] = told(&r);
    struct awake_facts f = awake_facts(p.node);
    cr_assert(f.asked && !f.error && !f.held && (f.held_ns > 0) == paced);
    bell_free(&p.bell);
    node_free(&p.node);
    rig_fini(&r);
}

UNIT(awake, a_node_holds_under_paced_work)
{
    int32_t was[4];
    run_node(true, was);
    cr_assert(was[0] == US && was[1] == NOTHING, "%d %d", was[0], was[1]);
}

UNIT(awake, an_idle_node_asks_for_nothing)
{
    int32_t was[4];
    run_node(false, was);
    cr_assert_eq(was[0], -1);
}
