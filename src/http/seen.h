/* A set of numbers, for what came up already while something was walked: in parts, so that none
 * takes long to grow. Pure. */
#ifndef HTTP_SEEN_H
#define HTTP_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEEN_PARTS = 64 };

struct seen {
    struct seen_part {
        uint64_t *slots; /* 0: free */
        size_t mask, count;
    } parts[SEEN_PARTS];
};

void seen_fini(struct seen *seen);
/* Not 0. False: it was there. */
bool seen_add(struct seen *seen, uint64_t number);

#endif
