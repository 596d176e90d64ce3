#include "http/body.h"

#include "base/json.h"
#include "base/table.h"
#include "definitions/document.h"
#include "http/session.h"

#include <errno.h>
#include <stdlib.h>

bool body_parse(struct session *s, struct buf *ret_table)
{
    *ret_table = BUF_INIT;
    if (!s->body.len || document_parse(buf_slice(&s->body), ret_table))
        return true;
    buf_fini(ret_table);
    reply_bad(s, "not_json");
    return false;
}

bool body_has(struct session *s, struct slice table, const char *keys)
{
    struct buf missing = BUF_INIT;
    struct table_value value;
    while (*keys) {
        struct slice key = slice_of(keys, strcspn(keys, " "));
        if (!table_find(table, key, &value))
            buf_printf(&missing, "%s{key_missing,%.*s}", missing.len ? "," : "[", SLICE_ARG(key));
        keys += key.len;
        keys += *keys == ' ';
    }
    bool all = !missing.len;
    if (!all)
        reply_bad(s, "%s]", buf_cstr(&missing));
    buf_fini(&missing);
    return all;
}

void body_text(struct slice table, const char *key, struct slice *field)
{
    struct slice text;
    if (table_find_str(table, slice_str(key), &text))
        meta_request_set(field, text);
}

bool body_table(struct session *s, struct slice table, const char *key, struct slice *field)
{
    struct table_value value;
    if (!table_find(table, slice_str(key), &value))
        return true;
    if (value.type == TABLE_TABLE || (value.type == TABLE_ARRAY && !value.bytes.len)) {
        meta_request_set(field, value.bytes);
        return true;
    }
    reply_bad(s, "%s_is_no_object", key);
    return false;
}

/* {"error":"bad_request","reason":["not_boolean","maybe"]} */
static void refuse_value(struct session *s, const char *what, const struct table_value *value)
{
    struct buf json = BUF_INIT;
    buf_printf(&json, "{\"error\":\"bad_request\",\"reason\":[\"%s\",", what);
    (void)json_put_value(&json, value);
    buf_append_str(&json, "]}");
    reply_json(s, 400, buf_slice(&json));
    buf_fini(&json);
}

bool body_flag(struct session *s, struct slice table, const char *key, unsigned flag,
               unsigned *flags)
{
    struct table_value value;
    if (!table_find(table, slice_str(key), &value))
        return true;
    bool text = value.type == TABLE_LONGSTR;
    bool on = value.type == TABLE_BOOL ? value.boolean : text && slice_eq_str(value.bytes, "true");
    if (value.type != TABLE_BOOL && !on && !(text && slice_eq_str(value.bytes, "false"))) {
        refuse_value(s, "not_boolean", &value);
        return false;
    }
    *flags = on ? *flags | flag : *flags & ~flag;
    return true;
}

bool body_int(struct session *s, struct slice table, const char *key, int64_t *number)
{
    struct table_value value;
    char text[24], *end;
    if (!table_find(table, slice_str(key), &value))
        return true;
    if (table_is_int(value.type)) {
        *number = value.integer;
        return true;
    }
    if (value.type == TABLE_LONGSTR && value.bytes.len && value.bytes.len < sizeof text) {
        memcpy(text, value.bytes.data, value.bytes.len);
        text[value.bytes.len] = '\0';
        errno = 0;
        *number = strtoll(text, &end, 10);
        if (!*end && !errno)
            return true;
    }
    refuse_value(s, "not_integer", &value);
    return false;
}

void body_tags(struct slice table, const char *key, struct slice *field)
{
    struct buf all = BUF_INIT;
    struct slice list;
    struct table_value v;
    body_text(table, key, field);
    if (!table_find_array(table, slice_str(key), &list))
        return;
    for (struct table_iter it = table_iter(list); array_next(&it, &v);) {
        if (v.type != TABLE_LONGSTR)
            continue;
        if (all.len)
            buf_append_byte(&all, ',');
        buf_append_slice(&all, v.bytes);
    }
    meta_request_set(field, buf_slice(&all));
    buf_fini(&all);
}

void body_value(struct slice table, const char *key, struct slice *field)
{
    struct buf entry = BUF_INIT;
    struct table_value value;
    if (table_find(table, slice_str(key), &value))
        table_put(&entry, SLICE("value"), &value);
    meta_request_set(field, buf_slice(&entry));
    buf_fini(&entry);
}
