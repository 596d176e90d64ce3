/* A way for threads that are no shards to call a shard. */
#ifndef SHARD_BELL_H
#define SHARD_BELL_H

#include "shard/shard.h"

struct bell;

/* Before the loops run. fn runs on the shard's thread, once after any number of rings. */
struct bell *bell_new(struct shard *shard, void (*fn)(void *arg), void *arg);
/* From any thread, between bell_new and bell_free. */
void bell_ring(struct bell *bell);
/* After the loops ended. */
void bell_free(struct bell **bell);

#endif
