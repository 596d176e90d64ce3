/* Changes as records: what is durable of a change goes into the journal before the change is
 * published. Durable are virtual hosts, users, permissions, exchanges and queues that say so, and
 * bindings between durable ends.
 *
 * Whatever goes takes other definitions with it. It comes first, those follow, in portions if they
 * are many: a journal that ends in between leaves definitions of something that is gone, and these
 * are left out at the start. */
#include "base/bug.h"
#include "meta/meta_priv.h"
#include "meta/meta_store.h"

enum { PORTION = 1 << 20 };

/* Where records are appended. Before those that belong into one unit: a long line of them goes in
 * portions. */
static struct buf *begin(struct meta *m)
{
    if (store_records(m->store.log)->len > PORTION)
        store_hand_over(m->store.log);
    return store_records(m->store.log);
}

static struct slice key_of(struct meta *m, enum noun noun, const void *def)
{
    buf_clear(&m->store.key);
    meta_store_put_key(noun, def, &m->store.key);
    return buf_slice(&m->store.key);
}

static struct slice value_of(struct meta *m, enum noun noun, const void *def)
{
    buf_clear(&m->store.value);
    meta_store_put_value(noun, def, &m->store.value);
    return buf_slice(&m->store.value);
}

static void define(struct meta *m, enum noun noun, const void *def)
{
    record_put_define(store_records(m->store.log), (uint8_t)noun, key_of(m, noun, def),
                      value_of(m, noun, def));
    m->store.recorded = true;
}

static void undefine(struct meta *m, enum noun noun, const void *def)
{
    record_put_undefine(store_records(m->store.log), (uint8_t)noun, key_of(m, noun, def));
    m->store.recorded = true;
}

/* Nothing is written, and nobody waits, where all stays as it is. former may be NULL. */
static void redefine(struct meta *m, enum noun noun, const void *former, const void *def)
{
    if (former) {
        struct buf before = BUF_INIT;
        meta_store_put_value(noun, former, &before);
        bool same = slice_eq(buf_slice(&before), value_of(m, noun, def));
        buf_fini(&before);
        if (same)
            return;
    }
    begin(m);
    define(m, noun, def);
}

/* --- bindings --- */

static bool is_durable(const struct bound *bound)
{
    const struct destination *to = &bound->binding.to;
    return bound->source->def->durable &&
           (to->exchange ? to->exchange->def->durable : to->queue->def->durable);
}

static bool will_be_durable(const struct vhost *vhost, const struct binding_def *def)
{
    const struct exchange *source = vhost_find_exchange(vhost, def->source);
    if (!source->def->durable)
        return false;
    return def->to_exchange ? vhost_find_exchange(vhost, def->destination)->def->durable
                            : vhost_find_queue(vhost, def->destination)->def->durable;
}

static void unbind(struct meta *m, const struct bound *bound)
{
    if (!is_durable(bound))
        return;
    begin(m);
    undefine(m, NOUN_BINDING, bound->def);
}

static void unbind_sources(struct meta *m, const struct list *bounds_in)
{
    list_each (it, bounds_in)
        unbind(m, list_entry(it, struct bound, by_destination));
}

/* --- queues, exchanges --- */

/* Other shards write of the queue once they know of it: its records go ahead. */
static void open_queue(struct meta *m, const struct queue_def *def)
{
    if (!def->durable)
        return;
    record_put_open(begin(m), def->id, true);
    if (def->line)
        record_put_open(store_records(m->store.log), def->line->id, true);
    define(m, NOUN_QUEUE, def);
    meta_answer_soon(m);
}

static void open_exchange(struct meta *m, const struct exchange_def *def)
{
    if (!def->durable || meta_is_predeclared(def->name))
        return;
    if (!def->line || !def->line->durable) {
        redefine(m, NOUN_EXCHANGE, NULL, def);
        return;
    }
    record_put_open(begin(m), def->line->id, true);
    define(m, NOUN_EXCHANGE, def);
    meta_answer_soon(m);
}

static void drop_contents(struct meta *m, const struct queue_def *def)
{
    if (def && def->durable)
        record_put_drop(store_records(m->store.log), def->id);
}

static void drop_queue(struct meta *m, const struct vhost *vhost, const struct queue_def *def)
{
    if (!def->durable)
        return;
    record_put_drop(begin(m), def->id);
    drop_contents(m, def->line);
    undefine(m, NOUN_QUEUE, def);
    unbind_sources(m, &vhost_find_queue(vhost, def->name)->bindings);
}

static void drop_exchange(struct meta *m, const struct vhost *vhost, const struct exchange_def *def)
{
    if (!def->durable)
        return;
    const struct exchange *x = vhost_find_exchange(vhost, def->name);
    drop_contents(m, def->line);
    undefine(m, NOUN_EXCHANGE, def);
    unbind_sources(m, &x->in);
    list_each (it, &x->out)
        unbind(m, list_entry(it, struct bound, by_source));
}

/* --- virtual hosts, users --- */

static void undefine_permission(struct meta *m, const struct permission_def *def)
{
    begin(m);
    undefine(m, def->topic ? NOUN_TOPIC_PERMISSION : NOUN_PERMISSION, def);
}

static enum noun noun_of_policy(const struct policy_def *def)
{
    return def->operator_made ? NOUN_OPERATOR_POLICY : NOUN_POLICY;
}

static enum noun noun_of_parameter(const struct parameter_def *def)
{
    static const enum noun nouns[] = {[PARAMETER_OF_VHOST] = NOUN_PARAMETER,
                                      [PARAMETER_GLOBAL] = NOUN_GLOBAL_PARAMETER,
                                      [PARAMETER_USER_LIMITS] = NOUN_USER_LIMITS};
    return nouns[def->kind];
}

static void put_policy(struct meta *m, const struct policy_def *def, bool cleared)
{
    const struct policy *p =
        policies_find(routing_find_vhost(m->local, def->vhost), def->operator_made, def->name);
    if (cleared)
        undefine(m, noun_of_policy(def), def);
    else
        redefine(m, noun_of_policy(def), p ? p->def : NULL, def);
}

static void put_parameter(struct meta *m, const struct parameter_def *def, bool cleared)
{
    if (cleared)
        undefine(m, noun_of_parameter(def), def);
    else
        redefine(m, noun_of_parameter(def), parameters_find(m->local, def), def);
}

static void drop_settings(struct meta *m, const struct vhost *vhost)
{
    for (int kind = 0; kind < POLICY_KINDS; kind++) {
        list_each (it, &vhost->policies[kind]) {
            const struct policy_def *def = list_entry(it, struct policy, link)->def;
            begin(m);
            undefine(m, noun_of_policy(def), def);
        }
    }
    list_each (it, &vhost->parameters) {
        begin(m);
        undefine(m, NOUN_PARAMETER, list_entry(it, struct parameter, link)->def);
    }
}

static void drop_vhost(struct meta *m, const struct vhost *vhost)
{
    undefine(m, NOUN_VHOST, vhost->def);
    drop_settings(m, vhost);
    list_each (it, &vhost->permissions)
        undefine_permission(m, list_entry(it, struct permission, by_vhost)->def);
    hash_each (i, &vhost->exchanges) {
        const struct exchange *x = hash_at(&vhost->exchanges, i);
        begin(m);
        drop_contents(m, x->def->line);
        if (x->def->durable && !meta_is_predeclared(x->def->name))
            undefine(m, NOUN_EXCHANGE, x->def);
    }
    hash_each (i, &vhost->bindings)
        unbind(m, ((const struct binding_def *)hash_at(&vhost->bindings, i))->bounds[0]);
    hash_each (i, &vhost->queues) {
        const struct queue_def *def =
            ((const struct target_queue *)hash_at(&vhost->queues, i))->def;
        if (!def->durable)
            continue;
        record_put_drop(begin(m), def->id);
        drop_contents(m, def->line);
        undefine(m, NOUN_QUEUE, def);
    }
}

static void put_user(struct meta *m, const struct user_def *def)
{
    const struct user *user = access_find_user(m->local, def->name);
    redefine(m, NOUN_USER, user ? user->def : NULL, def);
}

static void drop_user(struct meta *m, const struct user_def *def)
{
    const struct user *user = access_find_user(m->local, def->name);
    undefine(m, NOUN_USER, def);
    if (user->limits)
        undefine(m, NOUN_USER_LIMITS, user->limits);
    list_each (it, &user->permissions)
        undefine_permission(m, list_entry(it, struct permission, by_user)->def);
}

static void put_permission(struct meta *m, const struct permission_def *def)
{
    enum noun noun = def->topic ? NOUN_TOPIC_PERMISSION : NOUN_PERMISSION;
    const struct permission *p =
        def->topic ? access_find_topic_permission(m->local, def->user, def->vhost, def->exchange)
                   : access_find_permission(m->local, def->user, def->vhost);
    redefine(m, noun, p ? p->def : NULL, def);
}

/* --- changes --- */

static void record_in_vhost(struct meta *m, const struct vhost *vhost,
                            const struct meta_change *change)
{
    switch (change->kind) {
    case CHANGE_EXCHANGE_ADDED:
        open_exchange(m, change->exchange);
        break;
    case CHANGE_EXCHANGE_REMOVED:
        drop_exchange(m, vhost, change->exchange);
        break;
    case CHANGE_QUEUE_ADDED:
        open_queue(m, change->queue);
        break;
    case CHANGE_QUEUE_REMOVED:
        drop_queue(m, vhost, change->queue);
        break;
    case CHANGE_BOUND:
        if (will_be_durable(vhost, change->binding))
            redefine(m, NOUN_BINDING, NULL, change->binding);
        break;
    case CHANGE_UNBOUND:
        unbind(m, change->binding->bounds[0]);
        break;
    default:
        bug_panic("change %d is not of a vhost", (int)change->kind);
    }
}

void meta_record(struct meta *m, const struct meta_change *change)
{
    const struct vhost *vhost = NULL;
    if (!m->store.log)
        return;
    switch (change->kind) {
    case CHANGE_VHOST_ADDED:
        vhost = routing_find_vhost(m->local, change->vhost->name);
        redefine(m, NOUN_VHOST, vhost ? vhost->def : NULL, change->vhost);
        break;
    case CHANGE_VHOST_REMOVED:
        drop_vhost(m, routing_find_vhost(m->local, change->vhost->name));
        break;
    case CHANGE_USER_PUT:
        put_user(m, change->user);
        break;
    case CHANGE_USER_REMOVED:
        drop_user(m, change->user);
        break;
    case CHANGE_PERMISSION:
    case CHANGE_TOPIC_PERMISSION:
        if (change->cleared)
            undefine_permission(m, change->permission);
        else
            put_permission(m, change->permission);
        break;
    case CHANGE_POLICY:
        put_policy(m, change->policy, change->cleared);
        break;
    case CHANGE_PARAMETER:
        put_parameter(m, change->parameter, change->cleared);
        break;
    default:
        record_in_vhost(m, routing_find_vhost(m->local, meta_change_vhost(change)), change);
    }
}

/* --- what is asked of the store besides --- */

uint64_t meta_new_queue_id(struct meta *m)
{
    struct store *store = store_of(m->node);
    return store ? store_new_queue_id(store) : ++m->store.last_queue_id;
}

static const struct node_def seeded = {{(const uint8_t *)"seeded", 6}};

bool meta_is_seeded(const struct node *node)
{
    return meta_of(node)->store.seeded;
}

void meta_set_seeded(struct node *node)
{
    struct meta *m = meta_of(node);
    if (!m->store.log)
        return;
    m->store.seeded = true;
    define(m, NOUN_NODE, &seeded);
}

void meta_keep_fact(struct meta *m, struct slice name)
{
    if (m->store.log)
        define(m, NOUN_NODE, &(struct node_def){name});
}

void meta_drop_fact(struct meta *m, struct slice name)
{
    if (m->store.log)
        undefine(m, NOUN_NODE, &(struct node_def){name});
}
