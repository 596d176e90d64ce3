/* The folder's start and end: an agent on every shard, the control socket, the monitor. */
#include "admin/admin.h"

#include "admin/admin_priv.h"
#include "admin/backup_job.h"
#include "admin/call.h"
#include "admin/disk_monitor.h"
#include "admin/monitor.h"
#include "admin/visit.h"
#include "base/bug.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "shard/slot.h"

#include <stdatomic.h>
#include <stdlib.h>

struct agent {
    struct shard *shard;
    struct addr addr;
    struct list staying; /* visits, in the order they came */
    struct deferred turn;
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

static void on_op(void *object, struct op *op)
{
    struct agent *agent = object;
    bug_on(op->kind != ADMIN_OP_VISIT);
    struct visit *visit = visit_of(op);
    if (visit_arrive(visit, agent->shard))
        return;
    list_append(&agent->staying, &visit->staying);
    shard_on_relief(agent->shard, &agent->turn);
}

/* The first that stays has a portion, then it is the next one's turn. */
static void on_turn(struct deferred *d)
{
    struct agent *agent = list_entry(d, struct agent, turn);
    struct visit *visit = list_entry(agent->staying.next, struct visit, staying);
    list_remove(&visit->staying);
    if (!visit_arrive(visit, agent->shard))
        list_append(&agent->staying, &visit->staying);
    if (!list_empty(&agent->staying))
        shard_on_relief(agent->shard, &agent->turn);
}

static const struct actor_type agent_type = {"admin agent", on_op};

static void make_agent(struct shard *shard, void *arg)
{
    struct admin *admin = arg;
    struct agent *agent = NEW(struct agent);
    agent->shard = shard;
    agent->addr = slot_new(shard, &agent_type, agent);
    list_init(&agent->staying);
    deferred_init(&agent->turn, on_turn);
    admin->agents[shard_index(shard)] = agent->addr;
    shard_set_local(shard, SHARD_LOCAL_ADMIN, agent);
}

static void free_agent(struct shard *shard, void *unused)
{
    (void)unused;
    struct agent *agent = shard_get_local(shard, SHARD_LOCAL_ADMIN);
    slot_free(shard, agent->addr);
    deferred_cancel(&agent->turn);
    list_each_safe (it, &agent->staying)
        visit_free(list_entry(it, struct visit, staying));
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
