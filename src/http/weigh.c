/* As jackalopectl memory does it. The visit goes to every shard; on shard 0 its counts become
 * parts, and at home the session answers. */
#include "http/weigh.h"

#include "admin/census.h"
#include "http/session.h"

struct weighing {
    struct visit visit;
    unsigned stage;
    struct memory_use use;
    struct breakdown parts;
    void (*on_end)(struct session *session, const struct breakdown *parts);
};

static bool weigh_run(struct visit *visit, struct shard *shard)
{
    struct weighing *w = (struct weighing *)visit;
    if (!census_weigh(visit, shard, &w->stage, &w->use))
        return false;
    if (shard_index(shard) == 0)
        w->parts = census_breakdown(&w->use, shard);
    return true;
}

static void on_weighed(struct session *s, struct visit *visit)
{
    struct weighing *w = (struct weighing *)visit;
    if (session_visit_on(s, visit))
        return;
    w->on_end(s, &w->parts);
    visit_free(visit);
}

void weigh_start(struct session *s,
                 void (*on_end)(struct session *session, const struct breakdown *parts))
{
    struct weighing *w = session_visit_new(sizeof *w, weigh_run);
    w->on_end = on_end;
    session_visit(s, &w->visit, node_shard_count(session_node(s)) - 1, on_weighed);
}
