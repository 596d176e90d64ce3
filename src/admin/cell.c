/* How values become JSON, and text as rabbitmqctl prints it. Nesting deeper than DEPTH_MAX is cut,
 * so that a hostile table costs no stack. */
#include "admin/cell.h"

#include "base/json.h"
#include "base/table.h"

#include <inttypes.h>

enum { DEPTH_MAX = 32 };

void cell_put_string(struct buf *out, struct slice text)
{
    json_put_string(out, text);
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
    if (v->type == TABLE_ARRAY || v->type == TABLE_TABLE)
        put_body(out, v, style, depth + 1);
    else if (v->type == TABLE_VOID && !style.json)
        buf_append_str(out, "undefined");
    else
        json_put_scalar(out, v);
}

static void put_entry(struct buf *out, struct slice key, const struct table_value *v,
                      struct style style, unsigned depth)
{
    buf_append_byte(out, style.json ? '[' : '{');
    json_put_string(out, key);
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
        json_put_double(out, v->real);
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
        json_put_string(out, v->bytes);
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
        json_put_string(out, v->bytes);
    } else if (v->type == VALUE_TABLE) {
        cell_put_table_text(&text, v->bytes);
        json_put_string(out, buf_slice(&text));
        buf_fini(&text);
    } else {
        buf_append_byte(out, '"');
        cell_put_text(out, v);
        buf_append_byte(out, '"');
    }
}
