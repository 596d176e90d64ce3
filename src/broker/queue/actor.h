/* The actor around a queue: runs its step, posts what came out, frees garbage in portions. */
#ifndef BROKER_QUEUE_ACTOR_H
#define BROKER_QUEUE_ACTOR_H

#include "broker/queue/queue.h"
#include "shard/shard.h"

struct queue_actor;
struct queue_host;
struct queue_face;

/* Per-shard state (buffers shared by the shard's queues). */
void queue_actor_init(struct shard *shard);
void queue_actor_fini(struct shard *shard);
/* Heap bytes of that. */
size_t queue_host_memory(const struct queue_host *host);
/* Takes the reference of def; the address is def->addr. Listed as LISTING_QUEUES. */
struct queue_actor *queue_actor_new(struct shard *shard, struct queue_def *def);
void queue_actor_free(struct queue_actor *actor);
/* NULL if no queue of that shard has the address, but for streams. */
const struct queue_face *queue_actor_find(struct shard *shard, struct addr addr);
/* Not a stream. */
bool queue_actor_is(const struct queue_face *face);
const struct queue *queue_actor_queue(const struct queue_face *face);

#endif
