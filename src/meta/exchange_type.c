/* The registry of exchange types: what is in it stays and is seen by all shards. */
#include "meta/exchange_type.h"

#include "base/buf.h"
#include "base/bug.h"

#include <stdatomic.h>

enum { TYPES_MAX = 32 };

/* exception: a registry, filled at boot and by shard 0; count says how much of it may be read */
static const struct exchange_type *types[TYPES_MAX];
static _Atomic size_t count;

/* ---- what is not there ---- */

static void *absent_new(const struct exchange_type *self, struct slice args)
{
    (void)self, (void)args;
    return NULL;
}

static void absent_free(void *instance)
{
    (void)instance;
}

static void absent_bind(void *instance, struct binding *binding)
{
    (void)instance, (void)binding;
}

static void absent_route(const void *instance, const struct route_input *input,
                         struct route_sink *sink)
{
    (void)instance, (void)input, (void)sink;
}

static bool absent_judge(const struct binding *binding, const struct route_input *input,
                         struct buf *why)
{
    (void)binding, (void)input;
    buf_append_str(why, "nothing here knows the exchange's type");
    return false;
}

static const struct exchange_type absent = {
    .name = "absent",
    .text = "a type of a plug-in that is not there",
    .internal_only = true,
    .absent = true,
    .keyless = true,
    .new = absent_new,
    .free = absent_free,
    .bind = absent_bind,
    .unbind = absent_bind,
    .route = absent_route,
    .judge = absent_judge,
};

/* ---- the registry ---- */

bool exchange_type_register(const struct exchange_type *type)
{
    const struct exchange_type *other = exchange_type_find(slice_str(type->name));
    size_t n = atomic_load_explicit(&count, memory_order_relaxed);
    bug_on(other && other != type);
    if (other)
        return true;
    if (n == TYPES_MAX)
        return false;
    types[n] = type;
    atomic_store_explicit(&count, n + 1, memory_order_release);
    return true;
}

size_t exchange_type_room(void)
{
    return TYPES_MAX - atomic_load_explicit(&count, memory_order_relaxed);
}

const struct exchange_type *exchange_type_find(struct slice name)
{
    size_t n = atomic_load_explicit(&count, memory_order_acquire);
    for (size_t i = 0; i < n; i++) {
        if (slice_eq_str(name, types[i]->name))
            return types[i];
    }
    return NULL;
}

const struct exchange_type *exchange_type_get(struct slice name)
{
    const struct exchange_type *type = exchange_type_find(name);
    return type ? type : &absent;
}

enum err exchange_type_refuse(const struct exchange_type *type, struct slice name,
                              struct slice vhost, struct slice wanted, struct failure *why)
{
    if (!type->absent)
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "exchange '%.*s' in vhost '%.*s' routes nothing: its type '%.*s' was not "
                       "there when the broker started, as the plug-in that has it was not enabled",
                       SLICE_ARG(name), SLICE_ARG(vhost), SLICE_ARG(wanted));
}

const struct exchange_type *exchange_type_acting(struct slice name, struct slice args)
{
    const struct exchange_type *type = exchange_type_get(name);
    if (type->acts_as)
        type = type->acts_as(args);
    return type ? type : &absent;
}

const struct exchange_type *exchange_type_next(const struct exchange_type *after)
{
    size_t n = atomic_load_explicit(&count, memory_order_acquire), i = 0;
    while (after && i < n && types[i++] != after)
        ;
    return i < n ? types[i] : NULL;
}
