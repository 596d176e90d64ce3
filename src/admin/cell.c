/* How values become JSON, and text as rabbitmqctl prints it. Nesting deeper than DEPTH_MAX is cut,
 * so that a hostile table costs no stack. */
#include "admin/cell.h"

#include "base/table.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 32 };

static void put_escaped(struct buf *out, uint8_t c)
{
    static const char names[] = "btn_fr";
    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c >= '\b' && c <= '\r' && c != '\v')
        buf_printf(out, "\\%c", names[c - '\b']);
    else
        buf_printf(out, "\\u%04x", c);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void cell_put_string(struct buf *out, struct slice text)
{
    buf_append_byte(out, '"');
    while (text.len) {
        size_t n = 0;
        while (n < text.len && is_plain(text.data[n]))
            n++;
        buf_append(out, text.data, n);
        text = slice_of(text.data + n, text.len - n);
        if (!text.len)
            break;
        unsigned len = utf8_char_len(text);
        if (len > 1)
            buf_append(out, text.data, len);
        else if (len == 1)
            put_escaped(out, *text.data);
        else
            buf_append_str(out, "\xef\xbf\xbd");
        len = len ? len : 1;
        text = slice_of(text.data + len, text.len - len);
    }
    buf_append_byte(out, '"');
}

static void put_double(struct buf *out, double v)
{
    char text[40];
    if (!isfinite(v)) {
        buf_append_str(out, "null");
        return;
    }
    snprintf(text, sizeof text, v == floor(v) && fabs(v) < 1e15 ? "%.1f" : "%.15g", v);
    if (strtod(text, NULL) != v)
        snprintf(text, sizeof text, "%.17g", v);
    buf_append_str(out, text);
}

/* ---- field tables ---- */

/* How the containers differ between JSON and text. */
struct style {
    bool json;
};

static void put_body(struct buf *out, const struct table_value *body, struct style style,
                     unsigned depth);

static void put_field(struct buf *out, const struct table_value *v, struct style style,
                      unsigned depth)
{
    switch (v->type) {
    case TABLE_BOOL:
        buf_append_str(out, v->boolean ? "true" : "false");
        break;
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        put_double(out, v->real);
        break;
    case TABLE_DECIMAL:
        put_double(out, v->decimal.digits / pow(10.0, v->decimal.scale));
        break;
    case TABLE_TIMESTAMP:
        buf_printf(out, "%" PRIu64, v->timestamp);
        break;
    case TABLE_VOID:
        buf_append_str(out, style.json ? "null" : "undefined");
        break;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
        cell_put_string(out, v->bytes);
        break;
    case TABLE_ARRAY:
    case TABLE_TABLE:
        put_body(out, v, style, depth + 1);
        break;
    default:
        buf_printf(out, "%" PRId64, v->integer);
    }
}

static void put_entry(struct buf *out, struct slice key, const struct table_value *v,
                      struct style style, unsigned depth)
{
    buf_append_byte(out, style.json ? '[' : '{');
    cell_put_string(out, key);
    buf_append_byte(out, ',');
    if (style.json)
        buf_printf(out, "\"%s\",", table_type_name(v->type));
    put_field(out, v, style, depth);
    buf_append_byte(out, style.json ? ']' : '}');
}

static void put_body(struct buf *out, const struct table_value *body, struct style style,
                     unsigned depth)
{
    struct table_iter it = table_iter(body->bytes);
    struct table_value v;
    struct slice key;
    bool table = body->type == TABLE_TABLE, first = true;
    if (depth > DEPTH_MAX) {
        buf_append_str(out, "\"...\"");
        return;
    }
    buf_append_byte(out, '[');
    while (table ? table_next(&it, &key, &v) : array_next(&it, &v)) {
        if (!first)
            buf_append_byte(out, ',');
        first = false;
        if (table)
            put_entry(out, key, &v, style, depth);
        else
            put_field(out, &v, style, depth);
    }
    buf_append_byte(out, ']');
}

static void put_table(struct buf *out, struct slice table, struct style style)
{
    struct table_value body = {.type = TABLE_TABLE, .bytes = table};
    put_body(out, &body, style, 0);
}

void cell_put_table(struct buf *out, struct slice table)
{
    put_table(out, table, (struct style){.json = true});
}

void cell_put_table_text(struct buf *out, struct slice table)
{
    put_table(out, table, (struct style){.json = false});
}

/* ---- cells ---- */

void cell_put_text(struct buf *out, const struct value *v)
{
    switch (v->type) {
    case VALUE_NONE:
        break;
    case VALUE_BOOL:
        buf_append_str(out, v->boolean ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(out, "%" PRId64, v->integer);
        break;
    case VALUE_DOUBLE:
        put_double(out, v->real);
        break;
    case VALUE_TEXT:
        buf_append_slice(out, v->bytes);
        break;
    case VALUE_TABLE:
        cell_put_table_text(out, v->bytes);
        break;
    }
}

static void put_json(struct buf *out, const struct value *v)
{
    if (v->type == VALUE_NONE)
        buf_append_str(out, "\"\"");
    else if (v->type == VALUE_TEXT)
        cell_put_string(out, v->bytes);
    else if (v->type == VALUE_TABLE)
        cell_put_table(out, v->bytes);
    else
        cell_put_text(out, v);
}

void cell_put(struct buf *out, const struct value *v, bool json)
{
    struct buf text = BUF_INIT;
    if (json) {
        put_json(out, v);
    } else if (v->type == VALUE_TEXT) {
        cell_put_string(out, v->bytes);
    } else if (v->type == VALUE_TABLE) {
        cell_put_table_text(&text, v->bytes);
        cell_put_string(out, buf_slice(&text));
        buf_fini(&text);
    } else {
        buf_append_byte(out, '"');
        cell_put_text(out, v);
        buf_append_byte(out, '"');
    }
}
