#include "http/reply.h"

#include "base/bug.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/bounds.h"
#include "http/page.h"
#include "http/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <zlib.h>

enum { DEFLATE_LEVEL = 1, WINDOW_BITS = 13 + 16 /* gzip's head and tail */, MEMORY_LEVEL = 6 };

static const char *name_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *name;
    } names[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {301, "Moved Permanently"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {413, "Content Too Large"},
                 {414, "URI Too Long"},
                 {415, "Unsupported Media Type"},
                 {417, "Expectation Failed"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {503, "Service Unavailable"},
                 {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].status == status)
            return names[i].name;
    }
    return "Status";
}

static void put_date(struct buf *out)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    buf_printf(out, "date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * t.tm_wday,
               t.tm_mday, months + 3 * t.tm_mon, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

static void put_head(struct session *s, unsigned status, const char *content_type, struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %u %s\r\n", status, name_of(status));
    put_date(out);
    buf_append_str(out, "server: Jackalope\r\n"
                        "cache-control: no-cache\r\n"
                        "vary: accept-encoding, origin\r\n"
                        "content-security-policy: default-src 'none'; script-src 'self'; style-src "
                        "'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action "
                        "'none'; frame-ancestors 'none'\r\n"
                        "referrer-policy: no-referrer\r\n"
                        "x-content-type-options: nosniff\r\n");
    if (content_type)
        buf_printf(out, "content-type: %s\r\n", content_type);
    if (s->reply.location.len)
        buf_printf(out, "location: %.*s\r\n", SLICE_ARG(buf_slice(&s->reply.location)));
    if (s->reply.cookie.len)
        buf_printf(out, "set-cookie: %.*s\r\n", SLICE_ARG(buf_slice(&s->reply.cookie)));
    if (status == 401)
        /* clients have passwords for a realm: that one */
        buf_append_str(out, "www-authenticate: Basic realm=\"RabbitMQ Management\"\r\n");
    if (session_is_last(s))
        buf_append_str(out, "connection: close\r\n");
    else if (!message_of(s->parser)->is_http_1_1)
        buf_append_str(out, "connection: keep-alive\r\n");
}

static void end(struct session *s)
{
    s->reply.ended = true;
    session_done(s);
}

void reply_fini(struct reply *r)
{
    if (r->gzip) {
        deflateEnd(r->gzip);
        free(r->gzip);
    }
    buf_fini(&r->out);
    slice_free(&r->rest);
    buf_fini(&r->location);
    if (r->cookie.len) /* it has a password */
        explicit_bzero(r->cookie.data, r->cookie.len);
    buf_fini(&r->cookie);
    *r = (struct reply){.out = BUF_INIT};
}

/* ---- gzip ---- */

static bool takes_gzip(const struct session *s)
{
    struct slice accept = message_of(s->parser)->headers[HEADER_ACCEPT_ENCODING];
    for (size_t i = 0; i + 4 <= accept.len; i++) {
        const char *at = (const char *)accept.data + i;
        if (strncasecmp(at, "gzip", 4))
            continue;
        size_t left = accept.len - i - 4;
        return left < 4 || strncasecmp(at + 4, ";q=0", 4) || (left > 4 && at[8] == '.');
    }
    return false;
}

/* A window of 8 KiB: making it ready takes less than the rest, and text does not need more. */
static void open_gzip(struct reply *r)
{
    r->gzip = mem_zalloc(sizeof *r->gzip);
    bug_on(deflateInit2(r->gzip, DEFLATE_LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                        Z_DEFAULT_STRATEGY) != Z_OK);
}

/* Appends to r->out. */
static void compress_piece(struct reply *r, struct slice piece, int flush)
{
    z_stream *z = r->gzip;
    z->next_in = (Bytef *)(uintptr_t)piece.data;
    z->avail_in = (uInt)piece.len;
    do {
        enum { ROOM = 16 * 1024 };
        z->next_out = buf_reserve(&r->out, ROOM);
        z->avail_out = ROOM;
        (void)deflate(z, flush);
        r->out.len += ROOM - z->avail_out;
    } while (!z->avail_out || z->avail_in);
}

/* ---- whole ---- */

static void send_whole(struct session *s, unsigned status, const char *content_type,
                       struct slice body)
{
    struct buf head = BUF_INIT;
    struct reply *r = &s->reply;
    bug_on(r->begun);
    r->begun = true;
    put_head(s, status, content_type, &head);
    if (body.len >= HTTP_GZIP_MIN && takes_gzip(s)) {
        open_gzip(r);
        compress_piece(r, body, Z_FINISH);
        body = buf_slice(&r->out);
        buf_append_str(&head, "content-encoding: gzip\r\n");
    }
    if (status != 204)
        buf_printf(&head, "content-length: %zu\r\n", body.len);
    buf_append_str(&head, "\r\n");
    stream_write(s->stream, head.data, head.len);
    if (s->verb != VERB_HEAD && body.len)
        stream_write(s->stream, body.data, body.len);
    buf_fini(&head);
    end(s);
}

/* Files of the page: compressed before, and sent only if the client has not got them yet. */
static bool has_file(const struct session *s, const struct page_file *file)
{
    struct slice tags = message_of(s->parser)->headers[HEADER_IF_NONE_MATCH];
    size_t len = strlen(file->tag);
    return tags.len >= len && memmem(tags.data, tags.len, file->tag, len);
}

void reply_file(struct session *s, const struct page_file *file)
{
    struct buf head = BUF_INIT;
    bool known = has_file(s, file), packed = takes_gzip(s);
    struct slice body =
        packed ? slice_of(file->packed, file->packed_len) : slice_of(file->plain, file->plain_len);
    bug_on(s->reply.begun);
    s->reply.begun = true;
    put_head(s, known ? 304 : 200, file->type, &head);
    buf_printf(&head, "etag: \"%s%s\"\r\n", file->tag, packed ? "-gzip" : "");
    if (packed)
        buf_append_str(&head, "content-encoding: gzip\r\n");
    if (!known)
        buf_printf(&head, "content-length: %zu\r\n", body.len);
    buf_append_str(&head, "\r\n");
    stream_write(s->stream, head.data, head.len);
    if (!known && s->verb != VERB_HEAD)
        stream_write(s->stream, body.data, body.len);
    buf_fini(&head);
    end(s);
}

static void write_rest(struct session *s)
{
    struct reply *r = &s->reply;
    size_t left = r->rest.len - r->rest_at;
    size_t n = left < HTTP_GZIP_PIECE ? left : HTTP_GZIP_PIECE;
    reply_write(s, slice_of(r->rest.data + r->rest_at, n));
    r->rest_at += n;
    if (r->rest_at < r->rest.len)
        session_when_taken(s, write_rest);
    else
        reply_close(s);
}

void reply_json(struct session *s, unsigned status, struct slice json)
{
    if (json.len > HTTP_GZIP_PIECE && takes_gzip(s)) {
        reply_open(s, status, "application/json");
        s->reply.rest = slice_dup(json);
        write_rest(s);
        return;
    }
    send_whole(s, status, "application/json", json);
}

void reply_empty(struct session *s, unsigned status)
{
    send_whole(s, status, NULL, SLICE_EMPTY);
}

void reply_error_slice(struct session *s, unsigned status, const char *error, struct slice reason)
{
    struct buf json = BUF_INIT;
    buf_append_str(&json, "{\"error\":");
    json_put_string(&json, slice_str(error));
    buf_append_str(&json, ",\"reason\":");
    json_put_string(&json, reason);
    buf_append_byte(&json, '}');
    reply_json(s, status, buf_slice(&json));
    buf_fini(&json);
}

void reply_error(struct session *s, unsigned status, const char *error, const char *reason)
{
    reply_error_slice(s, status, error, slice_str(reason));
}

__attribute__((format(printf, 4, 0))) static void
error_formatted(struct session *s, unsigned status, const char *error, const char *fmt, va_list ap)
{
    struct buf reason = BUF_INIT;
    buf_vprintf(&reason, fmt, ap);
    reply_error_slice(s, status, error, buf_slice(&reason));
    buf_fini(&reason);
}

void reply_errorf(struct session *s, unsigned status, const char *error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    error_formatted(s, status, error, fmt, ap);
    va_end(ap);
}

void reply_bad(struct session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    error_formatted(s, 400, "bad_request", fmt, ap);
    va_end(ap);
}

void reply_not_found(struct session *s)
{
    reply_error(s, 404, "Object Not Found", "Not Found");
}

/* ---- in pieces ---- */

void reply_open(struct session *s, unsigned status, const char *content_type)
{
    struct buf head = BUF_INIT;
    struct reply *r = &s->reply;
    bug_on(r->begun);
    r->begun = true;
    r->bare = s->verb == VERB_HEAD;
    r->chunked = message_of(s->parser)->is_http_1_1;
    if (!r->chunked)
        s->phase = SESSION_LEAVING;
    put_head(s, status, content_type, &head);
    if (takes_gzip(s) && !r->bare && strcmp(content_type, "text/event-stream") != 0) {
        open_gzip(r);
        buf_append_str(&head, "content-encoding: gzip\r\n");
    }
    buf_append_str(&head, r->chunked ? "transfer-encoding: chunked\r\n\r\n" : "\r\n");
    stream_write(s->stream, head.data, head.len);
    buf_fini(&head);
}

static void send_piece(struct session *s, struct slice piece)
{
    char size[24];
    if (!piece.len || s->reply.bare)
        return;
    if (s->reply.chunked) {
        int n = snprintf(size, sizeof size, "%zx\r\n", piece.len);
        stream_write(s->stream, size, (size_t)n);
    }
    stream_write(s->stream, piece.data, piece.len);
    if (s->reply.chunked)
        stream_write(s->stream, "\r\n", 2);
}

void reply_write(struct session *s, struct slice piece)
{
    enum { ENOUGH = 16 * 1024 };
    struct reply *r = &s->reply;
    if (!r->gzip) {
        send_piece(s, piece);
        return;
    }
    compress_piece(r, piece, Z_NO_FLUSH);
    if (r->out.len < ENOUGH)
        return;
    send_piece(s, buf_slice(&r->out));
    buf_clear(&r->out);
}

void reply_close(struct session *s)
{
    struct reply *r = &s->reply;
    if (r->gzip) {
        compress_piece(r, SLICE_EMPTY, Z_FINISH);
        send_piece(s, buf_slice(&r->out));
    }
    if (r->chunked && !r->bare)
        stream_write(s->stream, "0\r\n\r\n", 5);
    end(s);
}
