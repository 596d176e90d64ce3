/* Sets of ranges against a plain array of flags. */
#include "store/fold_ranges.h"
#include "unit.h"

enum { SEQS = 5000 };

static void check(const struct fold_ranges *r, const bool *in)
{
    struct fold_range range;
    uint64_t behind = 0;
    fold_ranges_each(range, r, 0)
    {
        cr_assert(range.first >= behind && range.first <= range.last && range.last < SEQS);
        for (uint64_t s = behind; s < range.first; s++)
            cr_assert(!in[s]);
        for (uint64_t s = range.first; s <= range.last; s++)
            cr_assert(in[s]);
        behind = range.last + 1;
        cr_assert(behind == SEQS || !in[behind]);
    }
    for (uint64_t s = behind; s < SEQS; s++)
        cr_assert(!in[s]);
    for (uint64_t s = 0; s < SEQS; s++)
        cr_assert_eq(fold_ranges_has(r, s), in[s]);
}

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

UNIT(fold_ranges, hold_what_was_added)
{
    static bool in[SEQS];
    uint64_t seed = 7;
    for (unsigned round = 0; round < 12; round++) {
        struct fold_ranges r = {0}, copy = {0};
        memset(in, 0, sizeof in);
        unsigned adds = round < 6 ? 40 : 2500;
        for (unsigned i = 0; i < adds; i++) {
            uint64_t first = next(&seed) % SEQS, last = first + next(&seed) % (round % 3 * 9 + 1);
            last = last < SEQS ? last : SEQS - 1;
            fold_ranges_add(&r, first, last);
            for (uint64_t s = first; s <= last; s++)
                in[s] = true;
        }
        check(&r, in);
        fold_ranges_add_all(&copy, &r);
        check(&copy, in);
        uint64_t below = next(&seed) % SEQS;
        fold_ranges_cut(&r, below);
        memset(in, 0, below * sizeof *in);
        check(&r, in);
        fold_ranges_clear(&r);
        fold_ranges_clear(&copy);
    }
}

UNIT(fold_ranges, know_the_ends_of_numbers)
{
    struct fold_ranges r = {0};
    struct fold_range range;
    cr_assert_not(fold_ranges_find(&r, 0, &range));
    fold_ranges_add(&r, UINT64_MAX, UINT64_MAX);
    fold_ranges_add(&r, 0, 0);
    fold_ranges_add(&r, 5, 4);
    unsigned n = 0;
    fold_ranges_each(range, &r, 0) n++;
    cr_assert_eq(n, 2);
    fold_ranges_add(&r, 1, UINT64_MAX - 1);
    cr_assert(fold_ranges_find(&r, 77, &range));
    cr_assert(range.first == 0 && range.last == UINT64_MAX);
    fold_ranges_cut(&r, UINT64_MAX);
    cr_assert(fold_ranges_has(&r, UINT64_MAX) && !fold_ranges_has(&r, 3));
    fold_ranges_clear(&r);
}
