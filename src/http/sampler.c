/* A timer at every fifth second of the time of day, so that each sample is that of one time that
 * clients ask for. It sends a gauge over all shards, then a visit for what they counted of virtual
 * hosts and exchanges, then one for single objects; all go in portions, and the timer is set when
 * they are back. */
#include "http/sampler.h"

#include "admin/admin.h"
#include "admin/visit.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/gauge.h"
#include "http/http_priv.h"
#include "http/node_counters.h"
#include "http/samples.h"
#include "http/tallies.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <stdlib.h>

enum { LATE_MS = 1000 /* a sample that late is one of its own time */ };

struct sampler {
    struct shard *shard;
    struct addr addr;
    struct timer timer;
    bool on, walking;
    enum { GAUGE, TALLIES, OBJECTS } step; /* which visit is on its way */
    uint64_t now_ms, wall_offset;          /* of the samples that are being taken */
    struct trend *trend;
};

static void start(struct sampler *s, struct visit *visit)
{
    visit->home = s->addr;
    visit->shard = node_shard_count(shard_node(s->shard)) - 1;
    visit_go(visit);
}

static void wait_for_next(struct sampler *s)
{
    s->walking = false;
    if (s->on)
        timer_set(&s->timer, TREND_STEP_MS - clock_wall_ms() % TREND_STEP_MS + 1);
}

static void on_timer(struct timer *timer)
{
    struct sampler *s = list_entry(timer, struct sampler, timer);
    uint64_t wall = clock_wall_ms(), late = wall % TREND_STEP_MS;
    uint64_t now = clock_mono_ns() / 1000000;
    s->now_ms = late < LATE_MS ? now - late : now;
    s->wall_offset = wall - now;
    s->walking = true;
    s->step = GAUGE;
    struct gauge *gauge = gauge_new();
    gauge->by_vhost = true;
    gauge->begun_ms = shard_now_ms(s->shard);
    start(s, &gauge->visit);
}

static void on_gauge(struct sampler *s, const struct gauge *gauge)
{
    uint64_t counters[NODE_COUNTERS];
    struct facts_now now = facts_now(s->shard);
    gauge_remember(http_of(shard_node(s->shard))->gauge_memory, gauge);
    node_counters_read(shard_node(s->shard), &now, &gauge->totals, counters);
    trend_add(s->trend, s->now_ms, s->wall_offset, counters);
}

static void on_back(struct sampler *s, struct visit *visit)
{
    if (visit_step(visit)) {
        visit_go(visit);
        return;
    }
    if (s->step == GAUGE)
        on_gauge(s, (const struct gauge *)visit);
    visit_free(visit);
    if (s->step == OBJECTS)
        wait_for_next(s);
    else if (s->step++ == GAUGE)
        start(s, tallies_visit(shard_node(s->shard), s->now_ms));
    else
        start(s, samples_visit(shard_node(s->shard), s->now_ms, s->wall_offset));
}

static void on_op(void *object, struct op *op)
{
    if (op->kind == ADMIN_OP_BACK)
        on_back(object, visit_of(op));
}

static const struct actor_type sampler_type = {"http sampler", on_op};

static void make(struct shard *shard, void *arg)
{
    struct sampler *s = arg;
    if (shard_index(shard))
        return;
    s->shard = shard;
    s->addr = slot_new(shard, &sampler_type, s);
    timer_init(&s->timer, shard, on_timer);
}

struct sampler *sampler_new(struct node *node)
{
    struct sampler *s = NEW(struct sampler);
    s->trend = trend_new(trend_of_node, TREND_SPANS, NODE_COUNTERS, true);
    node_each_shard(node, make, s);
    return s;
}

static void end(struct shard *shard, void *arg)
{
    struct sampler *s = arg;
    if (shard_index(shard))
        return;
    timer_stop(&s->timer);
    slot_free(shard, s->addr);
}

void sampler_free(struct sampler **sampler)
{
    struct sampler *s = *sampler;
    if (!s)
        return;
    node_each_shard(shard_node(s->shard), end, s);
    trend_free(&s->trend);
    free(s);
    *sampler = NULL;
}

void sampler_set(struct sampler *s, bool on)
{
    s->on = on;
    if (!on)
        timer_stop(&s->timer);
    else if (!s->walking && !timer_is_set(&s->timer))
        wait_for_next(s);
}

const struct trend *sampler_trend(const struct sampler *s)
{
    return s->trend;
}
