/* The walk keeps a reference of the binding it showed last: as long as that is bound, it goes on
 * behind it at once; else it looks for the first younger one. */
#include "meta/bound_walk.h"

#include "base/bug.h"
#include "meta/routing_priv.h"

void bound_walk_init(struct bound_walk *walk, const struct exchange *exchange)
{
    *walk = (struct bound_walk){.exchange = exchange_def_ref(exchange->def)};
}

static void set_last(struct bound_walk *walk, struct binding_def *last)
{
    if (walk->last)
        binding_def_unref(&walk->last);
    walk->last = last ? binding_def_ref(last) : NULL;
}

void bound_walk_fini(struct bound_walk *walk)
{
    set_last(walk, NULL);
    exchange_def_unref(&walk->exchange);
}

static struct list *first_of(const struct bound_walk *walk, struct exchange *x)
{
    const struct bound *last = walk->last ? walk->last->bounds[0] : NULL;
    if (last)
        return last->by_source.next;
    struct list *it = x->out.next;
    while (walk->last && it != &x->out &&
           list_entry(it, struct bound, by_source)->def->number <= walk->last->number)
        it = it->next;
    return it;
}

bool bound_walk_next(struct bound_walk *walk, const struct routing *routing, size_t *budget,
                     void (*fn)(const struct binding *binding, void *arg), void *arg)
{
    bug_on(routing->index != 0);
    const struct vhost *vhost = routing_find_vhost(routing, walk->exchange->vhost);
    struct exchange *x = vhost ? vhost_find_exchange(vhost, walk->exchange->name) : NULL;
    if (!x || x->def != walk->exchange)
        return false;
    struct list *it = first_of(walk, x);
    struct bound *bound = NULL;
    for (; it != &x->out && *budget; it = it->next, --*budget) {
        bound = list_entry(it, struct bound, by_source);
        fn(&bound->binding, arg);
    }
    if (bound)
        set_last(walk, bound->def);
    return it != &x->out;
}
