/* The parts of the resident size; estimates give way to what the allocator knows. */
#include "admin/breakdown.h"

static const char *const names[PART_COUNT] = {
    [PART_MESSAGES] = "messages",
    [PART_QUEUES] = "queues",
    [PART_CONNECTIONS] = "connections",
    [PART_CHANNELS] = "channels",
    [PART_OTHER] = "other_allocated",
    [PART_UNUSED] = "allocated_unused",
    [PART_ALLOCATOR] = "allocator_metadata",
    [PART_PROCESS] = "code_and_stacks",
};

const char *memory_part_name(enum memory_part part)
{
    return names[part];
}

static uint64_t take(uint64_t wanted, uint64_t *left)
{
    uint64_t n = wanted < *left ? wanted : *left;
    *left -= n;
    return n;
}

struct breakdown breakdown_of(const struct memory_facts *facts, const struct memory_use *use)
{
    struct breakdown b = {.total = facts->rss};
    uint64_t allocated = facts->allocated;
    b.parts[PART_MESSAGES] = take(use->messages, &allocated);
    b.parts[PART_QUEUES] = take(use->queues, &allocated);
    b.parts[PART_CONNECTIONS] = take(use->connections, &allocated);
    b.parts[PART_CHANNELS] = take(use->channels, &allocated);
    b.parts[PART_OTHER] = allocated;
    b.parts[PART_UNUSED] = facts->unused;
    b.parts[PART_ALLOCATOR] = facts->metadata;
    b.parts[PART_PROCESS] = facts->rss - facts->allocated - facts->unused - facts->metadata;
    return b;
}
