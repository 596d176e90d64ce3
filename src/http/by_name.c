#include "http/by_name.h"

#include "admin/visit.h"
#include "base/mem.h"
#include "http/filter.h"
#include "http/list.h"
#include "meta/access.h"

#include <stdlib.h>

enum {
    LOOKED_PORTION = 400, /* names, or virtual hosts, that are looked at in a turn */
    FOUND_PORTION = 100,  /* of a list without pages */
    LOOKS = 16            /* at the clock: one of so many names */
};

struct by_name *by_name_new(const struct asker *asker, const struct filter *filter, bool backwards,
                            uint64_t skip, size_t page_size)
{
    struct by_name *b = NEW(struct by_name);
    queue_walk_init(&b->walk, asker->vhost, backwards);
    b->asker = asker;
    b->filter = filter;
    b->counts = page_size != 0;
    b->skip = skip;
    b->want = page_size ? page_size : FOUND_PORTION;
    return b;
}

void by_name_free(struct by_name **by_name)
{
    if (!*by_name)
        return;
    queue_walk_fini(&(*by_name)->walk);
    free(*by_name);
    *by_name = NULL;
}

static bool is_visible(const struct by_name *b, const struct routing *routing,
                       const struct vhost *vhost)
{
    return b->asker->vhost.len || b->asker->everywhere ||
           access_vhost(routing, b->asker->user, vhost_name(vhost));
}

static bool find(const struct queue_def *def, void *arg)
{
    struct by_name *b = arg;
    b->found[b->found_count++] = def->addr;
    return b->found_count < b->want;
}

static bool look_at(const struct queue_def *def, void *arg)
{
    struct by_name *b = arg;
    b->total++;
    if (filter_passes(b->filter, def->name) && b->matched++ >= b->skip && b->found_count < b->want)
        (void)find(def, b);
    if (!b->counts && b->found_count == b->want)
        return false;
    return ++b->visit->looked % LOOKS || !visit_is_late(b->visit);
}

/* Without a look at those that are not of the page. */
static void count_vhost(struct by_name *b, const struct vhost *vhost)
{
    size_t count = queue_walk_count(vhost), before = 0, budget = b->want - b->found_count;
    if (b->skip > b->matched)
        before = b->skip - b->matched < count ? (size_t)(b->skip - b->matched) : count;
    b->total += count;
    b->matched += count;
    if (before == count || !budget)
        return;
    queue_walk_skip(&b->walk, vhost, before);
    (void)queue_walk_next(&b->walk, vhost, &budget, find, b);
}

bool by_name_run(struct by_name *b, struct visit *visit, struct shard *shard)
{
    const struct routing *routing = routing_of(shard);
    size_t budget = LOOKED_PORTION;
    struct vhost *vhost;
    b->visit = visit;
    if (!b->counts)
        b->found_count = b->taken = 0;
    while ((vhost = queue_walk_vhost(&b->walk, routing))) {
        if (!budget || visit_is_late(visit))
            return !b->counts && b->found_count;
        budget--;
        visit->looked++;
        if (!is_visible(b, routing, vhost))
            ;
        else if (b->counts && !b->filter->text.len)
            count_vhost(b, vhost);
        else if (queue_walk_next(&b->walk, vhost, &budget, look_at, b))
            return !b->counts && b->found_count;
        queue_walk_leave(&b->walk, routing);
    }
    b->over = true;
    return true;
}

bool by_name_take(struct by_name *b, struct addr *ret_queue)
{
    if (b->taken == b->found_count)
        return false;
    *ret_queue = b->found[b->taken++];
    return true;
}
