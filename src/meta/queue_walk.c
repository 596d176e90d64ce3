/* The walk knows names alone: where they would be now is looked up once a portion. */
#include "meta/queue_walk.h"

#include "base/bug.h"
#include "meta/routing_priv.h"

void queue_walk_init(struct queue_walk *walk, struct slice only, bool backwards)
{
    *walk = (struct queue_walk){.only = only.len ? slice_dup(only) : SLICE_EMPTY,
                                .backwards = backwards};
}

static void set_name(struct slice *name, struct slice to)
{
    slice_free(name);
    *name = to.data ? slice_dup(to) : SLICE_EMPTY;
}

void queue_walk_fini(struct queue_walk *walk)
{
    slice_free(&walk->only);
    slice_free(&walk->vhost);
    slice_free(&walk->last);
}

/* The one behind that name, or the first one; false: there is none. */
static bool find_next(const struct order *order, struct slice behind, bool backwards,
                      struct order_place *ret_place)
{
    size_t rank = backwards ? order->count : 0;
    if (behind.data)
        rank = order_rank(order, behind, !backwards);
    if (backwards ? !rank : rank == order->count)
        return false;
    *ret_place = order_seek(order, backwards ? rank - 1 : rank);
    return true;
}

static void enter_next(struct queue_walk *walk, const struct routing *routing)
{
    struct order_place place;
    struct slice name = SLICE_EMPTY;
    if (walk->only.len)
        name = walk->vhost.data ? SLICE_EMPTY : walk->only;
    else if (find_next(&routing->vhosts_by_name, walk->vhost, walk->backwards, &place))
        name = vhost_name(order_at(&routing->vhosts_by_name, place));
    set_name(&walk->vhost, name);
    set_name(&walk->last, SLICE_EMPTY);
}

struct vhost *queue_walk_vhost(struct queue_walk *walk, const struct routing *routing)
{
    bug_on(routing->index != 0);
    if (!walk->begun) {
        walk->begun = true;
        enter_next(walk, routing);
    }
    while (walk->vhost.data) {
        struct vhost *vhost = routing_find_vhost(routing, walk->vhost);
        if (vhost)
            return vhost;
        enter_next(walk, routing);
    }
    return NULL;
}

void queue_walk_leave(struct queue_walk *walk, const struct routing *routing)
{
    enter_next(walk, routing);
}

size_t queue_walk_count(const struct vhost *vhost)
{
    return vhost->queues_by_name.count;
}

static struct slice name_at(const struct order *order, struct order_place place)
{
    return ((const struct queue_def *)order_at(order, place))->name;
}

void queue_walk_skip(struct queue_walk *walk, const struct vhost *vhost, size_t count)
{
    const struct order *order = &vhost->queues_by_name;
    if (!count)
        return;
    size_t rank = walk->backwards ? order->count - count : count - 1;
    set_name(&walk->last, name_at(order, order_seek(order, rank)));
}

bool queue_walk_next(struct queue_walk *walk, const struct vhost *vhost, size_t *budget,
                     bool (*fn)(const struct queue_def *def, void *arg), void *arg)
{
    const struct order *order = &vhost->queues_by_name;
    struct order_place place, at;
    bool left = find_next(order, walk->last, walk->backwards, &place), wanted = true;
    bool any = left && *budget;
    while (left && wanted && *budget) {
        --*budget;
        at = place;
        wanted = fn(order_at(order, place), arg);
        left = order_step(order, walk->backwards, &place);
    }
    if (any)
        set_name(&walk->last, name_at(order, at));
    return left;
}
