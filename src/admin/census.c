/* Counting, in portions where every object is asked. */
#include "admin/census.h"

#include "broker/broker.h"

static uint64_t size_of(enum listing what, const void *object, const char *column)
{
    struct value v = listing_get(what, object, column);
    uint64_t n = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return n;
}

/* A queue counts its messages too, which count once for all queues they are in. */
static void weigh_object(struct census *c, enum listing what, const void *object)
{
    uint64_t memory = size_of(what, object, "memory");
    if (what == LISTING_QUEUES) {
        uint64_t bytes = size_of(what, object, "message_bytes");
        c->use.queues += memory > bytes ? memory - bytes : 0;
    } else if (what == LISTING_CONNECTIONS) {
        c->use.connections += memory;
    } else {
        c->use.channels += memory;
    }
}

static void count(struct census *c, const struct shard *shard)
{
    c->queues += listing_count(shard, LISTING_QUEUES);
    c->connections += listing_count(shard, LISTING_CONNECTIONS);
    c->channels += listing_count(shard, LISTING_CHANNELS);
}

static bool finish(struct census *c, struct shard *shard)
{
    count(c, shard);
    c->stage = 0;
    if (shard_index(shard) == 0)
        c->report(c, shard);
    return true;
}

static bool count_run(struct visit *visit, struct shard *shard)
{
    return finish((struct census *)visit, shard);
}

static bool weigh_run(struct visit *visit, struct shard *shard)
{
    struct census *c = (struct census *)visit;
    enum listing what = (enum listing)c->stage;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, what), &budget, &index))
        weigh_object(c, what, listing_at(shard, what, index));
    if (visit->left)
        return false;
    visit->begun = false;
    return ++c->stage == LISTING_COUNT && finish(c, shard);
}

struct census *census_new(struct call *call, bool weigh,
                          void (*report)(struct census *census, struct shard *shard))
{
    struct census *c = visit_new(sizeof *c, weigh ? weigh_run : count_run, call_visit_end);
    c->report = report;
    c->json = call->request.json;
    c->unit = UNIT_GB;
    return c;
}

struct breakdown census_breakdown(const struct census *census, struct shard *shard)
{
    struct memory_facts facts = memory_read();
    struct memory_use use = census->use;
    int64_t messages, bytes;
    broker_message_totals(shard_node(shard), &messages, &bytes);
    use.messages = bytes > 0 ? (uint64_t)bytes : 0;
    return breakdown_of(&facts, &use);
}
