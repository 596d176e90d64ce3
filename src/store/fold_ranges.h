/* A set of sequence numbers as ranges that do not touch: in order, in chunks, so that adding in any
 * order stays cheap however many there are. */
#ifndef STORE_FOLD_RANGES_H
#define STORE_FOLD_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fold_range {
    uint64_t first, last; /* inclusive */
};

/* A chunk is looked for without touching the others. */
struct fold_ranges_slot {
    uint64_t last; /* of the chunk's last range */
    struct fold_ranges_chunk *chunk;
};
struct fold_ranges {
    struct fold_ranges_slot *slots; /* no chunk is empty */
    size_t count, cap;
};

void fold_ranges_add(struct fold_ranges *r, uint64_t first, uint64_t last);
void fold_ranges_add_all(struct fold_ranges *r, const struct fold_ranges *other);
/* Takes out all below. */
void fold_ranges_cut(struct fold_ranges *r, uint64_t below);
void fold_ranges_clear(struct fold_ranges *r);
/* The first range that ends at seq or later. */
bool fold_ranges_find(const struct fold_ranges *r, uint64_t seq, struct fold_range *ret_range);

static inline bool fold_ranges_empty(const struct fold_ranges *r)
{
    return r->count == 0;
}
static inline bool fold_ranges_has(const struct fold_ranges *r, uint64_t seq)
{
    struct fold_range range;
    return r->count && fold_ranges_find(r, seq, &range) && range.first <= seq;
}
/* range is each of r in turn, from the one that holds or follows seq on; r may not change. */
#define fold_ranges_each(range, r, seq)                              \
    for (bool more_ = fold_ranges_find((r), (seq), &(range)); more_; \
         more_ = (range).last != UINT64_MAX && fold_ranges_find((r), (range).last + 1, &(range)))

#endif
