/* The limits of a node, which the master keeps. */
#include "meta/limits.h"

#include "meta/meta_priv.h"

struct limits *limits_of_node(const struct node *node)
{
    return &meta_of(node)->limits;
}

void limits_init(struct limits *limits)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        atomic_init(&limits->max[i], -1);
}

void limits_set(struct node *node, enum limit limit, int64_t max)
{
    atomic_store_explicit(&limits_of_node(node)->max[limit], max, memory_order_relaxed);
}
