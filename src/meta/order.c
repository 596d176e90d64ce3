/* Two searches by halves: for the piece, by the names of the first ones, then in it. */
#include "meta/order.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

enum { PIECE_MAX = 256 };

struct order_piece {
    void **objects;
    size_t count, cap;
};

void order_init(struct order *order, struct slice (*name)(const void *object))
{
    *order = (struct order){.name = name};
}

void order_fini(struct order *order)
{
    for (size_t i = 0; i < order->piece_count; i++)
        free(order->pieces[i].objects);
    free(order->pieces);
    order_init(order, order->name);
}

/* ---- looking ---- */

static bool is_before(const struct order *order, const void *object, struct slice name, bool with)
{
    int c = slice_cmp(order->name(object), name);
    return c < 0 || (with && c == 0);
}

/* The last piece whose first object comes before the name, or the first piece of all. */
static size_t find_piece(const struct order *order, struct slice name, bool with)
{
    size_t low = 0, high = order->piece_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(order, order->pieces[middle].objects[0], name, with))
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : 0;
}

/* Behind all that come before the name; its index may be the count of its piece. */
static struct order_place find(const struct order *order, struct slice name, bool with)
{
    struct order_place place = {find_piece(order, name, with), 0};
    if (!order->piece_count)
        return place;
    const struct order_piece *piece = &order->pieces[place.piece];
    size_t high = piece->count;
    while (place.index < high) {
        size_t middle = place.index + (high - place.index) / 2;
        if (is_before(order, piece->objects[middle], name, with))
            place.index = middle + 1;
        else
            high = middle;
    }
    return place;
}

size_t order_rank(const struct order *order, struct slice name, bool with)
{
    struct order_place place = find(order, name, with);
    size_t rank = place.index;
    for (size_t i = 0; i < place.piece; i++)
        rank += order->pieces[i].count;
    return rank;
}

struct order_place order_seek(const struct order *order, size_t rank)
{
    struct order_place place = {0, rank};
    bug_on(rank >= order->count);
    while (place.index >= order->pieces[place.piece].count)
        place.index -= order->pieces[place.piece++].count;
    return place;
}

void *order_at(const struct order *order, struct order_place place)
{
    return order->pieces[place.piece].objects[place.index];
}

bool order_step(const struct order *order, bool backwards, struct order_place *place)
{
    if (backwards) {
        if (!place->index && !place->piece)
            return false;
        if (!place->index)
            place->index = order->pieces[--place->piece].count;
        place->index--;
        return true;
    }
    if (place->index + 1 < order->pieces[place->piece].count) {
        place->index++;
        return true;
    }
    if (place->piece + 1 == order->piece_count)
        return false;
    *place = (struct order_place){place->piece + 1, 0};
    return true;
}

/* ---- coming and going ---- */

static void open_piece(struct order *order, size_t at)
{
    MEM_GROW(order->pieces, order->piece_cap, order->piece_count + 1);
    memmove(order->pieces + at + 1, order->pieces + at,
            (order->piece_count - at) * sizeof *order->pieces);
    order->pieces[at] = (struct order_piece){NULL, 0, 0};
    order->piece_count++;
}

static void close_piece(struct order *order, size_t at)
{
    free(order->pieces[at].objects);
    order->piece_count--;
    memmove(order->pieces + at, order->pieces + at + 1,
            (order->piece_count - at) * sizeof *order->pieces);
    if (!order->piece_count)
        order_fini(order);
}

/* Those from that index on become the next piece, which is a new one. */
static void split(struct order *order, struct order_place *place)
{
    bool at_end = place->piece + 1 == order->piece_count && place->index == PIECE_MAX;
    size_t kept = at_end ? PIECE_MAX : PIECE_MAX / 2;
    open_piece(order, place->piece + 1);
    struct order_piece *full = &order->pieces[place->piece], *next = full + 1;
    next->count = full->count - kept;
    MEM_GROW(next->objects, next->cap, next->count + 1);
    memcpy(next->objects, full->objects + kept, next->count * sizeof *next->objects);
    full->count = kept;
    if (place->index < kept || (place->index == kept && !at_end))
        return;
    place->piece++;
    place->index -= kept;
}

/* Names that follow one another often come one after the other. */
static bool follows_newest(const struct order *order, struct slice name,
                           struct order_place *ret_place)
{
    struct order_place next = order->newest;
    if (!order->has_newest || !is_before(order, order_at(order, order->newest), name, false))
        return false;
    if (order_step(order, false, &next) && is_before(order, order_at(order, next), name, false))
        return false;
    *ret_place = order->newest;
    ret_place->index++;
    return true;
}

void order_add(struct order *order, void *object)
{
    struct order_place place;
    struct slice name = order->name(object);
    if (!follows_newest(order, name, &place))
        place = find(order, name, false);
    if (!order->piece_count)
        open_piece(order, 0);
    if (order->pieces[place.piece].count == PIECE_MAX)
        split(order, &place);
    struct order_piece *piece = &order->pieces[place.piece];
    MEM_GROW(piece->objects, piece->cap, piece->count + 1);
    memmove(piece->objects + place.index + 1, piece->objects + place.index,
            (piece->count - place.index) * sizeof *piece->objects);
    piece->objects[place.index] = object;
    piece->count++;
    order->count++;
    order->newest = place;
    order->has_newest = true;
}

/* The next piece's objects, too, if they are few. */
static void join(struct order *order, size_t at)
{
    struct order_piece *piece = &order->pieces[at], *next = piece + 1;
    if (at + 1 == order->piece_count || piece->count + next->count > PIECE_MAX / 2)
        return;
    MEM_GROW(piece->objects, piece->cap, piece->count + next->count);
    memcpy(piece->objects + piece->count, next->objects, next->count * sizeof *next->objects);
    piece->count += next->count;
    close_piece(order, at + 1);
}

void order_remove(struct order *order, const void *object)
{
    struct order_place place = find(order, order->name(object), false);
    if (order->piece_count && place.index == order->pieces[place.piece].count)
        place = (struct order_place){place.piece + 1, 0};
    bug_on(place.piece >= order->piece_count || order_at(order, place) != object);
    struct order_piece *piece = &order->pieces[place.piece];
    piece->count--;
    memmove(piece->objects + place.index, piece->objects + place.index + 1,
            (piece->count - place.index) * sizeof *piece->objects);
    order->count--;
    order->has_newest = false;
    if (!piece->count)
        close_piece(order, place.piece);
    else
        join(order, place.piece);
}
