#include "http/target.h"

#include "base/utf8.h"

static int digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* room has text.len bytes. False: a % that is followed by no two digits. */
static bool decode(struct slice text, bool plus_is_blank, uint8_t *room, struct slice *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.len ? digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        room[n++] = c;
    }
    *ret = slice_of(room, n);
    return utf8_valid(*ret);
}

static size_t find(struct slice text, uint8_t c)
{
    const uint8_t *at = text.len ? memchr(text.data, c, text.len) : NULL;
    return at ? (size_t)(at - text.data) : text.len;
}

static struct slice behind(struct slice text, size_t n)
{
    n = n < text.len ? n : text.len;
    return slice_of(text.data + n, text.len - n);
}

/* What is decoded goes to at, which moves on. */
static bool parse_path(struct target *t, struct slice path, uint8_t **at)
{
    while (path.len) {
        struct slice rest = behind(path, 1);
        size_t n = find(rest, '/');
        if (!n && n == rest.len)
            break;
        if (t->segment_count == HTTP_SEGMENTS_MAX ||
            !decode(slice_of(rest.data, n), false, *at, &t->segments[t->segment_count]))
            return false;
        *at += t->segments[t->segment_count++].len;
        path = behind(rest, n);
    }
    return true;
}

static bool parse_query(struct target *t, struct slice query, uint8_t **at)
{
    while (query.len) {
        size_t n = find(query, '&');
        struct slice pair = slice_of(query.data, n);
        size_t equals = find(pair, '=');
        struct param *param = &t->params[t->param_count];
        query = behind(query, n + 1);
        if (!pair.len)
            continue;
        if (t->param_count == HTTP_PARAMS_MAX ||
            !decode(slice_of(pair.data, equals), true, *at, &param->name))
            return false;
        *at += param->name.len;
        if (!decode(behind(pair, equals + 1), true, *at, &param->value))
            return false;
        *at += param->value.len;
        t->param_count++;
    }
    return true;
}

bool target_parse(struct slice text, struct target *t)
{
    *t = (struct target){.text = BUF_INIT};
    if (!text.len || text.data[0] != '/' || text.len > HTTP_TARGET_MAX)
        return false;
    uint8_t *at = buf_reserve(&t->text, text.len);
    text = slice_of(text.data, find(text, '#'));
    size_t path = find(text, '?');
    if (parse_path(t, slice_of(text.data, path), &at) &&
        parse_query(t, behind(text, path + 1), &at))
        return true;
    target_fini(t);
    return false;
}

bool target_parse_form(struct slice text, struct target *t)
{
    *t = (struct target){.text = BUF_INIT};
    if (text.len > HTTP_TARGET_MAX)
        return false;
    uint8_t *at = buf_reserve(&t->text, text.len + 1);
    if (parse_query(t, text, &at))
        return true;
    target_fini(t);
    return false;
}

/* It may have a password. */
void target_fini(struct target *t)
{
    if (t->text.data)
        explicit_bzero(t->text.data, t->text.cap);
    buf_fini(&t->text);
    *t = (struct target){.text = BUF_INIT};
}

struct slice target_param(const struct target *t, const char *name)
{
    for (size_t i = 0; i < t->param_count; i++) {
        if (slice_eq_str(t->params[i].name, name))
            return t->params[i].value;
    }
    return SLICE_EMPTY;
}

bool target_number(const struct target *t, const char *name, uint64_t *ret_number)
{
    return slice_number(target_param(t, name), ret_number);
}

struct slice target_exchange(struct slice segment)
{
    return slice_eq_str(segment, "amq.default") ? SLICE_EMPTY : segment;
}

void target_encode(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}
