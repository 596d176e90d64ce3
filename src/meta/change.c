/* Changes of definitions on their way from the master to the shards. */
#include "meta/change_priv.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

struct meta_change *change_new(enum meta_change_kind kind)
{
    struct meta_change *change = NEW(struct meta_change);
    change->refs = 1;
    change->kind = kind;
    return change;
}

void change_ref(struct meta_change *change)
{
    atomic_fetch_add_explicit(&change->refs, 1, memory_order_relaxed);
}

static void drop_object(struct meta_change *change)
{
    switch (change->kind) {
    case CHANGE_VHOST_ADDED:
    case CHANGE_VHOST_REMOVED:
        vhost_def_unref(&change->vhost);
        break;
    case CHANGE_EXCHANGE_ADDED:
    case CHANGE_EXCHANGE_REMOVED:
        exchange_def_unref(&change->exchange);
        break;
    case CHANGE_QUEUE_ADDED:
    case CHANGE_QUEUE_REMOVED:
        queue_def_unref(&change->queue);
        break;
    case CHANGE_BOUND:
    case CHANGE_UNBOUND:
        binding_def_unref(&change->binding);
        break;
    case CHANGE_USER_PUT:
    case CHANGE_USER_REMOVED:
        user_def_unref(&change->user);
        break;
    case CHANGE_PERMISSION:
    case CHANGE_TOPIC_PERMISSION:
        permission_def_unref(&change->permission);
        break;
    case CHANGE_POLICY:
        policy_def_unref(&change->policy);
        break;
    case CHANGE_PARAMETER:
        parameter_def_unref(&change->parameter);
        break;
    }
}

void change_unref(struct meta_change **change)
{
    struct meta_change *c = *change;
    *change = NULL;
    uint32_t before = atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel);
    bug_on(before == 0);
    if (before > 1)
        return;
    drop_object(c);
    free(c);
}

enum meta_change_kind meta_change_kind(const struct meta_change *change)
{
    return change->kind;
}

struct slice meta_change_vhost(const struct meta_change *change)
{
    switch (change->kind) {
    case CHANGE_VHOST_ADDED:
    case CHANGE_VHOST_REMOVED:
        return change->vhost->name;
    case CHANGE_EXCHANGE_ADDED:
    case CHANGE_EXCHANGE_REMOVED:
        return change->exchange->vhost;
    case CHANGE_QUEUE_ADDED:
    case CHANGE_QUEUE_REMOVED:
        return change->queue->vhost;
    case CHANGE_BOUND:
    case CHANGE_UNBOUND:
        return change->binding->vhost;
    case CHANGE_PERMISSION:
    case CHANGE_TOPIC_PERMISSION:
        return change->permission->vhost;
    case CHANGE_POLICY:
        return change->policy->vhost;
    case CHANGE_PARAMETER:
        return change->parameter->vhost;
    case CHANGE_USER_PUT:
    case CHANGE_USER_REMOVED:
        break;
    }
    return SLICE_EMPTY;
}

struct slice meta_change_source(const struct meta_change *change)
{
    return change->binding->source;
}

bool meta_change_to_exchange(const struct meta_change *change)
{
    return change->binding->to_exchange;
}

struct slice meta_change_name(const struct meta_change *change)
{
    switch (change->kind) {
    case CHANGE_VHOST_ADDED:
    case CHANGE_VHOST_REMOVED:
        return change->vhost->name;
    case CHANGE_EXCHANGE_ADDED:
    case CHANGE_EXCHANGE_REMOVED:
        return change->exchange->name;
    case CHANGE_QUEUE_ADDED:
    case CHANGE_QUEUE_REMOVED:
        return change->queue->name;
    case CHANGE_BOUND:
    case CHANGE_UNBOUND:
        return change->binding->destination;
    case CHANGE_PERMISSION:
    case CHANGE_TOPIC_PERMISSION:
        return change->permission->user;
    case CHANGE_POLICY:
        return change->policy->name;
    case CHANGE_PARAMETER:
        return change->parameter->name;
    case CHANGE_USER_PUT:
    case CHANGE_USER_REMOVED:
        return change->user->name;
    }
    return SLICE_EMPTY;
}

void meta_release_change(struct op *op)
{
    change_unref(&op_body(op, struct op_change)->change);
}
