/* Objects by name: against an array that is searched from its start, and what a look costs. */
#include "meta/order.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { MANY = 100000, SOME = 3000 };

struct thing {
    char text[24];
    bool there;
};

static size_t looks; /* at names */

static struct slice name_of(const void *object)
{
    looks++;
    return slice_str(((const struct thing *)object)->text);
}

static struct thing *things_new(size_t count)
{
    struct thing *things = calloc(count, sizeof *things);
    for (size_t i = 0; i < count; i++)
        snprintf(things[i].text, sizeof things[i].text, "%06zu", i);
    return things;
}

/* Things are in the order of their numbers. */
static void expect_same(const struct order *order, const struct thing *things, size_t count)
{
    size_t rank = 0;
    struct order_place place = {0, 0};
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(order_rank(order, slice_str(things[i].text), false), rank);
        if (things[i].there) {
            cr_assert_eq(order_at(order, order_seek(order, rank)), &things[i]);
            cr_assert_eq(order_at(order, place), &things[i]);
            cr_assert_eq(order_step(order, false, &place), ++rank < order->count);
        }
        cr_assert_eq(order_rank(order, slice_str(things[i].text), true), rank);
    }
    cr_assert_eq(order->count, rank);
    for (; rank > 1; rank--) {
        struct thing *last = order_at(order, place);
        cr_assert(order_step(order, true, &place));
        cr_assert_lt((struct thing *)order_at(order, place), last);
    }
    cr_assert(!rank || !order_step(order, true, &place));
}

UNIT(order, objects_come_and_go)
{
    struct thing *things = things_new(SOME);
    struct order order;
    unsigned seed = 7;
    order_init(&order, name_of);
    expect_same(&order, things, SOME);
    for (unsigned round = 0; round < 12; round++) {
        for (unsigned n = 0; n < SOME; n++) {
            seed = seed * 1103515245 + 12345;
            struct thing *t = &things[(seed >> 8) % SOME];
            bool add = (seed >> 4) % 12 < (round < 6 ? 9 : 2);
            if (add && !t->there)
                order_add(&order, t);
            else if (!add && t->there)
                order_remove(&order, t);
            t->there = add;
        }
        expect_same(&order, things, SOME);
    }
    for (size_t i = 0; i < SOME; i++) {
        if (things[i].there)
            order_remove(&order, &things[i]);
        things[i].there = false;
    }
    expect_same(&order, things, SOME);
    order_fini(&order);
    free(things);
}

UNIT(order, neighbours_come_one_after_the_other)
{
    struct thing *things = things_new(SOME);
    struct order order;
    order_init(&order, name_of);
    for (size_t from = 0; from < 4; from++) {
        for (size_t i = from; i < SOME; i += 4) {
            order_add(&order, &things[i]);
            things[i].there = true;
        }
        expect_same(&order, things, SOME);
    }
    order_fini(&order);
    free(things);
}

/* Names looked at do not grow with the number of objects. */
UNIT(order, a_look_is_cheap)
{
    struct thing *things = things_new(MANY);
    struct order order;
    order_init(&order, name_of);
    for (size_t i = 0; i < MANY; i++) {
        looks = 0;
        order_add(&order, &things[i * 7919 % MANY]);
        cr_assert_leq(looks, 32);
    }
    looks = 0;
    struct order_place place = order_seek(&order, MANY - 500);
    for (size_t i = MANY - 500; i < MANY; i++) {
        cr_assert_eq(order_at(&order, place), &things[i]);
        (void)order_step(&order, false, &place);
    }
    cr_assert_eq(looks, 0);
    cr_assert_eq(order_rank(&order, SLICE("050000"), true), 50001);
    cr_assert_leq(looks, 32);
    for (size_t i = 0; i < MANY; i++) {
        looks = 0;
        order_remove(&order, &things[i]);
        cr_assert_leq(looks, 32);
    }
    order_fini(&order);
    free(things);
}
