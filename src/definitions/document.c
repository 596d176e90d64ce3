/* The parser's events become a table as they come; nothing recurses. */
#include "definitions/document.h"

#include "base/mem.h"
#include "base/table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum { KEY_MAX = 255, NUMBER_MAX = 400 };

struct level {
    size_t mark; /* of table_open */
    bool table;
};

struct document {
    struct buf *out;
    struct buf key;
    struct level levels[DOCUMENT_DEPTH_MAX]; /* the object itself is the first */
    size_t depth;
};

static int put(struct document *d, const struct table_value *value)
{
    if (!d->depth)
        return 0;
    if (d->levels[d->depth - 1].table)
        table_put(d->out, buf_slice(&d->key), value);
    else
        array_put(d->out, value);
    return 1;
}

static int on_null(void *arg)
{
    return put(arg, &(struct table_value){.type = TABLE_VOID});
}

static int on_boolean(void *arg, int value)
{
    return put(arg, &(struct table_value){.type = TABLE_BOOL, .boolean = value});
}

static int on_string(void *arg, const unsigned char *text, size_t length)
{
    return put(arg, &(struct table_value){.type = TABLE_LONGSTR, .bytes = slice_of(text, length)});
}

static int on_number(void *arg, const char *digits, size_t length)
{
    char text[NUMBER_MAX + 1];
    struct table_value value = {.type = TABLE_I64};
    if (length > NUMBER_MAX)
        return 0;
    memcpy(text, digits, length);
    text[length] = '\0';
    errno = 0;
    if (strpbrk(text, ".eE")) {
        value.type = TABLE_DOUBLE;
        value.real = strtod(text, NULL);
        return isfinite(value.real) && put(arg, &value);
    }
    value.integer = strtoll(text, NULL, 10);
    return errno != ERANGE && put(arg, &value);
}

static int open_level(struct document *d, bool table)
{
    enum table_type type = table ? TABLE_TABLE : TABLE_ARRAY;
    size_t mark = 0;
    if (d->depth == DOCUMENT_DEPTH_MAX || (!d->depth && !table))
        return 0;
    if (d->depth)
        mark = d->levels[d->depth - 1].table ? table_open(d->out, buf_slice(&d->key), type)
                                             : array_open(d->out, type);
    d->levels[d->depth++] = (struct level){mark, table};
    return 1;
}

static int close_level(struct document *d)
{
    if (--d->depth)
        table_close(d->out, d->levels[d->depth].mark);
    return 1;
}

static int on_map(void *arg)
{
    return open_level(arg, true);
}

static int on_list(void *arg)
{
    return open_level(arg, false);
}

static int on_end(void *arg)
{
    return close_level(arg);
}

static int on_key(void *arg, const unsigned char *text, size_t length)
{
    struct document *d = arg;
    buf_clear(&d->key);
    buf_append(&d->key, text, length);
    return length <= KEY_MAX;
}

bool document_parse(struct slice json, struct buf *table)
{
    static const yajl_callbacks callbacks = {.yajl_null = on_null,
                                             .yajl_boolean = on_boolean,
                                             .yajl_number = on_number,
                                             .yajl_string = on_string,
                                             .yajl_start_map = on_map,
                                             .yajl_map_key = on_key,
                                             .yajl_end_map = on_end,
                                             .yajl_start_array = on_list,
                                             .yajl_end_array = on_end};
    struct document *d = NEW(struct document);
    d->out = table;
    yajl_handle parser = yajl_alloc(&callbacks, NULL, d);
    bool good = json.len && yajl_parse(parser, json.data, json.len) == yajl_status_ok &&
                yajl_complete_parse(parser) == yajl_status_ok;
    yajl_free(parser);
    buf_fini(&d->key);
    free(d);
    return good;
}
