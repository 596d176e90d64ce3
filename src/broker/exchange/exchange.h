/* The exchange types built in. The default exchange is no type: route.c finds its queues by name.
 */
#ifndef BROKER_EXCHANGE_EXCHANGE_H
#define BROKER_EXCHANGE_EXCHANGE_H

#include "meta/exchange_type.h"

extern const struct exchange_type exchange_consistent_hash, exchange_deduplication,
    exchange_delayed, exchange_direct, exchange_fanout, exchange_headers, exchange_local_random,
    exchange_modulus_hash, exchange_random, exchange_recent_history, exchange_topic;

/* Registers them; once, before the node runs. */
void exchange_types_register(void);

#endif
