/* Histories of single queues, connections and channels of a shard: of those somebody asked for
 * lately, and of all queues as long as they are few. One a shard, used by that shard alone. */
#ifndef HTTP_SAMPLES_H
#define HTTP_SAMPLES_H

#include "admin/visit.h"
#include "http/rates.h"
#include "http/trend.h"

enum {
    SAMPLES_OBJECTS = 500,      /* remembered at most, of a shard: 10 KB each */
    SAMPLES_QUEUES = 250,       /* up to as many queues of a shard have samples unasked */
    SAMPLES_FORGET_MS = 600000, /* since somebody asked */
};

struct samples;

struct samples *samples_new(void);
void samples_free(struct samples **samples);
/* What is known of it, from now on kept; NULL: nothing. The counters are in the order of
 * samples_columns. */
const struct trend *samples_ask(struct samples *samples, enum rates_kind kind, struct addr addr,
                                uint64_t now_ms);

/* Takes a sample of every object of the shards it goes to, as of now_ms. */
struct visit *samples_visit(struct node *node, uint64_t now_ms, uint64_t wall_offset);

#endif
