/* Gathers what the shards counted of virtual hosts and exchanges (meta/tally.h). */
#ifndef HTTP_TALLIES_H
#define HTTP_TALLIES_H

#include "admin/visit.h"

enum { TALLIES_OBJECTS = 20000 /* of a shard, each time: more have their turn the next time */ };

/* Goes over all shards, the last one first; the sums on shard 0 are those of now_ms then. */
struct visit *tallies_visit(struct node *node, uint64_t now_ms);

#endif
