/* A shard: one thread, one event loop, the objects that live on it. A node: all shards of the
 * process.
 *
 * A turn: wait for readiness -> take inbound ops -> run readiness and timers -> run ops until none
 * is left -> deferred work -> output -> wake the shards that were posted to. */
#ifndef SHARD_SHARD_H
#define SHARD_SHARD_H

#include "base/list.h"
#include "shard/awake.h"
#include "shard/op.h"

#include <stdbool.h>
#include <stdint.h>

struct node;
struct shard;

enum { SHARDS_MAX = 64 };

/* What a folder keeps per shard or per node, found in O(1). */
enum shard_local {
    SHARD_LOCAL_NET,
    SHARD_LOCAL_STORE,
    SHARD_LOCAL_PARTITION,
    SHARD_LOCAL_META,   /* the routing replica */
    SHARD_LOCAL_BROKER, /* registries of connections, channels, queues */
    SHARD_LOCAL_EVENTS, /* what waits for the event exchange */
    SHARD_LOCAL_AMQP,
    SHARD_LOCAL_ADMIN,
    SHARD_LOCAL_HTTP,
    SHARD_LOCAL_TEST,
    SHARD_LOCAL_COUNT
};

/* Objects of one type share a type; kind of op -> the switch is the type's on_op. */
struct actor_type {
    const char *name;
    void (*on_op)(void *object, struct op *op);
};

/* ---- node ---- */
struct node_options {
    unsigned shards;       /* 1..SHARDS_MAX */
    uint64_t busy_wait_ns; /* how long a shard without work stays awake; 0: not at all */
    uint64_t gather_ns;    /* what passes before shards that have little to do share a thread, in
                              parts; 0: they never do */
    struct awake_options awake;
    const struct op_kind *ops;
    unsigned op_count;
    void *context; /* node_context(): the daemon's own */
};

struct node *node_new(const struct node_options *options);
unsigned node_shard_count(const struct node *node);
struct shard *node_shard(struct node *node, unsigned index);
void *node_context(struct node *node);
void *node_local(const struct node *node, enum shard_local which);
void node_set_local(struct node *node, enum shard_local which, void *local);
/* Runs fn on every shard's own thread state before any loop starts (single threaded, in order). */
void node_each_shard(struct node *node, void (*fn)(struct shard *shard, void *arg), void *arg);
/* Starts shards 1.. as threads and runs shard 0 on the caller's until node_stop. */
void node_run(struct node *node);
/* Ends all loops once their ops are drained; callable from any shard. */
void node_stop(struct node *node);
/* After node_run returned: releases ops still on their way, and those that posts make from now on.
 * The folders free their objects after it. */
void node_drop_ops(struct node *node);
/* The last step: releases ops left over, frees the shards. */
void node_free(struct node **node);

/* ---- shard ---- */
/* The shard whose thread this is; NULL on a foreign thread. */
struct shard *shard_self(void);
struct node *shard_node(const struct shard *shard);
unsigned shard_index(const struct shard *shard);
void *shard_get_local(const struct shard *shard, enum shard_local which);
void shard_set_local(struct shard *shard, enum shard_local which, void *local);
/* CLOCK_MONOTONIC as of the start of this turn. */
uint64_t shard_now_ms(const struct shard *shard);

/* Posts a copy of op; must be called on a shard's thread. Never fails, never runs the target now.
 */
void post(const struct op *op);

/* Around posts of shard 0 that tell several shards one piece of news: none acts on anything posted
 * in knowledge of it before it has the news itself. Short, and on shard 0. */
void shard_publish_begin(struct shard *shard);
void shard_publish_end(struct shard *shard);

/* Takes inbound ops now. A reader of a socket calls it between reading bytes and acting on them:
 * what a client was told elsewhere before it sent these bytes is then known here. May run any op.
 */
void shard_sync(struct shard *shard);
/* True while a target's ring is full, or many ops wait here: sources of new work (readable sockets)
 * are to be left alone. The shard runs the callbacks registered with shard_on_relief once it is
 * over. */
bool shard_congested(const struct shard *shard);
/* Congested until all who said so said otherwise, for what lies outside the shards (a slow disk).
 * On its thread. */
void shard_hold(struct shard *shard, bool hold);

/* Work once at the end of this turn. POST runs before FLUSH; either may post or defer again. */
enum defer_phase { DEFER_POST, DEFER_FLUSH, DEFER_PHASES };
struct deferred {
    struct list link;
    void (*fn)(struct deferred *d);
};
static inline void deferred_init(struct deferred *d, void (*fn)(struct deferred *d))
{
    list_init(&d->link);
    d->fn = fn;
}
/* Does nothing if it is pending already. */
void shard_defer(struct shard *shard, enum defer_phase phase, struct deferred *d);
/* Runs in the next turn that is not congested (used by readers that stopped because of congestion).
 */
void shard_on_relief(struct shard *shard, struct deferred *d);
static inline void deferred_cancel(struct deferred *d)
{
    list_remove(&d->link);
}

/* Counters of a shard, for listings; read from other threads without exactness. */
struct shard_stats {
    uint64_t turns, ops_local, ops_in, ops_out, wakes, stale_ops, ring_full;
    uint64_t longest_turn_ns;
    uint64_t gathered; /* times that shard 0's thread took it over */
};
void shard_read_stats(const struct shard *shard, struct shard_stats *ret_stats);
/* Heap bytes of its rings, ops, slots and timers. On its thread. */
size_t shard_memory(const struct shard *shard);

#endif
