/* The replica of a shard: vhosts, exchanges with their type's instance, bindings, queues. Touched
 * by its own shard alone; before the loops run, by the master for all shards. */
#include "meta/routing_priv.h"

#include "base/bug.h"
#include "base/heap.h"
#include "base/mem.h"
#include "shard/slot.h"

#include <stdlib.h>

static struct slice vhost_key(const void *object)
{
    return ((const struct vhost *)object)->def->name;
}

static struct slice exchange_key(const void *object)
{
    return ((const struct exchange *)object)->def->name;
}

static struct slice queue_key(const void *object)
{
    return ((const struct target_queue *)object)->def->name;
}

static struct slice queue_def_name(const void *object)
{
    return ((const struct queue_def *)object)->name;
}

static struct slice binding_identity(const void *object)
{
    return ((const struct binding_def *)object)->identity;
}

/* --- looking up --- */

struct routing *routing_of(const struct shard *shard)
{
    return shard_get_local(shard, SHARD_LOCAL_META);
}

uint64_t routing_version(const struct routing *routing)
{
    return routing->version;
}

struct vhost *routing_find_vhost(const struct routing *routing, struct slice name)
{
    return hash_find(&routing->vhosts, name);
}

struct slice vhost_name(const struct vhost *vhost)
{
    return vhost->def->name;
}

bool routing_is_traced(const struct routing *routing)
{
    return routing->traced;
}

bool vhost_is_traced(const struct vhost *vhost)
{
    return vhost->def->tracing;
}

struct exchange *vhost_find_exchange(const struct vhost *vhost, struct slice name)
{
    return hash_find(&vhost->exchanges, name);
}

struct target_queue *vhost_find_queue(const struct vhost *vhost, struct slice name)
{
    return hash_find(&vhost->queues, name);
}

const struct exchange_def *exchange_get_def(const struct exchange *exchange)
{
    return exchange->def;
}

const struct exchange_type *exchange_get_type(const struct exchange *exchange)
{
    return exchange->type;
}

const void *exchange_get_instance(const struct exchange *exchange)
{
    return exchange->instance;
}

struct target_queue *exchange_find_line(struct exchange *exchange)
{
    return exchange->line.def ? &exchange->line : NULL;
}

bool exchange_is_bound(const struct exchange *exchange)
{
    return !list_empty(&exchange->out);
}

struct vhost *exchange_vhost(const struct exchange *exchange)
{
    return exchange->vhost;
}

const struct applied *exchange_get_policies(struct exchange *exchange)
{
    policies_apply_to_exchange(exchange);
    return &exchange->applied;
}

/* What was declared comes before what a policy says. */
struct exchange *exchange_find_alternate(struct exchange *exchange)
{
    struct slice name = exchange->def->alternate;
    struct table_value value;
    if (!name.data && policy_find(exchange_get_policies(exchange), "alternate-exchange", &value))
        name = value.bytes;
    return name.data ? vhost_find_exchange(exchange->vhost, name) : NULL;
}

/* --- stamps --- */

static void clear_stamps(struct routing *routing)
{
    hash_each (v, &routing->vhosts) {
        struct vhost *vhost = hash_at(&routing->vhosts, v);
        hash_each (q, &vhost->queues)
            ((struct target_queue *)hash_at(&vhost->queues, q))->stamp = 0;
        hash_each (x, &vhost->exchanges) {
            struct exchange *exchange = hash_at(&vhost->exchanges, x);
            exchange->stamp = exchange->line.stamp = 0;
        }
    }
}

uint32_t routing_next_stamp(struct routing *routing)
{
    if (++routing->stamp == 0) {
        clear_stamps(routing);
        routing->stamp = 1;
    }
    return routing->stamp;
}

uint32_t *exchange_stamp(struct exchange *exchange)
{
    return &exchange->stamp;
}

/* --- rosters --- */

uint64_t routing_enroll(struct routing *routing, struct roster *roster, void *object)
{
    if (routing->index != 0)
        return 0;
    roster_add(roster, ++routing->last_number, object);
    return routing->last_number;
}

void routing_strike(struct routing *routing, struct roster *roster, uint64_t number)
{
    if (routing->index == 0)
        roster_remove(roster, number);
}

/* --- bindings --- */

static void link_binding(struct routing *routing, struct vhost *vhost, struct binding_def *def)
{
    struct bound *bound = NEW(struct bound);
    struct list *in;
    bound->def = binding_def_ref(def);
    bound->source = vhost_find_exchange(vhost, def->source);
    bug_on(!bound->source);
    if (def->to_exchange) {
        bound->binding.to.exchange = vhost_find_exchange(vhost, def->destination);
        bug_on(!bound->binding.to.exchange);
        in = &bound->binding.to.exchange->in;
    } else {
        bound->binding.to.queue = vhost_find_queue(vhost, def->destination);
        bug_on(!bound->binding.to.queue);
        in = &bound->binding.to.queue->bindings;
    }
    bound->binding.key = def->key;
    bound->binding.args = def->args;
    bound->binding.order = def->order;
    list_append(&bound->source->out, &bound->by_source);
    list_append(in, &bound->by_destination);
    bug_on(def->bounds[routing->index]);
    def->bounds[routing->index] = bound;
    if (routing->index == 0) {
        hash_add(&vhost->bindings, def);
        def->number = routing_enroll(routing, &vhost->by_number.bindings, def);
        event_binding(routing, "binding.created", def);
    }
    bound->source->type->bind(bound->source->instance, &bound->binding);
}

/* The type must not know the binding any more. */
static void free_bound(struct routing *routing, struct bound *bound)
{
    struct vhost *vhost = bound->source->vhost;
    if (routing->index == 0 && vhost->bindings.count) {
        event_binding(routing, "binding.deleted", bound->def);
        hash_remove(&vhost->bindings, bound->def->identity);
        routing_strike(routing, &vhost->by_number.bindings, bound->def->number);
    }
    list_remove(&bound->by_source);
    list_remove(&bound->by_destination);
    bound->def->bounds[routing->index] = NULL;
    binding_def_unref(&bound->def);
    free(bound);
}

static void unlink_binding(struct routing *routing, struct bound *bound)
{
    bound->source->type->unbind(bound->source->instance, &bound->binding);
    free_bound(routing, bound);
}

/* --- queues --- */

static void add_queue(struct routing *routing, struct vhost *vhost, struct queue_def *def)
{
    struct target_queue *queue = NEW(struct target_queue);
    queue->def = queue_def_ref(def);
    queue->addr = def->line ? def->line->addr : def->addr;
    list_init(&queue->bindings);
    hash_add(&vhost->queues, queue);
    if (routing->index != 0)
        return;
    def->number = routing_enroll(routing, &vhost->by_number.queues, def);
    order_add(&vhost->queues_by_name, def);
}

static void free_queue(struct target_queue *queue)
{
    queue_def_unref(&queue->def);
    free(queue);
}

static void remove_queue(struct routing *routing, struct vhost *vhost, const struct queue_def *def)
{
    struct target_queue *queue = hash_remove(&vhost->queues, def->name);
    bug_on(!queue || queue->def != def);
    list_each_safe (it, &queue->bindings)
        unlink_binding(routing, list_entry(it, struct bound, by_destination));
    routing_strike(routing, &vhost->by_number.queues, def->number);
    if (routing->index == 0)
        order_remove(&vhost->queues_by_name, def);
    free_queue(queue);
}

/* --- exchanges --- */

static void add_exchange(struct routing *routing, struct vhost *vhost, struct exchange_def *def)
{
    struct exchange *x = NEW(struct exchange);
    x->def = exchange_def_ref(def);
    x->type = exchange_type_acting(def->type, def->args);
    if (def->line)
        x->line = (struct target_queue){.def = queue_def_ref(def->line), .addr = def->line->addr};
    x->instance = x->type->new (x->type, def->args);
    x->vhost = vhost;
    x->applied_version = routing->policy_version - 1;
    list_init(&x->out);
    list_init(&x->in);
    hash_add(&vhost->exchanges, x);
    if (routing->index == 0)
        def->number = routing_enroll(routing, &vhost->by_number.exchanges, x);
}

static void free_instance(struct exchange *x)
{
    x->type->free(x->instance);
    x->instance = NULL;
}

static void free_exchange(struct exchange *x)
{
    tally_free(&x->tally);
    applied_fini(&x->applied);
    queue_def_unref(&x->line.def);
    exchange_def_unref(&x->def);
    free(x);
}

static void free_bounds_from(struct routing *routing, struct exchange *x)
{
    list_each_safe (it, &x->out)
        free_bound(routing, list_entry(it, struct bound, by_source));
}

static void remove_exchange(struct routing *routing, struct vhost *vhost,
                            const struct exchange_def *def)
{
    struct exchange *x = hash_remove(&vhost->exchanges, def->name);
    bug_on(!x || x->def != def);
    list_each_safe (it, &x->in)
        unlink_binding(routing, list_entry(it, struct bound, by_destination));
    free_instance(x);
    free_bounds_from(routing, x);
    routing_strike(routing, &vhost->by_number.exchanges, def->number);
    free_exchange(x);
}

/* --- vhosts --- */

static void put_vhost(struct routing *routing, struct vhost_def *def)
{
    struct vhost *vhost = routing_find_vhost(routing, def->name);
    routing->traced += def->tracing;
    routing->traced -= vhost && vhost->def->tracing;
    if (vhost) { /* the table's key is the definition's: same bytes in the new one */
        vhost_def_unref(&vhost->def);
        vhost->def = vhost_def_ref(def);
        return;
    }
    vhost = NEW(struct vhost);
    vhost->def = vhost_def_ref(def);
    vhost->routing = routing;
    hash_init(&vhost->exchanges, exchange_key);
    hash_init(&vhost->queues, queue_key);
    hash_init(&vhost->bindings, binding_identity);
    order_init(&vhost->queues_by_name, queue_def_name);
    list_init(&vhost->permissions);
    list_init(&vhost->parameters);
    vhost->max_connections = vhost->max_queues = -1;
    policies_init(vhost);
    hash_add(&routing->vhosts, vhost);
    vhost->number = routing_enroll(routing, &routing->vhosts_by_number, vhost);
    if (routing->index == 0)
        order_add(&routing->vhosts_by_name, vhost);
}

static void free_vhost(struct routing *routing, struct vhost *vhost)
{
    hash_fini(&vhost->bindings); /* holds no references, and free_bound need not look there */
    hash_each (i, &vhost->exchanges)
        free_instance(hash_at(&vhost->exchanges, i));
    hash_each (i, &vhost->exchanges)
        free_bounds_from(routing, hash_at(&vhost->exchanges, i));
    hash_each (i, &vhost->exchanges)
        free_exchange(hash_at(&vhost->exchanges, i));
    hash_each (i, &vhost->queues)
        free_queue(hash_at(&vhost->queues, i));
    hash_fini(&vhost->exchanges);
    hash_fini(&vhost->queues);
    roster_fini(&vhost->by_number.exchanges);
    roster_fini(&vhost->by_number.queues);
    order_fini(&vhost->queues_by_name);
    roster_fini(&vhost->by_number.bindings);
    roster_fini(&vhost->by_number.permissions);
    roster_fini(&vhost->by_number.policies);
    roster_fini(&vhost->by_number.parameters);
    tally_free(&vhost->tally);
    vhost_def_unref(&vhost->def);
    free(vhost);
}

static void drop_settings(struct routing *routing, struct vhost *vhost)
{
    access_drop_vhost(routing, vhost);
    policies_drop_vhost(routing, vhost);
    parameters_drop_vhost(routing, vhost);
}

static void remove_vhost(struct routing *routing, const struct vhost_def *def)
{
    struct vhost *vhost = hash_remove(&routing->vhosts, def->name);
    bug_on(!vhost);
    routing->traced -= vhost->def->tracing;
    routing_strike(routing, &routing->vhosts_by_number, vhost->number);
    if (routing->index == 0)
        order_remove(&routing->vhosts_by_name, vhost);
    drop_settings(routing, vhost);
    free_vhost(routing, vhost);
}

/* --- changes --- */

static void apply_in_vhost(struct routing *routing, const struct meta_change *change)
{
    struct vhost *vhost = routing_find_vhost(routing, meta_change_vhost(change));
    bug_on(!vhost);
    switch (change->kind) {
    case CHANGE_EXCHANGE_ADDED:
        add_exchange(routing, vhost, change->exchange);
        break;
    case CHANGE_EXCHANGE_REMOVED:
        remove_exchange(routing, vhost, change->exchange);
        break;
    case CHANGE_QUEUE_ADDED:
        add_queue(routing, vhost, change->queue);
        break;
    case CHANGE_QUEUE_REMOVED:
        remove_queue(routing, vhost, change->queue);
        break;
    case CHANGE_BOUND:
        link_binding(routing, vhost, change->binding);
        break;
    case CHANGE_UNBOUND:
        unlink_binding(routing, change->binding->bounds[routing->index]);
        break;
    default:
        bug_panic("change %d is not of a vhost", (int)change->kind);
    }
}

void routing_apply(struct routing *routing, const struct meta_change *change)
{
    check_magic(routing, ROUTING_MAGIC);
    routing->version++;
    switch (change->kind) {
    case CHANGE_VHOST_ADDED:
        routing->access_version++;
        put_vhost(routing, change->vhost);
        break;
    case CHANGE_VHOST_REMOVED:
        routing->access_version++;
        remove_vhost(routing, change->vhost);
        break;
    case CHANGE_USER_PUT:
    case CHANGE_USER_REMOVED:
    case CHANGE_PERMISSION:
    case CHANGE_TOPIC_PERMISSION:
        routing->access_version++;
        access_apply(routing, change);
        break;
    case CHANGE_POLICY:
        policies_apply(routing, change);
        break;
    case CHANGE_PARAMETER:
        parameters_apply(routing, change);
        break;
    default:
        apply_in_vhost(routing, change);
    }
    event_change(routing, change);
    for (struct routing_listener *l = routing->listeners, *next; l; l = next) {
        next = l->next;
        l->on_change(l->arg, change);
    }
}

void routing_listen(struct routing *routing, struct routing_listener *listener)
{
    listener->next = NULL;
    *routing->listeners_end = listener;
    routing->listeners_end = &listener->next;
}

static void on_op(void *object, struct op *op)
{
    struct meta_change *change = op_body(op, struct op_change)->change;
    bug_on(op->kind != OP_META_CHANGE);
    enum heap before = heap_enter(HEAP_DEFINITIONS);
    routing_apply(object, change);
    heap_enter(before);
    change_unref(&change);
}

static const struct actor_type replica_type = {"routing replica", on_op};

void routing_new(struct shard *shard, const struct meta_options *options)
{
    struct routing *routing = NEW(struct routing);
    routing->magic = ROUTING_MAGIC;
    routing->shard = shard;
    routing->index = shard_index(shard);
    routing->options = options;
    routing->listeners_end = &routing->listeners;
    routing->matcher = pattern_matcher_new();
    routing->policy_version = 1;
    list_init(&routing->globals);
    list_init(&routing->tallies);
    hash_init(&routing->vhosts, vhost_key);
    order_init(&routing->vhosts_by_name, vhost_key);
    access_init(routing);
    routing->addr = slot_new(shard, &replica_type, routing);
    shard_set_local(shard, SHARD_LOCAL_META, routing);
}

void routing_free(struct shard *shard)
{
    struct routing *routing = routing_of(shard);
    slot_free(shard, routing->addr);
    hash_each (i, &routing->vhosts) {
        struct vhost *vhost = hash_at(&routing->vhosts, i);
        drop_settings(routing, vhost);
        free_vhost(routing, vhost);
    }
    parameters_drop_globals(routing);
    hash_fini(&routing->vhosts);
    roster_fini(&routing->vhosts_by_number);
    order_fini(&routing->vhosts_by_name);
    access_fini(routing);
    pattern_matcher_free(&routing->matcher);
    free(routing);
    shard_set_local(shard, SHARD_LOCAL_META, NULL);
}
