/* Closing and tracing connections. */
#include "admin/call.h"
#include "admin/connections.h"
#include "admin/handlers.h"
#include "admin/report.h"

#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Looks for connections with a column of some value. */
struct search {
    struct visit visit;
    const char *column;       /* "": any connection */
    struct slice value;       /* owned */
    struct slice explanation; /* owned; data NULL: they are only looked for */
    size_t limit, found;
    struct addr at; /* of the last one found */
};

static void search_fini(struct visit *visit)
{
    struct search *s = (struct search *)visit;
    slice_free(&s->value);
    slice_free(&s->explanation);
}

static bool has_value(const void *connection, const char *column, struct slice value)
{
    struct value v = listing_get(LISTING_CONNECTIONS, connection, column);
    bool same = v.type == VALUE_TEXT && slice_eq(v.bytes, value);
    value_fini(&v);
    return same;
}

static bool is_closing(const void *connection)
{
    return has_value(connection, "state", SLICE("closing")) ||
           has_value(connection, "state", SLICE("closed"));
}

static struct addr addr_of(const void *connection)
{
    struct value v = listing_get(LISTING_CONNECTIONS, connection, "addr");
    uint64_t n = v.type == VALUE_INT ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return (struct addr){.slot = (uint32_t)n,
                         .gen = (uint16_t)(n >> 32),
                         .shard = (uint8_t)(n >> 48),
                         .node = (uint8_t)(n >> 56)};
}

static void post_close(struct addr to, struct slice explanation)
{
    struct op op = {.to = to, .kind = OP_SESSION_CLOSE};
    op_body(&op, struct op_text)->text = slice_cstr(explanation);
    post(&op);
}

static bool matches(const struct search *s, const void *connection)
{
    if (!*s->column)
        return true;
    if (!strcmp(s->column, "addr")) {
        char text[32];
        snprintf(text, sizeof text, "%" PRIu64, addr_u64(addr_of(connection)));
        return slice_eq_str(s->value, text);
    }
    return has_value(connection, s->column, s->value) ||
           (!strcmp(s->column, "pid") && has_value(connection, "name", s->value));
}

static bool search_run(struct visit *visit, struct shard *shard)
{
    struct search *s = (struct search *)visit;
    size_t budget = VISIT_OBJECTS, index;
    if (s->found >= s->limit)
        return true;
    while (visit_next(visit, listing_count(shard, LISTING_CONNECTIONS), &budget, &index)) {
        const void *connection = listing_at(shard, LISTING_CONNECTIONS, index);
        if (!matches(s, connection) || is_closing(connection))
            continue;
        s->at = addr_of(connection);
        if (s->explanation.data)
            post_close(s->at, s->explanation);
        if (++s->found >= s->limit)
            return true;
        if (visit->pause_ms)
            break;
    }
    if (s->explanation.data && visit->left)
        report_progress(&visit->out, "%zu connections closed", s->found);
    return !visit->left;
}

static struct search *new_search(const char *column, const char *value, const char *explanation,
                                 void (*on_end)(struct call *call, struct visit *visit))
{
    struct search *s = visit_new(sizeof *s, search_run, on_end);
    s->visit.fini = search_fini;
    s->column = column;
    s->value = slice_dup(slice_str(value));
    s->limit = SIZE_MAX;
    if (explanation)
        s->explanation = slice_dup(slice_str(explanation));
    return s;
}

/* ---- closing ---- */

struct visit *connections_close_all(const char *explanation,
                                    void (*on_end)(struct call *call, struct visit *visit))
{
    return &new_search("", "", explanation, on_end)->visit;
}

size_t connections_closed(const struct visit *visit)
{
    return ((const struct search *)visit)->found;
}

static void on_one_closed(struct call *call, struct visit *visit)
{
    if (((struct search *)visit)->found)
        call_exit(call);
    else
        call_fail(call, EX_UNAVAILABLE, "no connection with pid %s", call->args.words[0]);
}

void run_close_connection(struct call *call)
{
    const char *pid = call->args.words[0], *explanation = call->args.words[1];
    call_banner(call, "Closing connection %s, reason: %s...", pid, explanation);
    log_info(ADMIN, NULL, "closing connection %s: %s", pid, explanation);
    struct search *s = new_search("pid", pid, explanation, on_one_closed);
    s->limit = 1;
    call_visit(call, &s->visit);
}

static void on_all_closed(struct call *call, struct visit *visit)
{
    call_banner(call, "Closed %zu connections", ((struct search *)visit)->found);
    call_exit(call);
}

/* A number of an option; false: it is none, and the call is refused. */
static bool read_number(struct call *call, enum option option, const char *name, size_t otherwise,
                        size_t *ret_number)
{
    const char *text = call_option(call, option, NULL);
    uint64_t n = otherwise;
    if (text && !args_number(text, 0, SIZE_MAX, &n)) {
        call_refuse(call, EX_USAGE, "Invalid options for this command:\n--%s : %s", name, text);
        return false;
    }
    *ret_number = n;
    return true;
}

void run_close_all_connections(struct call *call)
{
    bool global = call_has(call, OPT_GLOBAL);
    const char *explanation = call->args.words[0];
    size_t limit, pause;
    if (!read_number(call, OPT_LIMIT, "limit", 0, &limit) ||
        !read_number(call, OPT_DELAY, "per-connection-delay", 0, &pause))
        return;
    if (global)
        call_banner(call, "Closing all connections, reason: %s...", explanation);
    else
        call_banner(call, "Closing all connections in vhost %s, reason: %s...", call_vhost(call),
                    explanation);
    log_info(ADMIN, NULL, "closing all connections%s%s: %s", global ? "" : " in vhost ",
             global ? "" : call_vhost(call), explanation);
    struct search *s = new_search(global ? "" : "vhost", global ? "" : call_vhost(call),
                                  explanation, on_all_closed);
    s->limit = limit ? limit : SIZE_MAX;
    s->visit.pause_ms = pause < 60000 ? (unsigned)pause : 60000;
    call_visit(call, &s->visit);
}

void run_close_all_user_connections(struct call *call)
{
    const char *user = call->args.words[0], *explanation = call->args.words[1];
    call_banner(call, "Closing connections of user %s, reason: %s...", user, explanation);
    log_info(ADMIN, NULL, "closing connections of user %s: %s", user, explanation);
    struct search *s = new_search("user", user, explanation, call_visit_end);
    call_visit(call, &s->visit);
}

/* ---- tracing ---- */

enum { LOOK_AGAIN_MS = 2000 };

static void post_trace(struct addr connection, struct addr to)
{
    struct op op = {.to = connection, .kind = OP_SESSION_TRACE};
    *op_body(&op, struct addr) = to;
    post(&op);
}

/* A client that does not read loses lines, and is told how many. */
static void on_line(struct call *call, char *text)
{
    if (stream_is_full(call->stream)) {
        call->lost++;
    } else {
        if (call->lost)
            call_print(call, "(%" PRIu64 " methods were not shown)", call->lost);
        call->lost = 0;
        call_print_slice(call, slice_str(text));
    }
    free(text);
}

static void on_trace_gone(struct call *call)
{
    post_trace(call->target, ADDR_NONE);
}

static void on_looked(struct call *call, struct visit *visit);

/* Whether the connection still lives. */
static void look_again(struct call *call)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, addr_u64(call->target));
    struct search *s = new_search("addr", text, NULL, on_looked);
    s->limit = 1;
    call_visit(call, &s->visit);
}

static void on_looked(struct call *call, struct visit *visit)
{
    if (((struct search *)visit)->found) {
        timer_set(&call->timer, LOOK_AGAIN_MS);
    } else {
        call_banner(call, "The connection is closed");
        call_exit(call);
    }
}

static void on_found(struct call *call, struct visit *visit)
{
    const struct search *s = (struct search *)visit;
    if (!s->found) {
        call_fail(call, EX_UNAVAILABLE, "no connection with pid or name %s", call->args.words[0]);
        return;
    }
    call->target = s->at;
    call->on_line = on_line;
    call->on_gone = on_trace_gone;
    call->on_timer = look_again;
    post_trace(call->target, call->addr);
    timer_set(&call->timer, LOOK_AGAIN_MS);
}

void run_trace(struct call *call)
{
    call_banner(call, "Tracing connection %s; interrupt to stop ...", call->args.words[0]);
    struct search *s = new_search("pid", call->args.words[0], NULL, on_found);
    s->limit = 1;
    call_visit(call, &s->visit);
}
