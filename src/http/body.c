#include "http/body.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/table.h"
#include "definitions/document.h"
#include "http/bounds.h"
#include "http/http_priv.h"
#include "http/jobs.h"
#include "http/route.h"
#include "http/session.h"

#include <errno.h>
#include <stdlib.h>

/* ---- a large one ---- */

struct parsed {
    struct job job;
    struct buf text, table;
    bool good;
    void (*on_read)(struct session *session);
};

/* It may have a password. */
static void overwrite(struct buf *text)
{
    if (text->len)
        explicit_bzero(text->data, text->len);
    buf_fini(text);
}

static void free_parsed(struct job *job)
{
    struct parsed *p = (struct parsed *)job;
    overwrite(&p->text);
    buf_fini(&p->table);
    free(p);
}

static void run_parse(struct job *job)
{
    struct parsed *p = (struct parsed *)job;
    p->good = document_parse(buf_slice(&p->text), &p->table);
    overwrite(&p->text);
}

static void on_parsed(struct session *s, struct job *job)
{
    s->read = (struct parsed *)job;
    s->read->on_read(s);
}

bool body_parse_aside(struct session *s, void (*on_read)(struct session *s))
{
    if (s->body.len <= HTTP_BODY_TURN || s->route->right == RIGHT_NONE)
        return false;
    struct parsed *p = NEW(struct parsed);
    p->job = (struct job){.run = run_parse, .on_done = on_parsed, .free = free_parsed};
    p->text = s->body;
    s->body = BUF_INIT;
    p->on_read = on_read;
    jobs_start(s->http->jobs, s, &p->job);
    return true;
}

void body_forget(struct session *s)
{
    if (s->read)
        free_parsed(&s->read->job);
    s->read = NULL;
    overwrite(&s->body);
}

/* ---- any ---- */

bool body_parse(struct session *s, struct buf *ret_table)
{
    *ret_table = BUF_INIT;
    bool good =
        s->read ? s->read->good : !s->body.len || document_parse(buf_slice(&s->body), ret_table);
    if (s->read) {
        *ret_table = s->read->table;
        s->read->table = BUF_INIT;
    }
    if (good)
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

/* The value is not shown: it may be meant as a password. */
static void refuse_no_text(struct session *s, const char *key)
{
    reply_bad(s, "%s_is_no_text", key);
}

bool body_find_text(struct session *s, struct slice table, const char *key, struct slice *ret_text,
                    bool *ret_there)
{
    struct table_value value;
    *ret_there = table_find(table, slice_str(key), &value);
    if (*ret_there && value.type != TABLE_LONGSTR) {
        refuse_no_text(s, key);
        return false;
    }
    if (*ret_there)
        *ret_text = value.bytes;
    return true;
}

bool body_text(struct session *s, struct slice table, const char *key, struct slice *field)
{
    struct slice text;
    bool there;
    if (!body_find_text(s, table, key, &text, &there))
        return false;
    if (there)
        meta_request_set(field, text);
    return true;
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

bool body_tags(struct session *s, struct slice table, const char *key, struct slice *field)
{
    struct buf all = BUF_INIT;
    struct slice list;
    struct table_value v;
    bool good = true;
    if (!table_find_array(table, slice_str(key), &list))
        return body_text(s, table, key, field);
    for (struct table_iter it = table_iter(list); good && array_next(&it, &v);) {
        good = v.type == TABLE_LONGSTR;
        if (all.len)
            buf_append_byte(&all, ',');
        if (good)
            buf_append_slice(&all, v.bytes);
    }
    if (good)
        meta_request_set(field, buf_slice(&all));
    else
        refuse_no_text(s, key);
    buf_fini(&all);
    return good;
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
