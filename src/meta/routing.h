/* The routing replica of a shard: what the metadata master has published, compiled for lookups.
 * Every shard has its own and reads it without locks; changes come as ops, in order
 * (OP_META_CHANGE). Pointers found here are valid until the shard runs its next op: keep names, or
 * a reference of a definition, and a version to see whether a cached pointer is still good. */
#ifndef META_ROUTING_H
#define META_ROUTING_H

#include "base/list.h"
#include "meta/def.h"
#include "meta/exchange_type.h"
#include "meta/policy.h"
#include "shard/shard.h"

struct meta_change;
struct routing;
struct vhost;
struct exchange; /* replica of an exchange with its bindings */

/* A queue as a target; stamp marks it as taken during one routing (routing_next_stamp). */
struct target_queue {
    struct queue_def *def;
    struct addr addr; /* for what is published: that of its delay line, if it has one */
    uint32_t stamp;
    struct list bindings; /* routing.c's */
};

struct routing *routing_of(const struct shard *shard);
/* The global parameter cluster_name, as RabbitMQ has it, or the name of the node. Borrowed until
 * the shard's next turn. */
struct slice routing_cluster_name(const struct routing *routing);
/* Grows with every change of definitions, users or permissions on this shard. */
uint64_t routing_version(const struct routing *routing);

struct vhost *routing_find_vhost(const struct routing *routing, struct slice name);
struct slice vhost_name(const struct vhost *vhost);
/* Its limits as JSON: nothing if there are none. */
void vhost_put_limits(const struct vhost *vhost, struct buf *out);
/* Its messages are copied to amq.rabbitmq.trace. */
bool vhost_is_traced(const struct vhost *vhost);
/* That of any vhost. */
bool routing_is_traced(const struct routing *routing);
struct exchange *vhost_find_exchange(const struct vhost *vhost, struct slice name);
struct target_queue *vhost_find_queue(const struct vhost *vhost, struct slice name);
const struct exchange_def *exchange_get_def(const struct exchange *exchange);
struct vhost *exchange_vhost(const struct exchange *exchange);
/* The one that acts: of an exchange that delays, not its own. */
const struct exchange_type *exchange_get_type(const struct exchange *exchange);
/* The type's own instance, for its route(). */
const void *exchange_get_instance(const struct exchange *exchange);
/* Where messages with x-delay wait, or what those with x-deduplication-header have to pass, or what
 * keeps the last ones; NULL: the exchange has no such thing. */
struct target_queue *exchange_find_line(struct exchange *exchange);
/* Something is bound to it, as from the source. */
bool exchange_is_bound(const struct exchange *exchange);
/* Policies as of now; borrowed until the next op. */
const struct applied *exchange_get_policies(struct exchange *exchange);
/* By its name in the same vhost: NULL if it has none, or there is no exchange of that name now. */
struct exchange *exchange_find_alternate(struct exchange *exchange);

/* Grows with every change of policies. */
uint64_t routing_policy_version(const struct routing *routing);
/* Which policies are in effect for a queue now; borrowed until the next op. */
struct applied routing_match_queue(const struct routing *routing, const struct queue_def *queue);

/* What becomes of a policy where it might be applied. */
enum policy_standing {
    POLICY_IN_EFFECT,
    POLICY_OUTRANKED, /* matches, behind the one in effect */
    POLICY_NOT_MATCHING,
    POLICY_NOT_MEANT,  /* is for objects of another kind, or queues of another type */
    POLICY_NOT_SUITED, /* has keys that this type of queue does not know */
};
/* Of each policy of a virtual host in order of priority, then each operator policy, what it is to a
 * queue; or, queue NULL, to an exchange of that name. */
void policies_explain(const struct vhost *vhost, const struct queue_def *queue, struct slice name,
                      void (*tell)(void *arg, const struct policy_def *def,
                                   enum policy_standing standing),
                      void *arg);

/* Marks of one routing: what carries the current stamp was taken already. Never 0, so that new
 * objects bear no mark; when the counter wraps, the stamps of all queues and exchanges of this
 * replica are set back to 0. */
uint32_t routing_next_stamp(struct routing *routing);
uint32_t *exchange_stamp(struct exchange *exchange);

/* Callbacks after a change was applied on this shard: connections look whether their user, vhost or
 * queue is still there. One per folder; runs on the shard's thread. The listener is the caller's
 * and stays in place until meta_fini. */
struct routing_listener {
    void (*on_change)(void *arg, const struct meta_change *change);
    void *arg;
    struct routing_listener *next;
};
void routing_listen(struct routing *routing, struct routing_listener *listener);

#endif
