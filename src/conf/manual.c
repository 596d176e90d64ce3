/* The rows of conf.def for people and for programs that write manuals. Pure. */
#include "conf/manual.h"

#include "conf/conf_priv.h"

#include <stdio.h>

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
    row_scope(list, scope, sizeof scope);
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

void manual_put_docs(struct buf *out)
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

/* What a flag's value is called. */
static const char *flag_argument(const struct row *row)
{
    switch (row->type) {
    case ROW_PATH:
        return "PATH";
    case ROW_UINT:
        return "N";
    case ROW_ENUM:
        return "WORD";
    case ROW_LIST:
    case ROW_TEXTS:
        return "ADDRESS[,...]";
    default:
        return "TEXT";
    }
}

void manual_put_flags(struct buf *out)
{
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        if (!row->flag)
            continue;
        char flag[64];
        snprintf(flag, sizeof flag, "--%s %s", row->flag, flag_argument(row));
        buf_printf(out, "  %-24s %s\n", flag, row->path);
    }
}

static void table_rows(const char *scope, const char *list, struct buf *out)
{
    for (const struct row *row = row_next(scope, NULL); row; row = row_next(scope, row)) {
        buf_printf(out, "key\t%s\t%s\t", list, *scope ? row_key(row, scope) : row->path);
        scalar_describe(row, out);
        buf_append_byte(out, '\t');
        doc_default(row, out);
        buf_printf(out, "\t%s\t%s\t%s\n", *scope ? "" : reload_texts[row->reload],
                   row->flag ? row->flag : "", row->text);
        if (row->type == ROW_LIST) {
            char items[128];
            row_scope(row, items, sizeof items);
            table_rows(items, row->path, out);
        }
    }
}

void manual_put_tables(struct buf *out)
{
    for (const struct row *row = row_next("", NULL); row; row = row_next("", row)) {
        if (row->flag)
            buf_printf(out, "flag\t%s\t%s\tthe key `%s`\n", row->flag, flag_argument(row),
                       row->path);
    }
    table_rows("", "", out);
}
