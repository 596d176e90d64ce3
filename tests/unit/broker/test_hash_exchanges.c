/* The exchange types that choose one binding: by hash, by modulus, by chance. */
#include "base/amqp_spec.h"
#include "base/props.h"
#include "broker/exchange/consistent_hash.h"
#include "exchange_rig.h"

#include <math.h>
#include <stdio.h>

enum { MESSAGES = 20000 };

static void bind_weights(struct rig *rig, const char *const *weights, unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        rig_bind(rig, n, slice_str(weights[n]), SLICE_EMPTY);
}

/* The queue that a key goes to; exactly one does. */
static unsigned queue_of(struct rig *rig, struct slice key, struct slice headers)
{
    rig_route(rig, key, headers);
    cr_assert_eq(rig->found, 1);
    unsigned n = 0;
    while (!rig->hits[n])
        n++;
    return n;
}

static unsigned queue_of_number(struct rig *rig, unsigned i)
{
    char key[16];
    return queue_of(rig, slice_of(key, (size_t)snprintf(key, sizeof key, "k%u", i)), SLICE_EMPTY);
}

static void spread(struct rig *rig, unsigned *counts, unsigned queues)
{
    memset(counts, 0, queues * sizeof *counts);
    for (unsigned i = 0; i < MESSAGES; i++)
        counts[queue_of_number(rig, i)]++;
}

/* Within five standard deviations of its share. */
static void near_share(unsigned count, double share)
{
    double want = MESSAGES * share, deviation = sqrt(want * (1 - share));
    cr_assert(fabs(count - want) < 5 * deviation, "%u is not about %g", count, want);
}

UNIT(hash_exchanges, weights_are_shares)
{
    static const char *const weights[] = {"1", "2", "+3", "10", "004"};
    unsigned counts[5];
    struct rig *rig = rig_new(&exchange_consistent_hash, 1);
    bind_weights(rig, weights, 5);
    cr_assert_eq(hash_ring_buckets(consistent_hash_ring(rig->instance)), 20);
    spread(rig, counts, 5);
    static const double shares[] = {.05, .1, .15, .5, .2};
    for (unsigned n = 0; n < 5; n++)
        near_share(counts[n], shares[n]);
    rig_free(rig);
}

/* A new binding takes over its share, and only from where it was. */
UNIT(hash_exchanges, new_binding_moves_nothing_else)
{
    static const char *const weights[] = {"3", "2", "3"};
    struct rig *rig = rig_new(&exchange_consistent_hash, 1);
    static unsigned before[MESSAGES];
    unsigned moved = 0;
    bind_weights(rig, weights, 3);
    for (unsigned i = 0; i < MESSAGES; i++)
        before[i] = queue_of_number(rig, i);
    rig_bind(rig, 7, SLICE("2"), SLICE_EMPTY);
    for (unsigned i = 0; i < MESSAGES; i++) {
        unsigned now = queue_of_number(rig, i);
        cr_assert(now == before[i] || now == 7);
        moved += now == 7;
    }
    near_share(moved, .2);
    rig_unbind(rig, 7);
    for (unsigned i = 0; i < MESSAGES; i++)
        cr_assert_eq(queue_of_number(rig, i), before[i]);
    rig_free(rig);
}

/* What is written here must never change: queues that exist rely on it. */
UNIT(hash_exchanges, the_ring_is_for_ever)
{
    static const char *const weights[] = {"1", "1", "1", "1", "1", "1", "1"};
    static const unsigned want[] = {0, 2, 2, 4, 6, 4, 0, 3, 1, 4, 1, 1, 0, 1, 3, 6};
    struct rig *rig = rig_new(&exchange_consistent_hash, 1);
    bind_weights(rig, weights, 7);
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++)
        cr_expect_eq(queue_of_number(rig, i), want[i], "key %u: %u", i, queue_of_number(rig, i));
    rig_free(rig);
}

/* However the bindings came to be, their order is that of their making. */
UNIT(hash_exchanges, order_of_loading_does_not_matter)
{
    static const struct exchange_type *const types[] = {&exchange_consistent_hash,
                                                        &exchange_modulus_hash};
    for (unsigned t = 0; t < 2; t++) {
        struct rig *up = rig_new(types[t], 1), *down = rig_new(types[t], 1);
        for (unsigned n = 0; n < 50; n++) {
            rig_bind(up, n, SLICE("3"), SLICE_EMPTY);
            rig_bind(down, (49 - n) * 7 % 50, SLICE("3"), SLICE_EMPTY);
        }
        for (unsigned i = 0; i < 500; i++)
            cr_assert_eq(queue_of_number(up, i), queue_of_number(down, i));
        rig_free(up);
        rig_free(down);
    }
}

static struct rig *rig_with(const struct exchange_type *type, const char *name, const char *text)
{
    struct buf args = BUF_INIT;
    struct failure why;
    table_put_str(&args, slice_str(name), slice_str(text));
    cr_assert_eq(type->validate(type, buf_slice(&args), &why), ERR_NONE);
    struct rig *rig = rig_new(type, 1);
    type->free(rig->instance);
    rig->instance = type->new (type, buf_slice(&args));
    buf_fini(&args);
    for (unsigned n = 0; n < 16; n++)
        rig_bind(rig, n, SLICE("1"), SLICE_EMPTY);
    return rig;
}

UNIT(hash_exchanges, by_a_header)
{
    struct rig *rig = rig_with(&exchange_consistent_hash, "hash-header", "h");
    struct buf headers = BUF_INIT;
    unsigned none = queue_of(rig, SLICE("a"), SLICE_EMPTY), others = 0;
    cr_assert_eq(queue_of(rig, SLICE("b"), SLICE_EMPTY), none, "the key does not matter");
    for (int i = 0; i < 100; i++) {
        buf_clear(&headers);
        table_put_i32(&headers, SLICE("h"), i);
        unsigned n = queue_of(rig, SLICE("a"), buf_slice(&headers));
        others += n != none;
        buf_clear(&headers);
        table_put_i64(&headers, SLICE("x"), i + 1);
        table_put_i64(&headers, SLICE("h"), i);
        cr_assert_eq(queue_of(rig, SLICE("b"), buf_slice(&headers)), n, "a number is a number");
    }
    cr_assert_gt(others, 80);
    buf_fini(&headers);
    rig_free(rig);
}

static unsigned queue_by_props(struct rig *rig, const struct amqp_basic_properties *props)
{
    struct buf raw = BUF_INIT;
    struct wire_writer wr = wire_writer_buf(&raw);
    props_encode(&wr, props);
    wire_written(&wr);
    memset(rig->hits, 0, sizeof rig->hits);
    rig->found = 0;
    struct route_input input = {.key = SLICE("k"), .props = buf_slice(&raw)};
    rig->type->route(rig->instance, &input, &rig->sink);
    buf_fini(&raw);
    cr_assert_eq(rig->found, 1);
    unsigned n = 0;
    while (!rig->hits[n])
        n++;
    return n;
}

UNIT(hash_exchanges, by_a_property)
{
    static const char *const names[] = {"message_id", "correlation_id", "timestamp"};
    for (unsigned k = 0; k < 3; k++) {
        struct rig *rig = rig_with(&exchange_consistent_hash, "hash-property", names[k]);
        unsigned seen = 0;
        for (unsigned i = 0; i < 200; i++) {
            char text[16];
            snprintf(text, sizeof text, "%u", i);
            struct amqp_basic_properties props = {
                .flags = AMQP_PROP_MESSAGE_ID | AMQP_PROP_CORRELATION_ID | AMQP_PROP_TIMESTAMP,
                .message_id = slice_str(k == 0 ? text : "same"),
                .correlation_id = slice_str(k == 1 ? text : "same"),
                .timestamp = k == 2 ? i : 5,
            };
            unsigned n = queue_by_props(rig, &props);
            cr_assert_eq(queue_by_props(rig, &props), n);
            seen |= 1u << n;
        }
        cr_assert_eq(seen, 0xffff);
        rig_free(rig);
    }
}

static void refuses(const char *args, const char *key, const char *want)
{
    const struct exchange_type *type = &exchange_consistent_hash;
    struct failure why = {0};
    struct buf table = BUF_INIT;
    if (args && strchr(args, '1'))
        table_put_str(&table, SLICE("hash-header"), SLICE("h"));
    if (args && strchr(args, '2'))
        table_put_str(&table, SLICE("hash-property"), SLICE("user_id"));
    if (args && strchr(args, '3'))
        table_put_i32(&table, SLICE("hash-header"), 1);
    enum err err = args ? type->validate(type, buf_slice(&table), &why)
                        : type->validate_binding(type, slice_str(key), SLICE_EMPTY, &why);
    cr_expect_eq(err, ERR_PRECONDITION_FAILED);
    cr_expect_str_eq(why.text, want);
    buf_fini(&table);
}

UNIT(hash_exchanges, what_is_refused)
{
    refuses("12", NULL, "hash-header and hash-property are mutually exclusive");
    refuses("2", NULL, "Unsupported property: user_id");
    refuses("3", NULL, "invalid type 'signedint' for arg 'hash-header'");
    refuses(NULL, "", "The binding key must be an integer: <<>>");
    refuses(NULL, "a", "The binding key must be an integer: <<\"a\">>");
    refuses(NULL, "1.5", "The binding key must be an integer: <<\"1.5\">>");
    refuses(NULL, "-", "The binding key must be an integer: <<\"-\">>");
    refuses(NULL, "0", "The binding key must be greater than 0");
    refuses(NULL, "-7", "The binding key must be greater than 0");
    refuses(NULL, "99999999999999999999999", "The binding key must be at most 2147483647");
}

UNIT(hash_exchanges, a_modulus)
{
    unsigned counts[10];
    struct rig *rig = rig_new(&exchange_modulus_hash, 1);
    for (unsigned n = 0; n < 10; n++)
        rig_bind(rig, n, SLICE("whatever"), SLICE_EMPTY);
    spread(rig, counts, 10);
    for (unsigned n = 0; n < 10; n++)
        near_share(counts[n], .1);
    rig_free(rig);
}

UNIT(hash_exchanges, by_chance)
{
    unsigned counts[10] = {0};
    struct rig *rig = rig_new(&exchange_random, 1);
    for (unsigned n = 0; n < 10; n++)
        rig_bind(rig, n, SLICE("whatever"), SLICE_EMPTY);
    for (unsigned i = 0; i < MESSAGES; i++)
        counts[queue_of(rig, SLICE("k"), SLICE_EMPTY)]++;
    for (unsigned n = 0; n < 10; n++)
        near_share(counts[n], .1);
    rig_free(rig);
}

/* judge agrees with route, and says how it came. */
UNIT(hash_exchanges, are_explained)
{
    static const struct exchange_type *const types[] = {&exchange_consistent_hash,
                                                        &exchange_modulus_hash, &exchange_random};
    for (unsigned t = 0; t < 3; t++) {
        struct rig *rig = rig_new(types[t], 1);
        struct buf text = BUF_INIT;
        struct route_input input = {.key = SLICE("k")};
        types[t]->tell(rig->instance, &input, &text);
        cr_assert_eq(text.len, 0, "nothing is bound");
        for (unsigned n = 0; n < 9; n++)
            rig_bind(rig, n, SLICE("2"), SLICE_EMPTY);
        types[t]->tell(rig->instance, &input, &text);
        cr_assert_neq(text.len, 0);
        for (unsigned i = 0; i < 50; i++) {
            char key[8];
            snprintf(key, sizeof key, "%u", i);
            rig_route(rig, slice_str(key), SLICE_EMPTY);
            for (unsigned n = 0; n < 9 && !types[t]->by_chance; n++)
                rig_judge(rig, n, slice_str(key), SLICE_EMPTY);
        }
        buf_fini(&text);
        rig_free(rig);
    }
}
