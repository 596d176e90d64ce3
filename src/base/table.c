/* Field tables: validation, reading in place and comparison. No state, any
 * shard. Nothing recurses on nesting that a peer chose. */
#include "base/table.h"

#include "base/mem.h"
#include "base/wire_cursor.h"

#include <stdlib.h>

/* What follows a type letter: 1 + the number of octets, or one of these; 0: no such type. */
enum { FORM_STRING = 0x10, FORM_TABLE, FORM_ARRAY, FORM_FLOAT, FORM_DOUBLE };

static const uint8_t forms[256] = {
    [TABLE_VOID] = 1 + 0,
    [TABLE_BOOL] = 1 + 1,
    [TABLE_I8] = 1 + 1,
    [TABLE_U8] = 1 + 1,
    [TABLE_I16] = 1 + 2,
    [TABLE_U16] = 1 + 2,
    [TABLE_I32] = 1 + 4,
    [TABLE_U32] = 1 + 4,
    [TABLE_DECIMAL] = 1 + 5,
    [TABLE_I64] = 1 + 8,
    ['L'] = 1 + 8,
    [TABLE_TIMESTAMP] = 1 + 8,
    [TABLE_LONGSTR] = FORM_STRING,
    [TABLE_BINARY] = FORM_STRING,
    [TABLE_TABLE] = FORM_TABLE,
    [TABLE_ARRAY] = FORM_ARRAY,
    [TABLE_FLOAT] = FORM_FLOAT,
    [TABLE_DOUBLE] = FORM_DOUBLE,
};

/* Infinity and not-a-number have every bit of the exponent set. */
static bool finite_float(const uint8_t *p)
{
    return (wire_load_u32(p) & 0x7f800000) != 0x7f800000;
}

static bool finite_double(const uint8_t *p)
{
    const uint64_t exponent = UINT64_C(0x7ff0000000000000);
    return (wire_load_u64(p) & exponent) != exponent;
}

/* --- validation --- */

/* The containers around the place being looked at: the end of each as an offset, with its kind in
 * the lowest bit. The first levels need no heap; their number is bounded by the input's size. */
#define LEVELS_INLINE 64

struct checker {
    uint64_t *levels;
    size_t depth, cap;
    uint64_t inline_levels[LEVELS_INLINE];
};

static void push(struct checker *ck, uint64_t end, bool array)
{
    if (ck->depth == ck->cap) {
        bool first = ck->levels == ck->inline_levels;
        uint64_t *grown = mem_realloc(first ? NULL : ck->levels, 2 * ck->cap * sizeof *grown);
        if (first)
            memcpy(grown, ck->inline_levels, sizeof ck->inline_levels);
        ck->levels = grown;
        ck->cap *= 2;
    }
    ck->levels[ck->depth++] = end << 1 | array;
}

/* Steps over one entry of the innermost container, or into it if it is a container itself. Returns
 * the offset behind, 0 if the entry is malformed (no entry ends at 0). */
static size_t check_entry(struct checker *ck, const uint8_t *base, size_t at)
{
    uint64_t level = ck->levels[ck->depth - 1];
    size_t end = level >> 1;
    if (!(level & 1)) {
        size_t key_len = base[at++];
        if (end - at < key_len)
            return 0;
        at += key_len;
    }
    if (at == end)
        return 0;
    uint8_t form = forms[base[at++]];
    size_t left = end - at;
    if (form < FORM_STRING) {
        if (form == 0 || left < form - 1u)
            return 0;
        return at + form - 1u;
    }
    if (form == FORM_DOUBLE)
        return left >= 8 && finite_double(base + at) ? at + 8 : 0;
    if (left < 4)
        return 0;
    if (form == FORM_FLOAT)
        return finite_float(base + at) ? at + 4 : 0;
    uint32_t len = wire_load_u32(base + at);
    if (left - 4 < len)
        return 0;
    at += 4;
    if (form == FORM_STRING)
        return at + len;
    push(ck, at + len, form == FORM_ARRAY);
    return at;
}

static bool check_container(struct slice body, bool array)
{
    if (body.len == 0)
        return true;
    struct checker ck;
    ck.levels = ck.inline_levels;
    ck.depth = 0;
    ck.cap = LEVELS_INLINE;
    push(&ck, body.len, array);
    size_t at = 0;
    bool ok = true;
    while (ok && ck.depth) {
        if (at == ck.levels[ck.depth - 1] >> 1) {
            ck.depth--;
            continue;
        }
        at = check_entry(&ck, body.data, at);
        ok = at != 0;
    }
    if (ck.levels != ck.inline_levels)
        free(ck.levels);
    return ok;
}

bool table_check(struct slice table)
{
    return check_container(table, false);
}

bool array_check(struct slice array)
{
    return check_container(array, true);
}

/* --- reading --- */

static float load_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static double load_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

/* False on an unknown type. */
static bool read_value(struct wire_reader *rd, struct table_value *ret)
{
    uint8_t letter = wire_get_u8(rd);
    ret->type = letter == 'L' ? TABLE_I64 : (enum table_type)letter;
    switch (ret->type) {
    case TABLE_BOOL:
        ret->boolean = wire_get_u8(rd) != 0;
        return true;
    case TABLE_I8:
        ret->integer = (int8_t)wire_get_u8(rd);
        return true;
    case TABLE_U8:
        ret->integer = wire_get_u8(rd);
        return true;
    case TABLE_I16:
        ret->integer = (int16_t)wire_get_u16(rd);
        return true;
    case TABLE_U16:
        ret->integer = wire_get_u16(rd);
        return true;
    case TABLE_I32:
        ret->integer = (int32_t)wire_get_u32(rd);
        return true;
    case TABLE_U32:
        ret->integer = wire_get_u32(rd);
        return true;
    case TABLE_I64:
        ret->integer = (int64_t)wire_get_u64(rd);
        return true;
    case TABLE_TIMESTAMP:
        ret->timestamp = wire_get_u64(rd);
        return true;
    case TABLE_FLOAT:
        ret->real = load_float(wire_get_u32(rd));
        return true;
    case TABLE_DOUBLE:
        ret->real = load_double(wire_get_u64(rd));
        return true;
    case TABLE_DECIMAL:
        ret->decimal.scale = wire_get_u8(rd);
        ret->decimal.digits = wire_get_u32(rd);
        return true;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
    case TABLE_TABLE:
    case TABLE_ARRAY:
        ret->bytes = wire_get_longstr(rd);
        return true;
    case TABLE_VOID:
        return true;
    }
    return false;
}

static bool next(struct table_iter *it, struct slice *ret_key, struct table_value *ret_value)
{
    if (it->pos == it->end)
        return false;
    struct wire_reader rd = {it->pos, it->end, WIRE_OK};
    if (ret_key)
        *ret_key = wire_get_shortstr(&rd);
    if (!read_value(&rd, ret_value) || rd.err) {
        it->pos = it->end;
        return false;
    }
    it->pos = rd.pos;
    return true;
}

bool table_next(struct table_iter *it, struct slice *ret_key, struct table_value *ret_value)
{
    return next(it, ret_key, ret_value);
}

bool array_next(struct table_iter *it, struct table_value *ret_value)
{
    return next(it, NULL, ret_value);
}

size_t table_count(struct slice table)
{
    size_t n = 0;
    struct slice key;
    struct table_value value;
    for (struct table_iter it = table_iter(table); table_next(&it, &key, &value);)
        n++;
    return n;
}

bool table_find(struct slice table, struct slice key, struct table_value *ret_value)
{
    struct slice k;
    struct table_value value;
    for (struct table_iter it = table_iter(table); table_next(&it, &k, &value);) {
        if (slice_eq(k, key)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

bool table_is_int(enum table_type type)
{
    switch (type) {
    case TABLE_I8:
    case TABLE_U8:
    case TABLE_I16:
    case TABLE_U16:
    case TABLE_I32:
    case TABLE_U32:
    case TABLE_I64:
        return true;
    default:
        return false;
    }
}

bool table_find_int(struct slice table, struct slice key, int64_t *ret)
{
    struct table_value v;
    if (!table_find(table, key, &v) || !table_is_int(v.type))
        return false;
    *ret = v.integer;
    return true;
}

bool table_find_bool(struct slice table, struct slice key, bool *ret)
{
    struct table_value v;
    if (!table_find(table, key, &v) || v.type != TABLE_BOOL)
        return false;
    *ret = v.boolean;
    return true;
}

static bool find_bytes(struct slice table, struct slice key, enum table_type type,
                       struct slice *ret)
{
    struct table_value v;
    if (!table_find(table, key, &v) || v.type != type)
        return false;
    *ret = v.bytes;
    return true;
}

bool table_find_str(struct slice table, struct slice key, struct slice *ret)
{
    return find_bytes(table, key, TABLE_LONGSTR, ret);
}

bool table_find_table(struct slice table, struct slice key, struct slice *ret_body)
{
    return find_bytes(table, key, TABLE_TABLE, ret_body);
}

bool table_find_array(struct slice table, struct slice key, struct slice *ret_body)
{
    return find_bytes(table, key, TABLE_ARRAY, ret_body);
}

/* --- comparing --- */

static bool is_float(enum table_type type)
{
    return type == TABLE_FLOAT || type == TABLE_DOUBLE;
}

/* Containers are equal if their bytes are, or (a bool has many bytes, -0.0 is 0.0, 'L' is 'l') if
 * their entries are; deeper than this only the bytes count. */
#define COMPARE_DEPTH 32

static bool same_value(const struct table_value *a, const struct table_value *b, unsigned depth);

static bool same_entries(struct slice a, struct slice b, bool array, unsigned depth)
{
    if (slice_eq(a, b))
        return true;
    if (depth == COMPARE_DEPTH)
        return false;
    struct table_iter ia = table_iter(a), ib = table_iter(b);
    struct slice ka = SLICE_EMPTY, kb = SLICE_EMPTY;
    struct table_value va, vb;
    for (;;) {
        bool more_a = next(&ia, array ? NULL : &ka, &va);
        bool more_b = next(&ib, array ? NULL : &kb, &vb);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!slice_eq(ka, kb) || !same_value(&va, &vb, depth + 1))
            return false;
    }
}

/* Same type and same value. */
static bool same_value(const struct table_value *a, const struct table_value *b, unsigned depth)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case TABLE_BOOL:
        return a->boolean == b->boolean;
    case TABLE_TIMESTAMP:
        return a->timestamp == b->timestamp;
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        return a->real == b->real;
    case TABLE_DECIMAL:
        return a->decimal.scale == b->decimal.scale && a->decimal.digits == b->decimal.digits;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
        return slice_eq(a->bytes, b->bytes);
    case TABLE_TABLE:
    case TABLE_ARRAY:
        return same_entries(a->bytes, b->bytes, a->type == TABLE_ARRAY, depth);
    case TABLE_VOID:
        return true;
    default:
        return a->integer == b->integer;
    }
}

bool table_value_equal(const struct table_value *a, const struct table_value *b)
{
    if (table_is_int(a->type) && table_is_int(b->type))
        return a->integer == b->integer;
    if (is_float(a->type) && is_float(b->type))
        return a->real == b->real;
    return same_value(a, b, 0);
}

static bool is_number(enum table_type type)
{
    return table_is_int(type) || is_float(type) || type == TABLE_TIMESTAMP;
}

/* Exactly: 2^53 + 1 is no double. */
static bool double_is(double d, const struct table_value *integer)
{
    if (integer->type == TABLE_TIMESTAMP)
        return d >= 0 && d < 0x1p64 && (uint64_t)d == integer->timestamp &&
               (double)(uint64_t)d == d;
    return d >= -0x1p63 && d < 0x1p63 && (int64_t)d == integer->integer && (double)(int64_t)d == d;
}

static bool same_number(const struct table_value *a, const struct table_value *b)
{
    if (is_float(a->type))
        return is_float(b->type) ? a->real == b->real : double_is(a->real, b);
    if (is_float(b->type))
        return double_is(b->real, a);
    if (a->type == b->type && a->type == TABLE_TIMESTAMP)
        return a->timestamp == b->timestamp;
    if (a->type == TABLE_TIMESTAMP)
        return b->integer >= 0 && (uint64_t)b->integer == a->timestamp;
    if (b->type == TABLE_TIMESTAMP)
        return a->integer >= 0 && (uint64_t)a->integer == b->timestamp;
    return a->integer == b->integer;
}

static bool is_string(enum table_type type)
{
    return type == TABLE_LONGSTR || type == TABLE_BINARY;
}

bool table_value_match(const struct table_value *a, const struct table_value *b)
{
    if (is_number(a->type) && is_number(b->type))
        return same_number(a, b);
    if (is_string(a->type) && is_string(b->type))
        return slice_eq(a->bytes, b->bytes);
    return same_value(a, b, 0);
}

bool table_equal(struct slice a, struct slice b)
{
    return same_entries(a, b, false, 0);
}
