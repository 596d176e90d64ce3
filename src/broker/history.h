/* The last messages of x-recent-history exchanges, in memory: an exchange's are on the shard of its
 * line, which gets a copy of each. What is bound to it gets each of these, and each that comes
 * later, once: a message tells by which version of the definitions it was routed. */
#ifndef BROKER_HISTORY_H
#define BROKER_HISTORY_H

#include "meta/def.h"
#include "shard/shard.h"

/* A shard's. */
struct histories;
struct histories *histories_new(struct shard *shard);
void histories_free(struct histories **all);
/* Takes the reference of def, a LINE_OF_HISTORY; its address is def->addr. */
void history_new(struct histories *all, struct queue_def *def);

#endif
