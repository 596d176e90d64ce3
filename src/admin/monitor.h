/* Watches the resident size of the process against the watermark, on shard 0: above it publishers
 * are blocked. */
#ifndef ADMIN_MONITOR_H
#define ADMIN_MONITOR_H

#include "shard/shard.h"

struct monitor;

/* What the pure part decides on. */
struct monitor_state {
    uint64_t watermark; /* bytes */
    bool alarm;
};
enum monitor_verdict { MONITOR_STAY, MONITOR_RAISE, MONITOR_CLEAR };
/* Raised above the watermark, cleared once it is CLEAR_PERCENT below it. A watermark of 0 is an
 * alarm for ever. */
enum { MONITOR_CLEAR_PERCENT = 3 };
enum monitor_verdict monitor_judge(const struct monitor_state *state, uint64_t used);

struct monitor *monitor_new(struct node *node);
void monitor_free(struct monitor **monitor);
/* The watermark of the configuration counts again. */
void monitor_reload(struct monitor *monitor);
/* Until the next reload: bytes if fraction is negative, else a share of the memory there is. Looks
 * at the memory at once. */
void monitor_set_watermark(struct monitor *monitor, double fraction, uint64_t bytes);

struct monitor_facts {
    uint64_t watermark; /* bytes */
    double fraction;    /* negative: set in bytes */
    uint64_t total;     /* memory there is */
    bool alarm;
};
struct monitor_facts monitor_facts(const struct monitor *monitor);

#endif
