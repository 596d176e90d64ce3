/* Parameters and limits of a shard's replica. Limits are read when they come, so that whoever obeys
 * them finds numbers. */
#include "base/bug.h"
#include "base/json.h"
#include "base/mem.h"
#include "meta/access.h"
#include "meta/limits.h"
#include "meta/routing_priv.h"

#include <stdlib.h>

bool parameter_is_limits(const struct parameter_def *def)
{
    return slice_eq_str(def->component, "vhost-limits") && slice_eq_str(def->name, "limits");
}

static int64_t limit_of(const struct parameter_def *def, const char *key)
{
    struct slice limits;
    int64_t n;
    if (!def || !table_find_table(def->value, SLICE("value"), &limits) ||
        !table_find_int(limits, slice_str(key), &n) || n < 0)
        return -1;
    return n;
}

static void read_vhost_limits(struct vhost *vhost, const struct parameter_def *def)
{
    vhost->max_connections = limit_of(def, "max-connections");
    vhost->max_queues = limit_of(def, "max-queues");
}

/* --- of virtual hosts, global ones --- */

static struct parameter *find(const struct list *parameters, const struct parameter_def *like)
{
    list_each (it, parameters) {
        struct parameter *p = list_entry(it, struct parameter, link);
        if (slice_eq(p->def->name, like->name) && slice_eq(p->def->component, like->component))
            return p;
    }
    return NULL;
}

static void drop(struct routing *routing, struct roster *roster, struct parameter *p)
{
    routing_strike(routing, roster, p->number);
    list_remove(&p->link);
    parameter_def_unref(&p->def);
    free(p);
}

static void put(struct routing *routing, struct list *parameters, struct roster *roster,
                const struct meta_change *change)
{
    struct parameter *p = find(parameters, change->parameter);
    if (change->cleared) {
        if (p)
            drop(routing, roster, p);
        return;
    }
    if (!p) {
        p = NEW(struct parameter);
        list_append(parameters, &p->link);
        p->number = routing_enroll(routing, roster, p);
    }
    parameter_def_unref(&p->def);
    p->def = parameter_def_ref(change->parameter);
}

static void apply_in_vhost(struct routing *routing, const struct meta_change *change)
{
    struct vhost *vhost = routing_find_vhost(routing, change->parameter->vhost);
    bug_on(!vhost);
    put(routing, &vhost->parameters, &vhost->by_number.parameters, change);
    if (parameter_is_limits(change->parameter))
        read_vhost_limits(vhost, change->cleared ? NULL : change->parameter);
}

static void apply_to_user(struct routing *routing, const struct meta_change *change)
{
    struct user *user = access_find_user(routing, change->parameter->name);
    bug_on(!user);
    parameter_def_unref(&user->limits);
    if (!change->cleared)
        user->limits = parameter_def_ref(change->parameter);
    user->max_connections = limit_of(user->limits, "max-connections");
    user->max_channels = limit_of(user->limits, "max-channels");
}

void parameters_apply(struct routing *routing, const struct meta_change *change)
{
    switch (change->parameter->kind) {
    case PARAMETER_OF_VHOST:
        apply_in_vhost(routing, change);
        break;
    case PARAMETER_GLOBAL:
        put(routing, &routing->globals, &routing->globals_by_number, change);
        break;
    case PARAMETER_USER_LIMITS:
        apply_to_user(routing, change);
        break;
    }
}

void parameters_drop_vhost(struct routing *routing, struct vhost *vhost)
{
    list_each_safe (it, &vhost->parameters)
        drop(routing, &vhost->by_number.parameters, list_entry(it, struct parameter, link));
}

void parameters_drop_globals(struct routing *routing)
{
    list_each_safe (it, &routing->globals)
        drop(routing, &routing->globals_by_number, list_entry(it, struct parameter, link));
    roster_fini(&routing->globals_by_number);
}

const struct parameter_def *parameters_find(const struct routing *routing,
                                            const struct parameter_def *like)
{
    const struct list *parameters = &routing->globals;
    if (like->kind == PARAMETER_USER_LIMITS) {
        const struct user *user = access_find_user(routing, like->name);
        return user ? user->limits : NULL;
    }
    if (like->kind == PARAMETER_OF_VHOST) {
        const struct vhost *vhost = routing_find_vhost(routing, like->vhost);
        if (!vhost)
            return NULL;
        parameters = &vhost->parameters;
    }
    const struct parameter *p = find(parameters, like);
    return p ? p->def : NULL;
}

struct slice routing_cluster_name(const struct routing *routing)
{
    enum { MOST = 255 }; /* what a client is told when it connects */
    const struct parameter_def *def = parameters_find(
        routing, &(struct parameter_def){.kind = PARAMETER_GLOBAL, .name = SLICE("cluster_name")});
    struct slice name;
    if (def && table_find_str(def->value, SLICE("value"), &name) && name.len && name.len <= MOST)
        return name;
    return slice_str(routing->options->node_name);
}

/* --- shown --- */

static void put_limits(const struct parameter_def *def, const char *none, struct buf *out)
{
    struct table_value value;
    if (def && table_find(def->value, SLICE("value"), &value) && value.bytes.len)
        json_put_value(out, &value);
    else
        buf_append_str(out, none);
}

void vhost_put_limits(const struct vhost *vhost, struct buf *out)
{
    const struct parameter_def like = {.component = SLICE("vhost-limits"), .name = SLICE("limits")};
    const struct parameter *p = find(&vhost->parameters, &like);
    put_limits(p ? p->def : NULL, "", out);
}

bool access_put_limits(const struct routing *routing, struct slice name, struct buf *out)
{
    const struct user *user = access_find_user(routing, name);
    if (user)
        put_limits(user->limits, "{}", out);
    return user != NULL;
}

/* --- places --- */

static enum err enter_user(const struct user *user, struct tenancy *t, struct failure *why)
{
    if (usage_take(&user->def->usage->connections, user->max_connections)) {
        t->user = usage_ref(user->def->usage);
        return ERR_NONE;
    }
    return failure_set(why, ERR_NOT_ALLOWED,
                       "connection refused for user '%.*s': user connection limit (%lld) is "
                       "reached",
                       SLICE_ARG(user->def->name), (long long)user->max_connections);
}

static enum err enter_vhost(const struct vhost *vhost, struct slice user_name, struct tenancy *t,
                            struct failure *why)
{
    if (usage_take(&vhost->def->usage->connections, vhost->max_connections)) {
        t->vhost = usage_ref(vhost->def->usage);
        return ERR_NONE;
    }
    return failure_set(why, ERR_NOT_ALLOWED,
                       "access to vhost '%.*s' refused for user '%.*s': connection limit (%lld) is "
                       "reached",
                       SLICE_ARG(vhost->def->name), SLICE_ARG(user_name),
                       (long long)vhost->max_connections);
}

enum err access_enter(const struct routing *routing, struct slice user_name,
                      struct slice vhost_name, struct tenancy *ret_tenancy, struct failure *why)
{
    const struct vhost *vhost = routing_find_vhost(routing, vhost_name);
    const struct user *user = access_find_user(routing, user_name);
    struct limits *node = limits_of_node(shard_node(routing->shard));
    struct tenancy t = {.node = node};
    int64_t most = limits_get(node, LIMIT_CONNECTIONS);
    if (!usage_take(&node->connections, most))
        return failure_set(why, ERR_NOT_ALLOWED,
                           "connection refused: node connection limit (%lld) is reached",
                           (long long)most);
    enum err err = enter_vhost(vhost, user_name, &t, why);
    if (!err && user)
        err = enter_user(user, &t, why);
    if (err)
        access_leave(&t);
    else
        *ret_tenancy = t;
    return err;
}

void access_leave(struct tenancy *t)
{
    if (t->vhost)
        usage_give(&t->vhost->connections);
    if (t->user)
        usage_give(&t->user->connections);
    if (t->node)
        usage_give(&t->node->connections);
    t->node = NULL;
    usage_unref(&t->vhost);
    usage_unref(&t->user);
}

enum err access_open_channel(const struct routing *routing, const struct tenancy *t,
                             struct slice user_name, struct failure *why)
{
    const struct user *user = access_find_user(routing, user_name);
    int64_t limit = user ? user->max_channels : -1;
    int64_t most = t->node ? limits_get(t->node, LIMIT_CHANNELS) : -1;
    if (t->node && !usage_take(&t->node->channels, most))
        return failure_set(why, ERR_NOT_ALLOWED,
                           "number of channels opened on node '%s' has reached the maximum allowed "
                           "limit of (%lld)",
                           routing->options->node_name, (long long)most);
    if (!t->user || usage_take(&t->user->channels, limit))
        return ERR_NONE;
    if (t->node)
        usage_give(&t->node->channels);
    return failure_set(why, ERR_NOT_ALLOWED,
                       "number of channels opened for user '%.*s' has reached the maximum allowed "
                       "user limit of (%lld)",
                       SLICE_ARG(user_name), (long long)limit);
}

void access_close_channel(const struct tenancy *t)
{
    if (t->user)
        usage_give(&t->user->channels);
    if (t->node)
        usage_give(&t->node->channels);
}
