/* What samples a request asks for: lengths_age=600&lengths_incr=5, and the same of msg_rates,
 * data_rates and node_stats. Pure. */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include "base/err.h"
#include "http/target.h"
#include "http/trend.h"

struct ranges {
    struct range lengths, msg_rates, data_rates, node_stats;
};

/* Those of a list of objects go on to the step of lengths that is not over yet (lists). Else why is
 * what to answer. */
bool ranges_parse(const struct target *target, uint64_t wall_ms, bool lists,
                  struct ranges *ret_ranges, struct failure *why);

#endif
