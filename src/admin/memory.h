/* What the system and the allocator say about the memory of the process. Any thread. */
#ifndef ADMIN_MEMORY_H
#define ADMIN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct memory_facts {
    uint64_t rss;       /* resident size of the process, as memory_rss() */
    uint64_t allocated; /* handed out by the allocator */
    uint64_t metadata;  /* the allocator's own */
    uint64_t unused;    /* free inside the allocator, but resident */
    const char *allocator;
};

/* Bytes, 0 if unknown; without pages of files, which the system takes back when it needs them (the
 * database is mapped). Cheap: to be asked ten times a second. */
uint64_t memory_rss(void);
/* Costs up to a millisecond. allocated + metadata + unused is at most rss. */
struct memory_facts memory_read(void);
/* Gives free memory back: what has been free for some time, or (all) everything. The second may
 * take milliseconds. */
void memory_give_back(bool all);

#endif
