/* Watches the room on the disk of the data directory against the limit, on shard 0: below it
 * publishers are blocked. So they are while the store itself waits for room. */
#ifndef ADMIN_DISK_MONITOR_H
#define ADMIN_DISK_MONITOR_H

#include "shard/shard.h"

struct disk_monitor;

struct disk_monitor *disk_monitor_new(struct node *node);
void disk_monitor_free(struct disk_monitor **monitor);
/* The limit of the configuration counts again. */
void disk_monitor_reload(struct disk_monitor *monitor);
/* Until the next reload: bytes if fraction is negative, else a multiple of the memory there is. */
void disk_monitor_set_limit(struct disk_monitor *monitor, double fraction, uint64_t bytes);

struct disk_facts {
    uint64_t limit, free; /* bytes; free as of the last look */
    double fraction;      /* negative: set in bytes */
    bool known;           /* the system tells how much is free */
    bool alarm;
};
struct disk_facts disk_monitor_facts(const struct disk_monitor *monitor);

#endif
