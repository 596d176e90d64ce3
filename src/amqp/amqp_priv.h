/* Per-shard state of the AMQP front. */
#ifndef AMQP_AMQP_PRIV_H
#define AMQP_AMQP_PRIV_H

#include "amqp/amqp.h"
#include "base/buf.h"
#include "broker/broker.h"
#include "broker/route.h"
#include "meta/routing.h"
#include "shard/timer.h"

struct shutdown;

struct amqp_shard {
    struct shard *shard;
    struct amqp_options options;
    struct routing *routing;
    struct route route;       /* reused by every publish on this shard */
    bool tracing;             /* some vhost is traced */
    struct amqp_hook *hook;   /* sees what is published; NULL: none */
    struct route trace_route; /* of the copies, while route is in use */
    struct routing_listener listener;
    struct list connections;
    uint64_t *totals;     /* broker_totals */
    struct addr addr;     /* takes new options, shutdown */
    const char *stopping; /* reason, once the node is going down */
    uint32_t next_connection;
    struct shutdown *shutdown; /* shard 0's */
    struct list timed;    /* struct timeouts: channels with deliveries that have a time limit */
    struct timer timeout; /* set while there are any */
    _Atomic uint64_t count;
    struct buf scratch; /* for rewriting headers and building tables; empty between uses */
};

static inline struct amqp_shard *amqp_of(const struct shard *shard)
{
    return (struct amqp_shard *)shard_get_local(shard, SHARD_LOCAL_AMQP);
}

#endif
