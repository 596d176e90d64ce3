/* Watches the room on the disk of the data directory against the limit, on shard 0: below it
 * publishers are blocked. So they are while the store itself waits for room. */
#ifndef ADMIN_DISK_MONITOR_H
#define ADMIN_DISK_MONITOR_H

#include "shard/shard.h"

struct disk_monitor;

struct disk_facts {
    uint64_t limit, free; /* bytes; free as of the last look that was answered */
    double fraction;      /* negative: set in bytes */
    bool known;           /* the system tells how much is free */
    bool waiting;         /* the store itself has no room */
    bool off;             /* the limit does not count */
    bool alarm;
};
/* What follows from the facts: whether there is to be an alarm, and when to look again. */
bool disk_monitor_judge(const struct disk_facts *facts);
uint64_t disk_monitor_next_ms(const struct disk_facts *facts);

struct disk_monitor *disk_monitor_new(struct node *node);
void disk_monitor_free(struct disk_monitor **monitor);
/* The limit of the configuration counts again. */
void disk_monitor_reload(struct disk_monitor *monitor);
/* Until the next reload: bytes if fraction is negative, else a multiple of the memory there is.
 * Looks at the disk at once. */
void disk_monitor_set_limit(struct disk_monitor *monitor, double fraction, uint64_t bytes);
/* Off, only the store's own want of room is an alarm. */
void disk_monitor_set_active(struct disk_monitor *monitor, bool active);
struct disk_facts disk_monitor_facts(const struct disk_monitor *monitor);

#endif
