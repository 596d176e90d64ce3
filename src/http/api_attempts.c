/* How often clients logged in, or failed to: totals by protocol, and by where they came from. */
#include "admin/attempts.h"
#include "http/handlers.h"
#include "http/session.h"
#include "http/view.h"

static void put_row(const struct login_source *row, bool by_source, struct buf *out)
{
    struct view v = view_of(out, NULL);
    view_begin(&v);
    if (by_source) {
        view_text(&v, "remote_address", row->address);
        view_text(&v, "username", row->user);
    }
    view_text(&v, "protocol", slice_str(login_front_name(row->front)));
    view_int(&v, "auth_attempts", (int64_t)(row->right + row->wrong));
    view_int(&v, "auth_attempts_failed", (int64_t)row->wrong);
    view_int(&v, "auth_attempts_succeeded", (int64_t)row->right);
    view_end(&v);
}

static void on_counted(struct session *s, struct visit *visit)
{
    struct attempts *a = (struct attempts *)visit;
    struct buf out = BUF_INIT;
    if (session_visit_on(s, visit))
        return;
    buf_append_byte(&out, '[');
    attempts_merge(a);
    for (size_t i = 0; i < a->count; i++) {
        if (i)
            buf_append_byte(&out, ',');
        put_row(&a->rows[i], a->by_source, &out);
    }
    buf_append_byte(&out, ']');
    reply_json(s, 200, buf_slice(&out));
    buf_fini(&out);
    visit_free(visit);
}

static void count(struct session *s, bool by_source)
{
    if (!session_names_node(s))
        return;
    struct attempts *a = session_visit_new(sizeof *a, attempts_count);
    a->visit.fini = attempts_fini;
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
        session_visit(s, session_visit_new(sizeof(struct visit), attempts_forget),
                      node_shard_count(session_node(s)) - 1, on_forgotten);
}
