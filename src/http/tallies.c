#include "http/tallies.h"

#include "base/mem.h"
#include "meta/tally.h"

struct tallies_visit {
    struct visit visit;
    uint64_t now_ms;
    size_t room; /* objects that may still be taken on this shard; 0: not begun */
    bool taken;  /* from all shards */
    struct buf records;
    size_t added; /* bytes of them */
};

static void tallies_fini(struct visit *visit)
{
    buf_fini(&((struct tallies_visit *)visit)->records);
}

/* A portion; true: the shard has told all, or enough. */
static bool take(struct tallies_visit *v, struct routing *routing)
{
    size_t portion = v->room < VISIT_OBJECTS ? v->room : VISIT_OBJECTS, left = portion;
    bool all = tally_take(routing, &left, &v->records);
    v->room -= portion - left;
    return all || !v->room;
}

static bool tallies_run(struct visit *visit, struct shard *shard)
{
    struct tallies_visit *v = (struct tallies_visit *)visit;
    struct routing *routing = routing_of(shard);
    if (!visit->begun)
        v->room = TALLIES_OBJECTS;
    visit->begun = true;
    if (!v->taken && !take(v, routing))
        return false;
    if (shard_index(shard))
        return true;
    v->taken = true;
    if (!tally_add(routing, buf_slice(&v->records), &v->added, VISIT_OBJECTS))
        return false;
    tally_close(routing, v->now_ms);
    return true;
}

struct visit *tallies_visit(struct node *node, uint64_t now_ms)
{
    struct tallies_visit *v = NEW(struct tallies_visit);
    v->visit.run = tallies_run;
    v->visit.fini = tallies_fini;
    v->visit.shard = node_shard_count(node) - 1;
    v->now_ms = now_ms;
    return &v->visit;
}
