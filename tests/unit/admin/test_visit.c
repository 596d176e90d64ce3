/* How much visits do at a time. */
#include "admin/ration.h"
#include "admin/visit.h"
#include "unit.h"

enum { US = 1000, PORTION_NS = 20 * US, LONG_NS = 80 * US, REST_MAX_NS = RATION_REST_MAX * US };

/* The shard's time of one turn: whatever portions there are, what follows the ration is a rest. */
UNIT(ration, portions)
{
    struct ration r = {0, 0};
    uint64_t now = 1000 * US, all = 0;
    for (int turn = 0; turn < 100; turn++) {
        uint64_t spent = 0;
        while (ration_is_left(&r, now)) {
            uint64_t took = turn % 3 ? PORTION_NS : LONG_NS;
            ration_spend(&r, now, now + took);
            now += took;
            spent += took;
        }
        cr_assert(spent >= RATION_US * US && spent < RATION_US * US + LONG_NS);
        cr_assert_eq(ration_rest(&r, now), spent);
        cr_assert_not(ration_is_left(&r, now + spent - 1));
        now += spent;
        all += spent;
    }
    cr_assert_eq(now, 1000 * US + 2 * all); /* half of the time */
}

UNIT(ration, single)
{
    struct ration r = {0, 0};
    uint64_t now = 1000 * US;
    for (int i = 0; i < 100; i++, now += 4 * PORTION_NS) { /* seldom: never in its way */
        cr_assert(ration_is_left(&r, now));
        ration_spend(&r, now, now + PORTION_NS);
    }
    cr_assert(ration_is_left(&r, now));
    ration_spend(&r, now, now + 100 * REST_MAX_NS); /* one that could not be cut */
    now += 100 * REST_MAX_NS;
    cr_assert_not(ration_is_left(&r, now));
    cr_assert_eq(ration_rest(&r, now), REST_MAX_NS);
    cr_assert(ration_is_left(&r, now + REST_MAX_NS));
}

/* Objects of a portion: as many as the budget, each once, whatever time there is. */
UNIT(visit, portions)
{
    enum { OBJECTS = 1050, BUDGET = 100 };
    struct visit v = {.until_ns = UINT64_MAX};
    size_t next = OBJECTS, portions = 0, index;
    do {
        size_t budget = BUDGET, looked = 0;
        v.looked = 0;
        while (visit_next(&v, OBJECTS, &budget, &index)) {
            cr_assert_eq(index, --next);
            looked++;
        }
        cr_assert_eq(looked, v.left || next ? BUDGET : OBJECTS % BUDGET);
        portions++;
    } while (v.left);
    cr_assert_eq(next, 0);
    cr_assert_eq(portions, OBJECTS / BUDGET + 1);
}

/* Portion by portion, then shard by shard to the first. */
UNIT(visit, steps)
{
    struct visit v = {.shard = 2, .begun = true};
    cr_assert(visit_step(&v));
    cr_assert(v.begun && v.shard == 2);
    for (unsigned shard = 2; shard-- > 0;) {
        v.done = v.begun = true;
        cr_assert(visit_step(&v));
        cr_assert(!v.done && !v.begun);
        cr_assert_eq(v.shard, shard);
    }
    v.done = true;
    cr_assert_not(visit_step(&v));
    v.shard = 1;
    v.alone = true;
    cr_assert_not(visit_step(&v));
}

/* One whose time is over ends after four objects at most, and has looked at one at least. */
UNIT(visit, late)
{
    enum { OBJECTS = 100, LOOKS = 4 };
    struct visit v = {.until_ns = 0};
    size_t portions = 0, index;
    do {
        size_t budget = OBJECTS, looked = 0;
        v.looked = 0;
        while (visit_next(&v, OBJECTS, &budget, &index))
            looked++;
        cr_assert(looked >= 1 && looked <= LOOKS);
        portions++;
    } while (v.left);
    cr_assert_eq(portions, OBJECTS / LOOKS);
}
