/* The table of functions that plug-ins get. Any thread, but for what plugin.h says of a row. */
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "plugin/plugin_priv.h"

#include <stdarg.h>
#include <stdio.h>

enum { LINE_ROOM = 2048 };

void plugin_note(struct jackalope_host *plugin, const char *kind, const char *name)
{
    buf_printf(&plugin->provides, "%s%s%s%s", plugin->provides.len ? ", " : "", kind,
               *name ? " " : "", name);
}

static void write_line(struct jackalope_host *host, enum jackalope_level level, const char *format,
                       ...)
{
    static const enum log_level levels[] = {[JACKALOPE_DEBUG] = LOG_DEBUG_,
                                            [JACKALOPE_INFO] = LOG_INFO_,
                                            [JACKALOPE_WARNING] = LOG_WARNING_,
                                            [JACKALOPE_ERROR] = LOG_ERROR_};
    char line[LINE_ROOM];
    va_list ap;
    if ((unsigned)level > JACKALOPE_ERROR || !log_on(LOG_DEFAULT, levels[level]))
        return;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    log_write(LOG_DEFAULT, levels[level], NULL, "plug-in '%s': %s", host->name, line);
}

/* ---- tables ---- */

static double decimal_of(const struct table_value *v)
{
    double real = v->decimal.digits;
    for (unsigned i = 0; i < v->decimal.scale; i++)
        real /= 10;
    return real;
}

static void take(const struct table_value *v, struct jackalope_value *ret)
{
    *ret = (struct jackalope_value){.type = JACKALOPE_VOID};
    switch (v->type) {
    case TABLE_BOOL:
        *ret = (struct jackalope_value){.type = JACKALOPE_BOOL, .integer = v->boolean};
        break;
    case TABLE_I8:
    case TABLE_U8:
    case TABLE_I16:
    case TABLE_U16:
    case TABLE_I32:
    case TABLE_U32:
    case TABLE_I64:
        *ret = (struct jackalope_value){.type = JACKALOPE_INT, .integer = v->integer};
        break;
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        *ret = (struct jackalope_value){.type = JACKALOPE_REAL, .real = v->real};
        break;
    case TABLE_DECIMAL:
        *ret = (struct jackalope_value){.type = JACKALOPE_DECIMAL, .real = decimal_of(v)};
        break;
    case TABLE_TIMESTAMP:
        *ret =
            (struct jackalope_value){.type = JACKALOPE_TIMESTAMP, .integer = (int64_t)v->timestamp};
        break;
    case TABLE_LONGSTR:
        *ret = (struct jackalope_value){.type = JACKALOPE_TEXT, .bytes = bytes_of(v->bytes)};
        break;
    case TABLE_BINARY:
        *ret = (struct jackalope_value){.type = JACKALOPE_BINARY, .bytes = bytes_of(v->bytes)};
        break;
    case TABLE_ARRAY:
        *ret = (struct jackalope_value){.type = JACKALOPE_ARRAY, .bytes = bytes_of(v->bytes)};
        break;
    case TABLE_TABLE:
        *ret = (struct jackalope_value){.type = JACKALOPE_TABLE, .bytes = bytes_of(v->bytes)};
        break;
    case TABLE_VOID:
        break;
    }
}

static int find_in_table(struct jackalope_bytes table, const char *key,
                         struct jackalope_value *ret_value)
{
    struct table_value value;
    if (!table_find(slice_in(table), slice_str(key), &value))
        return 0;
    take(&value, ret_value);
    return 1;
}

static void go_on_from(struct jackalope_cursor *cursor, const struct table_iter *it)
{
    cursor->rest = (struct jackalope_bytes){it->pos, (size_t)(it->end - it->pos)};
}

static int next_in_table(struct jackalope_cursor *cursor, struct jackalope_bytes *ret_key,
                         struct jackalope_value *ret_value)
{
    struct table_iter it = table_iter(slice_in(cursor->rest));
    struct table_value value;
    struct slice key;
    if (!table_next(&it, &key, &value))
        return 0;
    go_on_from(cursor, &it);
    *ret_key = bytes_of(key);
    take(&value, ret_value);
    return 1;
}

static int next_in_array(struct jackalope_cursor *cursor, struct jackalope_value *ret_value)
{
    struct table_iter it = table_iter(slice_in(cursor->rest));
    struct table_value value;
    if (!array_next(&it, &value))
        return 0;
    go_on_from(cursor, &it);
    take(&value, ret_value);
    return 1;
}

const struct jackalope_api *plugin_api(void)
{
    static const struct jackalope_api api = {
        .size = sizeof api,
        .version = PACKAGE_VERSION,
        .log = write_line,
        .table_find = find_in_table,
        .table_next = next_in_table,
        .array_next = next_in_array,
        .setting = settings_get,
        .add_exchange_type = exchange_add,
        .add_event_sink = sink_add,
        .add_interceptor = intercept_add,
        .found = exchange_found,
        .message_get = intercept_get,
        .message_set_header = intercept_set_header,
    };
    return &api;
}
