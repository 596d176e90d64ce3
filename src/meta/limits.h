/* What this node allows over all virtual hosts and users. Set from the configuration at the start
 * and by a reload; any thread may ask. */
#ifndef META_LIMITS_H
#define META_LIMITS_H

#include "meta/usage.h"
#include "shard/shard.h"

enum limit {
    LIMIT_CONNECTIONS,
    LIMIT_CHANNELS,
    LIMIT_CONSUMERS, /* of a channel */
    LIMIT_VHOSTS,
    LIMIT_QUEUES,
    LIMIT_EXCHANGES, /* the predeclared ones count */
    LIMIT_COUNT
};

struct limits {
    _Atomic int64_t max[LIMIT_COUNT];      /* below 0: none */
    _Atomic int64_t connections, channels; /* open now */
};

struct limits *limits_of_node(const struct node *node);
void limits_init(struct limits *limits);
/* Of what there is too much of nothing goes. */
void limits_set(struct node *node, enum limit limit, int64_t max);
static inline int64_t limits_get(const struct limits *limits, enum limit limit)
{
    return atomic_load_explicit(&limits->max[limit], memory_order_relaxed);
}
/* count more would be too many; below 0 is none. */
static inline bool limits_reached(const struct limits *limits, enum limit limit, uint64_t count)
{
    int64_t max = limits_get(limits, limit);
    return max >= 0 && count >= (uint64_t)max;
}

#endif
