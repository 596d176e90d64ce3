/* The arguments of a deduplicating exchange. No state, any thread. */
#ifndef BROKER_EXCHANGE_DEDUPLICATION_H
#define BROKER_EXCHANGE_DEDUPLICATION_H

#include "base/slice.h"

#include <stdint.h>

/* x-cache-size, x-cache-ttl: a number that is not negative, or a text that is one. False, and
 * ret_number untouched, if there is none. */
bool deduplication_number(struct slice table, const char *name, uint64_t *ret_number);

#endif
