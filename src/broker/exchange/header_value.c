#include "broker/exchange/header_value.h"

#include "base/mem.h"

#include <stdlib.h>

/* The first byte; none is a prefix of what another kind writes. */
enum kind {
    KIND_VOID,
    KIND_BOOL,
    KIND_NUMBER,
    KIND_NEGATIVE,
    KIND_FRACTION,
    KIND_BYTES,
    KIND_DECIMAL,
    KIND_EMPTY,
    KIND_TABLE,
    KIND_ARRAY
};

size_t header_value_size(const struct table_value *value)
{
    switch (value->type) {
    case TABLE_LONGSTR:
    case TABLE_BINARY:
    case TABLE_TABLE:
    case TABLE_ARRAY:
        return 1 + value->bytes.len;
    default:
        return 1 + sizeof(uint64_t);
    }
}

static void put_bits(struct buf *out, enum kind kind, uint64_t bits)
{
    buf_append_byte(out, (uint8_t)kind);
    buf_append(out, &bits, sizeof bits);
}

static void put_integer(struct buf *out, int64_t n)
{
    put_bits(out, n < 0 ? KIND_NEGATIVE : KIND_NUMBER, (uint64_t)n);
}

/* A double with an integral value in the range of the integers is that integer, -0.0 is 0. Beyond,
 * no integer type can hold an equal. */
static void put_real(struct buf *out, double d)
{
    if (d >= 0 && d < 0x1p64 && (double)(uint64_t)d == d) {
        put_bits(out, KIND_NUMBER, (uint64_t)d);
    } else if (d < 0 && d >= -0x1p63 && (double)(int64_t)d == d) {
        put_integer(out, (int64_t)d);
    } else {
        uint64_t bits;
        memcpy(&bits, &d, sizeof bits);
        put_bits(out, KIND_FRACTION, bits);
    }
}

/* --- containers --- */

/* Those found but not yet looked into; how many there are is up to the peer, so no recursion. */
struct pending {
    struct container {
        size_t at, len; /* of the body in the copy */
        bool array;
    } * list;
    size_t count, cap;
};

static void push(struct pending *pending, size_t at, size_t len, bool array)
{
    MEM_GROW(pending->list, pending->cap, pending->count + 1);
    pending->list[pending->count++] = (struct container){at, len, array};
}

static bool is_negative_zero(const struct table_value *v)
{
    return (v->type == TABLE_DOUBLE || v->type == TABLE_FLOAT) && v->real == 0;
}

/* Rewrites what has several spellings: 'L', the bytes of true, the sign of zero. The length of an
 * entry never changes. */
static void normalise(uint8_t *data, struct container c, struct pending *pending)
{
    struct table_iter it = table_iter(slice_of(data + c.at, c.len));
    struct slice key = SLICE_EMPTY;
    struct table_value v;
    for (;;) {
        uint8_t *letter = data + (it.pos - data);
        if (!(c.array ? array_next(&it, &v) : table_next(&it, &key, &v)))
            return;
        if (!c.array)
            letter += 1 + key.len;
        *letter = (uint8_t)v.type;
        if (v.type == TABLE_BOOL)
            letter[1] = v.boolean;
        else if (is_negative_zero(&v))
            memset(letter + 1, 0, v.type == TABLE_DOUBLE ? 8 : 4);
        else if ((v.type == TABLE_TABLE || v.type == TABLE_ARRAY) && v.bytes.len)
            push(pending, (size_t)(v.bytes.data - data), v.bytes.len, v.type == TABLE_ARRAY);
    }
}

static void put_container(struct buf *out, struct slice body, bool array)
{
    if (body.len == 0) {
        buf_append_byte(out, KIND_EMPTY);
        return;
    }
    buf_append_byte(out, array ? KIND_ARRAY : KIND_TABLE);
    size_t at = out->len;
    buf_append_slice(out, body);
    struct pending pending = {NULL, 0, 0};
    push(&pending, at, body.len, array);
    while (pending.count)
        normalise(out->data, pending.list[--pending.count], &pending);
    free(pending.list);
}

void header_value_put(struct buf *out, const struct table_value *value)
{
    switch (value->type) {
    case TABLE_VOID:
        buf_append_byte(out, KIND_VOID);
        break;
    case TABLE_BOOL:
        put_bits(out, KIND_BOOL, value->boolean);
        break;
    case TABLE_TIMESTAMP:
        put_bits(out, KIND_NUMBER, value->timestamp);
        break;
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        put_real(out, value->real);
        break;
    case TABLE_DECIMAL:
        put_bits(out, KIND_DECIMAL, (uint64_t)value->decimal.scale << 32 | value->decimal.digits);
        break;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
        buf_append_byte(out, KIND_BYTES);
        buf_append_slice(out, value->bytes);
        break;
    case TABLE_TABLE:
    case TABLE_ARRAY:
        put_container(out, value->bytes, value->type == TABLE_ARRAY);
        break;
    default:
        put_integer(out, value->integer);
    }
}
