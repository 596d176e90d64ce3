/* Connections, channels and consumers. */
#include "http/handlers.h"
#include "http/kind.h"
#include "http/login.h"
#include "http/session.h"

#include "base/log.h"

#include <string.h>

void api_connections(struct session *s)
{
    list_start(s, &kind_connections, list_asker(s));
}

void api_connections_of(struct session *s)
{
    struct asker asker = list_asker(s);
    asker.text2 = slice_dup(s->args[0]);
    list_start(s, &kind_connections, asker);
}

void api_connection(struct session *s)
{
    struct asker asker = list_asker(s);
    asker.text = slice_dup(s->args[0]);
    list_start_one(s, &kind_connections, asker);
}

void api_channels(struct session *s)
{
    if (list_refuse_stats(s))
        return;
    list_start(s, &kind_channels, list_asker(s));
}

void api_channels_of(struct session *s)
{
    if (list_refuse_stats(s))
        return;
    struct asker asker = list_asker(s);
    asker.text2 = slice_dup(s->args[0]);
    list_start(s, &kind_channels, asker);
}

void api_channel(struct session *s)
{
    if (list_refuse_stats(s))
        return;
    struct asker asker = list_asker(s);
    asker.text = slice_dup(s->args[0]);
    list_start_one(s, &kind_channel_details, asker);
}

void api_consumers(struct session *s)
{
    if (list_refuse_stats(s))
        return;
    list_start(s, &kind_consumers, list_asker(s));
}

/* ---- closing ---- */

struct closing {
    struct visit visit;
    const char *column;  /* "name" or "user" */
    struct slice value;  /* owned */
    struct slice user;   /* owned: whose connections it may close; data NULL: anybody's */
    struct slice reason; /* owned */
    bool all;
    size_t closed, others; /* others: it may not */
};

static void closing_fini(struct visit *visit)
{
    struct closing *c = (struct closing *)visit;
    slice_free(&c->value);
    slice_free(&c->user);
    slice_free(&c->reason);
}

static bool has(const void *connection, const char *column, struct slice wanted)
{
    struct value v = listing_get(LISTING_CONNECTIONS, connection, column);
    bool same = v.type == VALUE_TEXT && slice_eq(v.bytes, wanted);
    value_fini(&v);
    return same;
}

static void close_it(const struct closing *c, const void *connection)
{
    struct value v = listing_get(LISTING_CONNECTIONS, connection, "addr");
    uint64_t n = (uint64_t)v.integer;
    value_fini(&v);
    struct op op = {.kind = OP_SESSION_CLOSE, .to = addr_from_u64(n)};
    op_body(&op, struct op_text)->text = slice_cstr(c->reason);
    post(&op);
}

static bool close_run(struct visit *visit, struct shard *shard)
{
    struct closing *c = (struct closing *)visit;
    size_t budget = VISIT_OBJECTS, index;
    while (visit_next(visit, listing_count(shard, LISTING_CONNECTIONS), &budget, &index)) {
        const void *connection = listing_at(shard, LISTING_CONNECTIONS, index);
        if (!has(connection, c->column, c->value))
            continue;
        if (c->user.data && !has(connection, "user", c->user)) {
            c->others++;
            continue;
        }
        close_it(c, connection);
        c->closed++;
    }
    return !visit->left;
}

static void refuse_others(struct session *s)
{
    reply_error(s, 401, "not_authorised", "User not authorised to access object");
}

static void on_closed(struct session *s, struct visit *visit)
{
    const struct closing *c = (const struct closing *)visit;
    if (session_visit_on(s, visit))
        return;
    bool good = c->all || c->closed, refused = c->others > 0;
    if (good)
        log_info(ADMIN, NULL, "user '%.*s' closed %zu connections with the %s '%.*s': %.*s",
                 SLICE_ARG(s->user), c->closed, c->column, SLICE_ARG(c->value),
                 SLICE_ARG(c->reason));
    visit_free(visit);
    if (good)
        reply_empty(s, 204);
    else if (refused)
        refuse_others(s);
    else
        reply_not_found(s);
}

static void start_closing(struct session *s, const char *column, bool all)
{
    struct slice reason = message_of(s->parser)->headers[HEADER_X_REASON];
    struct closing *c = session_visit_new(sizeof *c, close_run);
    c->visit.fini = closing_fini;
    c->column = column;
    c->value = slice_dup(s->args[0]);
    if (!login_is_administrator(s))
        c->user = slice_dup(s->user);
    c->reason = slice_dup(reason.len ? reason : SLICE("Closed via management plugin"));
    c->all = all;
    session_visit(s, &c->visit, node_shard_count(session_node(s)) - 1, on_closed);
}

void api_close_connection(struct session *s)
{
    start_closing(s, "name", false);
}

void api_close_connections_of(struct session *s)
{
    if (login_is_administrator(s) || slice_eq(s->args[0], s->user))
        start_closing(s, "user", true);
    else
        refuse_others(s);
}
