/* The configuration as text: one key's value, the whole, the difference of two. */
#include "conf/conf_priv.h"

#include <inttypes.h>
#include <stdio.h>

static void print_row(const struct row *row, const void *base, bool secrets, struct buf *out);

static void print_texts(const void *field, struct buf *out)
{
    const struct conf_texts *texts = field;
    buf_append_byte(out, '[');
    for (size_t i = 0; i < texts->count; i++) {
        buf_append_str(out, i ? ", " : "");
        scalar_quote(slice_str(texts->items[i]), out);
    }
    buf_append_byte(out, ']');
}

/* Such that it reads as a double again. */
static void print_double(double d, struct buf *out)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", d);
    buf_printf(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_args(const void *field, struct buf *out)
{
    const struct conf_args *args = field;
    buf_append_byte(out, '{');
    for (size_t i = 0; i < args->count; i++) {
        const struct conf_arg *arg = &args->items[i];
        buf_append_str(out, i ? ", " : "");
        scalar_quote(slice_str(arg->name), out);
        buf_append_str(out, ": ");
        if (arg->type == CONF_ARG_VOID)
            buf_append_str(out, "null");
        else if (arg->type == CONF_ARG_BOOL)
            buf_append_str(out, arg->boolean ? "true" : "false");
        else if (arg->type == CONF_ARG_INT)
            buf_printf(out, "%" PRId64, arg->integer);
        else if (arg->type == CONF_ARG_DOUBLE)
            print_double(arg->real, out);
        else
            scalar_quote(slice_str(arg->text), out);
    }
    buf_append_byte(out, '}');
}

static bool is_empty(const struct row *row, const void *base)
{
    const void *field = row_field_const(row, base);
    switch (row->type) {
    case ROW_TEXT:
    case ROW_PATH:
        return !**(const char *const *)field;
    case ROW_LIST:
    case ROW_TEXTS:
    case ROW_ARGS:
        return !((const struct any_list *)field)->count;
    default:
        return false;
    }
}

/* {key: value, ...}, without what is empty. */
static void print_item(const char *scope, const void *item, bool secrets, struct buf *out)
{
    unsigned printed = 0;
    buf_append_byte(out, '{');
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        bool keep = row->required || !is_empty(row, item);
        if (!keep || (row->secret && !secrets))
            continue;
        buf_printf(out, "%s%s: ", printed++ ? ", " : "", row_key(row, scope));
        print_row(row, item, secrets, out);
    }
    buf_append_byte(out, '}');
}

static void print_list(const struct row *row, const void *field, bool secrets, struct buf *out)
{
    const struct any_list *list = field;
    char scope[128];
    row_scope(row, scope, sizeof scope);
    buf_append_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        buf_append_str(out, i ? ", " : "");
        print_item(scope, (const char *)list->items + i * row->item_size, secrets, out);
    }
    buf_append_byte(out, ']');
}

static void print_row(const struct row *row, const void *base, bool secrets, struct buf *out)
{
    const void *field = row_field_const(row, base);
    if (row->secret && !secrets)
        buf_append_str(out, "<hidden>");
    else if (row->type == ROW_LIST)
        print_list(row, field, secrets, out);
    else if (row->type == ROW_TEXTS)
        print_texts(field, out);
    else if (row->type == ROW_ARGS)
        print_args(field, out);
    else
        scalar_print(row, field, out);
}

/* ---- comparing ---- */
void conf_diff(const struct conf *before, const struct conf *after,
               void (*on_change)(void *arg, const struct conf_change *change), void *arg)
{
    struct buf old = BUF_INIT, new = BUF_INIT;
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        buf_clear(&old);
        buf_clear(&new);
        print_row(row, before, true, &old);
        print_row(row, after, true, &new);
        if (slice_eq(buf_slice(&old), buf_slice(&new)))
            continue;
        buf_clear(&old);
        buf_clear(&new);
        print_row(row, before, false, &old);
        print_row(row, after, false, &new);
        struct conf_change change = {row->path, buf_cstr(&old), buf_cstr(&new), row->reload};
        on_change(arg, &change);
    }
    buf_fini(&old);
    buf_fini(&new);
}

/* ---- dump ---- */
/* Section headers of path that were not open in previous; returns the last name and its depth. */
static const char *open_sections(const char *path, const char *previous, unsigned *ret_depth,
                                 struct buf *out)
{
    unsigned depth = 0;
    bool same = true;
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(path, '.')) {
        size_t n = (size_t)(dot - path) + 1;
        same = same && strncmp(path, previous, n) == 0;
        if (!same)
            buf_printf(out, "%*s%.*s:\n", (int)depth * 2, "", (int)(n - 1), path);
        if (same)
            previous += n;
        path = dot + 1;
        depth++;
    }
    *ret_depth = depth;
    return path;
}

static void dump_list(const struct row *row, const void *base, unsigned depth, struct buf *out)
{
    const struct any_list *list = row_field_const(row, base);
    char scope[128];
    row_scope(row, scope, sizeof scope);
    for (size_t i = 0; i < list->count; i++) {
        buf_printf(out, "\n%*s- ", (int)depth * 2 + 2, "");
        print_item(scope, (const char *)list->items + i * row->item_size, false, out);
    }
}

void conf_dump(const struct conf *conf, struct buf *out)
{
    const char *previous = "";
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        unsigned depth;
        const char *origin = conf_full(conf)->origins[row_index(row)];
        const char *name = open_sections(row->path, previous, &depth, out);
        const struct any_list *list = row_field_const(row, conf);
        previous = row->path;
        buf_printf(out, "%*s%s%s:", (int)depth * 2, "", row->secret ? "# " : "", name);
        bool block = row->type == ROW_LIST && list->count;
        if (!block) {
            buf_append_byte(out, ' ');
            print_row(row, conf, false, out);
        }
        if (origin)
            buf_printf(out, " # %s", origin);
        if (block)
            dump_list(row, conf, depth, out);
        buf_append_byte(out, '\n');
    }
}
