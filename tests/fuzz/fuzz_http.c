/* What a client of the HTTP server sends: a stream of requests. Whatever comes is a request or
 * refused; fed at once and byte by byte it is the same; of a request the path, the login, the
 * columns and the body are taken apart. */
#include "base/mem.h"
#include "base/table.h"
#include "base/utf8.h"
#include "definitions/document.h"
#include "fuzz.h"
#include "http/bounds.h"
#include "http/login.h"
#include "http/message.h"
#include "http/multipart.h"
#include "http/route.h"
#include "http/session.h"
#include "http/target.h"
#include "http/view.h"

#include <string.h>

/* What came of the bytes, to be compared. */
struct outcome {
    size_t heads, done, body;
    bool bad;
};

/* What a head had is there until the next one, whatever came behind it. */
static void read_headers(const struct message *m)
{
    unsigned sum = 0;
    for (size_t i = 0; i < m->target.len; i++)
        sum += m->target.data[i];
    for (size_t h = 0; h < HEADER_COUNT; h++) {
        for (size_t i = 0; i < m->headers[h].len; i++)
            sum += m->headers[h].data[i];
    }
    require(sum || !m->target.len);
}

static void check_head(const struct message *m)
{
    struct target t;
    struct slice args[SESSION_ARGS], vhost, user, password;
    struct paths paths;
    require(m->target.len <= HTTP_TARGET_MAX);
    if (target_parse(m->target, &t)) {
        for (size_t i = 0; i < t.segment_count; i++)
            require(utf8_valid(t.segments[i]));
        for (size_t i = 0; route_at(i); i++)
            (void)route_matches(route_at(i)->pattern, &t, args, &vhost);
        if (paths_parse(target_param(&t, "columns"), &paths))
            require(paths.count <= HTTP_COLUMNS_MAX);
        target_fini(&t);
    }
    struct slice login = m->headers[HEADER_AUTHORIZATION];
    if (login.data) {
        uint8_t *room = mem_alloc(login.len + 4);
        if (login_parse(login, room, &user, &password))
            require(user.len + password.len < login.len);
        free(room);
    }
}

static bool count_bytes(void *arg, struct slice bytes)
{
    *(size_t *)arg += bytes.len;
    return true;
}

/* A form whose boundary is x, at once and bit by bit. */
static size_t feed_form(struct slice body, size_t step, bool *ret_good)
{
    struct multipart m;
    size_t bytes = 0;
    require(multipart_is(slice_str("multipart/form-data; boundary=x"), &m));
    *ret_good = true;
    while (body.len && *ret_good) {
        size_t n = body.len < step ? body.len : step;
        *ret_good = multipart_feed(&m, slice_of(body.data, n), count_bytes, &bytes);
        body = slice_of(body.data + n, body.len - n);
    }
    multipart_fini(&m);
    return bytes;
}

static void check_form(struct slice body)
{
    bool whole_good, bits_good;
    size_t whole = feed_form(body, SIZE_MAX, &whole_good), bits = feed_form(body, 1, &bits_good);
    require(whole <= body.len + 2 && bits <= body.len + 2);
    require(!whole_good || !bits_good || whole == bits);
}

static void check_body(struct slice body)
{
    struct buf table = BUF_INIT;
    check_form(body);
    if (document_parse(body, &table))
        require(table_check(buf_slice(&table)));
    buf_fini(&table);
}

static struct outcome feed(struct slice input, size_t step, bool check)
{
    struct message_parser *p = message_parser_new();
    struct outcome outcome = {0};
    struct buf body = BUF_INIT;
    while (input.len && !outcome.bad) {
        size_t used, n = input.len < step ? input.len : step;
        switch (message_feed(p, slice_of(input.data, n), &used)) {
        case MESSAGE_HEAD:
            outcome.heads++;
            if (check)
                check_head(message_of(p));
            break;
        case MESSAGE_BODY:
            outcome.body += message_of(p)->piece.len;
            buf_append_slice(&body, message_of(p)->piece);
            break;
        case MESSAGE_DONE:
            outcome.done++;
            read_headers(message_of(p));
            if (check)
                check_body(buf_slice(&body));
            buf_clear(&body);
            break;
        case MESSAGE_BAD:
            outcome.bad = true;
            require(message_of(p)->status >= 400 && message_of(p)->reason);
            break;
        case MESSAGE_MORE:
            require(used == n);
            break;
        }
        require(used <= n);
        input = slice_of(input.data + used, input.len - used);
    }
    buf_fini(&body);
    message_parser_free(&p);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    struct outcome whole = feed(input, SIZE_MAX, true), bits = feed(input, 1, false);
    require(whole.heads == bits.heads && whole.done == bits.done && whole.bad == bits.bad);
    require(whole.bad || whole.body == bits.body);
    check_body(input);
    return 0;
}
