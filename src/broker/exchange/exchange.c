/* The list of built-in exchange types: a new one adds its line here. */
#include "broker/exchange/exchange.h"

static const struct exchange_type *const types[] = {
    &exchange_consistent_hash, &exchange_deduplication, &exchange_delayed,
    &exchange_direct,          &exchange_fanout,        &exchange_headers,
    &exchange_local_random,    &exchange_modulus_hash,  &exchange_random,
    &exchange_recent_history,  &exchange_topic,
};

void exchange_types_register(void)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        exchange_type_register(types[i]);
}
