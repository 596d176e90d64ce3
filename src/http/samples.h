/* Histories of single queues, connections and channels of a shard, and on shard 0 of virtual hosts
 * and exchanges: of those somebody asked for lately, and of all queues and virtual hosts as long as
 * they are few. One a shard, used by that shard alone. */
#ifndef HTTP_SAMPLES_H
#define HTTP_SAMPLES_H

#include "admin/visit.h"
#include "http/rates.h"
#include "http/trend.h"

enum {
    SAMPLES_OBJECTS = 500,      /* remembered at most, of a shard: up to 30 KB each */
    SAMPLES_QUEUES = 250,       /* up to as many queues of a shard have samples unasked */
    SAMPLES_VHOSTS = 50,        /* and as many virtual hosts */
    SAMPLES_FORGET_MS = 600000, /* since somebody asked */
};

struct samples;

struct samples *samples_new(void);
void samples_free(struct samples **samples);
/* One of a listing: vhost 0, and its address as the number. Else a definition: the numbers of its
 * virtual host, 0 of one itself, and its own. */
struct sample_id {
    uint64_t kind; /* enum rates_kind */
    uint64_t vhost, number;
};
/* What is known of it, from now on kept; NULL: nothing. The counters are in the order of the views.
 */
const struct trend *samples_ask(struct samples *samples, struct sample_id id, uint64_t now_ms);
/* The same, without a say in what is kept. */
const struct trend *samples_recall(const struct samples *samples, struct sample_id id);

/* Takes a sample of every object of the shards it goes to, as of now_ms. */
struct visit *samples_visit(struct node *node, uint64_t now_ms, uint64_t wall_offset);

#endif
