/* A stream: a queue that is a log. Publishing appends to its partition; consumers read from where
 * they like, each at its own pace, and take nothing away. The ops are those of queues. */
#ifndef BROKER_STREAM_STREAM_QUEUE_H
#define BROKER_STREAM_STREAM_QUEUE_H

#include "shard/shard.h"

struct queue_def;
struct queue_face;
struct stream_queue;

/* Takes the reference of def; the address is def->addr. Listed as LISTING_QUEUES. */
struct stream_queue *stream_queue_new(struct shard *shard, struct queue_def *def);
/* NULL if no stream of that shard has the address. */
const struct queue_face *stream_queue_find(struct shard *shard, struct addr addr);

#endif
