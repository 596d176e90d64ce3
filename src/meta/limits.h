/* What this node allows over all virtual hosts and users. Set from the configuration at the start
 * and by a reload; any thread may ask. */
#ifndef META_LIMITS_H
#define META_LIMITS_H

#include "base/digest.h"
#include "base/slice.h"
#include "meta/def.h"
#include "meta/usage.h"
#include "shard/shard.h"

enum limit {
    LIMIT_CONNECTIONS,
    LIMIT_CHANNELS,
    LIMIT_CONSUMERS, /* of a channel */
    LIMIT_VHOSTS,
    LIMIT_QUEUES,
    LIMIT_EXCHANGES, /* the predeclared ones count */
    LIMIT_SHOVELS,   /* parameters of these components */
    LIMIT_UPSTREAMS,
    LIMIT_UPSTREAM_SETS,
    LIMIT_COUNT
};

struct limits {
    _Atomic int64_t max[LIMIT_COUNT];      /* below 0: none */
    _Atomic int64_t connections, channels; /* open now */
    _Atomic unsigned disabled_types;       /* of queues: bits 1 << enum queue_type */
    _Atomic int default_type; /* enum queue_type where a vhost has none; below 0: none */
    _Atomic bool relaxed;
    _Atomic int hashing; /* enum digest_kind of passwords to be set */
};

struct limits *limits_of_node(const struct node *node);
void limits_init(struct limits *limits);
/* Of what there is too much of nothing goes. */
void limits_set(struct node *node, enum limit limit, int64_t max);
/* Queues of these types are not declared any more; what a queue is of that is declared without a
 * type, in a virtual host that has none. */
void limits_set_queue_types(struct node *node, unsigned disabled, int default_type);
/* Clients that declare a quorum queue as a classic one get it. */
void limits_relax(struct node *node, bool relaxed);
bool limits_relaxed_for(const struct node *node, const struct queue_def *def, struct slice args);
/* How passwords are hashed that are set. */
void limits_set_hashing(struct node *node, enum digest_kind kind);
enum digest_kind limits_hashing(const struct node *node);
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
