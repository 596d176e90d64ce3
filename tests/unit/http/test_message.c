/* Requests as their bytes come. */
#include "http/bounds.h"
#include "http/message.h"
#include "unit.h"

#include <stdlib.h>

/* What a text became: events as letters, the body. */
struct seen {
    char events[64];
    struct buf body;
    unsigned status;
};

static struct seen feed(struct message_parser *p, struct slice text, size_t step)
{
    static const char letters[] = "-HBDX";
    struct seen seen = {.body = BUF_INIT};
    size_t count = 0;
    while (text.len && count < sizeof seen.events - 1) {
        size_t used, n = text.len < step ? text.len : step;
        enum message_event event = message_feed(p, slice_of(text.data, n), &used);
        cr_assert_leq(used, n);
        if (event != MESSAGE_MORE)
            seen.events[count++] = letters[event];
        if (event == MESSAGE_BODY)
            buf_append_slice(&seen.body, message_of(p)->piece);
        seen.status = message_of(p)->status;
        if (event == MESSAGE_BAD)
            break;
        text = slice_of(text.data + used, text.len - used);
    }
    return seen;
}

static const char put[] =
    "PUT /api/queues/%2F/q?x=1 HTTP/1.1\r\nHost: here\r\nAUTHORIZATION: Basic eA==\r\n"
    "authorization: second\r\nX-Reason: because\r\nContent-Length: 5\r\n\r\nhello";

UNIT(message, whole_and_in_pieces)
{
    for (size_t step = 1; step < 200; step += step < 4 ? 1 : 61) {
        struct message_parser *p = message_parser_new();
        struct seen seen = feed(p, slice_str(put), step);
        const struct message *m = message_of(p);
        cr_assert_eq(seen.events[0], 'H');
        cr_assert_eq(seen.events[strlen(seen.events) - 1], 'D', "%s at %zu", seen.events, step);
        cr_assert(slice_eq_str(buf_slice(&seen.body), "hello"));
        cr_assert_eq(m->verb, VERB_PUT);
        cr_assert(slice_eq_str(m->target, "/api/queues/%2F/q?x=1"));
        cr_assert(slice_eq_str(m->headers[HEADER_AUTHORIZATION], "Basic eA=="));
        cr_assert(slice_eq_str(m->headers[HEADER_X_REASON], "because"));
        cr_assert_null(m->headers[HEADER_ORIGIN].data);
        cr_assert(m->keep_alive && m->is_http_1_1 && m->has_body);
        cr_assert_eq(m->length, 5);
        cr_assert_not(message_begun(p));
        buf_fini(&seen.body);
        message_parser_free(&p);
    }
}

UNIT(message, one_behind_the_other)
{
    struct message_parser *p = message_parser_new();
    struct seen seen =
        feed(p,
             SLICE("GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"
                   "\r\n3\r\nabc\r\n0\r\n\r\n"),
             1000);
    cr_assert_str_eq(seen.events, "HDHBD");
    cr_assert(slice_eq_str(message_of(p)->target, "/b"));
    cr_assert_not(message_of(p)->keep_alive);
    buf_fini(&seen.body);
    message_parser_free(&p);
}

UNIT(message, trailers)
{
    static const char head[] = "PUT /a HTTP/1.1\r\naccept-encoding: gzip\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n2\r\n{}\r\n0\r\n";
    struct buf text = BUF_INIT;
    buf_append_str(&text, head);
    for (int i = 0; i < 20; i++)
        buf_append_str(&text, "x-reason: behind the body, where nobody looks, and long enough to "
                              "move what lies in front\r\naccept-encoding: none\r\n");
    buf_append_str(&text, "\r\n");
    for (size_t step = 1; step < 6000; step += 4999) {
        struct message_parser *p = message_parser_new();
        struct seen seen = feed(p, buf_slice(&text), step);
        cr_assert_eq(seen.events[strlen(seen.events) - 1], 'D', "%s", seen.events);
        cr_assert(slice_eq_str(message_of(p)->target, "/a"));
        cr_assert(slice_eq_str(message_of(p)->headers[HEADER_ACCEPT_ENCODING], "gzip"));
        cr_assert_null(message_of(p)->headers[HEADER_X_REASON].data);
        buf_fini(&seen.body);
        message_parser_free(&p);
    }
    text.len -= 2;
    while (text.len < 2 * HTTP_HEAD_MAX)
        buf_append_str(&text, "x-reason: too much behind the body as well as in front of it\r\n");
    struct message_parser *p = message_parser_new();
    struct seen seen = feed(p, buf_slice(&text), 1000);
    cr_assert_eq(seen.events[strlen(seen.events) - 1], 'X', "%s", seen.events);
    cr_assert_eq(seen.status, 431);
    buf_fini(&seen.body);
    message_parser_free(&p);
    buf_fini(&text);
}

UNIT(message, login_is_forgotten)
{
    struct message_parser *p = message_parser_new();
    struct seen seen = feed(p, slice_str(put), 1000);
    struct slice login = message_of(p)->headers[HEADER_AUTHORIZATION];
    cr_assert(slice_eq_str(login, "Basic eA=="));
    message_forget_login(p);
    cr_assert_null(message_of(p)->headers[HEADER_AUTHORIZATION].data);
    for (size_t i = 0; i < login.len; i++)
        cr_assert_eq(login.data[i], 0);
    cr_assert(slice_eq_str(message_of(p)->headers[HEADER_X_REASON], "because"));
    message_forget_login(p);
    buf_fini(&seen.body);
    message_parser_free(&p);
}

static unsigned status_of(struct slice text)
{
    struct message_parser *p = message_parser_new();
    struct seen seen = feed(p, text, 10000);
    unsigned status = strchr(seen.events, 'X') ? seen.status : 0;
    size_t used;
    if (status)
        cr_assert_eq(message_feed(p, SLICE("GET / HTTP/1.1\r\n\r\n"), &used), MESSAGE_BAD);
    buf_fini(&seen.body);
    message_parser_free(&p);
    return status;
}

UNIT(message, refused)
{
    struct buf text = BUF_INIT;
    cr_assert_eq(status_of(SLICE("\0\1\2")), 400);
    cr_assert_eq(status_of(SLICE("GET / HTTP/1.1\r\na\x01: c\r\n\r\n")), 400);
    cr_assert_eq(status_of(SLICE("GET / HTTP/2.0\r\n\r\n")), 505);
    cr_assert_eq(status_of(SLICE(
                     "PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")),
                 400);
    cr_assert_eq(status_of(SLICE("PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")), 400);
    cr_assert_eq(status_of(SLICE("CONNECT a:1 HTTP/1.1\r\n\r\n")), 405);
    buf_append_str(&text, "GET /");
    memset(buf_reserve(&text, HTTP_TARGET_MAX), 'a', HTTP_TARGET_MAX);
    text.len += HTTP_TARGET_MAX;
    cr_assert_eq(status_of(buf_slice(&text)), 414);
    buf_clear(&text);
    buf_append_str(&text, "GET / HTTP/1.1\r\na: ");
    memset(buf_reserve(&text, HTTP_HEAD_MAX), 'a', HTTP_HEAD_MAX);
    text.len += HTTP_HEAD_MAX;
    cr_assert_eq(status_of(buf_slice(&text)), 431);
    buf_clear(&text);
    buf_append_str(&text, "GET / HTTP/1.1\r\n");
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        buf_append_str(&text, "a: b\r\n");
    cr_assert_eq(status_of(buf_slice(&text)), 431);
    buf_fini(&text);
}
