/* The event exchange: what happens in the broker as messages of amq.rabbitmq.event. Events wait in
 * a buffer of their shard until its turn ends; when it is full they are dropped, counted and the
 * log says so: nothing that happens ever waits for those who watch it. */
#ifndef BROKER_EVENTS_H
#define BROKER_EVENTS_H

#include "base/slice.h"
#include "shard/shard.h"

enum { EVENTS_WAITING_MAX = 4096, EVENTS_A_TURN = 1024 };

/* Declares the exchange and begins to tell; before the loops run. Without it nothing is told. */
void events_init(struct node *node, const char *vhost);
/* After the loops ended. */
void events_fini(struct node *node);
static inline bool events_on(const struct shard *shard)
{
    return shard_get_local(shard, SHARD_LOCAL_EVENTS) != NULL;
}
/* key: a literal. headers: table bytes; copied. Does nothing unless events_on. */
void events_emit(struct shard *shard, const char *key, struct slice headers);

#endif
