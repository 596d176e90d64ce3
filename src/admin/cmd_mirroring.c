/* Finding and taking away what policies say of mirrors of classic queues. On shard 0, in portions.
 */
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/health.h"
#include "admin/mirroring.h"

#include "base/log.h"
#include "base/table.h"

#include <sysexits.h>

enum { ITEMS = 50 }; /* that change in one portion */

static const enum meta_noun nouns[] = {META_POLICIES, META_OPERATOR_POLICIES};
enum { NOUNS = sizeof nouns / sizeof *nouns };

struct mirroring {
    struct visit visit;
    struct meta_cursor cursor;
    unsigned noun; /* of nouns, the one that is walked */
    bool walking;
    struct meta_request *requests[ITEMS]; /* owned, of this portion */
    size_t count, changed, cleared;
    bool failed;
    struct failure why;
    struct health health; /* of the check, like what follows */
    struct buf lists[NOUNS];
};

/* Appends the definition that a row has; the slice is within out. */
static struct slice definition_of(const struct meta_row *row, struct buf *out)
{
    struct slice rule, definition = SLICE_EMPTY;
    meta_row_put_definition(row, out);
    if (!table_find_table(buf_slice(out), SLICE("value"), &rule)) /* of an operator policy */
        rule = buf_slice(out);
    table_find_table(rule, SLICE("definition"), &definition);
    return definition;
}

bool mirroring_is_asked(const struct meta_row *row)
{
    struct buf room = BUF_INIT;
    struct table_value mode;
    bool asked = table_find(definition_of(row, &room), SLICE("ha-mode"), &mode);
    buf_fini(&room);
    return asked;
}

/* ---- walking ---- */

/* False: nothing is left of any noun. */
static bool walk_some(struct node *node, struct mirroring *m,
                      bool (*fn)(const struct meta_row *row, void *arg))
{
    if (!m->walking)
        m->cursor = meta_cursor_begin(node, nouns[m->noun], SLICE_EMPTY);
    m->walking = meta_cursor_next(node, &m->cursor, VISIT_OBJECTS, fn, m);
    if (!m->walking)
        m->noun++;
    return m->noun < NOUNS;
}

/* ---- taking away ---- */

static void take_text(struct slice *field, const struct meta_row *row, const char *column)
{
    struct value value = meta_row_get(row, column);
    meta_request_set(field, value.bytes);
    value_fini(&value);
}

/* What is left of the definition as the request's value; false: nothing is. */
static bool keep_others(struct meta_request *request, const struct meta_row *row)
{
    struct buf room = BUF_INIT, others = BUF_INIT, entry = BUF_INIT;
    struct slice key;
    struct table_value value;
    for (struct table_iter it = table_iter(definition_of(row, &room));
         table_next(&it, &key, &value);) {
        if (!slice_starts(key, SLICE("ha-")))
            table_put(&others, key, &value);
    }
    bool any = others.len != 0;
    table_put_table(&entry, SLICE("value"), buf_slice(&others));
    meta_request_set(&request->args, buf_slice(&entry));
    buf_fini(&others);
    buf_fini(&entry);
    buf_fini(&room);
    return any;
}

static bool collect(const struct meta_row *row, void *arg)
{
    struct mirroring *m = arg;
    if (!mirroring_is_asked(row))
        return true;
    struct meta_request *request = meta_request_new(META_POLICY_SET, ADDR_NONE);
    struct value priority = meta_row_get(row, "priority");
    request->flags |= META_TRUSTED | (nouns[m->noun] == META_OPERATOR_POLICIES ? META_OPERATOR : 0);
    request->priority = priority.integer;
    take_text(&request->vhost, row, "vhost");
    take_text(&request->name, row, "name");
    take_text(&request->pattern, row, "pattern");
    take_text(&request->apply_to, row, "apply-to");
    if (!keep_others(request, row))
        request->verb = META_POLICY_CLEAR;
    value_fini(&priority);
    m->requests[m->count++] = request;
    return m->count < ITEMS;
}

static bool remove_run(struct visit *visit, struct shard *shard)
{
    struct mirroring *m = (struct mirroring *)visit;
    struct node *node = shard_node(shard);
    bool more = walk_some(node, m, collect);
    for (size_t i = 0; i < m->count; i++) {
        struct meta_request *request = m->requests[i];
        bool clears = request->verb == META_POLICY_CLEAR;
        if (!m->failed && meta_put(node, request)) {
            m->failed = true;
            m->why = request->why;
        }
        m->changed += !m->failed && !clears;
        m->cleared += !m->failed && clears;
        meta_request_free(&request);
    }
    m->count = 0;
    return m->failed || !more;
}

static void on_removed(struct call *call, struct visit *visit)
{
    const struct mirroring *m = (struct mirroring *)visit;
    struct buf text = BUF_INIT;
    if (m->failed) {
        call_fail(call, EX_UNAVAILABLE, "%s", m->why.text);
        return;
    }
    buf_printf(&text, "%zu policies were changed, %zu that said nothing else were deleted",
               m->changed, m->cleared);
    log_info(ADMIN, NULL, "mirroring of classic queues: %s", buf_cstr(&text));
    call_notice(call, buf_slice(&text));
    buf_fini(&text);
    struct meta_request *sync = call_request(call, META_SYNC);
    call_submit(call, &sync, NULL);
}

void run_remove_classic_queue_mirroring_from_policies(struct call *call)
{
    call_banner(call, "Will remove mirroring of classic queues from all policies and operator "
                      "policies");
    call_visit_first(call, visit_new(sizeof(struct mirroring), remove_run, on_removed));
}

/* ---- the check ---- */

static void check_fini(struct visit *visit)
{
    struct mirroring *m = (struct mirroring *)visit;
    health_fini(&m->health);
    for (unsigned i = 0; i < NOUNS; i++)
        buf_fini(&m->lists[i]);
}

static bool note(const struct meta_row *row, void *arg)
{
    struct mirroring *m = arg;
    struct buf *list = &m->lists[m->noun], *text = &m->health.text;
    if (!mirroring_is_asked(row))
        return true;
    struct value name = meta_row_get(row, "name"), vhost = meta_row_get(row, "vhost");
    buf_printf(text, "%s%s %.*s of vhost %.*s asks for mirrors of classic queues",
               text->len ? "\n" : "",
               nouns[m->noun] == META_OPERATOR_POLICIES ? "Operator policy" : "Policy",
               SLICE_ARG(name.bytes), SLICE_ARG(vhost.bytes));
    buf_append_str(list, list->len ? ",{\"name\":" : "{\"name\":");
    cell_put_string(list, name.bytes);
    buf_append_str(list, ",\"vhost\":");
    cell_put_string(list, vhost.bytes);
    buf_append_byte(list, '}');
    value_fini(&name);
    value_fini(&vhost);
    return true;
}

static bool check_run(struct visit *visit, struct shard *shard)
{
    return !walk_some(shard_node(shard), (struct mirroring *)visit, note);
}

static void on_checked(struct call *call, struct visit *visit)
{
    struct mirroring *m = (struct mirroring *)visit;
    struct health *h = &m->health;
    h->ok = !h->text.len;
    if (h->ok)
        buf_append_str(&h->text, "No policy asks for mirrors of classic queues");
    else
        buf_printf(&h->fields, ",\"policies\":[%s],\"operator_policies\":[%s]",
                   buf_cstr(&m->lists[0]), buf_cstr(&m->lists[1]));
    health_answer(call, h, false, false);
}

void run_check_if_cluster_has_classic_queue_mirroring_policy(struct call *call)
{
    struct mirroring *m = visit_new(sizeof *m, check_run, on_checked);
    m->visit.fini = check_fini;
    call_banner(call, "Checking if any policy asks for mirrors of classic queues ...");
    call_visit_first(call, &m->visit);
}
