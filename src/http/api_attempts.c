/* How often clients logged in, or failed to: totals by protocol, and by where they came from. */
#include "http/handlers.h"
#include "http/http_priv.h"
#include "http/session.h"
#include "http/view.h"

#include "base/mem.h"
#include "broker/broker.h"
#include "meta/logins.h"

#include <stdlib.h>

struct attempts {
    struct visit visit;
    const struct http *http;
    uint64_t right[LOGIN_FRONTS], wrong[LOGIN_FRONTS];
    bool by_source;
    struct login_source *sources; /* texts owned */
    size_t count, cap;
};

static void attempts_fini(struct visit *visit)
{
    struct attempts *a = (struct attempts *)visit;
    for (size_t i = 0; i < a->count; i++) {
        slice_free(&a->sources[i].address);
        slice_free(&a->sources[i].user);
    }
    free(a->sources);
}

static bool add_source(const struct login_source *source, void *arg)
{
    struct attempts *a = arg;
    MEM_GROW(a->sources, a->cap, a->count + 1);
    struct login_source *copy = &a->sources[a->count++];
    *copy = *source;
    copy->address = slice_dup(source->address);
    copy->user = slice_dup(source->user);
    return true;
}

static const enum broker_total totals_right[LOGIN_FRONTS] = {
    [LOGIN_FRONT_AMQP] = TOTAL_LOGINS, [LOGIN_FRONT_HTTP] = TOTAL_HTTP_LOGINS};
static const enum broker_total totals_wrong[LOGIN_FRONTS] = {
    [LOGIN_FRONT_AMQP] = TOTAL_LOGINS_REFUSED, [LOGIN_FRONT_HTTP] = TOTAL_HTTP_LOGINS_REFUSED};

static bool count_run(struct visit *visit, struct shard *shard)
{
    struct attempts *a = (struct attempts *)visit;
    const uint64_t *totals = broker_totals(shard);
    const struct http_forgotten *past = &a->http->forgotten[shard_index(shard)];
    for (int front = 0; front < LOGIN_FRONTS; front++) {
        a->right[front] += totals[totals_right[front]] - past->right[front];
        a->wrong[front] += totals[totals_wrong[front]] - past->wrong[front];
    }
    if (a->by_source)
        login_each_source(routing_of(shard), add_source, a);
    return true;
}

static void put_counts(struct view *v, enum login_front front, uint64_t right, uint64_t wrong)
{
    view_text(v, "protocol", slice_str(login_front_name(front)));
    view_int(v, "auth_attempts", (int64_t)(right + wrong));
    view_int(v, "auth_attempts_failed", (int64_t)wrong);
    view_int(v, "auth_attempts_succeeded", (int64_t)right);
}

static void put_totals(const struct attempts *a, struct buf *out)
{
    bool any = false;
    for (int front = 0; front < LOGIN_FRONTS; front++) {
        struct view v = view_of(out, NULL);
        if (!a->right[front] && !a->wrong[front])
            continue;
        if (any)
            buf_append_byte(out, ',');
        any = true;
        view_begin(&v);
        put_counts(&v, (enum login_front)front, a->right[front], a->wrong[front]);
        view_end(&v);
    }
}

static int compare(const void *one, const void *two)
{
    const struct login_source *a = one, *b = two;
    int c = slice_cmp(a->address, b->address);
    if (!c)
        c = slice_cmp(a->user, b->user);
    return c ? c : (int)a->front - (int)b->front;
}

/* One that came to several shards is shown once. */
static void put_sources(struct attempts *a, struct buf *out)
{
    if (a->count)
        qsort(a->sources, a->count, sizeof *a->sources, compare);
    for (size_t i = 0, next; i < a->count; i = next) {
        struct view v = view_of(out, NULL);
        uint64_t right = 0, wrong = 0;
        for (next = i; next < a->count && !compare(&a->sources[i], &a->sources[next]); next++) {
            right += a->sources[next].right;
            wrong += a->sources[next].wrong;
        }
        if (i)
            buf_append_byte(out, ',');
        view_begin(&v);
        view_text(&v, "remote_address", a->sources[i].address);
        view_text(&v, "username", a->sources[i].user);
        put_counts(&v, a->sources[i].front, right, wrong);
        view_end(&v);
    }
}

static void on_counted(struct session *s, struct visit *visit)
{
    struct attempts *a = (struct attempts *)visit;
    struct buf out = BUF_INIT;
    if (session_visit_on(s, visit))
        return;
    buf_append_byte(&out, '[');
    if (a->by_source)
        put_sources(a, &out);
    else
        put_totals(a, &out);
    buf_append_byte(&out, ']');
    reply_json(s, 200, buf_slice(&out));
    buf_fini(&out);
    visit_free(visit);
}

static void count(struct session *s, bool by_source)
{
    if (!session_names_node(s))
        return;
    struct attempts *a = session_visit_new(sizeof *a, count_run);
    a->visit.fini = attempts_fini;
    a->http = s->http;
    a->by_source = by_source;
    session_visit(s, &a->visit, node_shard_count(session_node(s)) - 1, on_counted);
}

void api_auth_attempts(struct session *s)
{
    count(s, false);
}

void api_auth_attempts_by_source(struct session *s)
{
    count(s, true);
}

static bool forget_run(struct visit *visit, struct shard *shard)
{
    const uint64_t *totals = broker_totals(shard);
    struct http_forgotten *past = &http_of(shard_node(shard))->forgotten[shard_index(shard)];
    (void)visit;
    for (int front = 0; front < LOGIN_FRONTS; front++) {
        past->right[front] = totals[totals_right[front]];
        past->wrong[front] = totals[totals_wrong[front]];
    }
    login_reset_sources(routing_of(shard));
    return true;
}

static void on_forgotten(struct session *s, struct visit *visit)
{
    if (session_visit_on(s, visit))
        return;
    reply_empty(s, 204);
    visit_free(visit);
}

void api_forget_attempts(struct session *s)
{
    if (session_names_node(s))
        session_visit(s, session_visit_new(sizeof(struct visit), forget_run),
                      node_shard_count(session_node(s)) - 1, on_forgotten);
}
