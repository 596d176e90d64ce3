/* Taking in no clients for a while: listeners suspended and resumed; maintenance, which closes
 * the connections there are, too. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/connections.h"
#include "admin/handlers.h"

#include "base/log.h"
#include "meta/meta.h"

#include <sysexits.h>

enum measure { LISTENERS, MAINTENANCE, APP };

struct maintenance_visit {
    struct visit visit;
    enum measure measure;
    bool suspend;
    bool failed;
    struct failure why;
};

static void note(struct admin *admin, enum measure measure, bool suspend)
{
    if (measure == MAINTENANCE) {
        admin->maintenance = suspend;
        log_warning(ADMIN, NULL,
                    suspend ? "under maintenance: clients are sent away" : "maintenance is over");
    } else if (measure == APP) {
        admin->app_stopped = suspend;
        admin->maintenance = suspend && admin->maintenance;
        log_warning(ADMIN, NULL, suspend ? "out of service: clients are sent away" : "in service");
    }
}

static void suspend_all(struct admin *admin)
{
    struct listener *l = NULL;
    while ((l = listener_next(admin->node, l))) {
        if (l != admin->listener)
            listener_suspend(l);
    }
}

/* All that can be; false: one could not. */
static bool resume_all(struct admin *admin, struct failure *why)
{
    struct listener *l = NULL;
    bool good = true;
    while ((l = listener_next(admin->node, l)))
        good = listener_resume(l, why) == ERR_NONE && good;
    return good;
}

/* What stop_app took away only start_app gives back. */
static bool can_resume(const struct admin *admin, enum measure measure, struct failure *why)
{
    if (!admin->app_stopped || measure == APP)
        return true;
    (void)failure_set(why, ERR_RESOURCE_ERROR,
                      "the node is out of service: start_app puts it into service again");
    return false;
}

static bool suspend_run(struct visit *visit, struct shard *shard)
{
    struct maintenance_visit *v = (struct maintenance_visit *)visit;
    struct admin *admin = admin_of(shard_node(shard));
    if (v->suspend)
        suspend_all(admin);
    else
        v->failed = !can_resume(admin, v->measure, &v->why) || !resume_all(admin, &v->why);
    if (v->failed)
        return true;
    admin->suspended = v->suspend;
    log_info(ADMIN, NULL, v->suspend ? "listeners are suspended" : "listeners are resumed");
    note(admin, v->measure, v->suspend);
    return true;
}

void maintenance_reload(struct admin *admin)
{
    if (admin->suspended)
        suspend_all(admin);
}

static void on_resumed(struct call *call, struct visit *visit)
{
    const struct maintenance_visit *v = (struct maintenance_visit *)visit;
    if (v->failed)
        call_fail(call, EX_UNAVAILABLE, "%s", v->why.text);
    else
        call_exit(call);
}

static void suspend(struct call *call, bool suspended, enum measure measure,
                    void (*on_end)(struct call *call, struct visit *visit))
{
    struct maintenance_visit *v = visit_new(sizeof *v, suspend_run, on_end);
    v->suspend = suspended;
    v->measure = measure;
    call_visit_first(call, &v->visit);
}

void run_suspend_listeners(struct call *call)
{
    call_banner(call, "Suspending listeners ...");
    suspend(call, true, LISTENERS, on_resumed);
}

void run_resume_listeners(struct call *call)
{
    call_banner(call, "Resuming listeners ...");
    suspend(call, false, LISTENERS, on_resumed);
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
    suspend(call, true, MAINTENANCE, on_suspended);
}

void run_revive(struct call *call)
{
    call_banner(call,
                "Will un-mark node %s as undergoing maintenance and make it serve client traffic "
                "again",
                meta_node_name(shard_node(call->shard)));
    suspend(call, false, MAINTENANCE, on_resumed);
}

/* ---- in and out of service ---- */

static void on_app_stopped(struct call *call, struct visit *visit)
{
    (void)visit;
    call_visit(call, connections_close_all("Node was taken out of service", on_closed));
}

void run_stop_app(struct call *call)
{
    call_banner(call, "Taking node %s out of service ...", meta_node_name(call_node(call)));
    suspend(call, true, APP, on_app_stopped);
}

void run_start_app(struct call *call)
{
    call_banner(call, "Starting node %s ...", meta_node_name(call_node(call)));
    suspend(call, false, APP, on_resumed);
}
