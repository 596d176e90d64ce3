/* amqp[s]://[user[:password]@][host][:port][/vhost][?key=value&...], the vhost and what is in front
 * of the host percent-encoded. */
#include "meta/uri.h"

#include <ctype.h>

static bool fail(struct buf *reason, const char *what, struct slice text)
{
    buf_printf(reason, "{%s,\"%.*s\"}", what, SLICE_ARG(text));
    return true;
}

/* Up to the byte, which is dropped; all of it if there is none. False: there was none. */
static bool cut(struct slice *rest, uint8_t at, struct slice *ret_head)
{
    const uint8_t *found = rest->len ? memchr(rest->data, at, rest->len) : NULL;
    size_t n = found ? (size_t)(found - rest->data) : rest->len;
    *ret_head = slice_of(rest->data, n);
    *rest = found ? slice_of(found + 1, rest->len - n - 1) : SLICE_EMPTY;
    return found != NULL;
}

static bool find_bad_entity(struct slice text, struct buf *reason)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%')
            continue;
        if (i + 2 >= text.len || !isxdigit(text.data[i + 1]) || !isxdigit(text.data[i + 2]))
            return fail(reason, "invalid_entitiy",
                        slice_of(text.data + i, text.len - i < 3 ? text.len - i : 3));
    }
    return false;
}

static bool is_number(struct slice text, long most)
{
    long n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!isdigit(text.data[i]) || n > most)
            return false;
        n = 10 * n + text.data[i] - '0';
    }
    return text.len && n <= most;
}

/* host, host:port, [IPv6], [IPv6]:port */
static bool find_bad_host(struct slice text, struct buf *reason)
{
    struct slice host, rest = text;
    if (text.len && text.data[0] == '[') {
        if (!cut(&rest, ']', &host))
            return fail(reason, "unable_to_parse_uri", text);
        if (!rest.len)
            return false;
        if (rest.data[0] != ':')
            return fail(reason, "unable_to_parse_uri", text);
        rest = slice_of(rest.data + 1, rest.len - 1);
    } else if (!cut(&rest, ':', &host)) {
        return false;
    }
    return !is_number(rest, UINT16_MAX) && fail(reason, "unable_to_parse_uri", text);
}

static bool find_bad_parameter(struct slice query, struct buf *reason)
{
    static const char *const numbers[] = {"heartbeat", "connection_timeout", "channel_max",
                                          "depth"};
    struct slice pair;
    while (query.len) {
        cut(&query, '&', &pair);
        struct slice value = pair, name;
        cut(&value, '=', &name);
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
            if (slice_eq_str(name, numbers[i]) && !is_number(value, INT32_MAX)) {
                buf_printf(reason, "{invalid_amqp_params_parameter,%s,\"%.*s\"}", numbers[i],
                           SLICE_ARG(value));
                return true;
            }
        }
        if (slice_eq_str(name, "fail_if_no_peer_cert") && !slice_eq_str(value, "true") &&
            !slice_eq_str(value, "false")) {
            buf_printf(reason, "{invalid_ssl_parameter,fail_if_no_peer_cert,\"%.*s\"}",
                       SLICE_ARG(value));
            return true;
        }
    }
    return false;
}

/* Behind the scheme. */
static bool find_bad_part(struct slice rest, struct buf *reason)
{
    struct slice place, authority, query = rest;
    cut(&query, '?', &place);
    bool has_path = cut(&place, '/', &authority);
    struct slice host = authority, user = SLICE_EMPTY;
    for (size_t i = authority.len; i-- > 0;) {
        if (authority.data[i] != '@')
            continue;
        user = slice_of(authority.data, i);
        host = slice_of(authority.data + i + 1, authority.len - i - 1);
        break;
    }
    if (find_bad_entity(user, reason) || find_bad_host(host, reason))
        return true;
    if (has_path && place.len && memchr(place.data, '/', place.len))
        return fail(reason, "invalid_vhost", place);
    return find_bad_entity(place, reason) || find_bad_parameter(query, reason);
}

bool uri_find_error(struct slice uri, struct buf *reason)
{
    static const char mark[] = "://";
    enum { MARK = sizeof mark - 1 };
    const uint8_t *found = uri.len ? memmem(uri.data, uri.len, mark, MARK) : NULL;
    if (!found) {
        buf_append_str(reason, "{unable_to_parse_uri,no_scheme}");
        return true;
    }
    struct slice scheme = slice_of(uri.data, (size_t)(found - uri.data));
    if (!slice_eq_str(scheme, "amqp") && !slice_eq_str(scheme, "amqps"))
        return fail(reason, "unexpected_uri_scheme", scheme);
    return find_bad_part(slice_of(found + MARK, uri.len - scheme.len - MARK), reason);
}

/* The last @ counts: what is wrong with the URI may be the password. */
void uri_put_without_users(struct slice text, struct buf *out)
{
    static const char mark[] = "://";
    enum { MARK = sizeof mark - 1 };
    size_t at = 0;
    while (at < text.len) {
        const uint8_t *rest = text.data + at;
        const uint8_t *found = memmem(rest, text.len - at, mark, MARK);
        size_t from = found ? (size_t)(found - text.data) + MARK : text.len, next = from;
        buf_append(out, rest, from - at);
        for (size_t i = from; i < text.len && text.data[i] != '"' && text.data[i] != '\n'; i++) {
            if (text.data[i] == '@')
                next = i;
        }
        if (next > from)
            buf_append_str(out, "***");
        at = next;
    }
}
