/* A set of numbers, for what came up already while something was walked. Pure. */
#ifndef HTTP_SEEN_H
#define HTTP_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
    uint64_t *slots; /* 0: free */
    size_t mask, count;
};

void seen_fini(struct seen *seen);
/* Not 0. False: it was there. */
bool seen_add(struct seen *seen, uint64_t number);

#endif
