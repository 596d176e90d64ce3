/* x-message-deduplication: a fanout exchange, but what has the header x-deduplication-header has to
 * pass the exchange's line first, which lets each value in once (route.c, queue/sieve.c). The type
 * itself holds nothing: fanout acts. */
#include "broker/exchange/deduplication.h"

#include "base/table.h"
#include "broker/exchange/exchange.h"

bool deduplication_number(struct slice table, const char *name, uint64_t *ret_number)
{
    struct table_value value;
    if (!table.len || !table_find(table, slice_str(name), &value))
        return false;
    if (value.type == TABLE_LONGSTR)
        return slice_number(value.bytes, ret_number);
    if (!table_is_int(value.type) || value.integer < 0)
        return false;
    *ret_number = (uint64_t)value.integer;
    return true;
}

static bool is_above_zero(struct slice args, const char *name)
{
    uint64_t n = 0;
    return deduplication_number(args, name, &n) && n > 0;
}

static enum err deduplication_validate(const struct exchange_type *self, struct slice args,
                                       struct failure *why)
{
    (void)self;
    struct table_value value;
    if (!is_above_zero(args, "x-cache-size"))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "Missing or invalid argument, 'x-cache-size' must be an integer greater "
                           "than 0");
    if (table_find(args, SLICE("x-cache-ttl"), &value) && !is_above_zero(args, "x-cache-ttl"))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "Invalid argument, 'x-cache-ttl' must be an integer greater than 0");
    if (table_find(args, SLICE("x-cache-persistence"), &value) &&
        !(value.type == TABLE_LONGSTR &&
          (slice_eq_str(value.bytes, "disk") || slice_eq_str(value.bytes, "memory"))))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "Invalid argument, 'x-cache-persistence' must be either 'disk' or "
                           "'memory'");
    return ERR_NONE;
}

static bool is_stored(struct slice args, bool durable)
{
    struct slice where;
    return durable && table_find_str(args, SLICE("x-cache-persistence"), &where) &&
           slice_eq_str(where, "disk");
}

static const struct exchange_type *fanout(struct slice args)
{
    (void)args;
    return &exchange_fanout;
}

const struct exchange_type exchange_deduplication = {
    .name = "x-message-deduplication",
    .text = "as fanout, but of messages with the same value of the header x-deduplication-header "
            "only the first goes on: among the last x-cache-size of them, for x-cache-ttl "
            "milliseconds; x-cache-persistence says whether what it knows outlives a restart",
    .sifts = is_stored,
    .validate = deduplication_validate,
    .acts_as = fanout,
};
