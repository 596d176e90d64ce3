/* Counting, in portions where every object is asked. */
#include "admin/census.h"

#include "broker/broker.h"
#include "net/listener.h"
#include "partition/partition.h"
#include "store/store.h"

static uint64_t size_of(enum listing what, const void *object, const char *column)
{
    struct value v = listing_get(what, object, column);
    uint64_t n = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return n;
}

static bool is_stream(enum listing what, const void *object)
{
    if (what != LISTING_QUEUES)
        return false;
    struct value v = listing_get(what, object, "type");
    bool stream = v.type == VALUE_TEXT && slice_eq_str(v.bytes, "stream");
    value_fini(&v);
    return stream;
}

/* A queue counts its messages too, which count once for all queues they are in; a connection its
 * output, which is in the shard's buffers. */
static void weigh_object(struct memory_use *use, enum listing what, const void *object)
{
    uint64_t memory = size_of(what, object, "memory");
    if (what == LISTING_QUEUES || what == LISTING_LINES) {
        uint64_t bytes = size_of(what, object, "message_bytes_ram");
        uint64_t own = memory > bytes ? memory - bytes : 0;
        *(is_stream(what, object) ? &use->streams : &use->queues) += own;
    } else if (what == LISTING_CONNECTIONS) {
        uint64_t pending = size_of(what, object, "send_pend");
        use->connections += memory > pending ? memory - pending : 0;
    } else {
        use->channels += memory;
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
    if (shard_index(shard) == 0)
        c->report(c, shard);
    return true;
}

static bool count_run(struct visit *visit, struct shard *shard)
{
    return finish((struct census *)visit, shard);
}

bool census_weigh(struct visit *visit, struct shard *shard, unsigned *stage, struct memory_use *use)
{
    enum listing what = (enum listing) * stage;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, what), &budget, &index))
        weigh_object(use, what, listing_at(shard, what, index));
    if (visit->left)
        return false;
    visit->begun = false;
    if (++*stage < LISTING_COUNT)
        return false;
    *stage = 0;
    use->shards += shard_memory(shard) + broker_memory(shard);
    use->streams += partitions_memory(shard);
    use->buffers += net_memory(shard);
    return true;
}

static bool weigh_run(struct visit *visit, struct shard *shard)
{
    struct census *c = (struct census *)visit;
    return census_weigh(visit, shard, &c->stage, &c->use) && finish(c, shard);
}

struct census *census_new(struct call *call, bool weigh,
                          void (*report)(struct census *census, struct shard *shard))
{
    struct census *c = visit_new(sizeof *c, weigh ? weigh_run : count_run, call_visit_end);
    c->report = report;
    c->json = call->request.typed;
    c->unit = UNIT_GB;
    return c;
}

struct breakdown census_breakdown(const struct memory_use *found, struct shard *shard)
{
    struct node *node = shard_node(shard);
    struct memory_facts facts = memory_read();
    struct memory_use use = *found;
    int64_t messages, bytes;
    broker_message_totals(node, &messages, &bytes);
    use.messages = messages > 0 ? (uint64_t)messages : 0;
    use.message_bytes = bytes > 0 ? (uint64_t)bytes : 0;
    if (store_of(node))
        use.store = store_memory(store_of(node), &facts.reserved);
    return breakdown_of(&facts, &use);
}
