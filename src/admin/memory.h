/* What the system and the allocator say about the memory of the process. Any thread. */
#ifndef ADMIN_MEMORY_H
#define ADMIN_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct memory_facts {
    uint64_t rss;    /* resident size of the process, as memory_rss() */
    uint64_t files;  /* pages of files, resident too; not in rss */
    uint64_t code;   /* how large the files of programs and libraries are that are mapped */
    uint64_t stacks; /* resident pages of the stacks of threads */
    /* What the allocator says; some of it may not be resident. */
    uint64_t allocated;        /* handed out */
    uint64_t metadata;         /* its own */
    uint64_t unused;           /* free inside it */
    uint64_t definitions, tls; /* of what is handed out, base/heap.h */
    uint64_t reserved;         /* handed out, and known not to be touched; the caller's to say */
    const char *allocator;
};

/* Before the rest, and before there are threads: without it the resident size is unknown. */
void memory_open(void);
/* Bytes, 0 if unknown; without pages of files, which the system takes back when it needs them (the
 * database is mapped). Cheap: to be asked ten times a second. */
uint64_t memory_rss(void);
/* Costs up to a millisecond. */
struct memory_facts memory_read(void);
/* Gives free memory back: what has been free for some time, or (all) everything. The second may
 * take milliseconds. */
void memory_give_back(bool all);
/* Lets memory be counted apart by its use where the allocator can. First of all in main. */
void memory_count_by_use(void);

#endif
