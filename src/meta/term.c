/* Nesting deeper than DEPTH_MAX is cut. */
#include "meta/term.h"

enum { DEPTH_MAX = 32 };

static void print(const struct table_value *value, struct buf *out, unsigned depth);

static void print_key(struct slice key, struct buf *out)
{
    struct table_value text = table_value_str(key);
    table_value_print_quoted(&text, out);
}

static void print_array(struct slice array, struct buf *out, unsigned depth)
{
    struct table_value value;
    const char *before = "";
    buf_append_byte(out, '[');
    for (struct table_iter it = table_iter(array); array_next(&it, &value); before = ",") {
        buf_append_str(out, before);
        print(&value, out, depth);
    }
    buf_append_byte(out, ']');
}

static void print_map(struct slice table, struct buf *out, unsigned depth)
{
    struct slice key;
    struct table_value value;
    const char *before = "";
    buf_append_str(out, "#{");
    for (struct table_iter it = table_iter(table); table_next(&it, &key, &value); before = ",") {
        buf_append_str(out, before);
        print_key(key, out);
        buf_append_str(out, " => ");
        print(&value, out, depth);
    }
    buf_append_byte(out, '}');
}

static void print(const struct table_value *value, struct buf *out, unsigned depth)
{
    if (depth > DEPTH_MAX)
        buf_append_str(out, "...");
    else if (value->type == TABLE_ARRAY)
        print_array(value->bytes, out, depth + 1);
    else if (value->type == TABLE_TABLE)
        print_map(value->bytes, out, depth + 1);
    else if (value->type == TABLE_VOID)
        buf_append_str(out, "null");
    else
        table_value_print_quoted(value, out);
}

void term_print(const struct table_value *value, struct buf *out)
{
    print(value, out, 0);
}

void term_print_pairs(struct slice table, struct buf *out)
{
    struct slice key;
    struct table_value value;
    const char *before = "[";
    for (struct table_iter it = table_iter(table); table_next(&it, &key, &value); before = ",") {
        buf_printf(out, "%s{", before);
        print_key(key, out);
        buf_append_byte(out, ',');
        print(&value, out, 1);
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ']');
}
