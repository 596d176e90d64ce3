/* Field tables: building a body in a buf, and rewriting one. No state, any shard. */
#include "base/bug.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/wire_cursor.h"

#include <stdlib.h>

static void put_u16(struct buf *body, uint16_t v)
{
    wire_store_u16(buf_reserve(body, 2), v);
    body->len += 2;
}

static void put_u32(struct buf *body, uint32_t v)
{
    wire_store_u32(buf_reserve(body, 4), v);
    body->len += 4;
}

static void put_u64(struct buf *body, uint64_t v)
{
    wire_store_u64(buf_reserve(body, 8), v);
    body->len += 8;
}

static void put_bytes(struct buf *body, struct slice s)
{
    bug_on(s.len > UINT32_MAX);
    put_u32(body, (uint32_t)s.len);
    buf_append_slice(body, s);
}

static void put_float(struct buf *body, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    put_u32(body, bits);
}

static void put_double(struct buf *body, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    put_u64(body, bits);
}

void array_put(struct buf *body, const struct table_value *value)
{
    buf_append_byte(body, (uint8_t)value->type);
    switch (value->type) {
    case TABLE_BOOL:
        buf_append_byte(body, value->boolean);
        break;
    case TABLE_I8:
    case TABLE_U8:
        buf_append_byte(body, (uint8_t)value->integer);
        break;
    case TABLE_I16:
    case TABLE_U16:
        put_u16(body, (uint16_t)value->integer);
        break;
    case TABLE_I32:
    case TABLE_U32:
        put_u32(body, (uint32_t)value->integer);
        break;
    case TABLE_I64:
        put_u64(body, (uint64_t)value->integer);
        break;
    case TABLE_TIMESTAMP:
        put_u64(body, value->timestamp);
        break;
    case TABLE_FLOAT:
        put_float(body, (float)value->real);
        break;
    case TABLE_DOUBLE:
        put_double(body, value->real);
        break;
    case TABLE_DECIMAL:
        buf_append_byte(body, value->decimal.scale);
        put_u32(body, value->decimal.digits);
        break;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
    case TABLE_TABLE:
    case TABLE_ARRAY:
        put_bytes(body, value->bytes);
        break;
    case TABLE_VOID:
        break;
    }
}

static void put_key(struct buf *body, struct slice key)
{
    bug_on(key.len > UINT8_MAX);
    buf_append_byte(body, (uint8_t)key.len);
    buf_append_slice(body, key);
}

void table_put(struct buf *body, struct slice key, const struct table_value *value)
{
    put_key(body, key);
    array_put(body, value);
}

void table_put_str(struct buf *body, struct slice key, struct slice text)
{
    put_key(body, key);
    array_put_str(body, text);
}

void table_put_bool(struct buf *body, struct slice key, bool v)
{
    table_put(body, key, &(struct table_value){.type = TABLE_BOOL, .boolean = v});
}

void table_put_i32(struct buf *body, struct slice key, int32_t v)
{
    table_put(body, key, &(struct table_value){.type = TABLE_I32, .integer = v});
}

void table_put_i64(struct buf *body, struct slice key, int64_t v)
{
    table_put(body, key, &(struct table_value){.type = TABLE_I64, .integer = v});
}

void table_put_double(struct buf *body, struct slice key, double v)
{
    table_put(body, key, &(struct table_value){.type = TABLE_DOUBLE, .real = v});
}

void table_put_timestamp(struct buf *body, struct slice key, uint64_t seconds)
{
    table_put(body, key, &(struct table_value){.type = TABLE_TIMESTAMP, .timestamp = seconds});
}

void table_put_void(struct buf *body, struct slice key)
{
    table_put(body, key, &(struct table_value){.type = TABLE_VOID});
}

void table_put_table(struct buf *body, struct slice key, struct slice table)
{
    table_put(body, key, &(struct table_value){.type = TABLE_TABLE, .bytes = table});
}

void table_put_array(struct buf *body, struct slice key, struct slice array)
{
    table_put(body, key, &(struct table_value){.type = TABLE_ARRAY, .bytes = array});
}

void array_put_str(struct buf *body, struct slice text)
{
    array_put(body, &(struct table_value){.type = TABLE_LONGSTR, .bytes = text});
}

void array_put_i64(struct buf *body, int64_t v)
{
    array_put(body, &(struct table_value){.type = TABLE_I64, .integer = v});
}

void array_put_table(struct buf *body, struct slice table)
{
    array_put(body, &(struct table_value){.type = TABLE_TABLE, .bytes = table});
}

size_t array_open(struct buf *body, enum table_type type)
{
    bug_on(type != TABLE_TABLE && type != TABLE_ARRAY);
    buf_append_byte(body, (uint8_t)type);
    put_u32(body, 0);
    return body->len;
}

size_t table_open(struct buf *body, struct slice key, enum table_type type)
{
    put_key(body, key);
    return array_open(body, type);
}

void table_close(struct buf *body, size_t mark)
{
    bug_on(body->len - mark > UINT32_MAX);
    wire_store_u32(body->data + mark - 4, (uint32_t)(body->len - mark));
}

/* --- rewriting --- */

/* Copies table but for the entries of key; the first of them gives way to value, if there is one.
 * Whether there was such an entry. */
static bool copy_without(struct slice table, struct slice key, const struct table_value *value,
                         struct buf *out)
{
    bool found = false;
    struct slice k;
    struct table_value v;
    struct table_iter it = table_iter(table);
    for (const uint8_t *from = it.pos; table_next(&it, &k, &v); from = it.pos) {
        if (!slice_eq(k, key)) {
            buf_append(out, from, (size_t)(it.pos - from));
            continue;
        }
        if (!found && value)
            table_put(out, key, value);
        found = true;
    }
    return found;
}

void table_remove(struct slice table, struct slice key, struct buf *out)
{
    copy_without(table, key, NULL, out);
}

void table_replace(struct slice table, struct slice key, const struct table_value *value,
                   struct buf *out)
{
    if (!copy_without(table, key, value, out))
        table_put(out, key, value);
}

void table_merge(struct slice base, struct slice over, struct buf *out)
{
    struct slice k;
    struct table_value v, hidden;
    struct table_iter it = table_iter(base);
    for (const uint8_t *from = it.pos; table_next(&it, &k, &v); from = it.pos) {
        if (!table_find(over, k, &hidden))
            buf_append(out, from, (size_t)(it.pos - from));
    }
    buf_append_slice(out, over);
}

/* --- sorting --- */

struct entry {
    struct slice key;
    const uint8_t *start;
    size_t size, position;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = slice_cmp(x->key, y->key);
    return c ? c : (x->position > y->position) - (x->position < y->position);
}

void table_sort(struct slice table, struct buf *out)
{
    size_t n = table_count(table), i = 0;
    if (n < 2) {
        buf_append_slice(out, table);
        return;
    }
    struct entry *entries = mem_alloc(n * sizeof *entries);
    struct table_iter it = table_iter(table);
    struct table_value value;
    for (const uint8_t *start = it.pos; i < n && table_next(&it, &entries[i].key, &value); i++) {
        entries[i].start = start;
        entries[i].size = (size_t)(it.pos - start);
        entries[i].position = i;
        start = it.pos;
    }
    qsort(entries, i, sizeof *entries, compare_entries);
    for (size_t k = 0; k < i; k++)
        buf_append(out, entries[k].start, entries[k].size);
    free(entries);
}
