/* How often clients logged in, or failed to. */
#include "admin/attempts.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/listing.h"

#include "meta/meta.h"

static void put_json(struct call *call, const struct attempts *a)
{
    struct buf json = BUF_INIT;
    buf_append_str(&json, "{\"result\":\"ok\",\"node\":");
    cell_put_string(&json, slice_str(meta_node_name(call_node(call))));
    buf_append_str(&json, ",\"attempts\":[");
    for (size_t i = 0; i < a->count; i++) {
        const struct login_source *row = &a->rows[i];
        buf_append_str(&json, i ? ",{" : "{");
        if (a->by_source) {
            buf_append_str(&json, "\"remote_address\":");
            cell_put_string(&json, row->address);
            buf_append_str(&json, ",\"username\":");
            cell_put_string(&json, row->user);
            buf_append_byte(&json, ',');
        }
        buf_printf(&json,
                   "\"protocol\":\"%s\",\"auth_attempts\":%llu,\"auth_attempts_failed\":%llu,"
                   "\"auth_attempts_succeeded\":%llu}",
                   login_front_name(row->front), (unsigned long long)(row->right + row->wrong),
                   (unsigned long long)row->wrong, (unsigned long long)row->right);
    }
    buf_append_str(&json, "]}");
    call_value(call, buf_slice(&json));
    buf_fini(&json);
}

static void put_table(struct call *call, const struct attempts *a)
{
    struct buf out = BUF_INIT;
    struct rows rows;
    rows_begin_fixed(call, &rows,
                     a->by_source ? "remote_address username protocol auth_attempts "
                                    "auth_attempts_failed auth_attempts_succeeded"
                                  : "protocol auth_attempts auth_attempts_failed "
                                    "auth_attempts_succeeded",
                     false);
    for (size_t i = 0; i < a->count; i++) {
        const struct login_source *row = &a->rows[i];
        row_begin(&out);
        if (a->by_source) {
            row_put(&out, &rows, "remote_address", value_text(row->address));
            row_put(&out, &rows, "username", value_text(row->user));
        }
        row_put_text(&out, &rows, login_front_name(row->front));
        row_put_int(&out, &rows, row->right + row->wrong);
        row_put_int(&out, &rows, row->wrong);
        row_put_int(&out, &rows, row->right);
        row_end(&out);
    }
    call_write(call, buf_slice(&out));
    buf_fini(&out);
}

static void on_counted(struct call *call, struct visit *visit)
{
    struct attempts *a = (struct attempts *)visit;
    attempts_merge(a);
    if (call->request.json)
        put_json(call, a);
    else if (a->count)
        put_table(call, a);
    else
        call_print(call, "Node %s reported no authentication attempt stats",
                   meta_node_name(call_node(call)));
    call_exit(call);
}

void run_list_node_auth_attempt_stats(struct call *call)
{
    struct attempts *a = visit_new(sizeof *a, attempts_count, on_counted);
    a->visit.fini = attempts_fini;
    a->by_source = call_has(call, OPT_BY_SOURCE);
    call_banner(call, "Listing authentication attempts for node \"%s\" ...",
                meta_node_name(call_node(call)));
    call_visit(call, &a->visit);
}

void run_reset_node_auth_attempt_metrics(struct call *call)
{
    call_banner(call, "Reset auth attempt metrics on node %s ...", meta_node_name(call_node(call)));
    call_visit(call, visit_new(sizeof(struct visit), attempts_forget, call_visit_end));
}

static void track_sources(struct call *call, bool on)
{
    call_banner(call, "%s authentication attempt source tracking ...",
                on ? "Enabling" : "Disabling");
    if (call_is_dry(call))
        return;
    login_track_sources(call_node(call), on);
    call_exit(call);
}

void run_enable_auth_attempt_source_tracking(struct call *call)
{
    track_sources(call, true);
}

void run_disable_auth_attempt_source_tracking(struct call *call)
{
    track_sources(call, false);
}
