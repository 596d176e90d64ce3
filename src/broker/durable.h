/* Messages that several durable queues get, or that are large, are put into the store once, by the
 * shard that publishes them; the queues then name them. */
#ifndef BROKER_DURABLE_H
#define BROKER_DURABLE_H

#include "broker/msg.h"
#include "meta/def.h"
#include "shard/shard.h"

struct route;

enum { DURABLE_LARGE = 64 << 10 }; /* bodies from this on are never part of a queue's record */

/* Its persistent messages are stored, in the journal and the database. An exclusive queue ends with
 * its connection; a stream has files of its own. */
static inline bool durable_queue(const struct queue_def *def)
{
    return def->durable && !def->exclusive && def->type != QUEUE_STREAM;
}

/* A quorum queue stores all messages, as RabbitMQ's do: clients that trust in that send some that
 * are marked as transient. What knows values stores those alone. */
static inline bool durable_in(const struct queue_def *def, const struct msg *msg)
{
    return durable_queue(def) && def->line_of != LINE_OF_VALUES &&
           (msg->flags & MSG_PERSISTENT || def->type == QUEUE_QUORUM);
}

/* Puts a message into the shard's log by itself, whatever its own id; the id it has there. queues:
 * how many will name it. */
uint64_t durable_store(struct shard *shard, const struct msg *msg, uint32_t queues);
/* To be called before the message is posted to these queues. */
void durable_prepare(struct shard *shard, struct msg *msg, struct queue_def *const *queues,
                     size_t count);
/* The same for what a route found. */
void durable_prepare_route(struct shard *shard, struct msg *msg, const struct route *route);

#endif
