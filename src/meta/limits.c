/* The limits of a node, which the master keeps. */
#include "meta/limits.h"

#include "base/table.h"
#include "meta/meta_priv.h"

struct limits *limits_of_node(const struct node *node)
{
    return &meta_of(node)->limits;
}

void limits_init(struct limits *limits)
{
    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        atomic_init(&limits->max[i], -1);
    atomic_init(&limits->default_type, -1);
    atomic_init(&limits->hashing, DIGEST_SHA256);
}

void limits_set(struct node *node, enum limit limit, int64_t max)
{
    atomic_store_explicit(&limits_of_node(node)->max[limit], max, memory_order_relaxed);
}

void limits_set_queue_types(struct node *node, unsigned disabled, int default_type)
{
    struct limits *limits = limits_of_node(node);
    atomic_store_explicit(&limits->disabled_types, disabled, memory_order_relaxed);
    atomic_store_explicit(&limits->default_type, default_type, memory_order_relaxed);
}

void limits_set_hashing(struct node *node, enum digest_kind kind)
{
    atomic_store_explicit(&limits_of_node(node)->hashing, (int)kind, memory_order_relaxed);
}

enum digest_kind limits_hashing(const struct node *node)
{
    return (enum digest_kind)atomic_load_explicit(&limits_of_node(node)->hashing,
                                                  memory_order_relaxed);
}

void limits_relax(struct node *node, bool relaxed)
{
    atomic_store_explicit(&limits_of_node(node)->relaxed, relaxed, memory_order_relaxed);
}

bool limits_relaxed_for(const struct node *node, const struct queue_def *def, struct slice args)
{
    struct slice type;
    return def->type == QUEUE_QUORUM &&
           atomic_load_explicit(&limits_of_node(node)->relaxed, memory_order_relaxed) &&
           table_find_str(args, SLICE("x-queue-type"), &type) && slice_eq_str(type, "classic");
}
