/* The life of a control connection: request in, lines out, end. */
#include "admin/call.h"

#include "admin/admin_priv.h"
#include "admin/cell.h"
#include "base/mem.h"
#include "broker/queue/waiting.h"
#include "shard/slot.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    REQUEST_MS = 10000, /* for the request to arrive */
    LEAVE_MS = 5000,    /* for the client to close after the last line */
    LINGER_MS = 1000,
};

/* ---- answers ---- */

static void send_line(struct call *call)
{
    if (!call->ended) {
        buf_append_byte(&call->line, '\n');
        stream_write(call->stream, call->line.data, call->line.len);
    }
    buf_clear(&call->line);
}

static void put_member(struct call *call, const char *name, struct slice text)
{
    buf_printf(&call->line, "{\"%s\":", name);
    cell_put_string(&call->line, text);
    buf_append_byte(&call->line, '}');
    send_line(call);
}

__attribute__((format(printf, 3, 0))) static void put_formatted(struct call *call, const char *name,
                                                                const char *fmt, va_list ap)
{
    struct buf text = BUF_INIT;
    buf_vprintf(&text, fmt, ap);
    put_member(call, name, buf_slice(&text));
    buf_fini(&text);
}

void call_banner(struct call *call, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_formatted(call, "banner", fmt, ap);
    va_end(ap);
}

void call_print(struct call *call, const char *fmt, ...)
{
    va_list ap;
    if (call->request.dry)
        return;
    va_start(ap, fmt);
    put_formatted(call, "print", fmt, ap);
    va_end(ap);
}

void call_print_slice(struct call *call, struct slice text)
{
    if (!call->request.dry)
        put_member(call, "print", text);
}

void call_progress(struct call *call, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_formatted(call, "progress", fmt, ap);
    va_end(ap);
}

void call_notice(struct call *call, struct slice text)
{
    if (!call->request.dry)
        put_member(call, "notice", text);
}

void call_value(struct call *call, struct slice json)
{
    if (call->request.dry)
        return;
    buf_append_str(&call->line, "{\"value\":");
    buf_append_slice(&call->line, json);
    buf_append_byte(&call->line, '}');
    send_line(call);
}

void call_columns(struct call *call, const char *const *names, size_t count, bool keyed)
{
    if (call->request.dry)
        return;
    buf_append_str(&call->line, "{\"columns\":[");
    for (size_t i = 0; i < count; i++)
        buf_printf(&call->line, "%s\"%s\"", i ? "," : "", names[i]);
    buf_printf(&call->line, "],\"key\":%s%s}", keyed ? "true" : "false",
               call->boxed ? ",\"boxed\":true" : "");
    send_line(call);
}

void call_write(struct call *call, struct slice lines)
{
    if (!call->ended && lines.len && !call->request.dry)
        stream_write(call->stream, lines.data, lines.len);
}

void call_ask(struct call *call, const char *prompt,
              void (*on_answer)(struct call *call, const char *answer))
{
    if (call_is_dry(call))
        return;
    call->on_answer = on_answer;
    put_member(call, "ask", slice_str(prompt));
}

void call_show(struct call *call, struct slice screen, uint64_t wait_ms,
               void (*on_answer)(struct call *call, const char *answer))
{
    if (call_is_dry(call))
        return;
    call->on_answer = on_answer;
    buf_append_str(&call->line, "{\"show\":");
    cell_put_string(&call->line, screen);
    buf_printf(&call->line, ",\"wait_ms\":%" PRIu64 "}", wait_ms);
    send_line(call);
}

void call_open_to_read(struct call *call, const char *path,
                       void (*on_answer)(struct call *call, const char *answer))
{
    if (call_is_dry(call))
        return;
    call->on_answer = on_answer;
    put_member(call, "read", slice_str(path));
}

void call_open_to_write(struct call *call, const char *path,
                        void (*on_answer)(struct call *call, const char *answer))
{
    if (call_is_dry(call))
        return;
    call->on_answer = on_answer;
    put_member(call, "write", slice_str(path));
}

void call_receive(struct call *call, void (*on_chunk)(struct call *call, struct slice data))
{
    call->on_chunk = on_chunk;
    buf_append_str(&call->line, "{\"send\":true}");
    send_line(call);
}

void call_warn(struct call *call, struct slice text)
{
    put_member(call, "warning", text);
}

void call_wait_pid(struct call *call)
{
    if (call->request.dry)
        return;
    buf_printf(&call->line, "{\"wait\":%ld}", (long)getpid());
    send_line(call);
}

/* The client closes once it has read the last line, however slow it reads. */
static void end(struct call *call)
{
    if (call->ended)
        return;
    call->ended = true;
    timer_set(&call->timer, LEAVE_MS);
    if (call->held)
        visit_free(call->held);
    call->held = NULL;
}

void call_exit(struct call *call)
{
    buf_append_str(&call->line, "{\"exit\":0}");
    send_line(call);
    end(call);
}

bool call_is_dry(struct call *call)
{
    if (call->request.dry)
        call_exit(call);
    return call->request.dry;
}

static void fail(struct call *call, int code, struct slice text)
{
    while (text.len && text.data[text.len - 1] == '\n')
        text.len--;
    buf_printf(&call->line, "{\"exit\":%d,\"error\":", code);
    cell_put_string(&call->line, text);
    buf_append_byte(&call->line, '}');
    send_line(call);
    end(call);
}

__attribute__((format(printf, 4, 0))) static void
fail_formatted(struct call *call, int code, const char *head, const char *fmt, va_list ap)
{
    struct buf text = BUF_INIT;
    buf_append_str(&text, head);
    buf_vprintf(&text, fmt, ap);
    fail(call, code, buf_slice(&text));
    buf_fini(&text);
}

void call_fail(struct call *call, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_formatted(call, code, "Error:\n", fmt, ap);
    va_end(ap);
}

void call_fail_plain(struct call *call, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_formatted(call, code, "", fmt, ap);
    va_end(ap);
}

void call_refuse(struct call *call, int code, const char *fmt, ...)
{
    struct buf problem = BUF_INIT, text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&problem, fmt, ap);
    va_end(ap);
    args_put_error(&text, &call->args, call->request.words, call->request.count,
                   buf_cstr(&problem));
    fail(call, code, buf_slice(&text));
    buf_fini(&problem);
    buf_fini(&text);
}

/* ---- visits ---- */

struct node *call_node(const struct call *call)
{
    return shard_node(call->shard);
}

void *visit_new(size_t size, bool (*run)(struct visit *visit, struct shard *shard),
                void (*on_end)(struct call *call, struct visit *visit))
{
    struct visit *visit = mem_zalloc(size);
    visit->run = run;
    visit->on_end = on_end;
    return visit;
}

/* Frees the visit if nothing is to be done. */
static bool drop_dry(struct call *call, struct visit *visit)
{
    if (call->request.dry)
        visit_free(visit);
    return call_is_dry(call);
}

void call_visit(struct call *call, struct visit *visit)
{
    if (drop_dry(call, visit))
        return;
    visit->home = call->addr;
    visit->shard = node_shard_count(call_node(call)) - 1;
    visit_go(visit);
}

void call_visit_alone(struct call *call, struct visit *visit, unsigned shard)
{
    if (drop_dry(call, visit))
        return;
    visit->home = call->addr;
    visit->shard = shard;
    visit->alone = true;
    visit_go(visit);
}

void call_visit_first(struct call *call, struct visit *visit)
{
    call_visit_alone(call, visit, 0);
}

void call_visit_end(struct call *call, struct visit *visit)
{
    (void)visit;
    call_exit(call);
}

/* The client took what the last portion brought: the next one. */
static void go_on(struct call *call, struct visit *visit)
{
    if (visit_step(visit)) {
        visit_go(visit);
    } else {
        visit->on_end(call, visit);
        visit_free(visit);
    }
}

static void resume(struct call *call)
{
    struct visit *visit = call->held;
    call->held = NULL;
    if (visit)
        go_on(call, visit);
}

static void on_back(struct call *call, struct visit *visit)
{
    if (call->ended) {
        visit_free(visit);
        return;
    }
    call_write(call, buf_slice(&visit->out));
    buf_clear(&visit->out);
    if (stream_is_full(call->stream)) {
        call->held = visit;
    } else if (visit->pause_ms && !visit->done) {
        call->held = visit;
        call->on_timer = resume;
        timer_set(&call->timer, visit->pause_ms);
    } else {
        go_on(call, visit);
    }
}

/* ---- requests to the metadata master ---- */

struct meta_request *call_request(struct call *call, enum meta_verb verb)
{
    struct meta_request *request = meta_request_new(verb, call->addr);
    request->flags = META_TRUSTED;
    return request;
}

void call_finish_request(struct call *call, const struct meta_request *request)
{
    if (request->code)
        call_fail(call, err_info(request->code)->exit_code, "%s", request->why.text);
    else
        call_exit(call);
}

void call_submit(struct call *call, struct meta_request **request,
                 void (*on_meta)(struct call *call, const struct meta_request *request))
{
    if (call_is_dry(call)) {
        meta_request_free(request);
        return;
    }
    call->on_meta = on_meta ? on_meta : call_finish_request;
    meta_post(call_node(call), request);
}

static void on_meta_reply(struct call *call, struct meta_request *request)
{
    void (*on_meta)(struct call *, const struct meta_request *) = call->on_meta;
    call->on_meta = NULL;
    if (on_meta && !call->ended)
        on_meta(call, request);
    meta_request_free(&request);
}

static void on_query_reply(struct call *call, const struct op_queue_query *answer)
{
    void (*on_query)(struct call *, const struct op_queue_query *) = call->on_query;
    call->on_query = NULL;
    if (on_query && !call->ended)
        on_query(call, answer);
}

static void on_waiting_page(struct call *call, struct waiting_page *page)
{
    if (call->on_waiting && !call->ended)
        call->on_waiting(call, page);
    waiting_page_free(&page);
}

static void on_trace_line(struct call *call, char *text)
{
    if (call->on_line && !call->ended)
        call->on_line(call, text);
    else
        free(text);
}

static void on_op(void *object, struct op *op)
{
    struct call *call = object;
    switch (op->kind) {
    case ADMIN_OP_BACK:
        on_back(call, visit_of(op));
        break;
    case OP_META_REPLY:
        on_meta_reply(call, op_body(op, struct op_meta)->request);
        break;
    case OP_QUERY_REPLY:
        on_query_reply(call, op_body(op, struct op_queue_query));
        break;
    case OP_WAITING_PAGE:
        on_waiting_page(call, op_body(op, struct op_waiting)->page);
        break;
    case OP_TRACE_LINE:
        on_trace_line(call, op_body(op, struct op_text)->text);
        break;
    default:
        break;
    }
}

static const struct actor_type call_type = {"control call", on_op};

/* ---- the stream ---- */

/* The node by its name, or by what is before the @. */
static bool is_meant(const struct call *call)
{
    const char *wanted = call->request.node, *name = meta_node_name(call_node(call));
    if (!wanted || !strcmp(wanted, name))
        return true;
    size_t length = strlen(wanted);
    return !strchr(wanted, '@') && !strncmp(wanted, name, length) && name[length] == '@';
}

static bool can_run(struct call *call)
{
    const struct command *command = call->args.command;
    if (command->options & COMMAND_STOPPED || !admin_of(call_node(call))->options.offline)
        return true;
    call_fail(call, EX_UNAVAILABLE, "%s needs a broker that runs", command->name);
    return false;
}

static void start(struct call *call, struct slice line)
{
    struct buf error = BUF_INIT;
    const char *problem = "";
    call->asked = true;
    timer_stop(&call->timer);
    if (!request_parse(line, &call->request, &problem)) {
        call_fail(call, EX_PROTOCOL, "%s", problem);
        return;
    }
    const char *tool = call->request.tool ? call->request.tool : TOOL_NAME;
    int code = args_parse(&call->args, tool, call->request.words, call->request.count, &error);
    if (!is_meant(call)) {
        call_fail_plain(call, EX_UNAVAILABLE,
                        "Error: unable to perform an operation on node '%s': this is node '%s'",
                        call->request.node, meta_node_name(call_node(call)));
    } else if (code) {
        fail(call, code, buf_slice(&error));
    } else {
        log_debug(ADMIN, NULL, "command %s", call->args.command->name);
        if (can_run(call))
            call->args.command->run(call);
    }
    buf_fini(&error);
}

static void on_answer(struct call *call, struct slice line)
{
    void (*then)(struct call *, const char *) = call->on_answer;
    char *answer = NULL;
    call->on_answer = NULL;
    if (!then || !request_parse_answer(line, &answer)) {
        call_fail(call, EX_PROTOCOL, "the client sent a line that nobody asked for");
        return;
    }
    then(call, answer);
    if (answer)
        explicit_bzero(answer, strlen(answer));
    free(answer);
}

static void on_frame(struct call *call, struct slice line)
{
    size_t size;
    if (!request_parse_data(line, &size)) {
        call_fail(call, EX_PROTOCOL, "the client sent something else than its file");
    } else if (size) {
        call->frame = size;
    } else {
        void (*on_chunk)(struct call *, struct slice) = call->on_chunk;
        call->on_chunk = NULL;
        on_chunk(call, SLICE_EMPTY);
    }
}

static void on_line(struct call *call, struct slice line)
{
    if (!call->asked)
        start(call, line);
    else if (call->on_chunk)
        on_frame(call, line);
    else
        on_answer(call, line);
}

static size_t on_data(void *arg, struct slice data)
{
    struct call *call = arg;
    size_t used = 0;
    while (used < data.len && !call->ended) {
        const uint8_t *at = data.data + used;
        if (call->frame) {
            size_t size = call->frame;
            if (data.len - used < size)
                return used;
            call->frame = 0;
            call->on_chunk(call, slice_of(at, size));
            used += size;
            continue;
        }
        const uint8_t *newline = memchr(at, '\n', data.len - used);
        size_t length = newline ? (size_t)(newline - at) : data.len - used;
        if (length > CONTROL_LINE_MAX) {
            call_fail(call, EX_PROTOCOL, "the line is too long");
            break;
        }
        if (!newline)
            return used;
        on_line(call, slice_of(at, length));
        used += length + 1;
    }
    return data.len;
}

static void on_drained(void *arg)
{
    resume(arg);
}

static void on_closed(void *arg, const char *why)
{
    struct call *call = arg;
    (void)why;
    if (call->on_gone)
        call->on_gone(call);
    timer_stop(&call->timer);
    if (call->held)
        visit_free(call->held);
    slot_free(call->shard, call->addr);
    request_fini(&call->request);
    buf_fini(&call->line);
    free(call);
}

static const struct stream_handler call_handler = {on_data, on_drained, on_closed};

static void on_timer(struct timer *t)
{
    struct call *call = list_entry(t, struct call, timer);
    if (call->ended && stream_pending(call->stream))
        timer_set(t, LEAVE_MS);
    else if (call->ended)
        stream_close(call->stream, LINGER_MS);
    else if (call->on_timer)
        call->on_timer(call);
    else
        call_fail(call, EX_PROTOCOL, "no request came");
}

/* Whoever may open the socket is let in if it is root or the broker's own user. */
static bool is_trusted(const struct stream *stream)
{
    uid_t uid;
    return stream_peer_user(stream, &uid) && (uid == 0 || uid == geteuid());
}

void call_open(struct stream *stream, void *unused)
{
    (void)unused;
    struct call *call = NEW(struct call);
    call->shard = stream_shard(stream);
    call->stream = stream;
    call->addr = slot_new(call->shard, &call_type, call);
    timer_init(&call->timer, call->shard, on_timer);
    timer_set(&call->timer, REQUEST_MS);
    stream_set_handler(stream, &call_handler, call);
    if (!is_trusted(stream)) {
        log_warning(ADMIN, NULL, "the control socket was opened by a user that may not");
        call_fail(call, EX_NOPERM, "only root and the user of the broker may use this socket");
        stream_close(stream, LINGER_MS);
    }
}
