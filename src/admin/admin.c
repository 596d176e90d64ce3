/* The folder's start and end: an agent on every shard, the control socket, the monitor. */
#include "admin/admin.h"

#include "admin/admin_priv.h"
#include "admin/backup_job.h"
#include "admin/call.h"
#include "admin/disk_monitor.h"
#include "admin/files.h"
#include "admin/monitor.h"
#include "admin/ration.h"
#include "admin/visit.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "shard/pause.h"
#include "shard/slot.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Runs the visits of its shard in portions, with rests in between in which messages go on and other
 * threads get the core. */
struct agent {
    struct shard *shard;
    struct addr addr;
    struct list waiting; /* visits, each for its next portion */
    struct pause *pause;
    bool resting;
    struct deferred relief; /* the rest is over, but the shard is congested */
    struct ration ration;
};

const struct op_kind *admin_op_kinds(void)
{
    static const struct op_kind kinds[] = {
        [ADMIN_OP_VISIT - ADMIN_OP_FIRST] = {"command -> shard: visit", visit_release},
        [ADMIN_OP_BACK - ADMIN_OP_FIRST] = {"shard -> command: back from a visit", visit_release},
    };
    return kinds;
}

struct admin *admin_of(const struct node *node)
{
    return node_local(node, SHARD_LOCAL_ADMIN);
}

struct addr admin_agent(const struct node *node, unsigned shard)
{
    return admin_of(node)->agents[shard];
}

const struct conf *admin_conf(const struct admin *admin)
{
    return admin->options.conf(admin->options.arg);
}

static void run_first(struct agent *agent)
{
    struct visit *visit = list_entry(agent->waiting.next, struct visit, waiting);
    list_remove(&visit->waiting);
    if (!visit_arrive(visit, agent->shard))
        list_append(&agent->waiting, &visit->waiting);
}

static void go_on(struct agent *agent)
{
    uint64_t now = clock_mono_ns();
    while (!list_empty(&agent->waiting) && ration_is_left(&agent->ration, now)) {
        uint64_t start = now;
        run_first(agent);
        now = clock_mono_ns();
        ration_spend(&agent->ration, start, now);
    }
    agent->resting = !list_empty(&agent->waiting);
    if (agent->resting)
        pause_begin(agent->pause, ration_rest(&agent->ration, now));
}

static void on_op(void *object, struct op *op)
{
    struct agent *agent = object;
    bug_on(op->kind != ADMIN_OP_VISIT);
    list_append(&agent->waiting, &visit_of(op)->waiting);
    if (!agent->resting)
        go_on(agent);
}

static void on_rested(void *arg)
{
    struct agent *agent = arg;
    if (shard_congested(agent->shard))
        shard_on_relief(agent->shard, &agent->relief);
    else
        go_on(agent);
}

static void on_relief(struct deferred *d)
{
    on_rested(list_entry(d, struct agent, relief));
}

static const struct actor_type agent_type = {"admin agent", on_op};

static void make_agent(struct shard *shard, void *arg)
{
    struct admin *admin = arg;
    struct agent *agent = NEW(struct agent);
    agent->shard = shard;
    agent->addr = slot_new(shard, &agent_type, agent);
    list_init(&agent->waiting);
    agent->pause = pause_new(shard, on_rested, agent);
    deferred_init(&agent->relief, on_relief);
    admin->agents[shard_index(shard)] = agent->addr;
    shard_set_local(shard, SHARD_LOCAL_ADMIN, agent);
}

static void free_agent(struct shard *shard, void *unused)
{
    (void)unused;
    struct agent *agent = shard_get_local(shard, SHARD_LOCAL_ADMIN);
    slot_free(shard, agent->addr);
    deferred_cancel(&agent->relief);
    pause_free(&agent->pause);
    list_each_safe (it, &agent->waiting)
        visit_free(list_entry(it, struct visit, waiting));
    shard_set_local(shard, SHARD_LOCAL_ADMIN, NULL);
    free(agent);
}

static enum err open_socket(struct admin *admin, struct failure *why)
{
    static const struct protocol protocol = {"control", call_open, NULL};
    const struct conf *conf = admin_conf(admin);
    char *address = mem_printf("unix:%s", conf->control.path);
    struct listener_options options = {
        .address = address, .unix_mode = conf->control.mode, .protocol = &protocol};
    enum err err = listener_open(admin->node, &options, &admin->listener, why);
    free(address);
    return err;
}

enum err admin_init(struct node *node, const struct admin_options *options, struct failure *why)
{
    struct admin *admin = NEW(struct admin);
    admin->node = node;
    admin->options = *options;
    admin->files = files_new();
    admin->started_ms = clock_wall_ms();
    node_set_local(node, SHARD_LOCAL_ADMIN, admin);
    node_each_shard(node, make_agent, admin);
    if (!options->offline) {
        admin->monitor = monitor_new(node);
        admin->disk = disk_monitor_new(node);
    }
    admin->backup = backup_job_new(node, admin_conf(admin)->data_dir);
    return open_socket(admin, why);
}

void admin_fini(struct node *node)
{
    struct admin *admin = admin_of(node);
    if (!admin)
        return;
    if (admin->listener)
        listener_close(&admin->listener);
    monitor_free(&admin->monitor);
    disk_monitor_free(&admin->disk);
    backup_job_free(&admin->backup);
    files_free(&admin->files);
    node_each_shard(node, free_agent, NULL);
    node_set_local(node, SHARD_LOCAL_ADMIN, NULL);
    free(admin);
}

bool admin_is_in_service(const struct node *node)
{
    return !atomic_load_explicit(&admin_of(node)->app_stopped, memory_order_relaxed);
}

void admin_reload(struct node *node)
{
    monitor_reload(admin_of(node)->monitor);
    disk_monitor_reload(admin_of(node)->disk);
    maintenance_reload(admin_of(node));
}
