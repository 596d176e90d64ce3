#include "base/table.h"
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#define I(type_, n)  ((struct table_value){.type = TABLE_##type_, .integer = (n)})
#define R(type_, d)  ((struct table_value){.type = TABLE_##type_, .real = (d)})
#define S(type_, s)  ((struct table_value){.type = TABLE_##type_, .bytes = s})
#define T(n)         ((struct table_value){.type = TABLE_TIMESTAMP, .timestamp = (n)})
#define D(scale_, n) ((struct table_value){.type = TABLE_DECIMAL, .decimal = {(scale_), (n)}})
#define BOOL(b)      ((struct table_value){.type = TABLE_BOOL, .boolean = (b)})
#define VOID_        ((struct table_value){.type = TABLE_VOID})

/* One entry of every type, with the bytes it must have. */
static const struct {
    const char *entry;
    size_t len;
    enum table_type type;
    int64_t integer;
} entries[] = {
    {"\1at\1", 4, TABLE_BOOL, 1},
    {"\1ab\xff", 4, TABLE_I8, -1},
    {"\1aB\xff", 4, TABLE_U8, 255},
    {"\1as\xff\xfe", 5, TABLE_I16, -2},
    {"\1au\xff\xfe", 5, TABLE_U16, 65534},
    {"\1aI\xff\xff\xff\xfd", 7, TABLE_I32, -3},
    {"\1ai\xff\xff\xff\xfd", 7, TABLE_U32, 4294967293},
    {"\1al\xff\xff\xff\xff\xff\xff\xff\xfc", 11, TABLE_I64, -4},
    {"\1aL\xff\xff\xff\xff\xff\xff\xff\xfc", 11, TABLE_I64, -4},
    {"\1aT\0\0\0\0\0\0\0\5", 11, TABLE_TIMESTAMP, 5},
    {"\1af\x3f\xc0\0\0", 7, TABLE_FLOAT, 0},
    {"\1ad\x3f\xf8\0\0\0\0\0\0", 11, TABLE_DOUBLE, 0},
    {"\1aD\2\0\0\1\x3a", 8, TABLE_DECIMAL, 0},
    {"\1aS\0\0\0\2hi", 9, TABLE_LONGSTR, 0},
    {"\1ax\0\0\0\2hi", 9, TABLE_BINARY, 0},
    {"\1aA\0\0\0\3V"
     "b\1",
     10, TABLE_ARRAY, 0},
    {"\1aF\0\0\0\3\1bV", 10, TABLE_TABLE, 0},
    {"\1aV", 3, TABLE_VOID, 0},
};
#define ENTRIES_LEN (sizeof entries / sizeof *entries)

UNIT(table, reads_every_type)
{
    for (size_t i = 0; i < ENTRIES_LEN; i++) {
        struct slice t = slice_of(entries[i].entry, entries[i].len);
        cr_assert(table_check(t), "row %zu", i);
        struct table_iter it = table_iter(t);
        struct slice key;
        struct table_value v;
        cr_assert(table_next(&it, &key, &v), "row %zu", i);
        cr_assert(slice_eq_str(key, "a"));
        cr_assert_eq(v.type, entries[i].type, "row %zu", i);
        int64_t n;
        cr_assert_eq(table_find_int(t, SLICE("a"), &n), table_is_int(v.type));
        if (table_is_int(v.type))
            cr_assert_eq(n, entries[i].integer, "row %zu", i);
        switch (v.type) {
        case TABLE_BOOL:
            cr_assert(v.boolean);
            break;
        case TABLE_TIMESTAMP:
            cr_assert_eq(v.timestamp, 5);
            break;
        case TABLE_FLOAT:
        case TABLE_DOUBLE:
            cr_assert_eq(v.real, 1.5);
            break;
        case TABLE_DECIMAL:
            cr_assert_eq(v.decimal.scale, 2);
            cr_assert_eq(v.decimal.digits, 314);
            break;
        case TABLE_LONGSTR:
        case TABLE_BINARY:
            cr_assert(slice_eq_str(v.bytes, "hi"));
            break;
        case TABLE_ARRAY:
            cr_assert(array_check(v.bytes));
            break;
        default:
            break;
        }
        cr_assert(!table_next(&it, &key, &v));
    }
}

UNIT(table, writes_what_it_reads)
{
    for (size_t i = 0; i < ENTRIES_LEN; i++) {
        if (entries[i].entry[2] == 'L')
            continue;
        struct table_value v;
        struct buf out = BUF_INIT;
        cr_assert(table_find(slice_of(entries[i].entry, entries[i].len), SLICE("a"), &v));
        table_put(&out, SLICE("a"), &v);
        cr_assert(slice_eq(buf_slice(&out), slice_of(entries[i].entry, entries[i].len)), "row %zu",
                  i);
        buf_fini(&out);
    }
}

UNIT(table, every_cut_is_malformed)
{
    struct buf all = BUF_INIT;
    for (size_t i = 0; i < ENTRIES_LEN; i++) {
        for (size_t cut = 1; cut < entries[i].len; cut++) {
            uint8_t *copy = malloc(cut);
            memcpy(copy, entries[i].entry, cut);
            cr_assert(!table_check(slice_of(copy, cut)), "row %zu at %zu", i, cut);
            struct table_value v;
            cr_assert(!table_find(slice_of(copy, cut), SLICE("a"), &v));
            free(copy);
        }
        buf_append(&all, entries[i].entry, entries[i].len);
    }
    cr_assert(table_check(buf_slice(&all)));
    cr_assert_eq(table_count(buf_slice(&all)), ENTRIES_LEN);
    cr_assert(table_check(SLICE_EMPTY));
    cr_assert(array_check(SLICE_EMPTY));
    cr_assert_eq(table_count(SLICE_EMPTY), 0);
    buf_fini(&all);
}

UNIT(table, only_known_letters_pass)
{
    unsigned known = 0;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t array[14] = {(uint8_t)c};
        bool ok = false;
        for (size_t n = 1; n <= sizeof array; n++)
            ok |= array_check(slice_of(array, n));
        known += ok;
        cr_assert_eq(ok, c && strchr("tbBsuIilLfdDSATFVx", (int)c), "letter %u", c);
    }
    cr_assert_eq(known, 18);
}

UNIT(table, lengths_that_lie)
{
    cr_assert(!table_check(SLICE("\1aS\xff\xff\xff\xffhi")));
    cr_assert(!table_check(SLICE("\1aS\0\0\0\3hi")));
    cr_assert(!table_check(SLICE("\xff"
                                 "a")));
    /* the inner table ends behind the outer one, or within its own entry */
    cr_assert(!table_check(SLICE("\1aF\0\0\0\4\1bV")));
    cr_assert(!table_check(SLICE("\1aF\0\0\0\2\1bV")));
    cr_assert(!table_check(SLICE("\1aA\0\0\0\5S\0\0\0\1x")));
    cr_assert(table_check(SLICE("\0V")));
}

UNIT(table, infinite_and_nan_are_malformed)
{
    const double bad[] = {INFINITY, -INFINITY, NAN, -NAN};
    for (size_t i = 0; i < 4; i++) {
        struct buf out = BUF_INIT;
        table_put(&out, SLICE("k"), &R(DOUBLE, bad[i]));
        cr_assert(!table_check(buf_slice(&out)));
        buf_clear(&out);
        table_put(&out, SLICE("k"), &R(FLOAT, bad[i]));
        cr_assert(!table_check(buf_slice(&out)));
        buf_fini(&out);
    }
    cr_assert(table_check(SLICE("\1kd\x7f\xef\xff\xff\xff\xff\xff\xff")));
    cr_assert(table_check(SLICE("\1kf\xff\x7f\xff\xff")));
}

/* The body of a table (array) with depth levels below it, from the outside in. */
static struct buf deep(size_t depth, bool array)
{
    struct buf out = BUF_INIT;
    size_t header = array ? 5 : 7;
    for (size_t i = depth; i; i--) {
        struct table_value empty = {.type = array ? TABLE_ARRAY : TABLE_TABLE};
        if (array)
            array_put(&out, &empty);
        else
            table_put(&out, SLICE("ab"), &empty);
        header = array ? 5 : 8;
        table_close(&out, out.len);
        uint32_t inner = (uint32_t)((i - 1) * header);
        uint8_t *len = out.data + out.len - 4;
        len[0] = (uint8_t)(inner >> 24);
        len[1] = (uint8_t)(inner >> 16);
        len[2] = (uint8_t)(inner >> 8);
        len[3] = (uint8_t)inner;
    }
    return out;
}

UNIT(table, depth_is_survived)
{
    const size_t depths[] = {1, 63, 64, 65, 128, 129, 18000, 500000};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        struct buf t = deep(depths[i], false), a = deep(depths[i], true);
        cr_assert(table_check(buf_slice(&t)), "%zu", depths[i]);
        cr_assert(array_check(buf_slice(&a)), "%zu", depths[i]);
        cr_assert(!table_check(slice_of(t.data, t.len - 1)));
        t.data[t.len - 5] = 'Z';
        cr_assert(!table_check(buf_slice(&t)));
        t.data[t.len - 5] = 'F';

        struct buf copy = BUF_INIT, text = BUF_INIT;
        buf_append_slice(&copy, buf_slice(&t));
        cr_assert(table_equal(buf_slice(&t), buf_slice(&copy)));
        copy.data[copy.len - 6] = 'c';
        cr_assert(!table_equal(buf_slice(&t), buf_slice(&copy)));
        table_print(buf_slice(&t), &text);
        table_value_print_term(&S(TABLE, buf_slice(&t)), &text);
        cr_assert_lt(text.len, 4096);
        buf_fini(&t);
        buf_fini(&a);
        buf_fini(&copy);
        buf_fini(&text);
    }
}

UNIT(table, the_first_of_equal_keys_counts)
{
    struct buf t = BUF_INIT;
    table_put_i32(&t, SLICE("k"), 1);
    table_put_str(&t, SLICE("other"), SLICE("text"));
    table_put_i32(&t, SLICE("k"), 2);
    int64_t n = 0;
    cr_assert(table_find_int(buf_slice(&t), SLICE("k"), &n));
    cr_assert_eq(n, 1);
    buf_fini(&t);
}

UNIT(table, finders_tell_kinds_apart)
{
    struct buf b = BUF_INIT, array = BUF_INIT;
    array_put_str(&array, SLICE("one"));
    array_put_i64(&array, 2);
    table_put_bool(&b, SLICE("bool"), true);
    table_put_str(&b, SLICE("str"), SLICE("text"));
    table_put_double(&b, SLICE("double"), 2.5);
    table_put_timestamp(&b, SLICE("time"), 1700000000);
    table_put_void(&b, SLICE("void"));
    table_put_i64(&b, SLICE("long"), INT64_MIN);
    table_put_array(&b, SLICE("array"), buf_slice(&array));
    table_put_table(&b, SLICE("table"), SLICE("\1xV"));
    struct slice t = buf_slice(&b), s;
    bool on = false;
    int64_t n;
    cr_assert(table_check(t));
    cr_assert_eq(table_count(t), 8);
    cr_assert(table_find_bool(t, SLICE("bool"), &on) && on);
    cr_assert(!table_find_bool(t, SLICE("str"), &on));
    cr_assert(!table_find_bool(t, SLICE("missing"), &on));
    cr_assert(table_find_str(t, SLICE("str"), &s) && slice_eq_str(s, "text"));
    cr_assert(!table_find_str(t, SLICE("array"), &s));
    cr_assert(!table_find_int(t, SLICE("time"), &n));
    cr_assert(table_find_int(t, SLICE("long"), &n) && n == INT64_MIN);
    cr_assert(table_find_table(t, SLICE("table"), &s) && s.len == 3);
    cr_assert(!table_find_table(t, SLICE("array"), &s));
    cr_assert(table_find_array(t, SLICE("array"), &s));
    struct table_iter it = table_iter(s);
    struct table_value v;
    cr_assert(array_next(&it, &v) && slice_eq_str(v.bytes, "one"));
    cr_assert(array_next(&it, &v) && v.integer == 2);
    cr_assert(!array_next(&it, &v));
    buf_fini(&b);
    buf_fini(&array);
}

UNIT(table, nested_in_place)
{
    struct buf b = BUF_INIT;
    size_t deaths = table_open(&b, SLICE("x-death"), TABLE_ARRAY);
    for (int i = 0; i < 2; i++) {
        size_t death = array_open(&b, TABLE_TABLE);
        table_put_i64(&b, SLICE("count"), i);
        table_close(&b, death);
    }
    table_close(&b, deaths);
    table_put_void(&b, SLICE("end"));
    struct buf text = BUF_INIT;
    cr_assert(table_check(buf_slice(&b)));
    table_print(buf_slice(&b), &text);
    cr_assert_str_eq(buf_cstr(&text), "{x-death=[{count=l:0}, {count=l:1}], end=void}");
    buf_fini(&b);
    buf_fini(&text);
}

UNIT(table, equality_of_arguments_and_of_headers)
{
    const struct {
        struct table_value a, b;
        bool equal, match;
    } rows[] = {
        {I(I32, 1), I(I64, 1), true, true},
        {I(U8, 200), I(I16, 200), true, true},
        {I(I8, -1), I(U8, 255), false, false},
        {I(I32, 1), R(DOUBLE, 1), false, true},
        {I(I32, 1), R(DOUBLE, 1.5), false, false},
        {R(FLOAT, 1.5), R(DOUBLE, 1.5), true, true},
        {R(DOUBLE, 0.0), R(DOUBLE, -0.0), true, true},
        {I(I64, (INT64_C(1) << 53) + 1), R(DOUBLE, 0x1p53), false, false},
        {I(I64, INT64_MAX), R(DOUBLE, 0x1p63), false, false},
        {I(I64, INT64_MIN), R(DOUBLE, -0x1p63), false, true},
        {T(5), I(I64, 5), false, true},
        {I(I64, 5), T(5), false, true},
        {T(UINT64_MAX), I(I64, -1), false, false},
        {T(UINT64_MAX), R(DOUBLE, 0x1p64), false, false},
        {T(UINT64_C(1) << 63), R(FLOAT, 0x1p63), false, true},
        {T(5), R(DOUBLE, -5), false, false},
        {T(5), T(5), true, true},
        {T(5), T(6), false, false},
        {S(LONGSTR, SLICE("a")), S(BINARY, SLICE("a")), false, true},
        {S(LONGSTR, SLICE("a")), S(LONGSTR, SLICE("a")), true, true},
        {S(LONGSTR, SLICE("a")), S(LONGSTR, SLICE("b")), false, false},
        {S(LONGSTR, SLICE("1")), I(I32, 1), false, false},
        {BOOL(true), BOOL(true), true, true},
        {BOOL(true), BOOL(false), false, false},
        {BOOL(true), I(I32, 1), false, false},
        {VOID_, VOID_, true, true},
        {VOID_, BOOL(false), false, false},
        {D(2, 314), D(2, 314), true, true},
        {D(2, 314), D(2, 315), false, false},
        {D(0, 5), I(I32, 5), false, false},
        {S(TABLE, SLICE("\1kt\1")), S(TABLE, SLICE("\1kt\2")), true, true},
        {S(TABLE, SLICE("\1kt\1")), S(TABLE, SLICE("\1jt\1")), false, false},
        {S(TABLE, SLICE("\1kt\1")), S(TABLE, SLICE("\1kt\1\1jV")), false, false},
        {S(TABLE, SLICE("\1kb\1")), S(TABLE, SLICE("\1kB\1")), false, false},
        {S(ARRAY, SLICE("b\1V")), S(ARRAY, SLICE("b\1V")), true, true},
        {S(ARRAY, SLICE("b\1V")), S(ARRAY, SLICE("b\1")), false, false},
        {S(ARRAY, SLICE("")), S(TABLE, SLICE("")), false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(table_value_equal(&rows[i].a, &rows[i].b), rows[i].equal, "row %zu", i);
        cr_expect_eq(table_value_equal(&rows[i].b, &rows[i].a), rows[i].equal, "row %zu", i);
        cr_expect_eq(table_value_match(&rows[i].a, &rows[i].b), rows[i].match, "row %zu", i);
        cr_expect_eq(table_value_match(&rows[i].b, &rows[i].a), rows[i].match, "row %zu", i);
    }
}

static void expect_table(struct buf *out, const char *text)
{
    struct buf printed = BUF_INIT;
    cr_expect(table_check(buf_slice(out)));
    table_print(buf_slice(out), &printed);
    cr_expect_str_eq(buf_cstr(&printed), text);
    buf_clear(out);
    buf_fini(&printed);
}

UNIT(table, rewriting_keeps_the_rest)
{
    struct buf b = BUF_INIT, over = BUF_INIT, out = BUF_INIT;
    table_put_i32(&b, SLICE("a"), 1);
    table_put_str(&b, SLICE("BCC"), SLICE("x"));
    table_put_i64(&b, SLICE("c"), 3);
    table_put_str(&b, SLICE("BCC"), SLICE("y"));
    struct slice t = buf_slice(&b);
    struct table_value v = table_value_i64(9);
    table_remove(t, SLICE("BCC"), &out);
    expect_table(&out, "{a=1, c=l:3}");
    table_remove(t, SLICE("missing"), &out);
    cr_assert(slice_eq(buf_slice(&out), t));
    buf_clear(&out);
    table_replace(t, SLICE("BCC"), &v, &out);
    expect_table(&out, "{a=1, BCC=l:9, c=l:3}");
    table_replace(t, SLICE("d"), &v, &out);
    expect_table(&out, "{a=1, BCC='x', c=l:3, BCC='y', d=l:9}");
    table_replace(SLICE_EMPTY, SLICE("d"), &v, &out);
    expect_table(&out, "{d=l:9}");
    table_put_void(&over, SLICE("c"));
    table_put_void(&over, SLICE("e"));
    table_merge(t, buf_slice(&over), &out);
    expect_table(&out, "{a=1, BCC='x', BCC='y', c=void, e=void}");
    table_merge(SLICE_EMPTY, SLICE_EMPTY, &out);
    expect_table(&out, "{}");
    buf_fini(&b);
    buf_fini(&over);
    buf_fini(&out);
}

UNIT(table, values_as_erlang_terms)
{
    const struct {
        struct table_value value;
        const char *text;
    } rows[] = {
        {I(I32, -5), "-5"},
        {T(UINT64_MAX), "18446744073709551615"},
        {BOOL(true), "true"},
        {VOID_, "undefined"},
        {D(2, 314), "{2,314}"},
        {S(LONGSTR, SLICE("text")), "text"},
        {S(BINARY, SLICE("text")), "text"},
        {S(TABLE, SLICE("")), "[]"},
        {S(TABLE, SLICE("\1aS\0\0\0\3b\"\n\1cV")),
         "[{<<\"a\">>,longstr,<<\"b\\\"\\n\">>},{<<\"c\">>,void,undefined}]"},
        {S(ARRAY, SLICE("b\1B\2s\0\3u\0\4I\0\0\0\5i\0\0\0\6")),
         "[{byte,1},{unsignedbyte,2},{short,3},{unsignedshort,4},{signedint,5},{unsignedint,6}]"},
        {S(ARRAY, SLICE("x\0\0\0\2\1\2S\0\0\0\0t\0")),
         "[{binary,<<1,2>>},{longstr,<<>>},{bool,false}]"},
        {S(ARRAY, SLICE("F\0\0\0\0A\0\0\0\1V")), "[{table,[]},{array,[{void,undefined}]}]"},
        {R(DOUBLE, 0.0), "0.0"},
        {R(DOUBLE, -0.0), "-0.0"},
        {R(DOUBLE, 1.0), "1.0"},
        {R(DOUBLE, -2.5), "-2.5"},
        {R(DOUBLE, 100.0), "100.0"},
        {R(DOUBLE, 123456.789), "123456.789"},
        {R(DOUBLE, 0.1), "0.1"},
        {R(DOUBLE, 0.001), "0.001"},
        {R(DOUBLE, 1e-5), "1.0e-5"},
        {R(DOUBLE, 1e10), "1.0e10"},
        {R(DOUBLE, 1e22), "1.0e22"},
        {R(DOUBLE, 1.5e300), "1.5e300"},
        {R(DOUBLE, 9007199254740993.0), "9.007199254740992e15"},
        {R(DOUBLE, 0.30000000000000004), "0.30000000000000004"},
        {R(DOUBLE, 5e-324), "5.0e-324"},
        {R(FLOAT, 3.4028234663852886e38), "3.4028234663852886e38"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = BUF_INIT;
        table_value_print_term(&rows[i].value, &out);
        cr_expect_str_eq(buf_cstr(&out), rows[i].text, "row %zu: %s", i, buf_cstr(&out));
        buf_fini(&out);
    }
    struct buf out = BUF_INIT;
    table_value_describe(&I(I32, 10), &out);
    buf_append_str(&out, "; ");
    table_value_describe(NULL, &out);
    cr_assert_str_eq(buf_cstr(&out), "the value '10' of type 'signedint'; none");
    buf_fini(&out);
}

UNIT(table, values_in_traces)
{
    const struct {
        struct table_value value;
        const char *text;
    } rows[] = {
        {I(I32, 5), "5"},
        {I(I64, 5), "l:5"},
        {I(U8, 5), "B:5"},
        {T(5), "T:5"},
        {BOOL(false), "false"},
        {VOID_, "void"},
        {D(2, 314), "D:[2, 314]"},
        {R(DOUBLE, 1.5), "1.5"},
        {R(FLOAT, 1.5), "f:1.5"},
        {S(LONGSTR, SLICE("it's")), "'it\\'s'"},
        {S(BINARY, SLICE("\0")), "x:'\\x00'"},
        {S(TABLE, SLICE("\1aV\3b cV\0V")), "{a=void, 'b c'=void, ''=void}"},
        {S(ARRAY, SLICE("VV")), "[void, void]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = BUF_INIT;
        table_value_print(&rows[i].value, &out);
        cr_expect_str_eq(buf_cstr(&out), rows[i].text, "row %zu", i);
        buf_fini(&out);
    }
}

/* Noise never leads outside its bytes, whether it passes the check or not. */
UNIT(table, noise_stays_in_bounds)
{
    uint64_t state = 3;
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = round % 40;
        uint8_t *bytes = malloc(n ? n : 1);
        for (size_t i = 0; i < n; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
            unsigned r = (unsigned)(state >> 40);
            bytes[i] = r % 3 ? (uint8_t)(r % 4) : (uint8_t) "tbBsuIilLfdDSATFVxZ"[(r >> 4) % 19];
        }
        struct slice t = slice_of(bytes, n);
        bool ok = table_check(t);
        struct buf out = BUF_INIT;
        table_print(t, &out);
        buf_clear(&out);
        table_remove(t, SLICE("\1"), &out);
        if (ok)
            cr_assert(table_check(buf_slice(&out)));
        array_check(t);
        buf_fini(&out);
        free(bytes);
    }
}
