/* Which slots of a shard came up already while its objects were walked. Pure. */
#ifndef HTTP_SEEN_H
#define HTTP_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SEEN_TABLES = 2 /* slots with the high bit of their number are those of another table */ };

struct seen {
    struct seen_table {
        uint64_t *words; /* a bit a slot */
        size_t cap;
    } tables[SEEN_TABLES];
};

void seen_fini(struct seen *seen);
/* None came up: the next shard is walked. */
void seen_clear(struct seen *seen);
/* False: it was there. A slot that was given to another object meanwhile counts as the same: what
 * is new need not come up. */
bool seen_add(struct seen *seen, uint32_t slot);

#endif
