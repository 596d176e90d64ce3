/* What RabbitMQ's tools ask of a cluster, answered by a node that is one on its own. */
#include "admin/admin_priv.h"
#include "admin/cell.h"
#include "admin/features.h"
#include "admin/handlers.h"
#include "admin/health.h"
#include "admin/listeners.h"
#include "admin/listing.h"
#include "admin/report.h"
#include "admin/setting.h"

#include "base/table.h"
#include "meta/routing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char *name_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

/* ---- status ---- */

struct status_visit {
    struct visit visit;
    bool json;
};

static void put_name(struct buf *out, const char *name)
{
    cell_put_string(out, slice_str(name));
}

static void put_flags_json(struct buf *json)
{
    const struct feature_flag *flag;
    buf_append_str(json, ",\"feature_flags\":[");
    for (size_t i = 0; (flag = feature_flag_at(i)); i++)
        buf_printf(json,
                   "%s{\"desc\":\"%s\",\"doc_url\":\"\",\"name\":\"%s\",\"provided_by\":"
                   "\"jackalope\",\"stability\":\"stable\",\"state\":\"enabled\"}",
                   i ? "," : "", flag->text, flag->name);
    buf_append_byte(json, ']');
}

static void put_status_json(struct buf *out, struct node *node, const struct health *alarms)
{
    const char *name = meta_node_name(node);
    struct buf json = BUF_INIT, quoted = BUF_INIT;
    put_name(&quoted, name);
    const char *q = buf_cstr(&quoted);
    buf_append_str(&json, "{\"cluster_name\":");
    cell_put_string(&json, routing_cluster_name(routing_of(shard_self())));
    buf_printf(&json, ",\"disk_nodes\":[%s],\"ram_nodes\":[]", q);
    buf_printf(&json, ",\"running_nodes\":[%s],\"partitions\":{}", q);
    buf_append_slice(&json, buf_slice(&alarms->fields));
    buf_printf(&json,
               ",\"versions\":{%s:{\"rabbitmq_name\":\"Jackalope\",\"rabbitmq_version\":\"%s\"}}",
               q, PACKAGE_VERSION);
    buf_printf(&json, ",\"maintenance_status\":{%s:\"%sunder maintenance\"}", q,
               admin_of(node)->maintenance ? "" : "not ");
    put_flags_json(&json);
    buf_printf(&json, ",\"listeners\":{%s:", q);
    listeners_put_json(&json, node);
    buf_append_str(&json, "}}");
    report_value(out, buf_slice(&json));
    buf_fini(&json);
    buf_fini(&quoted);
}

static void put_status(struct buf *out, struct node *node, const struct health *alarms)
{
    const char *name = meta_node_name(node);
    const struct feature_flag *flag;
    struct listener *l = NULL;
    report_print(out, "Basics\n\nCluster name: %.*s\n\nDisk Nodes\n\n%s\n\nRunning Nodes\n\n%s",
                 SLICE_ARG(routing_cluster_name(routing_of(shard_self()))), name, name);
    report_print(out, "\nVersions\n\n%s: Jackalope %s\n\nMaintenance status\n", name,
                 PACKAGE_VERSION);
    report_print(out, "Node: %s, status: %sunder maintenance\n\nAlarms\n", name,
                 admin_of(node)->maintenance ? "" : "not ");
    report_print_slice(out, alarms->ok ? SLICE("(none)") : buf_slice(&alarms->text));
    report_print(out, "\nNetwork Partitions\n\n(none)\n\nListeners\n");
    while ((l = listener_next(node, l))) {
        struct listener_facts f = listener_facts(l);
        report_print(out, "Node: %s, interface: %.*s, port: %u, protocol: %s, purpose: %s", name,
                     SLICE_ARG(f.host), f.port, f.protocol, f.purpose);
    }
    report_print(out, "\nFeature flags\n");
    for (size_t i = 0; (flag = feature_flag_at(i)); i++)
        report_print(out, "Flag: %s, state: enabled", flag->name);
}

static bool status_run(struct visit *visit, struct shard *shard)
{
    const struct status_visit *v = (struct status_visit *)visit;
    struct health alarms;
    health_alarms(shard_node(shard), "", &alarms);
    (v->json ? put_status_json : put_status)(&visit->out, shard_node(shard), &alarms);
    health_fini(&alarms);
    return true;
}

void run_cluster_status(struct call *call)
{
    struct status_visit *v = visit_new(sizeof *v, status_run, call_visit_end);
    v->json = call->request.typed;
    call_banner(call, "Cluster status of node %s ...", name_of(call));
    call_visit_first(call, &v->visit);
}

/* ---- waiting for others ---- */

void run_await_online_nodes(struct call *call)
{
    const char *text = call->args.words[0];
    uint64_t count;
    if (!args_number(text, 1, UINT64_MAX, &count)) {
        call_refuse(call, EX_DATAERR, "Bad argument: Argument must be a positive integer");
        return;
    }
    call_banner(call, "Will wait for at least %" PRIu64 " nodes to join the cluster of %s.", count,
                name_of(call));
    if (count > 1)
        call_fail(call, EX_SOFTWARE,
                  "Not enough nodes joined: node %s is a cluster of its own, and will be",
                  name_of(call));
    else
        call_exit(call);
}

static void pass_alone(struct call *call)
{
    static const char text[] = "Target node seems to be the only one in a single node cluster, "
                               "the command does not apply";
    call_notice(call, slice_str(text));
    call_exit(call);
}

void run_await_online_quorum_plus_one(struct call *call)
{
    call_banner(call, "Will wait for a quorum + 1 of nodes to be online for all quorum queues ...");
    pass_alone(call);
}

void run_await_online_synchronized_mirror(struct call *call)
{
    call_banner(call, "Will wait for a synchronised mirror be online for all classic mirrored "
                      "queues ...");
    pass_alone(call);
}

void run_rebalance(struct call *call)
{
    static const char *const types[] = {"all", "classic", "quorum", "stream"};
    const char *type = call->args.count ? call->args.words[0] : "all";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i], type))
            continue;
        call_banner(call, "Re-balancing leaders of %s queues...", type);
        pass_alone(call);
        return;
    }
    call_refuse(call, EX_USAGE, "not a type of queues: all, classic, quorum and stream are");
}

void run_post_upgrade(struct call *call)
{
    call_banner(call, "Executing post upgrade tasks...");
    call_notice(call, SLICE("There are none."));
    call_exit(call);
}

void run_set_cluster_name(struct call *call)
{
    struct buf value = BUF_INIT;
    call_banner(call, "Setting cluster name to %s ...", call->args.words[0]);
    struct slice name = slice_str(call->args.words[0]);
    if (!name.len || name.len > 255) {
        call_refuse(call, EX_USAGE, "a name has 1 to 255 octets");
        return;
    }
    struct meta_request *request = call_request(call, META_PARAMETER_SET);
    request->flags |= META_GLOBAL;
    table_put_str(&value, SLICE("value"), name);
    meta_request_set(&request->name, SLICE("cluster_name"));
    meta_request_set(&request->args, buf_slice(&value));
    setting_submit(call, &request);
    buf_fini(&value);
}

void run_has_reached_target_cluster_size(struct call *call)
{
    call_banner(call, "Checking whether the cluster has as many nodes as it shall have ...");
    call_notice(call, SLICE("A node on its own is all there shall be."));
    call_exit(call);
}

void run_discover_peers(struct call *call)
{
    call_banner(call, "Discovering peers nodes ...");
    call_print(call, "No peers discovered");
    call_exit(call);
}

/* ---- feature flags ---- */

static const char *flag_text(const struct feature_flag *flag, const char *column)
{
    if (!strcmp(column, "name"))
        return flag->name;
    if (!strcmp(column, "desc"))
        return flag->text;
    if (!strcmp(column, "provided_by"))
        return "jackalope";
    if (!strcmp(column, "stability"))
        return "stable";
    return !strcmp(column, "state") ? "enabled" : "";
}

void run_list_feature_flags(struct call *call)
{
    const struct feature_flag *flag;
    struct buf out = BUF_INIT;
    struct rows rows;
    if (!rows_begin(call, &rows, "name state", false, "Listing feature flags ..."))
        return;
    for (size_t i = 0; (flag = feature_flag_at(i)); i++) {
        row_begin(&out);
        for (size_t k = 0; k < rows.columns.count; k++)
            row_put_text(&out, &rows, flag_text(flag, rows.columns.names[k]));
        row_end(&out);
    }
    call_write(call, buf_slice(&out));
    buf_fini(&out);
    call_exit(call);
}

void run_enable_feature_flag(struct call *call)
{
    const char *flag = call->args.words[0];
    if (!*flag) {
        call_refuse(call, EX_USAGE, "feature_flag cannot be an empty string.");
        return;
    }
    if (!strcmp(flag, "all"))
        call_banner(call, "Enabling all feature flags ...");
    else
        call_banner(call, "Enabling feature flag \"%s\" ...", flag);
    if (strcmp(flag, "all") && !feature_flag_find(flag))
        call_fail(call, EX_USAGE, "This feature flag is not supported by node %s", name_of(call));
    else
        call_exit(call);
}

void run_list_deprecated_features(struct call *call)
{
    struct rows rows;
    if (rows_begin(call, &rows, "name deprecation_phase state", false,
                   call_has(call, OPT_USED) ? "Listing deprecated features in use ..."
                                            : "Listing deprecated features ..."))
        call_exit(call);
}

/* ---- virtual hosts, which are up with their node ---- */

void run_restart_vhost(struct call *call)
{
    const char *vhost = call_vhost(call);
    call_banner(call, "Trying to restart vhost '%s' on node '%s' ...", vhost, name_of(call));
    if (routing_find_vhost(routing_of(call->shard), slice_str(vhost))) {
        call_print(call, "Vhost '%s' is already running on node '%s'", vhost, name_of(call));
        call_exit(call);
    } else {
        call_fail(call, EX_SOFTWARE,
                  "Failed to start vhost '%s' on node '%s': there is no such virtual host", vhost,
                  name_of(call));
    }
}

static bool vhosts_run(struct visit *visit, struct shard *shard)
{
    report_print(&visit->out, "%zu virtual hosts are up",
                 meta_count(shard_node(shard), META_VHOSTS));
    return true;
}

void run_reconcile_vhosts(struct call *call)
{
    call_banner(call, "Looking whether all virtual hosts are up on node %s ...", name_of(call));
    call_visit_first(call, visit_new(sizeof(struct visit), vhosts_run, call_visit_end));
}
