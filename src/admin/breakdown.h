/* What the memory of the process is used for: parts that add up to its resident size. Pure. */
#ifndef ADMIN_BREAKDOWN_H
#define ADMIN_BREAKDOWN_H

#include "admin/memory.h"

#include <stddef.h>

/* What the objects say they use, summed over the shards, in bytes of the heap. */
struct memory_use {
    uint64_t messages, message_bytes; /* how many, and without what the allocator rounds up */
    uint64_t queues, streams, connections, channels;
    uint64_t buffers; /* of streams, in and out */
    uint64_t shards;  /* rings, ops, slots, registries, and what queues of a shard share */
    uint64_t store;   /* the database's pages not counted */
};

enum memory_part {
    PART_MESSAGES,
    PART_QUEUES,
    PART_STREAMS, /* what is appended and not written yet, pages that were read, indexes */
    PART_CONNECTIONS,
    PART_CHANNELS,
    PART_BUFFERS,
    PART_DEFINITIONS,
    PART_SHARDS,
    PART_TLS,
    PART_STORE,
    PART_DATABASE,  /* pages of its file that are mapped: the system's cache */
    PART_OTHER,     /* allocated, and none of the above */
    PART_UNUSED,    /* free inside the allocator */
    PART_ALLOCATOR, /* its own */
    PART_STACKS,
    PART_CODE, /* programs and libraries with their variables */
    PART_COUNT
};

struct breakdown {
    uint64_t total; /* resident */
    uint64_t own;   /* of that, without pages of files, which the system takes back when it likes */
    uint64_t parts[PART_COUNT];
};

const char *memory_part_name(enum memory_part part);
struct breakdown breakdown_of(const struct memory_facts *facts, const struct memory_use *use);

#endif
