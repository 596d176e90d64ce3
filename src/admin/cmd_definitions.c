/* Listings of definitions, walked on shard 0 in portions. The rows come in the order the objects
 * were made; the client sorts them by their key. */
#include "admin/handlers.h"
#include "admin/listing.h"

#include "meta/access.h"

#include <sysexits.h>

struct definitions_visit {
    struct visit visit;
    struct rows rows;
    enum meta_noun noun;
    struct slice vhost; /* owned; empty: all */
    struct slice user;  /* owned; empty: all */
    struct meta_cursor cursor;
};

static void definitions_fini(struct visit *visit)
{
    struct definitions_visit *v = (struct definitions_visit *)visit;
    slice_free(&v->vhost);
    slice_free(&v->user);
}

static bool is_meant(const struct definitions_visit *v, const struct meta_row *row)
{
    if (!v->user.len)
        return true;
    struct value user = meta_row_get(row, "user");
    bool same = slice_eq(user.bytes, v->user);
    value_fini(&user);
    return same;
}

static bool on_row(const struct meta_row *row, void *arg)
{
    struct definitions_visit *v = arg;
    struct buf *out = &v->visit.out, key = BUF_INIT;
    if (!is_meant(v, row))
        return true;
    row_begin(out);
    meta_row_put_key(row, &key);
    row_put_key(out, buf_slice(&key));
    buf_fini(&key);
    for (size_t i = 0; i < v->rows.columns.count; i++) {
        const char *column = v->rows.columns.names[i];
        row_put(out, &v->rows, column, meta_row_get(row, column));
    }
    row_end(out);
    return out->len < VISIT_BYTES;
}

static bool definitions_run(struct visit *visit, struct shard *shard)
{
    struct definitions_visit *v = (struct definitions_visit *)visit;
    const struct node *node = shard_node(shard);
    if (!visit->begun)
        v->cursor = meta_cursor_begin(node, v->noun, v->vhost);
    visit->begun = true;
    return !meta_cursor_next(node, &v->cursor, VISIT_OBJECTS, on_row, v);
}

static void start(struct call *call, const struct rows *rows, enum meta_noun noun,
                  const char *vhost, const char *user)
{
    struct definitions_visit *v = visit_new(sizeof *v, definitions_run, call_visit_end);
    v->visit.fini = definitions_fini;
    v->rows = *rows;
    v->noun = noun;
    v->vhost = slice_dup(slice_str(vhost));
    v->user = slice_dup(slice_str(user));
    call_visit_first(call, &v->visit);
}

void run_list_vhosts(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows, "name", true, "Listing vhosts ..."))
        start(call, &rows, META_VHOSTS, "", "");
}

void run_list_exchanges(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows, "name type", true, "Listing exchanges for vhost %s ...",
                   call_vhost(call)))
        start(call, &rows, META_EXCHANGES, call_vhost(call), "");
}

void run_list_bindings(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows,
                   "source_name source_kind destination_name destination_kind routing_key "
                   "arguments",
                   true, "Listing bindings for vhost %s...", call_vhost(call)))
        start(call, &rows, META_BINDINGS, call_vhost(call), "");
}

void run_list_users(struct call *call)
{
    struct rows rows;
    call_banner(call, "Listing users ...");
    rows_begin_fixed(call, &rows, "user tags", true);
    start(call, &rows, META_USERS, "", "");
}

/* ---- permissions ---- */

static void list_in_vhost(struct call *call, enum meta_noun noun, const char *columns,
                          const char *what)
{
    struct rows rows;
    const char *vhost = call_vhost(call);
    call_banner(call, "Listing %s for vhost \"%s\" ...", what, vhost);
    if (!routing_find_vhost(routing_of(call->shard), slice_str(vhost))) {
        call_fail_plain(call, EX_DATAERR, "Virtual host '%s' does not exist", vhost);
        return;
    }
    rows_begin_fixed(call, &rows, columns, true);
    start(call, &rows, noun, vhost, "");
}

static void list_of_user(struct call *call, enum meta_noun noun, const char *columns,
                         const char *what)
{
    struct rows rows;
    const char *user = call->args.words[0];
    call_banner(call, "Listing %s for user \"%s\" ...", what, user);
    if (!access_user_exists(routing_of(call->shard), slice_str(user))) {
        call_fail(call, EX_NOUSER, "User \"%s\" does not exist", user);
        return;
    }
    rows_begin_fixed(call, &rows, columns, true);
    start(call, &rows, noun, "", user);
}

void run_list_permissions(struct call *call)
{
    list_in_vhost(call, META_PERMISSIONS, "user configure write read", "permissions");
}

void run_list_topic_permissions(struct call *call)
{
    list_in_vhost(call, META_TOPIC_PERMISSIONS, "user exchange write read", "topic permissions");
}

void run_list_user_permissions(struct call *call)
{
    list_of_user(call, META_PERMISSIONS, "vhost configure write read", "permissions");
}

void run_list_user_topic_permissions(struct call *call)
{
    list_of_user(call, META_TOPIC_PERMISSIONS, "vhost exchange write read", "topic permissions");
}
