/* Slot tables: address -> object on this shard. */
#ifndef SHARD_SLOT_H
#define SHARD_SLOT_H

#include "shard/shard.h"

/* Puts an object of this shard behind a fresh address. */
struct addr slot_new(struct shard *shard, const struct actor_type *type, void *object);
/* Takes the object out; ops still on their way to it are released as stale. */
void slot_free(struct shard *shard, struct addr addr);
/* The object, or NULL if the address is stale or of another type. Own shard only. */
void *slot_find(struct shard *shard, struct addr addr, const struct actor_type *type);

/* Addresses that the metadata master hands out before the object exists on its shard. The master
 * alone calls slot_reserve and slot_release (on its own thread); the home shard calls slot_assign,
 * slot_free. */
struct addr slot_reserve(struct node *node, unsigned shard);
void slot_release(struct node *node, struct addr addr);
void slot_assign(struct shard *shard, struct addr addr, const struct actor_type *type,
                 void *object);

#endif
