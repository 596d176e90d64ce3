/* What RabbitMQ's tools do to clusters and to members of queues, where the node is the only one:
 * what is so already succeeds, what needs another node is refused in RabbitMQ's words. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/listing.h"

#include "meta/def.h"
#include "meta/meta.h"
#include "meta/routing.h"

#include <string.h>
#include <sysexits.h>

static bool is_this(const struct call *call, const char *node)
{
    return strcmp(node, meta_node_name(call_node(call))) == 0;
}

/* Its definition; NULL: the call has failed. */
static const struct queue_def *find_queue(struct call *call)
{
    const struct target_queue *queue = call_find_queue(call, call->args.words[0]);
    if (!queue)
        call_fail(call, EX_UNAVAILABLE, "not_found");
    return queue ? queue->def : NULL;
}

/* ---- mirrors of classic queues ---- */

/* NULL: the call has failed. Only classic queues had mirrors. */
static const struct queue_def *find_classic(struct call *call)
{
    const struct queue_def *def = find_queue(call);
    if (!def || def->type == QUEUE_CLASSIC)
        return def;
    call_fail(call, EX_UNAVAILABLE, "%s_queue_not_supported",
              def->type == QUEUE_STREAM ? "stream" : "quorum");
    return NULL;
}

void run_sync_queue(struct call *call)
{
    call_banner(call, "Synchronising queue '%s' in vhost '%s' ...", call->args.words[0],
                call_vhost(call));
    if (find_classic(call))
        call_fail(call, EX_UNAVAILABLE, "not_mirrored");
}

void run_cancel_sync_queue(struct call *call)
{
    call_banner(call, "Stopping synchronising queue '%s' in vhost '%s' ...", call->args.words[0],
                call_vhost(call));
    if (!find_classic(call))
        return;
    call_notice(call, SLICE("not_syncing"));
    call_exit(call);
}

/* ---- members of quorum queues ---- */

static const struct queue_def *find_quorum(struct call *call, const char *refusal)
{
    const struct queue_def *def = find_queue(call);
    if (!def || def->type == QUEUE_QUORUM)
        return def;
    call_fail(call, EX_UNAVAILABLE, "%s a %s", refusal,
              def->type == QUEUE_STREAM ? "stream" : "classic queue");
    return NULL;
}

void run_add_member(struct call *call)
{
    call_banner(call, "Adding a replica for queue %s on node %s...", call->args.words[0],
                call->args.words[1]);
    if (!find_quorum(call, "Cannot add members to"))
        return;
    if (is_this(call, call->args.words[1]))
        call_exit(call);
    else
        call_fail(call, EX_UNAVAILABLE, "node_not_running");
}

void run_delete_member(struct call *call)
{
    call_banner(call, "Removing a replica of queue %s on node %s...", call->args.words[0],
                call->args.words[1]);
    if (!find_quorum(call, "Cannot delete members from"))
        return;
    if (is_this(call, call->args.words[1]))
        call_fail(call, EX_UNAVAILABLE, "last_node");
    else
        call_exit(call);
}

void run_grow(struct call *call)
{
    const char *strategy = call->args.words[1];
    if (strcmp(strategy, "all") && strcmp(strategy, "even")) {
        call_refuse(call, EX_DATAERR, "The strategy is all or even");
        return;
    }
    call_banner(call, "Growing all quorum queues on %s...", call->args.words[0]);
    call_exit(call);
}

void run_shrink(struct call *call)
{
    call_banner(call, "Shrinking quorum queues on %s...", call->args.words[0]);
    if (is_this(call, call->args.words[0]))
        call_fail(call, EX_UNAVAILABLE, "the last node cannot be removed");
    else
        call_exit(call);
}

/* ---- clusters ---- */

void run_forget_cluster_node(struct call *call)
{
    call_banner(call, "Removing node %s from the cluster", call->args.words[0]);
    if (is_this(call, call->args.words[0]))
        call_fail(call, EX_UNAVAILABLE, "a node that runs cannot be removed from its cluster");
    else
        call_fail(call, EX_UNAVAILABLE,
                  "{:not_a_cluster_node, 'The node selected is not in the cluster.'}");
}

void run_rename_cluster_node(struct call *call)
{
    call_fail_plain(call, EX_USAGE,
                    "Error: this command requires the target node to be stopped. A node gets "
                    "another name with node_name, in its configuration.");
}

/* Asked of a node that is out of service. */
struct outside {
    struct visit visit;
    bool in_service;
};

static bool look_run(struct visit *visit, struct shard *shard)
{
    ((struct outside *)visit)->in_service = !admin_of(shard_node(shard))->app_stopped;
    return true;
}

/* True: the call has failed. */
static bool is_in_service(struct call *call, const struct visit *visit)
{
    if (!((const struct outside *)visit)->in_service)
        return false;
    call_fail_plain(call, EX_USAGE,
                    "Error: this command requires the node to be out of service. Take it out with "
                    "'stop_app'.");
    return true;
}

static void on_force_boot(struct call *call, struct visit *visit)
{
    if (!is_in_service(call, visit))
        call_exit(call);
}

void run_force_boot(struct call *call)
{
    call_banner(call, "Forcing boot for node %s", meta_node_name(call_node(call)));
    call_visit_first(call, visit_new(sizeof(struct outside), look_run, on_force_boot));
}

static void on_join(struct call *call, struct visit *visit)
{
    if (!is_in_service(call, visit))
        call_fail(call, EX_UNAVAILABLE, "node %s is a cluster of its own, and joins no other",
                  meta_node_name(call_node(call)));
}

void run_join_cluster(struct call *call)
{
    call_banner(call, "Clustering node %s with %s", meta_node_name(call_node(call)),
                call->args.words[0]);
    call_visit_first(call, visit_new(sizeof(struct outside), look_run, on_join));
}

void run_update_cluster_nodes(struct call *call)
{
    call_banner(call, "Will seed %s from %s on next start", meta_node_name(call_node(call)),
                call->args.words[0]);
    call_visit_first(call, visit_new(sizeof(struct outside), look_run, on_join));
}

static void on_change_type(struct call *call, struct visit *visit)
{
    if (!is_in_service(call, visit))
        call_fail(call, EX_UNAVAILABLE,
                  "{:not_clustered, 'Non-clustered nodes can only be disc nodes.'}");
}

void run_change_cluster_node_type(struct call *call)
{
    call_banner(call, "Turning %s into a %s node", meta_node_name(call_node(call)),
                call->args.words[0]);
    call_visit_first(call, visit_new(sizeof(struct outside), look_run, on_change_type));
}
