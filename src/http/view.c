#include "http/view.h"

#include "base/bug.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/table.h"

#include <inttypes.h>
#include <stdlib.h>

struct view view_of(struct buf *out, const struct paths *paths)
{
    return (struct view){.out = out, .paths = paths};
}

struct view view_sort_key(struct buf *key, struct slice path)
{
    return (struct view){.out = key, .sort = path};
}

void view_fini(struct view *v)
{
    free(v->splices);
    v->splices = NULL;
    v->splice_count = v->splice_cap = 0;
}

bool paths_parse(struct slice text, struct paths *ret_paths)
{
    *ret_paths = (struct paths){.count = 0};
    while (text.len) {
        const uint8_t *comma = memchr(text.data, ',', text.len);
        size_t n = comma ? (size_t)(comma - text.data) : text.len;
        if (n && ret_paths->count == HTTP_COLUMNS_MAX)
            return false;
        if (n)
            ret_paths->names[ret_paths->count++] = slice_of(text.data, n);
        n += comma != NULL;
        text = slice_of(text.data + n, text.len - n);
    }
    return true;
}

/* ---- what is wanted ---- */

/* Bytes of the path that name is a part of; 0: it matches in no way. */
enum relation { RELATION_NONE, RELATION_ABOVE, RELATION_SAME, RELATION_BELOW };

static enum relation relation_of(const struct view *v, const char *name, struct slice wanted)
{
    size_t own = v->path_len, length = strlen(name), total = own + length;
    size_t n = total < wanted.len ? total : wanted.len;
    size_t head = own < n ? own : n;
    if (memcmp(wanted.data, v->path, head) != 0 ||
        (n > own && memcmp(wanted.data + own, name, n - own) != 0))
        return RELATION_NONE;
    if (total == wanted.len)
        return RELATION_SAME;
    if (total < wanted.len)
        return wanted.data[total] == '.' ? RELATION_ABOVE : RELATION_NONE;
    char next = wanted.len < own ? v->path[wanted.len] : name[wanted.len - own];
    return next == '.' ? RELATION_BELOW : RELATION_NONE;
}

/* whole: a value, or an object of which parts may be wanted. */
static bool wants(const struct view *v, const char *name, bool whole)
{
    if (v->sort.data) {
        enum relation r = relation_of(v, name, v->sort);
        return r == RELATION_SAME || (!whole && r == RELATION_ABOVE);
    }
    if (!v->paths || !v->paths->count)
        return true;
    for (size_t i = 0; i < v->paths->count; i++) {
        enum relation r = relation_of(v, name, v->paths->names[i]);
        if (r == RELATION_SAME || r == RELATION_BELOW || (!whole && r == RELATION_ABOVE))
            return true;
    }
    return false;
}

bool view_wants(const struct view *v, const char *name)
{
    return wants(v, name, false);
}

/* ---- keys ---- */

enum { KEY_NUMBER = 1, KEY_TEXT = 2 };

void view_put_key_number(struct buf *key, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    bits = bits >> 63 ? ~bits : bits | 1ull << 63;
    buf_append_byte(key, KEY_NUMBER);
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_append_byte(key, (uint8_t)(bits >> shift));
}

void view_put_key_text(struct buf *key, struct slice text)
{
    buf_append_byte(key, KEY_TEXT);
    buf_append_slice(key, text);
    buf_append_byte(key, 0);
}

/* ---- members ---- */

/* With what parts it from the former member. */
static void put_name(struct view *v, const char *name)
{
    if (v->out->data[v->out->len - 1] != '{')
        buf_append_byte(v->out, ',');
    json_put_string(v->out, slice_str(name));
    buf_append_byte(v->out, ':');
}

/* False: the value is not wanted. */
static bool begin(struct view *v, const char *name)
{
    if (!wants(v, name, true))
        return false;
    if (!v->sort.data)
        put_name(v, name);
    return true;
}

void view_begin(struct view *v)
{
    if (!v->sort.data)
        buf_append_byte(v->out, '{');
}

void view_end(struct view *v)
{
    if (!v->sort.data)
        buf_append_byte(v->out, '}');
}

static void enter(struct view *v, const char *name)
{
    size_t length = strlen(name);
    bug_on(v->path_len + length + 1 > VIEW_PATH_MAX);
    memcpy(v->path + v->path_len, name, length);
    v->path_len += length;
    v->path[v->path_len++] = '.';
}

static bool open_level(struct view *v, const char *name, uint8_t bracket)
{
    if (!wants(v, name, false))
        return false;
    if (!v->sort.data) {
        put_name(v, name);
        buf_append_byte(v->out, bracket);
    }
    enter(v, name);
    return true;
}

static void close_level(struct view *v, uint8_t bracket)
{
    v->path_len--;
    while (v->path_len && v->path[v->path_len - 1] != '.')
        v->path_len--;
    if (!v->sort.data)
        buf_append_byte(v->out, bracket);
}

bool view_object(struct view *v, const char *name)
{
    return open_level(v, name, '{');
}

void view_object_end(struct view *v)
{
    close_level(v, '}');
}

bool view_list(struct view *v, const char *name)
{
    return open_level(v, name, '[');
}

void view_list_end(struct view *v)
{
    close_level(v, ']');
}

void view_text(struct view *v, const char *name, struct slice text)
{
    if (!begin(v, name))
        return;
    if (v->sort.data)
        view_put_key_text(v->out, text);
    else
        json_put_string(v->out, text);
}

void view_int(struct view *v, const char *name, int64_t n)
{
    if (!begin(v, name))
        return;
    if (v->sort.data)
        view_put_key_number(v->out, (double)n);
    else
        buf_printf(v->out, "%" PRId64, n);
}

void view_double(struct view *v, const char *name, double d)
{
    if (!begin(v, name))
        return;
    if (v->sort.data)
        view_put_key_number(v->out, d);
    else
        json_put_double(v->out, d);
}

void view_json(struct view *v, const char *name, struct slice json)
{
    if (!begin(v, name))
        return;
    if (v->sort.data)
        view_put_key_text(v->out, json);
    else
        buf_append_slice(v->out, json);
}

void view_bool(struct view *v, const char *name, bool b)
{
    view_json(v, name, b ? SLICE("true") : SLICE("false"));
}

void view_null(struct view *v, const char *name)
{
    view_json(v, name, SLICE("null"));
}

void view_table(struct view *v, const char *name, struct slice table)
{
    if (begin(v, name) && !v->sort.data)
        (void)json_put_table(v->out, table);
}

void view_value(struct view *v, const char *name, struct value value)
{
    switch (value.type) {
    case VALUE_NONE:
        view_null(v, name);
        break;
    case VALUE_BOOL:
        view_bool(v, name, value.boolean);
        break;
    case VALUE_INT:
        view_int(v, name, value.integer);
        break;
    case VALUE_DOUBLE:
        view_double(v, name, value.real);
        break;
    case VALUE_TEXT:
        view_text(v, name, value.bytes);
        break;
    case VALUE_TABLE:
        view_table(v, name, value.bytes);
        break;
    }
    value_fini(&value);
}

static void put_entry(struct view *v, const char *name, const struct table_value *value)
{
    if (value->type == TABLE_LONGSTR) {
        view_text(v, name, value->bytes);
    } else if (table_is_int(value->type)) {
        view_int(v, name, value->integer);
    } else if (begin(v, name) && !v->sort.data) {
        (void)json_put_value(v->out, value);
    }
}

void view_entries(struct view *v, struct slice table)
{
    struct slice key;
    struct table_value value;
    for (struct table_iter it = table_iter(table); table_next(&it, &key, &value);) {
        char name[UINT8_MAX + 1];
        memcpy(name, key.data, key.len);
        name[key.len] = '\0';
        put_entry(v, name, &value);
    }
}

void view_rate(struct view *v, const char *name, double rate)
{
    if (!view_object(v, name))
        return;
    view_double(v, "rate", rate);
    view_object_end(v);
}

static void put_samples(struct view *v, const struct view_samples *s)
{
    if (!view_list(v, "samples"))
        return;
    for (size_t i = 0; i < s->count && !v->sort.data; i++) {
        buf_append_str(v->out, i ? ",{\"sample\":" : "{\"sample\":");
        buf_append_u64(v->out, s->values[i]);
        buf_append_str(v->out, ",\"timestamp\":");
        buf_append_u64(v->out, s->newest_ms - i * s->step_ms);
        buf_append_byte(v->out, '}');
    }
    view_list_end(v);
}

static double growth_of(uint64_t to, uint64_t from, uint64_t ms)
{
    return ((double)to - (double)from) * 1000.0 / (double)ms;
}

void view_sampled_rate(struct view *v, const char *name, double rate, const struct view_samples *s)
{
    double sum = 0;
    if (!view_object(v, name))
        return;
    view_double(v, "rate", s->count > 1 ? growth_of(s->values[0], s->values[1], s->step_ms) : rate);
    put_samples(v, s);
    if (s->count > 1) {
        for (size_t i = 0; i < s->count; i++)
            sum += (double)s->values[i];
        view_double(v, "avg_rate",
                    growth_of(s->values[0], s->values[s->count - 1], (s->count - 1) * s->step_ms));
        view_double(v, "avg", sum / (double)s->count);
    }
    view_object_end(v);
}

void view_channel(struct view *v, const char *name, struct addr channel)
{
    if (v->sort.data)
        return;
    bool wanted = begin(v, name);
    if (!wanted && !v->guarded)
        return;
    MEM_GROW(v->splices, v->splice_cap, v->splice_count + 1);
    v->splices[v->splice_count++] =
        (struct splice){.at = v->out->len, .object = channel, .bare = !wanted};
}

void view_enclose_channel(struct view *v, size_t from)
{
    if (!v->guarded || !v->splice_count)
        return;
    v->splices[v->splice_count - 1].from = from;
    v->splices[v->splice_count - 1].to = v->out->len;
}
