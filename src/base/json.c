#include "base/json.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void put_escaped(struct buf *out, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    static const char names[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\t'] = 't',
                                 ['\n'] = 'n', ['\f'] = 'f',  ['\r'] = 'r'};
    if (c < sizeof names && names[c]) {
        buf_append(out, (const char[]){'\\', names[c]}, 2);
        return;
    }
    buf_append(out, (const char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void json_put_text(struct buf *out, struct slice text)
{
    while (text.len) {
        size_t n = 0;
        while (n < text.len && is_plain(text.data[n]))
            n++;
        buf_append(out, text.data, n);
        text = slice_of(text.data + n, text.len - n);
        if (!text.len)
            break;
        unsigned len = utf8_char_len(text);
        if (len > 1)
            buf_append(out, text.data, len);
        else if (len == 1)
            put_escaped(out, *text.data);
        else
            buf_append_str(out, "\xef\xbf\xbd");
        len = len ? len : 1;
        text = slice_of(text.data + len, text.len - len);
    }
}

void json_put_string(struct buf *out, struct slice text)
{
    buf_append_byte(out, '"');
    json_put_text(out, text);
    buf_append_byte(out, '"');
}

void json_put_double(struct buf *out, double v)
{
    char text[40];
    if (!isfinite(v)) {
        buf_append_str(out, "null");
        return;
    }
    snprintf(text, sizeof text, v == floor(v) && fabs(v) < 1e15 ? "%.1f" : "%.15g", v);
    if (strtod(text, NULL) != v)
        snprintf(text, sizeof text, "%.17g", v);
    buf_append_str(out, text);
}

/* ---- field tables ---- */

void json_put_scalar(struct buf *out, const struct table_value *v)
{
    switch (v->type) {
    case TABLE_BOOL:
        buf_append_str(out, v->boolean ? "true" : "false");
        break;
    case TABLE_FLOAT:
    case TABLE_DOUBLE:
        json_put_double(out, v->real);
        break;
    case TABLE_DECIMAL:
        json_put_double(out, v->decimal.digits / pow(10.0, v->decimal.scale));
        break;
    case TABLE_TIMESTAMP:
        buf_printf(out, "%" PRIu64, v->timestamp);
        break;
    case TABLE_LONGSTR:
    case TABLE_BINARY:
        json_put_string(out, v->bytes);
        break;
    case TABLE_VOID:
    case TABLE_ARRAY:
    case TABLE_TABLE:
        buf_append_str(out, "null");
        break;
    default:
        buf_printf(out, "%" PRId64, v->integer);
    }
}

/* A table or array that is being written. */
struct level {
    struct table_iter it;
    bool table, begun;
};

struct writer {
    struct buf *out;
    struct level *levels;
    size_t depth, cap;
    bool exact;
};

static void open_level(struct writer *w, struct slice body, bool table)
{
    MEM_GROW(w->levels, w->cap, w->depth + 1);
    w->levels[w->depth++] = (struct level){table_iter(body), table, false};
    buf_append_byte(w->out, table ? '{' : '[');
}

static void put_bytes(struct writer *w, struct slice bytes)
{
    if (utf8_valid(bytes)) {
        json_put_string(w->out, bytes);
        return;
    }
    w->exact = false;
    buf_append_str(w->out, "\"Not UTF-8, base64 is: ");
    size_t room = base64_encoded_size(bytes.len);
    w->out->len += base64_encode(bytes, (char *)buf_reserve(w->out, room + 1));
    buf_append_byte(w->out, '"');
}

static void put_value(struct writer *w, const struct table_value *v)
{
    if (v->type == TABLE_ARRAY || v->type == TABLE_TABLE)
        open_level(w, v->bytes, v->type == TABLE_TABLE);
    else if (v->type == TABLE_LONGSTR || v->type == TABLE_BINARY)
        put_bytes(w, v->bytes);
    else
        json_put_scalar(w->out, v);
}

static void step(struct writer *w)
{
    struct level *l = &w->levels[w->depth - 1];
    struct table_value v;
    struct slice key;
    if (!(l->table ? table_next(&l->it, &key, &v) : array_next(&l->it, &v))) {
        buf_append_byte(w->out, l->table ? '}' : ']');
        w->depth--;
        return;
    }
    if (l->begun)
        buf_append_byte(w->out, ',');
    l->begun = true;
    if (l->table) {
        put_bytes(w, key);
        buf_append_byte(w->out, ':');
    }
    put_value(w, &v);
}

bool json_put_value(struct buf *out, const struct table_value *value)
{
    struct writer w = {.out = out, .exact = true};
    put_value(&w, value);
    while (w.depth)
        step(&w);
    free(w.levels);
    return w.exact;
}

bool json_put_table(struct buf *out, struct slice table)
{
    const struct table_value value = {.type = TABLE_TABLE, .bytes = table};
    return json_put_value(out, &value);
}
