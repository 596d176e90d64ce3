/* Objects in the order they came, each with a number that grows: whoever walks them remembers the
 * number of the last one it saw, and goes on behind it whatever came and went meanwhile. Removal
 * leaves a gap; gaps are squeezed out once they are the greater part. */
#ifndef META_ROSTER_H
#define META_ROSTER_H

#include <stddef.h>
#include <stdint.h>

struct roster_entry {
    uint64_t number;
    void *object; /* NULL: gone */
};

struct roster {
    struct roster_entry *entries;
    size_t count, cap; /* of entries */
    size_t gaps;
};

void roster_fini(struct roster *roster);
/* The number must be greater than all before. */
void roster_add(struct roster *roster, uint64_t number, void *object);
void roster_remove(struct roster *roster, uint64_t number);
/* Where the first entry behind the number is, or where it would be. Indexes are good until the
 * roster changes. */
size_t roster_after(const struct roster *roster, uint64_t number);
/* The object with that number, NULL if it is gone. */
void *roster_find(const struct roster *roster, uint64_t number);

#endif
