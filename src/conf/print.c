/* The configuration as text: one key's value, the whole, the difference of two, the manual. */
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

static void scope_of(const struct row *list, char *room, size_t size)
{
    snprintf(room, size, "%s[]", list->path);
}

static void print_list(const struct row *row, const void *field, bool secrets, struct buf *out)
{
    const struct any_list *list = field;
    char scope[128];
    scope_of(row, scope, sizeof scope);
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
    scope_of(row, scope, sizeof scope);
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

/* ---- the manual ---- */
static const char *const reload_texts[] = {
    [CONF_RELOAD_RESTART] = "at the next start",
    [CONF_RELOAD_LIVE] = "at once",
    [CONF_RELOAD_CONNECTION] = "for new connections",
};

static void doc_default(const struct row *row, struct buf *out)
{
    if (row->required)
        buf_append_str(out, "must be given");
    else if (!row->def || !*row->def)
        buf_append_str(out, "not set");
    else
        buf_printf(out, "`%s`", row->def);
}

static void doc_row(const struct row *row, const char *shown, struct buf *out)
{
    buf_printf(out, "| `%s` | ", shown);
    scalar_describe(row, out);
    buf_append_str(out, " | ");
    doc_default(row, out);
    buf_printf(out, " | %s", row->text);
    if (row->flag)
        buf_printf(out, " Flag: `--%s`.", row->flag);
    buf_append_str(out, " |");
}

/* The rows inside of a list, in a table of their own. */
static void doc_items(const struct row *list, struct buf *out)
{
    char scope[128];
    scope_of(list, scope, sizeof scope);
    buf_printf(out,
               "\n### An item of `%s`\n\n| Key | Value | Default | Meaning |\n|---|---|---|---|\n",
               list->path);
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        doc_row(row, row_key(row, scope), out);
        buf_append_byte(out, '\n');
    }
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        if (row->type == ROW_LIST)
            doc_items(row, out);
    }
}

static const char introduction[] =
    "# Configuration\n\n"
    "Printed by `jackaloped --dump-docs` from the table that the broker reads its configuration "
    "by.\n\n"
    "The broker runs without any configuration. What it is told comes from, later wins:\n\n"
    "1. the defaults below,\n"
    "2. the YAML file named by `--config` or by the environment variable `JACKALOPE_CONFIG`,\n"
    "3. the files `conf.d/*.yaml` in the directory of that file, in the order of their names,\n"
    "4. environment variables: `JACKALOPE_` and the key in capitals, dots as underscores "
    "(`JACKALOPE_AMQP_HEARTBEAT`),\n"
    "5. flags: those named below, and `--KEY VALUE` for every key that has a variable "
    "(`--amqp.heartbeat 30`).\n\n"
    "A dot parts a section from its key: `amqp.heartbeat` may be written so, or as `heartbeat` "
    "beneath `amqp`. A list in a later source replaces the former one, except those beneath "
    "`definitions` and `tls_sets` and those of the defaults of virtual hosts, which grow. In "
    "variables and flags a comma parts the items of a "
    "list. Lists whose items have no short form can be given in files only.\n\n"
    "Sizes take `k` `M` `G` `T` or `KiB` `MiB` `GiB` `TiB` (powers of 1024) and `kB` `MB` `GB` "
    "`TB` (powers of 1000). Durations take `ms` `s` `min` `h` `d`.\n\n"
    "`jackaloped --check` reads everything, names each problem with its file and line, and exits "
    "with 78 if there was one. `jackaloped --dump-config` prints what counts in the end and where "
    "it came from. On SIGHUP the broker reads everything again; the column \"A change applies\" "
    "says when a changed key counts. A configuration with a problem is refused as a whole, the "
    "former one stays.\n";

static void doc_section(const struct row *first, const char *section, size_t len, struct buf *out)
{
    buf_append_str(out, "\n| Key | Value | Default | Meaning | A change applies |\n"
                        "|---|---|---|---|---|\n");
    for (const struct row *row = first; row; row = row_next("", row)) {
        if (strncmp(row->path, section, len) != 0 || strcspn(row->path, ".") != len)
            continue;
        doc_row(row, row->path, out);
        buf_printf(out, " %s |\n", reload_texts[row->reload]);
    }
    for (const struct row *row = first; row; row = row_next("", row)) {
        if (row->type == ROW_LIST && strncmp(row->path, section, len) == 0 &&
            strcspn(row->path, ".") == len)
            doc_items(row, out);
    }
}

/* Keys without a section come first, in one table. */
static void doc_top(struct buf *out)
{
    buf_append_str(out, "\n## Keys outside of sections\n\n"
                        "| Key | Value | Default | Meaning | A change applies |\n"
                        "|---|---|---|---|---|\n");
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        if (strchr(row->path, '.'))
            continue;
        doc_row(row, row->path, out);
        buf_printf(out, " %s |\n", reload_texts[row->reload]);
    }
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        if (row->type == ROW_LIST && !strchr(row->path, '.'))
            doc_items(row, out);
    }
}

void conf_dump_docs(struct buf *out)
{
    buf_append_str(out, introduction);
    doc_top(out);
    const char *previous = "";
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        size_t n = strcspn(row->path, ".");
        if (!row->path[n] || (strncmp(previous, row->path, n) == 0 && previous[n] == '.'))
            continue;
        buf_printf(out, "\n## `%.*s`\n", (int)n, row->path);
        doc_section(row, row->path, n, out);
        previous = row->path;
    }
}

void conf_dump_flags(struct buf *out)
{
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        if (!row->flag)
            continue;
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", row->flag,
                 row->type == ROW_PATH                             ? "PATH"
                 : row->type == ROW_UINT                           ? "N"
                 : row->type == ROW_ENUM                           ? "WORD"
                 : row->type == ROW_LIST || row->type == ROW_TEXTS ? "ADDRESS[,...]"
                                                                   : "TEXT");
        buf_printf(out, "  %-24s %s\n", flag, row->path);
    }
}
