/* The one file that knows the parser library. It is paused behind the head, behind each piece of a
 * body and at the end, so that whoever feeds it is never called back. */
#include "http/message.h"

#include "base/mem.h"
#include "http/bounds.h"

#include <http_parser.h>
#include <stdlib.h>
#include <strings.h>

struct message_parser {
    http_parser http;
    struct message message;
    struct buf text; /* the target, then the values that are kept */
    struct buf name; /* of the header at hand */
    size_t target_len;
    struct {
        size_t at, len;
    } values[HEADER_COUNT];
    int header; /* being read, -1: one that nobody looks at */
    bool in_value, begun;
    bool headed; /* what message borrows from text is fixed: text stays as it is */
    unsigned headers;
    size_t head; /* bytes of it */
    enum message_event event;
    bool bad;
};

static const char *const header_names[HEADER_COUNT] = {[HEADER_AUTHORIZATION] = "authorization",
                                                       [HEADER_ACCEPT_ENCODING] = "accept-encoding",
                                                       [HEADER_CONTENT_TYPE] = "content-type",
                                                       [HEADER_COOKIE] = "cookie",
                                                       [HEADER_EXPECT] = "expect",
                                                       [HEADER_ORIGIN] = "origin",
                                                       [HEADER_HOST] = "host",
                                                       [HEADER_IF_NONE_MATCH] = "if-none-match",
                                                       [HEADER_SEC_FETCH_SITE] = "sec-fetch-site",
                                                       [HEADER_X_REASON] = "x-reason"};

static struct message_parser *of(http_parser *http)
{
    return http->data;
}

static int refuse(struct message_parser *p, unsigned status, const char *reason)
{
    p->message.status = status;
    p->message.reason = reason;
    return -1;
}

static int count_head(struct message_parser *p, size_t length)
{
    p->head += length;
    return p->head > HTTP_HEAD_MAX ? refuse(p, 431, "the headers are too large") : 0;
}

static int on_begin(http_parser *http)
{
    struct message_parser *p = of(http);
    buf_clear(&p->text);
    buf_clear(&p->name);
    memset(p->values, 0, sizeof p->values);
    p->message = (struct message){.verb = VERB_OTHER};
    p->target_len = p->head = 0;
    p->headers = 0;
    p->header = -1;
    p->in_value = p->headed = false;
    p->begun = true;
    return 0;
}

static int on_url(http_parser *http, const char *at, size_t length)
{
    struct message_parser *p = of(http);
    if (p->text.len + length > HTTP_TARGET_MAX)
        return refuse(p, 414, "the path is too long");
    buf_append(&p->text, at, length);
    p->target_len = p->text.len;
    return count_head(p, length);
}

/* Headers behind a body in chunks are counted, and nothing else. */
static int on_field(http_parser *http, const char *at, size_t length)
{
    struct message_parser *p = of(http);
    if (p->headed)
        return count_head(p, length);
    if (p->in_value) {
        buf_clear(&p->name);
        p->in_value = false;
    }
    if (!p->name.len && ++p->headers > HTTP_HEADERS_MAX)
        return refuse(p, 431, "there are too many headers");
    buf_append(&p->name, at, length);
    return count_head(p, length);
}

static int find_header(struct slice name)
{
    for (int i = 0; i < HEADER_COUNT; i++) {
        if (strlen(header_names[i]) == name.len &&
            !strncasecmp(header_names[i], (const char *)name.data, name.len))
            return i;
    }
    return -1;
}

static int on_value(http_parser *http, const char *at, size_t length)
{
    struct message_parser *p = of(http);
    if (p->headed)
        return count_head(p, length);
    if (!p->in_value) {
        p->in_value = true;
        p->header = find_header(buf_slice(&p->name));
        if (p->header >= 0 && p->values[p->header].at)
            p->header = -1;
        if (p->header >= 0)
            p->values[p->header].at = p->text.len;
    }
    if (p->header >= 0) {
        buf_append(&p->text, at, length);
        p->values[p->header].len += length;
    }
    return count_head(p, length);
}

static enum http_verb verb_of(unsigned method)
{
    switch (method) {
    case HTTP_GET:
        return VERB_GET;
    case HTTP_HEAD:
        return VERB_HEAD;
    case HTTP_PUT:
        return VERB_PUT;
    case HTTP_POST:
        return VERB_POST;
    case HTTP_DELETE:
        return VERB_DELETE;
    case HTTP_OPTIONS:
        return VERB_OPTIONS;
    default:
        return VERB_OTHER;
    }
}

static int on_head(http_parser *http)
{
    struct message_parser *p = of(http);
    struct message *m = &p->message;
    p->headed = true;
    m->verb = verb_of(http->method);
    m->target = slice_of(p->text.data, p->target_len);
    for (int i = 0; i < HEADER_COUNT; i++) {
        if (p->values[i].at)
            m->headers[i] = slice_of(p->text.data + p->values[i].at, p->values[i].len);
    }
    m->is_http_1_1 = http->http_major == 1 && http->http_minor >= 1;
    m->keep_alive = http_should_keep_alive(http);
    m->length = http->flags & F_CONTENTLENGTH ? http->content_length : 0;
    m->has_body = (http->flags & F_CHUNKED) || m->length;
    if (http->http_major != 1)
        return refuse(p, 505, "HTTP/1.1 or 1.0 is spoken here");
    if (http->upgrade && http->method == HTTP_CONNECT)
        return refuse(p, 405, "this is no proxy");
    p->event = MESSAGE_HEAD;
    http_parser_pause(http, 1);
    return 0;
}

static int on_body(http_parser *http, const char *at, size_t length)
{
    struct message_parser *p = of(http);
    p->message.piece = slice_of(at, length);
    p->event = MESSAGE_BODY;
    http_parser_pause(http, 1);
    return 0;
}

static int on_done(http_parser *http)
{
    struct message_parser *p = of(http);
    p->event = MESSAGE_DONE;
    p->begun = false;
    http_parser_pause(http, 1);
    return 0;
}

static const http_parser_settings settings = {.on_message_begin = on_begin,
                                              .on_url = on_url,
                                              .on_header_field = on_field,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_head,
                                              .on_body = on_body,
                                              .on_message_complete = on_done};

struct message_parser *message_parser_new(void)
{
    struct message_parser *p = NEW(struct message_parser);
    http_parser_init(&p->http, HTTP_REQUEST);
    p->http.data = p;
    p->header = -1;
    return p;
}

/* The head may be known in part only: the values that are there so far. */
static void forget(struct message_parser *p, enum header header)
{
    size_t at = p->values[header].at;
    if (at)
        explicit_bzero(p->text.data + at, p->values[header].len);
    p->message.headers[header] = SLICE_EMPTY;
}

void message_forget_login(struct message_parser *p)
{
    forget(p, HEADER_AUTHORIZATION);
    forget(p, HEADER_COOKIE);
}

void message_parser_free(struct message_parser **parser)
{
    struct message_parser *p = *parser;
    if (!p)
        return;
    message_forget_login(p);
    buf_fini(&p->text);
    buf_fini(&p->name);
    free(p);
    *parser = NULL;
}

const struct message *message_of(const struct message_parser *parser)
{
    return &parser->message;
}

bool message_begun(const struct message_parser *parser)
{
    return parser->begun;
}

static enum message_event fail(struct message_parser *p)
{
    enum http_errno error = HTTP_PARSER_ERRNO(&p->http);
    p->bad = true;
    if (!p->message.status) {
        p->message.status = error == HPE_HEADER_OVERFLOW   ? 431
                            : error == HPE_INVALID_VERSION ? 505
                                                           : 400;
        p->message.reason = http_errno_description(error);
    }
    return MESSAGE_BAD;
}

enum message_event message_feed(struct message_parser *p, struct slice data, size_t *ret_used)
{
    *ret_used = 0;
    if (p->bad)
        return MESSAGE_BAD;
    p->event = MESSAGE_MORE;
    if (HTTP_PARSER_ERRNO(&p->http) == HPE_PAUSED)
        http_parser_pause(&p->http, 0);
    p->http.upgrade = 0;
    size_t used = http_parser_execute(&p->http, &settings, (const char *)data.data, data.len);
    *ret_used = used < data.len ? used : data.len;
    enum http_errno error = HTTP_PARSER_ERRNO(&p->http);
    if (error != HPE_OK && error != HPE_PAUSED)
        return fail(p);
    return p->event;
}
