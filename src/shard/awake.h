/* Awake: while the shards' threads wake up often, the kernel is asked to let no core sleep so deep
 * that to wake it costs more than the work (/dev/cpu_dma_latency, the kernel's "PM Quality Of
 * Service Interface"). Under the cpuidle driver `haltpoll` of virtual machines 0 us makes idle
 * cores poll, and a wake-up needs neither a halt's end nor an interrupt.
 *
 * What is counted are waits that ended: a thread slept, or looked for work in place of that. A
 * thread that always finds work counts none. */
#ifndef SHARD_AWAKE_H
#define SHARD_AWAKE_H

#include <stdbool.h>
#include <stdint.h>

struct awake;
struct node;

struct awake_options {
    const char *device; /* NULL: nothing is asked for, ever. Opened by node_new, once */
    uint32_t latency_us;
    uint32_t wakes_per_s; /* of all shards, from which it is held; let go below half of it */
};

struct awake_facts {
    bool asked; /* there is a device */
    int error;  /* errno of it; 0: it is open */
    uint32_t latency_us;
    bool held;
    uint64_t held_ns; /* since the start */
};

/* Shard 0, or before the loops run. */
struct awake_facts awake_facts(const struct node *node);

#endif
