#include "exchange_rig.h"

static bool matches(const struct binding *binding, struct slice key, struct slice headers)
{
    (void)headers;
    return slice_eq(binding->key, key);
}

static void make_key(struct rig_random *random, struct buf *key)
{
    static const char *const keys[] = {"", "a", "b", "ab", "a.b", "*", "#", "a.*", "\xff"};
    buf_append_str(key, keys[rig_below(random, sizeof keys / sizeof *keys)]);
}

static void make(struct rig_random *random, struct buf *key, struct buf *table)
{
    make_key(random, key);
    if (rig_below(random, 4) == 0)
        table_put_i32(table, SLICE("a"), 1);
}

static const struct rig_model model = {matches, make, make};

UNIT(direct, goes_where_the_key_is_equal)
{
    for (uint64_t seed = 0; seed < 20; seed++)
        rig_run(&exchange_direct, &model, seed, 40, 200);
}

UNIT(direct, many_bindings_of_one_key)
{
    struct rig *rig = rig_new(&exchange_direct, 1);
    for (unsigned i = 0; i < 300; i++)
        rig_bind(rig, i, SLICE("k"), SLICE_EMPTY);
    rig_route(rig, SLICE("k"), SLICE_EMPTY);
    cr_assert_eq(rig->found, 300);
    for (unsigned i = 0; i < 300; i += 2)
        rig_unbind(rig, i);
    rig_route(rig, SLICE("k"), SLICE_EMPTY);
    cr_assert_eq(rig->found, 150);
    for (unsigned i = 1; i < 300; i += 2)
        cr_assert_eq(rig->hits[i], 1);
    rig_free(rig);
}
