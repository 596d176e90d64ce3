/* What the broker knows of itself as a whole, for those who show it. Shard 0. */
#ifndef ADMIN_FACTS_H
#define ADMIN_FACTS_H

#include "shard/shard.h"

struct conf;

/* RabbitMQ's version whose tools and API are served: they look at it. */
#define FACTS_RABBITMQ_VERSION "3.13.7"

struct facts_now {
    const char *node_name;
    const struct conf *conf;
    uint64_t uptime_ms;
    uint64_t memory, memory_limit, disk_free, disk_limit; /* bytes */
    bool memory_alarm, disk_alarm, disk_known;
    uint64_t files, files_max;
    bool maintenance;
};

struct facts_now facts_now(struct shard *shard);

#endif
