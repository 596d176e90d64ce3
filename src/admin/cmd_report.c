/* All there is to know for somebody who helps: a list of commands, which the client runs one after
 * the other. */
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"

#include "meta/meta.h"

#include <string.h>

struct report_visit {
    struct visit visit;
    struct meta_cursor cursor;
};

/* {"next":["list_queues","-p","/"]}; words separated by blanks, the virtual host behind them. */
static void put_next(struct buf *out, const char *words, const struct value *vhost)
{
    const char *separator = "";
    buf_append_str(out, "{\"next\":[");
    while (*words) {
        size_t length = strcspn(words, " ");
        buf_append_str(out, separator);
        cell_put_string(out, slice_of(words, length));
        words += length + (words[length] == ' ');
        separator = ",";
    }
    if (vhost) {
        buf_append_str(out, ",\"-p\",");
        cell_put_string(out, vhost->bytes);
    }
    buf_append_str(out, "]}\n");
}

static bool put_vhost(const struct meta_row *row, void *arg)
{
    static const char *const commands[] = {
        "list_queues name type durable auto_delete exclusive arguments policy operator_policy "
        "messages_ready messages_unacknowledged messages consumers memory state",
        "list_exchanges name type durable auto_delete internal arguments policy",
        "list_bindings",
        "list_consumers",
        "list_permissions",
        "list_topic_permissions",
        "list_policies",
        "list_operator_policies",
        "list_parameters",
        "list_vhost_limits",
    };
    struct report_visit *v = arg;
    struct value name = meta_row_get(row, "name");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        put_next(&v->visit.out, commands[i], &name);
    value_fini(&name);
    return v->visit.out.len < VISIT_BYTES;
}

static bool report_run(struct visit *visit, struct shard *shard)
{
    static const char *const commands[] = {
        "status",
        "cluster_status",
        "environment",
        "command_line_arguments",
        "os_env",
        "memory",
        "ops",
        "list_connections pid name user vhost peer_host peer_port ssl protocol channels state "
        "send_pend timeout connected_at client_properties",
        "list_channels pid connection name number user vhost transactional confirm consumer_count "
        "messages_unacknowledged messages_uncommitted messages_unconfirmed prefetch_count",
        "list_users",
        "list_vhosts name tracing default_queue_type",
        "list_global_parameters",
        "list_user_limits --global",
    };
    struct report_visit *v = (struct report_visit *)visit;
    struct node *node = shard_node(shard);
    if (!visit->begun) {
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
            put_next(&visit->out, commands[i], NULL);
        v->cursor = meta_cursor_begin(node, META_VHOSTS, SLICE_EMPTY);
        visit->begun = true;
    }
    return !meta_cursor_next(node, &v->cursor, VISIT_OBJECTS, put_vhost, v);
}

void run_report(struct call *call)
{
    struct report_visit *v = visit_new(sizeof *v, report_run, call_visit_end);
    call_banner(call, "Reporting server status of node %s ...", meta_node_name(call_node(call)));
    call_visit_first(call, &v->visit);
}
