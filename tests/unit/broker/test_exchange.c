/* The contract of exchange types, run over every one that is registered. */
#include "exchange_rig.h"

/* Types that leave the work to another have no instances. */
static const struct exchange_type *next_type(const struct exchange_type *after)
{
    const struct exchange_type *type = exchange_type_next(after);
    while (type && type->acts_as)
        type = exchange_type_next(type);
    return type;
}

#define each_type(type) \
    for (const struct exchange_type *type = next_type(NULL); type != NULL; type = next_type(type))

static void setup(void)
{
    exchange_types_register();
}
TestSuite(exchange, .init = setup);

/* Few keys and headers, so that bindings and messages of any type meet. */
static void make_key(struct rig_random *random, struct buf *key, bool wildcards)
{
    static const char *const words[] = {"a", "b", "", "c", "*", "#"};
    for (size_t i = 0, n = rig_below(random, 4); i < n; i++) {
        if (i)
            buf_append_byte(key, '.');
        buf_append_str(key, words[rig_below(random, wildcards ? 6 : 4)]);
    }
}

static void make_table(struct rig_random *random, struct buf *table)
{
    for (size_t n = rig_below(random, 3); n > 0; n--) {
        uint8_t name = (uint8_t)('a' + rig_below(random, 3));
        table_put_i32(table, slice_of(&name, 1), (int32_t)rig_below(random, 2));
    }
}

/* What is wanted, or whatever the type takes in its place. */
static void fit_binding_key(const struct exchange_type *type, struct buf *key)
{
    struct failure why;
    if (!type->validate_binding || !type->validate_binding(type, buf_slice(key), SLICE_EMPTY, &why))
        return;
    size_t weight = 1 + key->len % 9;
    buf_clear(key);
    buf_printf(key, "%zu", weight);
    if (type->validate_binding(type, buf_slice(key), SLICE_EMPTY, &why))
        buf_clear(key);
    cr_assert_eq(type->validate_binding(type, buf_slice(key), SLICE_EMPTY, &why), ERR_NONE);
}

/* Takes one binding of all, by whatever. */
static bool chooses(const struct exchange_type *type)
{
    return type->tell != NULL;
}

static void bind_random(struct rig *rig, unsigned n)
{
    struct buf key = BUF_INIT, args = BUF_INIT;
    make_key(&rig->random, &key, true);
    fit_binding_key(rig->type, &key);
    make_table(&rig->random, &args);
    if (rig_below(&rig->random, 2))
        table_put_str(&args, SLICE("x-match"), SLICE("any"));
    rig_bind(rig, n, buf_slice(&key), buf_slice(&args));
    buf_fini(&key);
    buf_fini(&args);
}

static void route_random(struct rig *rig, struct buf *key, struct buf *headers)
{
    buf_clear(key);
    buf_clear(headers);
    make_key(&rig->random, key, false);
    make_table(&rig->random, headers);
    rig_route(rig, buf_slice(key), buf_slice(headers));
}

UNIT(exchange, is_found_by_its_name)
{
    unsigned n = 0;
    each_type(type)
    {
        cr_assert(type->name && *type->name);
        cr_assert(type->text && *type->text, "%s", type->name);
        cr_assert(type->new && type->free && type->bind && type->unbind && type->route);
        cr_assert_eq(exchange_type_find(slice_str(type->name)), type);
        n++;
    }
    cr_assert_geq(n, 4);
    cr_assert_null(exchange_type_find(SLICE("no-such-type")));
    cr_assert_null(exchange_type_find(SLICE("")));
    static const char *const standard[] = {"direct", "fanout", "headers", "topic"};
    for (size_t i = 0; i < 4; i++)
        cr_assert_not_null(exchange_type_find(slice_str(standard[i])));
}

UNIT(exchange, empty_routes_nowhere)
{
    each_type(type)
    {
        struct rig *rig = rig_new(type, 1);
        struct buf key = BUF_INIT, headers = BUF_INIT;
        for (unsigned i = 0; i < 20; i++) {
            route_random(rig, &key, &headers);
            cr_assert_eq(rig->found, 0, "%s", type->name);
        }
        buf_fini(&key);
        buf_fini(&headers);
        rig_free(rig);
    }
}

/* What a type finds depends on what is bound, not on how it came to be so; and an unbound queue is
 * not found again. */
UNIT(exchange, history_does_not_matter)
{
    each_type(type)
    {
        struct rig *rig = rig_new(type, 7);
        struct buf key = BUF_INIT, headers = BUF_INIT;
        for (unsigned round = 0; round < 40; round++) {
            for (unsigned i = 0; i < 60; i++) {
                unsigned n = (unsigned)rig_below(&rig->random, 100);
                if (rig->bound[n])
                    rig_unbind(rig, n);
                else
                    bind_random(rig, n);
            }
            struct rig *fresh = rig_new(type, 8);
            for (unsigned n = 100; n-- > 0;) {
                if (rig->bound[n])
                    rig_bind(fresh, n, rig->bindings[n].key, rig->bindings[n].args);
            }
            for (unsigned i = 0; i < 20; i++) {
                route_random(rig, &key, &headers);
                rig_route(fresh, buf_slice(&key), buf_slice(&headers));
                for (unsigned n = 0; n < RIG_MAX; n++) {
                    cr_assert(type->by_chance || (rig->hits[n] > 0) == (fresh->hits[n] > 0), "%s",
                              type->name);
                    cr_assert(!rig->hits[n] || rig->bound[n], "%s", type->name);
                }
            }
            rig_free(fresh);
        }
        buf_fini(&key);
        buf_fini(&headers);
        rig_free(rig);
    }
}

/* in sanitizer builds only */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t memory(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
}

UNIT(exchange, emptied_is_as_new)
{
    each_type(type)
    {
        struct rig *rig = rig_new(type, 3);
        struct buf key = BUF_INIT, headers = BUF_INIT;
        size_t before = memory();
        for (unsigned round = 0; round < 5; round++) {
            for (unsigned n = 0; n < 200; n++)
                bind_random(rig, n);
            route_random(rig, &key, &headers);
            for (unsigned n = 0; n < 200; n++)
                rig_unbind(rig, (n * 7 + round) % 200);
            for (unsigned i = 0; i < 10; i++) {
                route_random(rig, &key, &headers);
                cr_assert_eq(rig->found, 0, "%s", type->name);
            }
            /* scratch of a route may stay */
            cr_assert_leq(memory(), before + 2048, "%s", type->name);
        }
        buf_fini(&key);
        buf_fini(&headers);
        rig_free(rig);
    }
}

/* Equal bindings to several queues are several bindings, and go one by one. */
UNIT(exchange, equal_bindings)
{
    each_type(type)
    {
        struct rig *rig = rig_new(type, 5);
        struct buf key = BUF_INIT, args = BUF_INIT;
        make_table(&rig->random, &args);
        buf_append_str(&key, "a.b");
        fit_binding_key(type, &key);
        for (unsigned n = 0; n < 50; n++)
            rig_bind(rig, n, buf_slice(&key), buf_slice(&args));
        for (unsigned left = 50; left > 0; left--) {
            rig_route(rig, buf_slice(&key), buf_slice(&args));
            unsigned reached = 0;
            for (unsigned n = 0; n < 50; n++)
                reached += rig->hits[n] > 0;
            cr_assert_eq(reached, chooses(type) ? 1 : left, "%s", type->name);
            rig_unbind(rig, (left * 13) % 50);
        }
        buf_fini(&key);
        buf_fini(&args);
        rig_free(rig);
    }
}

/* Bytes of any kind in keys, arguments and headers that are well-formed. */
UNIT(exchange, odd_bytes)
{
    static const char odd[] = "\0\xff.\x80.\1";
    each_type(type)
    {
        struct rig *rig = rig_new(type, 9);
        struct buf table = BUF_INIT;
        struct buf fit = BUF_INIT, none = BUF_INIT;
        struct slice key = slice_of(odd, sizeof odd - 1);
        table_put_str(&table, key, key);
        buf_append_slice(&fit, key);
        fit_binding_key(type, &fit);
        fit_binding_key(type, &none);
        rig_bind(rig, 0, buf_slice(&fit), buf_slice(&table));
        rig_bind(rig, 1, buf_slice(&none), SLICE_EMPTY);
        rig_route(rig, key, buf_slice(&table));
        cr_assert_geq(chooses(type) ? rig->found : rig->hits[0], 1, "%s", type->name);
        rig_route(rig, SLICE_EMPTY, SLICE_EMPTY);
        cr_assert_geq(chooses(type) ? rig->found : rig->hits[1], 1, "%s", type->name);
        buf_fini(&table);
        buf_fini(&fit);
        buf_fini(&none);
        rig_free(rig);
    }
}

static void exchange_found(struct route_sink *sink, const struct destination *to)
{
    (void)sink;
    cr_assert_null(to->queue);
    cr_assert_eq(to->exchange, (struct exchange *)sink);
}

UNIT(exchange, exchanges_are_destinations)
{
    each_type(type)
    {
        struct route_sink sink = {exchange_found};
        void *instance = type->new (type, SLICE_EMPTY);
        struct buf key = BUF_INIT;
        buf_append_str(&key, "k");
        fit_binding_key(type, &key);
        struct binding binding = {.to = {.exchange = (struct exchange *)&sink},
                                  .key = buf_slice(&key)};
        struct route_input input = {.key = SLICE("k")};
        type->bind(instance, &binding);
        type->route(instance, &input, &sink);
        type->unbind(instance, &binding);
        type->free(instance);
        buf_fini(&key);
    }
}
