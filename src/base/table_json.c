/* Field tables as JSON, as definitions are exported and policies listed. */
#include "base/table.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>

enum { DEPTH_MAX = 32 };

static void put(const struct table_value *value, struct buf *out, unsigned depth);

static void put_char(struct slice text, unsigned length, struct buf *out)
{
    uint8_t c = *text.data;
    if (!length)
        buf_append_str(out, "\xef\xbf\xbd");
    else if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c == '\n')
        buf_append_str(out, "\\n");
    else if (c < 0x20)
        buf_printf(out, "\\u%04x", c);
    else
        buf_append(out, text.data, length);
}

static void put_text(struct slice text, struct buf *out)
{
    buf_append_byte(out, '"');
    while (text.len) {
        unsigned length = utf8_char_len(text), step = length ? length : 1;
        put_char(text, length, out);
        text = slice_of(text.data + step, text.len - step);
    }
    buf_append_byte(out, '"');
}

static void put_container(const struct table_value *value, struct buf *out, unsigned depth)
{
    bool table = value->type == TABLE_TABLE;
    struct slice key;
    struct table_value v;
    struct table_iter it = table_iter(value->bytes);
    const char *before = table ? "{" : "[";
    if (depth > DEPTH_MAX) {
        buf_append_str(out, "\"...\"");
        return;
    }
    if (!value->bytes.len)
        buf_append_str(out, before);
    while (table ? table_next(&it, &key, &v) : array_next(&it, &v)) {
        buf_append_str(out, before);
        before = ",";
        if (table) {
            put_text(key, out);
            buf_append_byte(out, ':');
        }
        put(&v, out, depth + 1);
    }
    buf_append_byte(out, table ? '}' : ']');
}

static void put(const struct table_value *value, struct buf *out, unsigned depth)
{
    switch (value->type) {
    case TABLE_TABLE:
    case TABLE_ARRAY:
        put_container(value, out, depth);
        break;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
        put_text(value->bytes, out);
        break;
    case TABLE_VOID:
        buf_append_str(out, "null");
        break;
    case TABLE_TIMESTAMP:
        buf_printf(out, "%" PRIu64, value->timestamp);
        break;
    case TABLE_DECIMAL:
        buf_printf(out, "%.17g", value->decimal.digits / pow(10.0, value->decimal.scale));
        break;
    default: /* numbers and booleans look alike in both */
        table_value_print_term(value, out);
    }
}

void table_value_print_json(const struct table_value *value, struct buf *out)
{
    put(value, out, 0);
}
