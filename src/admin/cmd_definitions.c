/* Listings of definitions, walked on shard 0 in portions. The rows come in the order the objects
 * were made; the client sorts them by their key. */
#include "admin/handlers.h"
#include "admin/listing.h"
#include "admin/mirroring.h"

#include "meta/access.h"

#include <sysexits.h>

struct definitions_visit {
    struct visit visit;
    struct rows rows;
    enum meta_noun noun;
    struct slice vhost; /* owned; empty: all */
    struct slice user;  /* owned; empty: all */
    bool mirroring;     /* only policies that ask for it */
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
    if (v->mirroring)
        return mirroring_is_asked(row);
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

static struct definitions_visit *new_visit(const struct rows *rows, enum meta_noun noun,
                                           const char *vhost, const char *user)
{
    struct definitions_visit *v = visit_new(sizeof *v, definitions_run, call_visit_end);
    v->visit.fini = definitions_fini;
    v->rows = *rows;
    v->noun = noun;
    v->vhost = slice_dup(slice_str(vhost));
    v->user = slice_dup(slice_str(user));
    return v;
}

static void start(struct call *call, const struct rows *rows, enum meta_noun noun,
                  const char *vhost, const char *user)
{
    call_visit_first(call, &new_visit(rows, noun, vhost, user)->visit);
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

/* ---- policies, parameters, limits ---- */

static const char policy_columns[] = "vhost name pattern apply-to definition priority";

void run_list_policies(struct call *call)
{
    list_in_vhost(call, META_POLICIES, policy_columns, "policies");
}

void run_list_operator_policies(struct call *call)
{
    list_in_vhost(call, META_OPERATOR_POLICIES, policy_columns, "operator policy overrides");
}

static void list_mirroring(struct call *call, enum meta_noun noun, const char *what)
{
    struct rows rows;
    call_banner(call, "Listing %s that ask for mirrors of classic queues ...", what);
    rows_begin_fixed(call, &rows, policy_columns, true);
    struct definitions_visit *v = new_visit(&rows, noun, "", "");
    v->mirroring = true;
    call_visit_first(call, &v->visit);
}

void run_list_policies_with_classic_queue_mirroring(struct call *call)
{
    list_mirroring(call, META_POLICIES, "policies");
}

void run_list_operator_policies_with_classic_queue_mirroring(struct call *call)
{
    list_mirroring(call, META_OPERATOR_POLICIES, "operator policies");
}

void run_list_parameters(struct call *call)
{
    list_in_vhost(call, META_PARAMETERS, "component name value", "runtime parameters");
}

static void list_everywhere(struct call *call, enum meta_noun noun, const char *columns,
                            const char *what)
{
    struct rows rows;
    call_banner(call, "Listing %s ...", what);
    rows_begin_fixed(call, &rows, columns, true);
    start(call, &rows, noun, "", "");
}

void run_list_global_parameters(struct call *call)
{
    list_everywhere(call, META_GLOBAL_PARAMETERS, "name value", "global runtime parameters");
}

/* One object's limits are no table but a line, which is empty where there are none, as RabbitMQ has
 * it: tools take the first. */
static void print_limits(struct call *call, const struct buf *limits)
{
    call_print(call, "%.*s", SLICE_ARG(buf_slice(limits)));
    call_exit(call);
}

void run_list_vhost_limits(struct call *call)
{
    const char *name = call_vhost(call);
    struct buf limits = BUF_INIT;
    if (call_has(call, OPT_GLOBAL)) {
        list_everywhere(call, META_VHOST_LIMITS, "vhost limits", "limits for all vhosts");
        return;
    }
    call_banner(call, "Listing limits for vhost \"%s\" ...", name);
    const struct vhost *vhost = routing_find_vhost(routing_of(call->shard), slice_str(name));
    if (!vhost) {
        call_fail_plain(call, EX_DATAERR, "Virtual host '%s' does not exist", name);
        return;
    }
    vhost_put_limits(vhost, &limits);
    print_limits(call, &limits);
    buf_fini(&limits);
}

void run_list_user_limits(struct call *call)
{
    const char *name = call_option(call, OPT_USER, "guest");
    struct buf limits = BUF_INIT;
    if (call_has(call, OPT_GLOBAL)) {
        list_everywhere(call, META_USER_LIMITS, "user limits", "limits for all users");
        return;
    }
    call_banner(call, "Listing limits for user \"%s\" ...", name);
    if (access_put_limits(routing_of(call->shard), slice_str(name), &limits))
        print_limits(call, &limits);
    else
        call_fail(call, EX_NOUSER, "User \"%s\" does not exist", name);
    buf_fini(&limits);
}
