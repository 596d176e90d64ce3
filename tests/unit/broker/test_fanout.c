#include "exchange_rig.h"

static bool matches(const struct binding *binding, struct slice key, struct slice headers)
{
    (void)binding, (void)key, (void)headers;
    return true;
}

static void make(struct rig_random *random, struct buf *key, struct buf *table)
{
    buf_printf(key, "%zu", rig_below(random, 3));
    if (rig_below(random, 4) == 0)
        table_put_i32(table, SLICE("a"), 1);
}

static const struct rig_model model = {matches, make, make};

UNIT(fanout, goes_everywhere)
{
    for (uint64_t seed = 0; seed < 20; seed++)
        rig_run(&exchange_fanout, &model, seed, 1 + (unsigned)seed * 3, 200);
}

UNIT(fanout, each_once)
{
    struct rig *rig = rig_new(&exchange_fanout, 1);
    for (unsigned i = 0; i < RIG_MAX; i++)
        rig_bind(rig, i, SLICE("k"), SLICE_EMPTY);
    rig_route(rig, SLICE_EMPTY, SLICE_EMPTY);
    cr_assert_eq(rig->found, (unsigned)RIG_MAX);
    for (unsigned i = 0; i < RIG_MAX; i++)
        cr_assert_eq(rig->hits[i], 1);
    rig_free(rig);
}
