/* The life of a connection: requests in, one after the other, answers out. */
#include "http/session.h"

#include "admin/admin.h"
#include "base/base64.h"
#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/msg.h"
#include "broker/queue/waiting.h"
#include "http/body.h"
#include "http/bounds.h"
#include "http/http_priv.h"
#include "http/jobs.h"
#include "http/login.h"
#include "http/route.h"
#include "meta/routing.h"
#include "shard/slot.h"

#include <stdlib.h>
#include <strings.h>

struct node *session_node(const struct session *s)
{
    return shard_node(s->shard);
}

struct routing *session_routing(const struct session *s)
{
    return routing_of(s->shard);
}

bool session_names_node(struct session *s)
{
    if (slice_eq_str(s->args[0], meta_node_name(session_node(s))))
        return true;
    reply_not_found(s);
    return false;
}

/* ---- the request's end ---- */

static void forget_request(struct session *s)
{
    if (s->state)
        s->free_state(s->state);
    s->state = NULL;
    s->free_state = NULL;
    if (s->held)
        visit_free(s->held);
    s->held = NULL;
    job_forget(&s->job);
    deferred_cancel(&s->turn);
    s->on_meta = NULL;
    s->on_query = NULL;
    s->on_visit = NULL;
    s->on_message = NULL;
    s->on_piece = NULL;
    s->on_body = NULL;
    s->on_time = NULL;
    s->on_taken = NULL;
    s->on_gauge = NULL;
    s->on_page = NULL;
    s->route = NULL;
    s->vhost = SLICE_EMPTY;
    memset(s->args, 0, sizeof s->args);
    s->tags = 0;
    s->body_bytes = 0;
    slice_free(&s->user);
    target_fini(&s->target);
    body_forget(s);
    reply_fini(&s->reply);
}

static void wait_for_request(struct session *s)
{
    s->phase = SESSION_IDLE;
    timer_set(&s->timer, HTTP_IDLE_MS);
}

/* What was written is read some day: the timer runs on over several answers. */
static void watch_reader(struct session *s)
{
    if (timer_is_set(&s->reader) || !stream_pending(s->stream))
        return;
    s->taken = stream_bytes_out(s->stream);
    timer_set(&s->reader, HTTP_TAKE_MS);
}

/* The stream has all the time there is: look_at_leaver ends it. */
static void leave(struct session *s)
{
    enum { AT_MOST_MS = 24 * 3600 * 1000 };
    s->phase = SESSION_LEAVING;
    timer_stop(&s->timer);
    s->taken = stream_bytes_out(s->stream);
    s->silent_ms = 0;
    s->closing = true;
    timer_set(&s->reader, HTTP_LINGER_MS);
    stream_close(s->stream, AT_MOST_MS);
}

bool session_is_last(const struct session *s)
{
    return s->phase == SESSION_LEAVING || !message_of(s->parser)->keep_alive;
}

void session_done(struct session *s)
{
    bool leaving = session_is_last(s);
    forget_request(s);
    if (leaving) {
        leave(s);
        return;
    }
    wait_for_request(s);
    watch_reader(s);
    if (s->paused) {
        s->paused = false;
        stream_resume(s->stream);
    }
}

/* ---- visits ---- */

void *session_visit_new(size_t size, bool (*run)(struct visit *visit, struct shard *shard))
{
    struct visit *visit = mem_zalloc(size);
    visit->run = run;
    return visit;
}

static void hold(struct session *s, struct visit *visit)
{
    s->held = visit;
    watch_reader(s);
}

static void go(struct session *s, struct visit *visit)
{
    if (stream_is_full(s->stream))
        hold(s, visit);
    else
        visit_go(visit);
}

void session_while_held(struct session *s, unsigned ms, void (*on_time)(struct session *s))
{
    if (!s->held)
        return;
    s->on_time = on_time;
    timer_set(&s->timer, ms);
}

struct visit *session_take_held(struct session *s)
{
    struct visit *visit = s->held;
    s->held = NULL;
    return visit;
}

void session_visit(struct session *s, struct visit *visit, unsigned shard,
                   void (*on_visit)(struct session *session, struct visit *visit))
{
    s->on_visit = on_visit;
    visit->home = s->addr;
    visit->shard = shard;
    visit->begun = visit->done = false;
    go(s, visit);
}

bool session_visit_on(struct session *s, struct visit *visit)
{
    if (!visit_step(visit))
        return false;
    go(s, visit);
    return true;
}

static void on_back(struct session *s, struct visit *visit)
{
    if (s->on_visit)
        s->on_visit(s, visit);
    else
        visit_free(visit);
}

static void on_drained(void *arg)
{
    struct session *s = arg;
    struct visit *visit = s->held;
    void (*on_taken)(struct session *) = s->on_taken;
    s->held = NULL;
    s->on_taken = NULL;
    if (visit)
        visit_go(visit);
    else if (on_taken)
        on_taken(s);
    if (!s->behind)
        return;
    s->behind = false;
    stream_resume(s->stream);
}

static void on_turn(struct deferred *d)
{
    struct session *s = list_entry(d, struct session, turn);
    void (*on_taken)(struct session *) = s->on_taken;
    s->on_taken = NULL;
    if (on_taken)
        on_taken(s);
}

void session_when_taken(struct session *s, void (*on_taken)(struct session *session))
{
    s->on_taken = on_taken;
    if (stream_is_full(s->stream))
        watch_reader(s);
    else
        shard_on_relief(s->shard, &s->turn);
}

/* ---- requests to the metadata master ---- */

struct meta_request *session_request(struct session *s, enum meta_verb verb, bool trusted)
{
    struct meta_request *request = meta_request_new(verb, s->addr);
    request->flags = trusted ? META_TRUSTED : 0;
    meta_request_set(&request->user, s->user);
    return request;
}

void session_fail(struct session *s, const struct failure *why)
{
    switch (why->code) {
    case ERR_ACCESS_REFUSED:
        reply_error(s, 401, "not_authorised", "Access refused.");
        break;
    case ERR_NOT_FOUND:
        reply_error(s, 404, "not_found", why->text);
        break;
    default:
        reply_error(s, err_info(why->code)->http_status, "bad_request", why->text);
    }
}

static void finish_request(struct session *s, const struct meta_request *request)
{
    if (request->code)
        session_fail(s, &request->why);
    else
        reply_empty(s, 204);
}

void session_submit(struct session *s, struct meta_request **request,
                    void (*on_meta)(struct session *session, const struct meta_request *request))
{
    s->on_meta = on_meta ? on_meta : finish_request;
    meta_post(session_node(s), request);
}

static void on_meta_reply(struct session *s, struct meta_request *request)
{
    void (*on_meta)(struct session *, const struct meta_request *) = s->on_meta;
    s->on_meta = NULL;
    if (on_meta)
        on_meta(s, request);
    meta_request_free(&request);
}

static void on_query_reply(struct session *s, const struct op_queue_query *answer)
{
    void (*on_query)(struct session *, const struct op_queue_query *) = s->on_query;
    s->on_query = NULL;
    if (on_query)
        on_query(s, answer);
}

static void on_message(struct session *s, struct op *op)
{
    if (s->on_message)
        s->on_message(s, op);
    else if (op->kind == OP_GET_OK)
        msg_unref(op_body(op, struct op_deliver)->msg);
}

static void on_messages(struct session *s, struct op *op)
{
    struct waiting_page **page = &op_body(op, struct op_waiting)->page;
    void (*on_page)(struct session *, const struct waiting_page *) = s->on_page;
    s->on_page = NULL;
    if (on_page)
        on_page(s, *page);
    waiting_page_free(page);
}

static void on_op(void *object, struct op *op)
{
    struct session *s = object;
    switch (op->kind) {
    case ADMIN_OP_BACK:
        on_back(s, visit_of(op));
        break;
    case OP_META_REPLY:
        on_meta_reply(s, op_body(op, struct op_meta)->request);
        break;
    case OP_QUERY_REPLY:
        on_query_reply(s, op_body(op, struct op_queue_query));
        break;
    case OP_WAITING_PAGE:
        on_messages(s, op);
        break;
    case OP_GET_OK:
    case OP_GET_EMPTY:
    case OP_CONFIRM:
        on_message(s, op);
        break;
    default:
        break;
    }
}

static const struct actor_type session_type = {"http session", on_op};

/* ---- the head of a request ---- */

/* What a page of another site has a browser send does nothing here. Where the browser says what the
 * site is, that holds: a proxy may have put another name into the header of the host. */
static bool is_cross_site(const struct message *m)
{
    struct slice origin = m->headers[HEADER_ORIGIN], host = m->headers[HEADER_HOST];
    struct slice site = m->headers[HEADER_SEC_FETCH_SITE];
    if (m->verb == VERB_GET || m->verb == VERB_HEAD || m->verb == VERB_OPTIONS)
        return false;
    if (slice_eq_str(site, "cross-site"))
        return true;
    if (!origin.data || slice_eq_str(site, "same-origin"))
        return false;
    size_t skip = slice_starts(origin, SLICE("https://")) ? 8 : 7;
    return !(slice_starts(origin, SLICE("http://")) || slice_starts(origin, SLICE("https://"))) ||
           !slice_eq(slice_of(origin.data + skip, origin.len - skip), host);
}

static uint64_t body_max(const struct route *route)
{
    if (route->right == RIGHT_NONE)
        return HTTP_FORM_MAX;
    return route->is_upload ? HTTP_UPLOAD_MAX : HTTP_BODY_MAX;
}

/* A body that comes after a refusal would be taken for the next request: the connection ends. */
static void leave_if_body(struct session *s)
{
    if (message_of(s->parser)->has_body)
        s->phase = SESSION_LEAVING;
}

static void answer_options(struct session *s)
{
    s->verb = VERB_OPTIONS;
    reply_empty(s, 200);
}

static void on_refused_login(struct session *s)
{
    reply_error(s, 401, "not_authorized", "Login failed");
}

void session_refuse_login(struct session *s, enum login login, const char *reason)
{
    switch (login) {
    case LOGIN_OK:
        break;
    case LOGIN_MISSING:
        reply_error(s, 401, "not_authorized", "Login failed");
        break;
    case LOGIN_REFUSED: /* later: whoever tries passwords shall wait */
        s->on_time = on_refused_login;
        timer_set(&s->timer, HTTP_REFUSED_MS);
        break;
    case LOGIN_HELD_BACK:
        reply_error(s, 429, "too_many_requests", "Too many failed logins, try again later");
        break;
    case LOGIN_NO_RIGHT:
        reply_error(s, 401, "not_authorised", reason);
        break;
    case LOGIN_NO_VHOST:
        if (s->verb == VERB_GET || s->verb == VERB_HEAD || s->verb == VERB_DELETE)
            reply_not_found(s);
        else
            reply_error(s, 404, "not_found", "vhost_not_found");
        break;
    }
}

static bool is_right(struct session *s)
{
    const char *reason;
    enum login login = login_check(s, &reason);
    if (login == LOGIN_OK)
        return true;
    leave_if_body(s);
    session_refuse_login(s, login, reason);
    return false;
}

/* Once the body is there, which took its time. */
static bool is_still_right(struct session *s)
{
    const char *reason;
    enum login login = login_check_again(s, &reason);
    if (login != LOGIN_OK)
        session_refuse_login(s, login, reason);
    return login == LOGIN_OK;
}

/* False: it was answered, or will be. */
static bool find_route(struct session *s)
{
    enum route_found found = route_find(s);
    if (found == ROUTE_FOUND)
        return true;
    leave_if_body(s);
    if (found == ROUTE_OTHER_VERB && s->verb == VERB_OPTIONS)
        answer_options(s);
    else if (found == ROUTE_OTHER_VERB)
        reply_error(s, 405, "method_not_allowed", "Method Not Allowed");
    else
        reply_not_found(s);
    return false;
}

static void on_head(struct session *s)
{
    const struct message *m = message_of(s->parser);
    s->phase = SESSION_ANSWERING;
    s->verb = m->verb;
    timer_stop(&s->timer);
    if (!admin_is_in_service(session_node(s))) {
        s->phase = SESSION_LEAVING;
        reply_error(s, 503, "service_unavailable", "the node was taken out of service");
        return;
    }
    if (is_cross_site(m)) {
        leave_if_body(s);
        reply_error(s, 403, "forbidden", "requests of other sites are refused");
        return;
    }
    if (!target_parse(m->target, &s->target)) {
        leave_if_body(s);
        reply_bad(s, "the path is malformed");
        return;
    }
    if (!find_route(s) || !is_right(s))
        return;
    if (m->length > body_max(s->route)) {
        s->phase = SESSION_LEAVING;
        reply_errorf(s, 413, "payload_too_large", "a body has at most %llu bytes",
                     (unsigned long long)body_max(s->route));
        return;
    }
    if (m->has_body && m->headers[HEADER_EXPECT].data)
        stream_write(s->stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    s->phase = SESSION_BODY;
    s->counted = 0;
    timer_set(&s->timer, HTTP_BODY_MS);
    if (s->route->is_upload)
        s->route->run(s);
}

static void on_piece(struct session *s, struct slice piece)
{
    s->body_bytes += piece.len;
    if (s->body_bytes > body_max(s->route)) {
        s->phase = SESSION_LEAVING;
        reply_errorf(s, 413, "payload_too_large", "a body has at most %llu bytes",
                     (unsigned long long)body_max(s->route));
        return;
    }
    if (s->body_bytes - s->counted >= HTTP_BODY_STEP) {
        s->counted = s->body_bytes;
        timer_set(&s->timer, HTTP_BODY_MS);
    }
    if (s->on_piece)
        s->on_piece(s, piece);
    else
        buf_append_slice(&s->body, piece);
}

static void on_read(struct session *s)
{
    if (is_still_right(s))
        s->route->run(s);
}

static void on_complete(struct session *s)
{
    timer_stop(&s->timer);
    s->phase = SESSION_ANSWERING;
    if (s->route->is_upload && s->on_body)
        s->on_body(s);
    else if (!s->route->is_upload && is_still_right(s) && !body_parse_aside(s, on_read))
        s->route->run(s);
}

static void on_bad(struct session *s)
{
    const struct message *m = message_of(s->parser);
    bool answering = s->reply.begun;
    s->phase = SESSION_LEAVING;
    if (answering)
        stream_abort(s->stream, "what followed the request is no HTTP");
    else
        reply_error(s, m->status, "bad_request", m->reason);
}

/* ---- the stream ---- */

static bool takes_input(const struct session *s)
{
    return s->phase < SESSION_ANSWERING;
}

static void on_event(struct session *s, enum message_event event)
{
    switch (event) {
    case MESSAGE_HEAD:
        on_head(s);
        message_forget_login(s->parser);
        break;
    case MESSAGE_BODY:
        if (s->phase == SESSION_BODY)
            on_piece(s, message_of(s->parser)->piece);
        break;
    case MESSAGE_DONE:
        if (s->phase == SESSION_BODY)
            on_complete(s);
        break;
    case MESSAGE_BAD:
        on_bad(s);
        break;
    case MESSAGE_MORE:
        if (s->phase == SESSION_IDLE && message_begun(s->parser)) {
            s->phase = SESSION_HEAD;
            timer_set(&s->timer, HTTP_HEAD_MS);
        }
        break;
    }
}

/* Between two requests: whether the next one shall wait, for the client to read the answers it has,
 * or for the others to get their turn. */
static bool next_waits(struct session *s, unsigned heads)
{
    if (s->phase != SESSION_IDLE)
        return false;
    if (stream_is_full(s->stream)) {
        s->behind = true;
        stream_pause(s->stream);
        return true;
    }
    if (heads < HTTP_TURN_REQUESTS)
        return false;
    stream_yield(s->stream);
    return true;
}

/* What is read of a body as it comes is read bit by bit, so that the others have their turn. */
static bool body_waits(struct session *s, size_t room)
{
    if (s->phase != SESSION_BODY || room)
        return false;
    stream_yield(s->stream);
    return true;
}

static size_t on_data(void *arg, struct slice data)
{
    struct session *s = arg;
    size_t used = 0, room = HTTP_BODY_TURN;
    unsigned heads = 0;
    while (used < data.len && takes_input(s) && !next_waits(s, heads) && !body_waits(s, room)) {
        size_t n, size = data.len - used;
        bool body = s->phase == SESSION_BODY && s->route->is_upload;
        if (body && size > room)
            size = room;
        enum message_event event = message_feed(s->parser, slice_of(data.data + used, size), &n);
        used += n;
        room -= body ? n : 0;
        heads += event == MESSAGE_HEAD;
        on_event(s, event);
        if (event == MESSAGE_BAD)
            return data.len;
    }
    if (s->phase == SESSION_ANSWERING && !s->paused) {
        s->paused = true;
        stream_pause(s->stream);
    }
    return s->phase == SESSION_LEAVING ? data.len : used;
}

static void on_closed(void *arg, const char *why)
{
    struct session *s = arg;
    (void)why;
    timer_stop(&s->timer);
    timer_stop(&s->reader);
    slot_free(s->shard, s->addr);
    forget_request(s);
    message_parser_free(&s->parser);
    free(s);
}

static const struct stream_handler session_handler = {on_data, on_drained, on_closed};

static void time_out(struct session *s, const char *what)
{
    s->phase = SESSION_LEAVING;
    reply_error(s, 408, "request_timeout", what);
}

static void look_at_reader(struct session *s)
{
    if (!stream_pending(s->stream))
        return;
    if (stream_bytes_out(s->stream) == s->taken)
        stream_abort(s->stream, "the client does not read");
    else
        watch_reader(s);
}

/* The last answer goes out at the client's pace, then the client has time to close. */
static void look_at_leaver(struct session *s)
{
    uint64_t now = stream_bytes_out(s->stream);
    s->silent_ms = now == s->taken ? s->silent_ms + HTTP_LINGER_MS : 0;
    s->taken = now;
    uint64_t patience = stream_pending(s->stream) ? HTTP_TAKE_MS : HTTP_LINGER_MS;
    if (s->silent_ms >= patience)
        stream_abort(s->stream, stream_pending(s->stream) ? "the client does not read" : "closed");
    else
        timer_set(&s->reader, HTTP_LINGER_MS);
}

static void on_reader(struct timer *t)
{
    struct session *s = list_entry(t, struct session, reader);
    if (s->closing)
        look_at_leaver(s);
    else
        look_at_reader(s);
}

/* The last answer may still be on its way. */
static void look_at_idle(struct session *s)
{
    if (stream_pending(s->stream))
        timer_set(&s->timer, HTTP_IDLE_MS);
    else
        leave(s);
}

static void on_timer(struct timer *t)
{
    struct session *s = list_entry(t, struct session, timer);
    void (*on_time)(struct session *) = s->on_time;
    s->on_time = NULL;
    if (on_time)
        on_time(s);
    else if (s->phase == SESSION_IDLE)
        look_at_idle(s);
    else if (s->phase == SESSION_HEAD)
        time_out(s, "the head of the request did not come");
    else if (s->phase == SESSION_BODY)
        time_out(s, "the body of the request did not come");
}

static struct session *open_session(struct stream *stream, struct http *http)
{
    struct session *s = NEW(struct session);
    s->shard = stream_shard(stream);
    s->http = http_of(shard_node(s->shard));
    s->stream = stream;
    s->addr = slot_new(s->shard, &session_type, s);
    s->parser = message_parser_new();
    timer_init(&s->timer, s->shard, on_timer);
    timer_init(&s->reader, s->shard, on_reader);
    deferred_init(&s->turn, on_turn);
    (void)http;
    stream_set_handler(stream, &session_handler, s);
    wait_for_request(s);
    return s;
}

void session_open(struct stream *stream, void *http)
{
    (void)open_session(stream, http);
}

void session_open_scrape(struct stream *stream, void *http)
{
    open_session(stream, http)->scrape = true;
}
