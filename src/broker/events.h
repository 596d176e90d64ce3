/* What happens in the broker: as messages of the event exchange amq.rabbitmq.event, and told to
 * those who watch a shard. Events for the exchange wait in a buffer of their shard until its turn
 * ends; when it is full they are dropped, counted and the log says so: nothing that happens ever
 * waits for those who watch it. */
#ifndef BROKER_EVENTS_H
#define BROKER_EVENTS_H

#include "base/list.h"
#include "base/slice.h"
#include "shard/shard.h"

enum { EVENTS_WAITING_MAX = 4096, EVENTS_A_TURN = 1024 };

/* Declares the exchange and begins to tell; before the loops run. Without it only those who watch
 * are told. */
void events_init(struct node *node, const char *vhost);
/* After the loops ended. */
void events_fini(struct node *node);
static inline bool events_on(const struct shard *shard)
{
    return shard_get_local(shard, SHARD_LOCAL_EVENTS) != NULL;
}
/* Somebody who is told what happens on one shard, on its thread. */
struct events_watch {
    struct list link;
    bool (*wants)(const struct events_watch *watch); /* false: it is over */
    /* table: the headers with the time, borrowed */
    void (*on_event)(struct events_watch *watch, const char *key, struct slice table);
    void (*free)(struct events_watch *watch);
};
/* From now on; takes the watch, which is freed once it wants no more, at an event or the next
 * watch, or at the end. On the shard. */
void events_watch(struct shard *shard, struct events_watch *watch);

/* key: a literal. headers: table bytes; copied. Does nothing unless events_on. */
void events_emit(struct shard *shard, const char *key, struct slice headers);

#endif
