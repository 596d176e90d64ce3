/* The ring of an x-consistent-hash exchange, for listings. On the shard of the instance. */
#ifndef BROKER_EXCHANGE_CONSISTENT_HASH_H
#define BROKER_EXCHANGE_CONSISTENT_HASH_H

#include "broker/exchange/hash_ring.h"

/* Of an instance of exchange_consistent_hash; borrowed until the next op. */
const struct hash_ring *consistent_hash_ring(const void *instance);

#endif
