/* Taking in no clients for a while: listeners suspended and resumed; maintenance, which closes
 * the connections there are, too. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/connections.h"
#include "admin/handlers.h"

#include "base/log.h"
#include "meta/meta.h"

struct maintenance_visit {
    struct visit visit;
    bool suspend;
    bool whole; /* not the listeners alone */
};

static bool suspend_run(struct visit *visit, struct shard *shard)
{
    const struct maintenance_visit *v = (struct maintenance_visit *)visit;
    struct admin *admin = admin_of(shard_node(shard));
    struct listener *l = NULL;
    while ((l = listener_next(shard_node(shard), l))) {
        if (l != admin->listener)
            listener_suspend(l, v->suspend);
    }
    log_info(ADMIN, NULL, v->suspend ? "listeners are suspended" : "listeners are resumed");
    if (!v->whole)
        return true;
    admin->maintenance = v->suspend;
    log_warning(ADMIN, NULL,
                v->suspend ? "under maintenance: clients are sent away" : "maintenance is over");
    return true;
}

static void suspend(struct call *call, bool suspended, bool whole,
                    void (*on_end)(struct call *call, struct visit *visit))
{
    struct maintenance_visit *v = visit_new(sizeof *v, suspend_run, on_end);
    v->suspend = suspended;
    v->whole = whole;
    call_visit_first(call, &v->visit);
}

void run_suspend_listeners(struct call *call)
{
    call_banner(call, "Suspending listeners ...");
    suspend(call, true, false, call_visit_end);
}

void run_resume_listeners(struct call *call)
{
    call_banner(call, "Resuming listeners ...");
    suspend(call, false, false, call_visit_end);
}

/* ---- maintenance ---- */

static void on_closed(struct call *call, struct visit *visit)
{
    call_banner(call, "Closed %zu connections", connections_closed(visit));
    call_exit(call);
}

static void on_suspended(struct call *call, struct visit *visit)
{
    (void)visit;
    call_visit(call, connections_close_all("Node was put into maintenance mode", on_closed));
}

void run_drain(struct call *call)
{
    call_banner(call,
                "Will put node %s into maintenance mode. The node will no longer serve any client "
                "traffic!",
                meta_node_name(shard_node(call->shard)));
    suspend(call, true, true, on_suspended);
}

void run_revive(struct call *call)
{
    call_banner(call,
                "Will un-mark node %s as undergoing maintenance and make it serve client traffic "
                "again",
                meta_node_name(shard_node(call->shard)));
    suspend(call, false, true, call_visit_end);
}
