/* What the memory of the process is used for: parts that add up to its resident size. Pure. */
#ifndef ADMIN_BREAKDOWN_H
#define ADMIN_BREAKDOWN_H

#include "admin/memory.h"

#include <stddef.h>

/* What the objects say they use, summed over the shards. */
struct memory_use {
    uint64_t messages, queues, connections, channels;
};

enum memory_part {
    PART_MESSAGES,
    PART_QUEUES,
    PART_CONNECTIONS,
    PART_CHANNELS,
    PART_OTHER,     /* allocated, and none of the above */
    PART_UNUSED,    /* free inside the allocator */
    PART_ALLOCATOR, /* its own */
    PART_PROCESS,   /* resident, not the allocator's: code, stacks, tables of the kernel */
    PART_COUNT
};

struct breakdown {
    uint64_t total;
    uint64_t parts[PART_COUNT];
};

const char *memory_part_name(enum memory_part part);
struct breakdown breakdown_of(const struct memory_facts *facts, const struct memory_use *use);

#endif
