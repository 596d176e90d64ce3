/* Insides of this folder. */
#ifndef ADMIN_ADMIN_PRIV_H
#define ADMIN_ADMIN_PRIV_H

#include "admin/admin.h"
#include "meta/logins.h"
#include "net/listener.h"

struct backup_job;
struct disk_monitor;
struct files;
struct monitor;

/* Logins until somebody had them forgotten, by protocol. Its shard writes it. */
struct admin_forgotten {
    uint64_t right[LOGIN_FRONTS], wrong[LOGIN_FRONTS];
};

/* The node's; shard 0 writes it, others read what never changes, and app_stopped. */
struct admin {
    struct node *node;
    struct admin_options options;
    struct listener *listener; /* the control socket */
    struct monitor *monitor;
    struct disk_monitor *disk;
    struct backup_job *backup;
    struct files *files;
    uint64_t started_ms;            /* wall clock */
    bool suspended;                 /* no listener takes clients, but the control socket */
    _Atomic bool app_stopped;       /* by stop_app, and not started since; all read it */
    bool maintenance;               /* drained and not revived; until the process ends */
    struct addr agents[SHARDS_MAX]; /* one a shard */
    struct admin_forgotten forgotten[SHARDS_MAX];
};

struct admin *admin_of(const struct node *node);
/* The actor of a shard that runs visits. */
struct addr admin_agent(const struct node *node, unsigned shard);
/* The configuration. Shard 0. */
const struct conf *admin_conf(const struct admin *admin);
/* Listeners that were opened meanwhile take no clients either, if none is to. Shard 0. */
void maintenance_reload(struct admin *admin);

#endif
