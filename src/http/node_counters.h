/* What is counted of the node as a whole, and shown with how fast it grows: RabbitMQ's names and
 * where they stand. Shard 0. */
#ifndef HTTP_NODE_COUNTERS_H
#define HTTP_NODE_COUNTERS_H

#include "admin/facts.h"
#include "http/gauge.h"

enum node_section { SECTION_STATS, SECTION_CHURN, SECTION_DEPTHS, SECTION_USE };

enum { NODE_COUNTERS = 27 };

struct node_counter {
    const char *name, *details;
    enum node_section section;
};
extern const struct node_counter node_counters[NODE_COUNTERS];

/* All of them as they are now; totals NULL: those of the section SECTION_USE alone. */
void node_counters_read(const struct node *node, const struct facts_now *now,
                        const struct gauge_totals *totals, uint64_t *ret_counters);

#endif
