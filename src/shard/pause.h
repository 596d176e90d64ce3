/* A rest of microseconds, which timers can't tell: for work that goes on in portions and lets other
 * work, and other threads, go between them. */
#ifndef SHARD_PAUSE_H
#define SHARD_PAUSE_H

#include "shard/shard.h"

struct pause;

struct pause *pause_new(struct shard *shard, void (*fn)(void *arg), void *arg);
/* fn runs once, ns from now or a little later. On its shard. */
void pause_begin(struct pause *pause, uint64_t ns);
void pause_free(struct pause **pause);

#endif
