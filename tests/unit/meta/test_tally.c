/* What shards count of virtual hosts and exchanges, and shard 0 gathers. */
#include "meta/tally.h"
#include "unit.h"
#include "world.h"

static struct routing *replica(struct world *w, unsigned shard)
{
    return routing_of(node_shard(w->node, shard));
}

static struct vhost *find_vhost(struct world *w, unsigned shard, const char *name)
{
    return routing_find_vhost(replica(w, shard), slice_str(name));
}

static struct exchange *find_exchange(struct world *w, unsigned shard, const char *name)
{
    return vhost_find_exchange(find_vhost(w, shard, "/"), slice_str(name));
}

static void take(struct world *w, struct buf *records)
{
    for (unsigned i = WORLD_SHARDS; i-- > 0;) {
        size_t budget = 1;
        while (!tally_take(replica(w, i), &budget, records)) {
            cr_assert_eq(budget, 0);
            budget = 1;
        }
    }
}

static void add(struct world *w, const struct buf *records, uint64_t now_ms)
{
    size_t at = 0, turns = 0;
    while (!tally_add(replica(w, 0), buf_slice(records), &at, 1))
        cr_assert_lt(turns++, 100);
    tally_close(replica(w, 0), now_ms);
}

/* A round over all shards, an object at a time. */
static void gather(struct world *w, uint64_t now_ms)
{
    struct buf records = BUF_INIT;
    take(w, &records);
    add(w, &records, now_ms);
    buf_fini(&records);
}

static void expect(struct tally_sum got, uint64_t sum, double growth)
{
    cr_expect_eq(got.sum, sum, "%lu", got.sum);
    cr_expect_float_eq(got.growth, growth, 1e-9, "%f", got.growth);
}

static void expect_in(struct world *w, const char *exchange, uint64_t sum, double growth)
{
    expect(tally_of_exchange(find_exchange(w, 0, exchange), EXCHANGE_IN), sum, growth);
}

UNIT(tally, sums_and_rates_over_shards)
{
    struct world *w = world_new();
    gather(w, 1000);
    expect_in(w, "amq.topic", 0, 0);
    for (unsigned i = 0; i < WORLD_SHARDS; i++) {
        tally_count(tally_for_exchange(find_exchange(w, i, "amq.topic")), EXCHANGE_IN, 10 + i);
        tally_count(tally_for_exchange(find_exchange(w, i, "amq.topic")), EXCHANGE_OUT, 2);
        tally_count(tally_for_exchange(find_exchange(w, i, "")), EXCHANGE_IN, 1);
        tally_count(tally_for_vhost(find_vhost(w, i, "/")), 0, 5);
    }
    expect_in(w, "amq.topic", 0, 0);
    gather(w, 3000);
    expect_in(w, "amq.topic", 21, 10.5);
    expect_in(w, "", 2, 1);
    expect_in(w, "amq.direct", 0, 0);
    expect(tally_of_exchange(find_exchange(w, 0, "amq.topic"), EXCHANGE_OUT), 4, 2);
    expect(tally_of_vhost(find_vhost(w, 0, "/"), 0), 10, 5);
    tally_count(tally_for_exchange(find_exchange(w, 1, "amq.topic")), EXCHANGE_IN, 4);
    gather(w, 7000);
    expect_in(w, "amq.topic", 25, 1);
    expect_in(w, "", 2, 0);
    gather(w, 8000);
    expect_in(w, "amq.topic", 25, 0);
    world_free(&w);
}

/* Whoever looks while a round is gathered sees the rate of the one before. */
UNIT(tally, half_a_round)
{
    struct world *w = world_new();
    struct buf records = BUF_INIT;
    gather(w, 1000);
    tally_count(tally_for_exchange(find_exchange(w, 0, "amq.topic")), EXCHANGE_IN, 10);
    gather(w, 2000);
    tally_count(tally_for_exchange(find_exchange(w, 0, "amq.topic")), EXCHANGE_IN, 1);
    tally_count(tally_for_exchange(find_exchange(w, 0, "amq.direct")), EXCHANGE_IN, 1);
    take(w, &records);
    size_t at = 0;
    cr_expect(!tally_add(replica(w, 0), buf_slice(&records), &at, 1));
    expect_in(w, "amq.topic", 11, 10);
    cr_expect(tally_add(replica(w, 0), buf_slice(&records), &at, 1));
    tally_close(replica(w, 0), 3000);
    buf_fini(&records);
    expect_in(w, "amq.topic", 11, 1);
    expect_in(w, "amq.direct", 1, 1);
    world_free(&w);
}

/* What is there now is not added up: who does not come up again has nothing. */
UNIT(tally, levels)
{
    struct world *w = world_new();
    gather(w, 1000);
    for (unsigned i = 0; i < WORLD_SHARDS; i++)
        tally_count(tally_for_vhost(find_vhost(w, i, "/")), VHOST_READY, 7);
    gather(w, 2000);
    expect(tally_of_vhost(find_vhost(w, 0, "/"), VHOST_READY), 14, 14);
    tally_count(tally_for_vhost(find_vhost(w, 1, "/")), VHOST_READY, 4);
    gather(w, 4000);
    expect(tally_of_vhost(find_vhost(w, 0, "/"), VHOST_READY), 4, -5);
    gather(w, 5000);
    expect(tally_of_vhost(find_vhost(w, 0, "/"), VHOST_READY), 0, 0);
    tally_count(tally_for_vhost(find_vhost(w, 1, "/")), VHOST_READY, 3);
    gather(w, 6000);
    expect(tally_of_vhost(find_vhost(w, 0, "/"), VHOST_READY), 3, 3);
    world_free(&w);
}

/* What went before its records came is forgotten, and one that comes again begins at 0. */
UNIT(tally, objects_that_go)
{
    struct world *w = world_new();
    struct buf records = BUF_INIT;
    must(do_exchange(w, "x", "direct", 0, ""));
    must(do_vhost(w, "v", 0));
    tally_count(tally_for_exchange(find_exchange(w, 1, "x")), EXCHANGE_IN, 3);
    tally_count(tally_for_exchange(find_exchange(w, 0, "x")), EXCHANGE_IN, 3);
    tally_count(tally_for_vhost(find_vhost(w, 1, "v")), 0, 3);
    take(w, &records);
    tally_count(tally_for_exchange(find_exchange(w, 1, "x")), EXCHANGE_IN,
                3); /* not taken any more */
    must(do_delete_exchange(w, "x", 0));
    struct meta_request *rq = request(w, META_VHOST_DELETE, 0);
    meta_request_set(&rq->name, SLICE("v"));
    must(do_request(w, rq));
    add(w, &records, 1000);
    buf_fini(&records);
    must(do_exchange(w, "x", "direct", 0, ""));
    gather(w, 2000);
    expect_in(w, "x", 0, 0);
    world_free(&w);
}
