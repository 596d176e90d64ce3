/* Tables as text, boxes, JSON and CSV. Rows with a key are sorted by it, and those that came twice
 * are printed once. */
#include "ctl/table.h"

#include "base/mem.h"
#include "ctl/erlang.h"

#include <stdlib.h>
#include <string.h>

void table_print_init(struct table_print *t, FILE *out, const struct options *options)
{
    *t = (struct table_print){.out = out,
                              .format = options->format,
                              .choosable = !options->has_format,
                              .headers = !options->no_headers};
}

bool table_print_begin(struct table_print *t, cJSON *head)
{
    cJSON *columns = cJSON_DetachItemFromObjectCaseSensitive(head, "columns");
    t->keyed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(head, "key"));
    if (t->choosable && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(head, "boxed")))
        t->format = FORMAT_PRETTY_TABLE;
    cJSON_Delete(t->columns);
    t->columns = columns;
    cJSON_Delete(head);
    if (!cJSON_IsArray(columns))
        return false;
    if (t->format == FORMAT_JSON)
        fputs("[\n", t->out);
    else if (t->format == FORMAT_ERLANG)
        fputc('[', t->out);
    return true;
}

/* ---- one row ---- */

/* The text of a cell; JSON values that are no text are printed into room. */
static const char *text_of(const cJSON *cell, char **ret_room)
{
    *ret_room = NULL;
    if (cJSON_IsString(cell))
        return cell->valuestring;
    *ret_room = cJSON_PrintUnformatted(cell);
    return *ret_room ? *ret_room : "";
}

static void put_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void print_line(const struct table_print *t, const cJSON *cells)
{
    const cJSON *cell;
    cJSON_ArrayForEach(cell, cells)
    {
        char *room;
        const char *text = text_of(cell, &room);
        if (cell != cells->child)
            fputc(t->format == FORMAT_CSV ? ',' : '\t', t->out);
        if (t->format == FORMAT_CSV)
            put_quoted(t->out, text);
        else
            fputs(text, t->out);
        cJSON_free(room);
    }
    fputc('\n', t->out);
}

static void put_json(FILE *out, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    fputs(text ? text : "null", out);
    cJSON_free(text);
}

static void print_object(struct table_print *t, const cJSON *cells)
{
    const cJSON *column = t->columns->child, *cell;
    fputs(t->printed ? ",{" : "{", t->out);
    cJSON_ArrayForEach(cell, cells)
    {
        if (!column)
            break;
        if (cell != cells->child)
            fputc(',', t->out);
        put_json(t->out, column);
        fputc(':', t->out);
        put_json(t->out, cell);
        column = column->next;
    }
    fputs("}\n", t->out);
}

/* [{name,<<"q">>},{messages,0}] */
static void print_term(struct table_print *t, const cJSON *cells)
{
    const cJSON *column = t->columns->child, *cell;
    fputs(t->printed ? ",\n [" : "[", t->out);
    for (cell = cells->child; cell && column; cell = cell->next, column = column->next) {
        if (cell != cells->child)
            fputc(',', t->out);
        erlang_put_cell(t->out, column->valuestring, cell);
    }
    fputc(']', t->out);
}

static void print_row(struct table_print *t, const cJSON *cells)
{
    if (t->format == FORMAT_JSON) {
        print_object(t, cells);
    } else if (t->format == FORMAT_ERLANG) {
        print_term(t, cells);
    } else {
        if (!t->printed && t->headers)
            print_line(t, t->columns);
        print_line(t, cells);
    }
    t->printed++;
}

bool table_print_row(struct table_print *t, cJSON *row)
{
    char *key = NULL;
    if (t->columns && t->keyed && cJSON_IsString(row->child)) {
        cJSON *first = cJSON_DetachItemFromArray(row, 0);
        key = mem_strdup(first->valuestring);
        cJSON_Delete(first);
    }
    bool good = t->columns && (key || !t->keyed) &&
                cJSON_GetArraySize(row) == cJSON_GetArraySize(t->columns);
    if (!good) {
        free(key);
        cJSON_Delete(row);
    } else if (key || t->format == FORMAT_PRETTY_TABLE) {
        MEM_GROW(t->rows, t->cap, t->count + 1);
        t->rows[t->count++] = (struct table_row){key, row};
    } else {
        print_row(t, row);
        cJSON_Delete(row);
    }
    return good;
}

/* ---- boxes ---- */

static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void measure(const cJSON *cells, size_t *widths)
{
    const cJSON *cell;
    cJSON_ArrayForEach(cell, cells)
    {
        char *room;
        size_t n = width_of(text_of(cell, &room));
        if (n > *widths)
            *widths = n;
        widths++;
        cJSON_free(room);
    }
}

static void print_rule(const struct table_print *t, const size_t *widths, const char *left,
                       const char *middle, const char *right)
{
    int columns = cJSON_GetArraySize(t->columns);
    fputs(left, t->out);
    for (int i = 0; i < columns; i++) {
        for (size_t n = 0; n < widths[i] + 2; n++)
            fputs("─", t->out);
        fputs(i + 1 < columns ? middle : right, t->out);
    }
    fputc('\n', t->out);
}

static void print_boxed(const struct table_print *t, const cJSON *cells, const size_t *widths)
{
    const cJSON *cell;
    fputs("│", t->out);
    cJSON_ArrayForEach(cell, cells)
    {
        char *room;
        const char *text = text_of(cell, &room);
        fprintf(t->out, " %s%*s │", text, (int)(*widths - width_of(text)), "");
        widths++;
        cJSON_free(room);
    }
    fputc('\n', t->out);
}

static void print_boxes(struct table_print *t)
{
    size_t *widths = mem_zalloc(((size_t)cJSON_GetArraySize(t->columns) + 1) * sizeof *widths);
    if (t->headers)
        measure(t->columns, widths);
    for (size_t i = 0; i < t->count; i++)
        measure(t->rows[i].cells, widths);
    print_rule(t, widths, "┌", "┬", "┐");
    if (t->headers)
        print_boxed(t, t->columns, widths);
    for (size_t i = 0; i < t->count; i++) {
        if (i || t->headers)
            print_rule(t, widths, "├", "┼", "┤");
        print_boxed(t, t->rows[i].cells, widths);
    }
    print_rule(t, widths, "└", "┴", "┘");
    free(widths);
}

/* ---- the end ---- */

static int compare(const void *a, const void *b)
{
    const struct table_row *x = a, *y = b;
    return x->key && y->key ? strcmp(x->key, y->key) : 0;
}

static void drop_row(struct table_row *row)
{
    free(row->key);
    cJSON_Delete(row->cells);
}

static void sort(struct table_print *t)
{
    size_t kept = 0;
    if (t->count)
        qsort(t->rows, t->count, sizeof *t->rows, compare);
    for (size_t i = 0; i < t->count; i++) {
        if (kept && compare(&t->rows[kept - 1], &t->rows[i]) == 0)
            drop_row(&t->rows[i]);
        else
            t->rows[kept++] = t->rows[i];
    }
    t->count = kept;
}

void table_print_end(struct table_print *t)
{
    if (!t->columns)
        return;
    if (t->keyed)
        sort(t);
    if (t->format == FORMAT_PRETTY_TABLE && t->count) {
        print_boxes(t);
    } else {
        for (size_t i = 0; i < t->count; i++)
            print_row(t, t->rows[i].cells);
    }
    if (t->format == FORMAT_JSON || t->format == FORMAT_ERLANG)
        fputs("]\n", t->out);
}

void table_print_fini(struct table_print *t)
{
    for (size_t i = 0; i < t->count; i++)
        drop_row(&t->rows[i]);
    free(t->rows);
    cJSON_Delete(t->columns);
    *t = (struct table_print){0};
}
