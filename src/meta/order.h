/* Objects sorted by their names, found by name or by rank. They are kept in pieces of a bounded
 * size: whoever comes or goes moves the objects of one piece. Pure. */
#ifndef META_ORDER_H
#define META_ORDER_H

#include "base/slice.h"

struct order_piece;

/* Where an object is: good until the order changes. */
struct order_place {
    size_t piece, index;
};

struct order {
    struct slice (*name)(const void *object); /* of no two the same */
    struct order_piece *pieces;
    size_t piece_count, piece_cap;
    size_t count;
    struct order_place newest; /* that was added last: often the next one's neighbour */
    bool has_newest;
};

void order_init(struct order *order, struct slice (*name)(const void *object));
/* The objects are the caller's. */
void order_fini(struct order *order);
void order_add(struct order *order, void *object);
/* It is there. */
void order_remove(struct order *order, const void *object);

/* How many come before that name; with it: or have it. */
size_t order_rank(const struct order *order, struct slice name, bool with);
/* The place of the object of that rank, of which there are so many. */
struct order_place order_seek(const struct order *order, size_t rank);
void *order_at(const struct order *order, struct order_place place);
/* To the next one, or the one before; false: there is none. */
bool order_step(const struct order *order, bool backwards, struct order_place *place);

#endif
