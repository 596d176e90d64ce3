#include "broker/exchange/header_value.h"
#include "exchange_rig.h"

/* --- values --- */

static bool same(const struct table_value *a, const struct table_value *b)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    header_value_put(&x, a);
    header_value_put(&y, b);
    cr_assert_leq(x.len, header_value_size(a));
    cr_assert_leq(y.len, header_value_size(b));
    bool equal = slice_eq(buf_slice(&x), buf_slice(&y));
    if (equal)
        cr_assert_eq(header_value_size(a), header_value_size(b));
    buf_fini(&x);
    buf_fini(&y);
    return equal;
}

/* Those of one class are equal, all others are not; as the reference broker routes them. */
static const struct {
    int class;
    struct table_value value;
} values[] = {
    {0, {.type = TABLE_VOID}},
    {1, {.type = TABLE_BOOL, .boolean = true}},
    {2, {.type = TABLE_BOOL, .boolean = false}},
    {3, {.type = TABLE_I32, .integer = 1}},
    {3, {.type = TABLE_I8, .integer = 1}},
    {3, {.type = TABLE_U8, .integer = 1}},
    {3, {.type = TABLE_I16, .integer = 1}},
    {3, {.type = TABLE_U16, .integer = 1}},
    {3, {.type = TABLE_U32, .integer = 1}},
    {3, {.type = TABLE_I64, .integer = 1}},
    {3, {.type = TABLE_TIMESTAMP, .timestamp = 1}},
    {3, {.type = TABLE_DOUBLE, .real = 1.0}},
    {3, {.type = TABLE_FLOAT, .real = 1.0}},
    {4, {.type = TABLE_I32, .integer = 0}},
    {4, {.type = TABLE_DOUBLE, .real = 0.0}},
    {4, {.type = TABLE_DOUBLE, .real = -0.0}},
    {5, {.type = TABLE_I8, .integer = -1}},
    {5, {.type = TABLE_I64, .integer = -1}},
    {5, {.type = TABLE_DOUBLE, .real = -1.0}},
    {6, {.type = TABLE_TIMESTAMP, .timestamp = UINT64_MAX}},
    {7, {.type = TABLE_DOUBLE, .real = 1.5}},
    {7, {.type = TABLE_FLOAT, .real = 1.5}},
    {8, {.type = TABLE_DOUBLE, .real = 1.1}},
    {9, {.type = TABLE_FLOAT, .real = (double)1.1F}},
    {10, {.type = TABLE_I64, .integer = 9007199254740992}},
    {10, {.type = TABLE_DOUBLE, .real = 9007199254740992.0}},
    {11, {.type = TABLE_I64, .integer = 9007199254740993}},
    {12, {.type = TABLE_I64, .integer = INT64_MAX}},
    {13, {.type = TABLE_DOUBLE, .real = 0x1p63}},
    {13, {.type = TABLE_TIMESTAMP, .timestamp = UINT64_C(1) << 63}},
    {14, {.type = TABLE_DOUBLE, .real = -0x1p63}},
    {14, {.type = TABLE_I64, .integer = INT64_MIN}},
    {15, {.type = TABLE_DOUBLE, .real = 0x1p64}},
    {16, {.type = TABLE_DOUBLE, .real = -0x1p64}},
    {17, {.type = TABLE_DOUBLE, .real = 5e-324}},
    {18, {.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"1", 1}}},
    {18, {.type = TABLE_BINARY, .bytes = {(const uint8_t *)"1", 1}}},
    {19, {.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"", 0}}},
    {20, {.type = TABLE_DECIMAL, .decimal = {0, 1}}},
    {21, {.type = TABLE_DECIMAL, .decimal = {1, 10}}},
    {22, {.type = TABLE_TABLE, .bytes = {NULL, 0}}},
    {22, {.type = TABLE_ARRAY, .bytes = {NULL, 0}}},
    {23, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"b\1", 2}}},
    {24, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"B\1", 2}}},
    {25, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"l\0\0\0\0\0\0\0\1", 9}}},
    {25, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"L\0\0\0\0\0\0\0\1", 9}}},
    {26, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"t\1", 2}}},
    {26, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"t\7", 2}}},
    {27, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"d\0\0\0\0\0\0\0\0", 9}}},
    {27, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"d\x80\0\0\0\0\0\0\0", 9}}},
    {28, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"f\x80\0\0\0", 5}}},
    {28, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"f\0\0\0\0", 5}}},
    {29, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"V", 1}}},
    {30, {.type = TABLE_TABLE, .bytes = {(const uint8_t *)"\1at\1\1bV", 7}}},
    {30, {.type = TABLE_TABLE, .bytes = {(const uint8_t *)"\1at\2\1bV", 7}}},
    {31, {.type = TABLE_TABLE, .bytes = {(const uint8_t *)"\1bV\1at\1", 7}}},
    {32, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"A\0\0\0\2t\1t\1", 9}}},
    {32, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"A\0\0\0\2t\3t\4", 9}}},
    {33, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"A\0\0\0\0", 5}}},
    {34, {.type = TABLE_ARRAY, .bytes = {(const uint8_t *)"F\0\0\0\0", 5}}},
    {35, {.type = TABLE_TABLE, .bytes = {(const uint8_t *)"\0A\0\0\0\2t\1", 8}}},
    {35, {.type = TABLE_TABLE, .bytes = {(const uint8_t *)"\0A\0\0\0\2t\5", 8}}},
};

UNIT(headers, values_are_equal_as_terms_are)
{
    size_t n = sizeof values / sizeof *values;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            cr_assert_eq(same(&values[i].value, &values[j].value),
                         values[i].class == values[j].class, "rows %zu %zu", i, j);
    }
}

/* An array within an array, and so on. */
static void nest(struct buf *out, unsigned depth)
{
    size_t innermost = (size_t)depth * 5;
    for (unsigned i = 0; i < depth; i++) {
        uint32_t len = (uint32_t)(innermost - 5 * (i + 1)) + 2;
        buf_append_byte(out, 'A');
        uint8_t bytes[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
                            (uint8_t)len};
        buf_append(out, bytes, 4);
    }
    buf_append(out, "t\1", 2);
}

UNIT(headers, deep_values)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    nest(&a, 20000);
    cr_assert(array_check(buf_slice(&a)));
    buf_append_slice(&b, buf_slice(&a));
    b.data[b.len - 1] = 9;
    struct table_value va = {.type = TABLE_ARRAY, .bytes = buf_slice(&a)};
    struct table_value vb = {.type = TABLE_ARRAY, .bytes = buf_slice(&b)};
    cr_assert(same(&va, &vb));
    b.data[b.len - 1] = 0;
    cr_assert(!same(&va, &vb));
    buf_fini(&a);
    buf_fini(&b);
}

/* --- the naive matcher: sort both by key, then walk them side by side --- */

enum { ENTRIES_MAX = 64 };

struct entry {
    struct slice key;
    struct table_value value;
};

static size_t entries_of(struct slice table, struct entry *entries)
{
    size_t n = 0;
    if (table.len == 0)
        return 0;
    struct entry e;
    for (struct table_iter it = table_iter(table); table_next(&it, &e.key, &e.value);) {
        size_t at = n++;
        for (; at > 0 && slice_cmp(entries[at - 1].key, e.key) > 0; at--)
            entries[at] = entries[at - 1];
        entries[at] = e;
    }
    return n;
}

static bool empty_container(const struct table_value *v)
{
    return (v->type == TABLE_TABLE || v->type == TABLE_ARRAY) && v->bytes.len == 0;
}

static bool satisfied(const struct table_value *want, const struct table_value *have)
{
    return want->type == TABLE_VOID || table_value_match(want, have) ||
           (empty_container(want) && empty_container(have));
}

static bool matches(const struct binding *binding, struct slice key, struct slice headers)
{
    (void)key;
    struct entry want[ENTRIES_MAX], have[ENTRIES_MAX];
    size_t wn = entries_of(binding->args, want), hn = entries_of(headers, have);
    struct slice mode = SLICE("all");
    if (binding->args.len)
        table_find_str(binding->args, SLICE("x-match"), &mode);
    bool with_x = mode.len > 3, any = mode.data[1] == 'n';
    unsigned asked = 0, fulfilled = 0;
    for (size_t i = 0, j = 0; i < wn; i++) {
        if (slice_eq_str(want[i].key, "x-match") ||
            (!with_x && slice_starts(want[i].key, SLICE("x-"))))
            continue;
        asked++;
        while (j < hn && slice_cmp(have[j].key, want[i].key) < 0)
            j++;
        if (j < hn && slice_eq(have[j].key, want[i].key))
            fulfilled += satisfied(&want[i].value, &have[j++].value);
    }
    return any ? fulfilled > 0 : fulfilled == asked;
}

/* --- random bindings and messages --- */

static void put_entry(struct rig_random *random, struct buf *table)
{
    static const char *const keys[] = {"a", "a", "b", "b", "c", "x-a", "x-b", "", "x", "zz"};
    size_t n = sizeof values / sizeof *values;
    /* mostly one of few values, so that they meet */
    size_t pick = rig_below(random, 3) ? rig_below(random, 4) * 4 : rig_below(random, n);
    table_put(table, slice_str(keys[rig_below(random, sizeof keys / sizeof *keys)]),
              &values[pick].value);
}

static void put_entries(struct rig_random *random, struct buf *table, size_t most)
{
    for (size_t n = rig_below(random, most + 1); n > 0; n--)
        put_entry(random, table);
}

static void make_binding(struct rig_random *random, struct buf *key, struct buf *args)
{
    static const char *const modes[] = {"all", "any", "all-with-x", "any-with-x"};
    (void)key;
    put_entries(random, args, 2);
    size_t mode = rig_below(random, 5);
    if (mode < 4)
        table_put_str(args, SLICE("x-match"), slice_str(modes[mode]));
    put_entries(random, args, 2);
}

static void make_message(struct rig_random *random, struct buf *key, struct buf *headers)
{
    (void)key;
    put_entries(random, headers, 6);
}

static const struct rig_model model = {matches, make_binding, make_message};

UNIT(headers, match_as_the_definition_says)
{
    for (uint64_t seed = 0; seed < 60; seed++)
        rig_run(&exchange_headers, &model, seed, 1 + (unsigned)seed * 3, 300);
}

/* --- examples --- */

/* "a=1 b" -> {a: I 1, b: void}; of one letter or digit each, but x-KEY. */
static struct slice table_of(struct buf *out, const char *text)
{
    buf_clear(out);
    for (const char *p = text; *p; p += *p == ' ') {
        size_t len = strcspn(p, "= ");
        struct slice key = slice_of(p, len);
        p += len;
        if (*p != '=') {
            table_put_void(out, key);
            continue;
        }
        len = strcspn(++p, " ");
        if (slice_eq(key, SLICE("x-match")) || *p > '9')
            table_put_str(out, key, slice_of(p, len));
        else
            table_put_i32(out, key, *p - '0');
        p += len;
    }
    return buf_slice(out);
}

static const struct {
    const char *args, *headers;
    bool match;
} cases[] = {
    {"", "", true},
    {"", "a=1", true},
    {"x-match=all", "", true},
    {"x-match=any", "", false},
    {"x-match=any", "a=1", false},
    {"a=1", "a=1 b=2", true},
    {"a=1", "", false},
    {"a=1", "a=2", false},
    {"a=1 b=2", "a=1", false},
    {"a=1 b=2 x-match=all", "b=2 a=1", true},
    {"a=1 b=2 x-match=any", "a=1", true},
    {"a=1 b=2 x-match=any", "a=1 b=2", true},
    {"a=1 b=2 x-match=any", "b=1 a=2", false},
    {"a", "a=7", true},
    {"a", "a", true},
    {"a=1", "a", false},
    {"a", "b", false},
    {"a b x-match=any", "b=x", true},
    {"x-a=1", "", true},
    {"x-a=1", "x-a=2", true},
    {"x-a=1 x-match=any", "x-a=1", false},
    {"x-a=1 x-match=all-with-x", "", false},
    {"x-a=1 x-match=all-with-x", "x-a=1", true},
    {"x-a=1 x-match=any-with-x", "x-a=1", true},
    {"x-a=1 b=2 x-match=any-with-x", "b=2", true},
    {"x-a=1 b=2 x-match=all-with-x", "b=2", false},
    {"x-match=any-with-x", "x-match=any-with-x", false},
    {"x-match=all-with-x", "", true},
    {"x=1", "", false},
    {"a=1", "a=1 a=2", true},
    {"a=2", "a=1 a=2", false},
    {"a=1 a=2", "a=1", false},
    {"a=1 a=2", "a=1 a=2", true},
    {"a=1 a=2", "a=2 a=1", false},
    {"a=1 a=2 x-match=any", "a=2 a=2", true},
    {"a=one", "a=one", true},
    {"a=one", "a=two", false},
};

UNIT(headers, examples)
{
    struct buf args = BUF_INIT, headers = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig *rig = rig_new(&exchange_headers, 1);
        rig_bind(rig, 0, SLICE_EMPTY, table_of(&args, cases[i].args));
        rig_route(rig, SLICE_EMPTY, table_of(&headers, cases[i].headers));
        cr_assert_eq(rig->found, cases[i].match, "{%s} {%s}", cases[i].args, cases[i].headers);
        cr_assert_eq(matches(&rig->bindings[0], SLICE_EMPTY, buf_slice(&headers)), cases[i].match,
                     "the naive matcher: {%s} {%s}", cases[i].args, cases[i].headers);
        rig_free(rig);
    }
    buf_fini(&args);
    buf_fini(&headers);
}

/* A key said thousands of times costs as much as thousands of keys. */
UNIT(headers, repeated_keys)
{
    struct rig *rig = rig_new(&exchange_headers, 1);
    struct buf table = BUF_INIT;
    for (unsigned i = 0; i < 20000; i++)
        table_put_i32(&table, SLICE("a"), (int32_t)i);
    rig_bind(rig, 0, SLICE_EMPTY, buf_slice(&table));
    rig_route(rig, SLICE_EMPTY, buf_slice(&table));
    cr_assert_eq(rig->found, 1);
    table_put_i32(&table, SLICE("a"), 1);
    rig_bind(rig, 1, SLICE_EMPTY, buf_slice(&table));
    rig_unbind(rig, 0);
    rig_route(rig, SLICE_EMPTY, buf_slice(&table));
    cr_assert(rig->found == 1 && rig->hits[1] == 1);
    buf_fini(&table);
    rig_free(rig);
}

/* --- refusals, in RabbitMQ's words --- */

static const struct {
    struct table_value value;
    const char *text; /* NULL: fine */
} refusals[] = {
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"all", 3}}, NULL},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"any", 3}}, NULL},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"all-with-x", 10}}, NULL},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"any-with-x", 10}}, NULL},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"foo", 3}},
     "Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x"},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"", 0}},
     "Invalid x-match field value <<>>; expected all, any, all-with-x, or any-with-x"},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"a\"\\\t", 4}},
     "Invalid x-match field value <<\"a\\\"\\\\\\t\">>; expected all, any, all-with-x, or "
     "any-with-x"},
    {{.type = TABLE_LONGSTR, .bytes = {(const uint8_t *)"nul", 4}},
     "Invalid x-match field value <<110,117,108,0>>; expected all, any, all-with-x, or "
     "any-with-x"},
    {{.type = TABLE_BINARY, .bytes = {(const uint8_t *)"all", 3}},
     "Invalid x-match field type binary (value <<\"all\">>); expected longstr"},
    {{.type = TABLE_I32, .integer = 1},
     "Invalid x-match field type signedint (value 1); expected longstr"},
    {{.type = TABLE_BOOL, .boolean = true},
     "Invalid x-match field type bool (value true); expected longstr"},
    {{.type = TABLE_VOID}, "Invalid x-match field type void (value undefined); expected longstr"},
    {{.type = TABLE_DECIMAL, .decimal = {2, 314}},
     "Invalid x-match field type decimal (value {2,314}); expected longstr"},
    {{.type = TABLE_TABLE}, "Invalid x-match field type table (value []); expected longstr"},
};

UNIT(headers, refuses_a_wrong_x_match)
{
    struct buf args = BUF_INIT;
    cr_assert_eq(
        exchange_headers.validate_binding(&exchange_headers, SLICE_EMPTY, SLICE_EMPTY, NULL),
        ERR_NONE);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct failure why = {0};
        buf_clear(&args);
        table_put_i32(&args, SLICE("a"), 1);
        table_put(&args, SLICE("x-match"), &refusals[i].value);
        enum err err = exchange_headers.validate_binding(&exchange_headers, SLICE_EMPTY,
                                                         buf_slice(&args), &why);
        cr_assert_eq(err, refusals[i].text ? ERR_PRECONDITION_FAILED : ERR_NONE, "row %zu", i);
        if (refusals[i].text)
            cr_assert_str_eq(why.text, refusals[i].text);
    }
    buf_fini(&args);
}
