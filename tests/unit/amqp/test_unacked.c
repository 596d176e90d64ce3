/* Delivery tags: found while they are live, at any order of settling, with no-ack gaps. */
#include "amqp/unacked.h"
#include "unit.h"

#include <stdlib.h>

static const struct addr queue = {.slot = 7, .gen = 1};

UNIT(unacked, gaps_are_not_found)
{
    struct unacked_tags u = {0};
    unacked_tags_add(&u, 3, queue, 30, false);
    unacked_tags_add(&u, 6, queue, 60, false);
    cr_assert_null(unacked_tags_find(&u, 2));
    cr_assert_eq(unacked_tags_find(&u, 3)->slot, 30);
    cr_assert_null(unacked_tags_find(&u, 4));
    cr_assert_eq(unacked_tags_find(&u, 6)->slot, 60);
    cr_assert_null(unacked_tags_find(&u, 7));
    cr_assert_eq(u.live, 2);
    unacked_tags_remove(&u, unacked_tags_find(&u, 3));
    unacked_tags_trim(&u);
    cr_assert_eq(unacked_tags_at(&u, 0)->tag, 6);
    cr_assert_null(unacked_tags_find(&u, 3));
    unacked_tags_fini(&u);
}

UNIT(unacked, one_held_for_long)
{
    struct unacked_tags u = {0};
    size_t most = 0;
    unacked_tags_add(&u, 1, queue, 1, false);
    for (uint64_t tag = 2; tag < 100000; tag++) {
        unacked_tags_add(&u, tag, queue, (uint32_t)tag, false);
        if (tag <= 20)
            continue;
        unacked_tags_remove(&u, unacked_tags_find(&u, tag - 18));
        unacked_tags_trim(&u);
        most = u.cap > most ? u.cap : most;
    }
    cr_assert_eq(unacked_tags_find(&u, 1)->slot, 1);
    cr_assert_leq(most, 256);
    unacked_tags_fini(&u);
}

UNIT(unacked, shrinks)
{
    struct unacked_tags u = {0};
    for (uint64_t tag = 1; tag <= 100000; tag++)
        unacked_tags_add(&u, tag, queue, (uint32_t)tag, false);
    for (uint64_t tag = 2; tag <= 100000; tag++)
        unacked_tags_remove(&u, unacked_tags_find(&u, tag));
    unacked_tags_trim(&u);
    cr_assert_leq(u.cap, 1024);
    cr_assert_eq(unacked_tags_get(&u, 1)->slot, 1);
    unacked_tags_fini(&u);
}

UNIT(unacked, random_order)
{
    enum { TAGS = 5000 };
    for (unsigned seed = 1; seed <= 10; seed++) {
        struct unacked_tags u = {0};
        bool *live = calloc(TAGS + 1, 1);
        uint64_t tag = 0, count = 0;
        unsigned random = seed;
        for (unsigned i = 0; i < 4 * TAGS; i++) {
            random = random * 1103515245u + 12345u;
            unsigned what = random >> 16;
            if (what % 2 && tag < TAGS - 2) {
                tag += 1 + (what % 11 == 0);
                unacked_tags_add(&u, tag, queue, (uint32_t)tag, false);
                live[tag] = true;
                count++;
            } else if (tag) {
                uint64_t t = tag > 50 ? tag - what % 50 : 1 + what % tag;
                struct unacked_tag *e = unacked_tags_find(&u, t);
                cr_assert_eq(e != NULL, live[t]);
                if (e) {
                    cr_assert_eq(e->slot, t);
                    unacked_tags_remove(&u, e);
                    live[t] = false;
                    count--;
                    unacked_tags_trim(&u);
                }
            }
            cr_assert_eq(u.live, count);
        }
        for (uint64_t t = 1; t <= tag; t++)
            cr_assert_eq(unacked_tags_find(&u, t) != NULL, live[t]);
        unacked_tags_fini(&u);
        free(live);
    }
}
