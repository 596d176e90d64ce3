/* A visit that counts what lives on the shards and ends on shard 0, where a command turns the
 * counts into its report. */
#ifndef ADMIN_CENSUS_H
#define ADMIN_CENSUS_H

#include "admin/breakdown.h"
#include "admin/call.h"
#include "admin/listing.h"
#include "admin/report.h"

struct census {
    struct visit visit;
    struct rows rows;
    enum report_unit unit;
    bool json;
    size_t connections, channels, queues;
    struct memory_use use;
    unsigned stage; /* what is being walked on this shard */
    /* On shard 0, at the end; writes into visit.out. */
    void (*report)(struct census *census, struct shard *shard);
};

/* weigh: also what the objects use, which walks all of them. To be started with call_visit. */
struct census *census_new(struct call *call, bool weigh,
                          void (*report)(struct census *census, struct shard *shard));
/* A portion of what the objects of a shard use; *stage: 0 at first. True: that was all. */
bool census_weigh(struct visit *visit, struct shard *shard, unsigned *stage,
                  struct memory_use *use);
/* Of what was found on all shards. Shard 0. */
struct breakdown census_breakdown(const struct memory_use *found, struct shard *shard);

#endif
