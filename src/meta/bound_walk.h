/* A walk over the bindings from one exchange, in portions: between two of them anything may change.
 * What stays is shown exactly once, in the order it came. On shard 0, where bindings are numbered.
 */
#ifndef META_BOUND_WALK_H
#define META_BOUND_WALK_H

#include "meta/routing.h"

struct binding_def;

struct bound_walk {
    struct exchange_def *exchange; /* a reference */
    struct binding_def *last;      /* that was shown; a reference, or NULL */
};

void bound_walk_init(struct bound_walk *walk, const struct exchange *exchange);
void bound_walk_fini(struct bound_walk *walk);
/* At most *budget bindings, which is lowered by what was shown. False: the walk is over. */
bool bound_walk_next(struct bound_walk *walk, const struct routing *routing, size_t *budget,
                     void (*fn)(const struct binding *binding, void *arg), void *arg);

#endif
