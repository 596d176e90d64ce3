/* The policies of a shard's replica: kept by priority, patterns compiled once, matched against
 * names when a queue or an exchange asks. Exchanges remember the answer until policies change;
 * queues ask through their actors. */
#include "base/bug.h"
#include "base/mem.h"
#include "meta/routing_priv.h"

#include <stdlib.h>

void policies_init(struct vhost *vhost)
{
    for (int kind = 0; kind < POLICY_KINDS; kind++)
        list_init(&vhost->policies[kind]);
}

static struct policy *find(const struct vhost *vhost, bool operator_made, struct slice name)
{
    list_each (it, &vhost->policies[operator_made]) {
        struct policy *p = list_entry(it, struct policy, link);
        if (slice_eq(p->def->name, name))
            return p;
    }
    return NULL;
}

const struct policy *policies_find(const struct vhost *vhost, bool operator_made, struct slice name)
{
    return find(vhost, operator_made, name);
}

/* --- changes --- */

/* Highest priority first; of those with the same one, by name. */
static bool comes_before(const struct policy_def *a, const struct policy_def *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return slice_cmp(a->name, b->name) < 0;
}

static void link_policy(struct vhost *vhost, struct policy *p)
{
    struct list *head = &vhost->policies[p->def->operator_made], *at = head->next;
    while (at != head && comes_before(list_entry(at, struct policy, link)->def, p->def))
        at = at->next;
    list_append(at, &p->link); /* before what is there */
}

static void set_def(struct policy *p, struct policy_def *def)
{
    p->def = policy_def_ref(def);
    pattern_init(&p->pattern, def->pattern.len ? def->pattern : SLICE(".*"));
}

static void clear_def(struct policy *p)
{
    list_remove(&p->link);
    pattern_fini(&p->pattern);
    policy_def_unref(&p->def);
}

static void drop(struct routing *routing, struct vhost *vhost, struct policy *p)
{
    routing_strike(routing, &vhost->by_number.policies, p->number);
    clear_def(p);
    free(p);
}

void policies_apply(struct routing *routing, const struct meta_change *change)
{
    struct policy_def *def = change->policy;
    struct vhost *vhost = routing_find_vhost(routing, def->vhost);
    bug_on(!vhost);
    struct policy *p = find(vhost, def->operator_made, def->name);
    routing->policy_version++;
    if (change->cleared) {
        if (p)
            drop(routing, vhost, p);
        return;
    }
    if (p) { /* the same object, in its place for those that walk */
        clear_def(p);
    } else {
        p = NEW(struct policy);
        p->number = routing_enroll(routing, &vhost->by_number.policies, p);
    }
    set_def(p, def);
    link_policy(vhost, p);
}

void policies_drop_vhost(struct routing *routing, struct vhost *vhost)
{
    for (int kind = 0; kind < POLICY_KINDS; kind++) {
        list_each_safe (it, &vhost->policies[kind])
            drop(routing, vhost, list_entry(it, struct policy, link));
    }
}

/* --- matching --- */

static bool is_for_queue(enum apply_to apply_to, enum queue_type type)
{
    switch (apply_to) {
    case APPLY_TO_ALL:
    case APPLY_TO_QUEUES:
        return true;
    case APPLY_TO_CLASSIC_QUEUES:
        return type == QUEUE_CLASSIC;
    case APPLY_TO_QUORUM_QUEUES:
        return type == QUEUE_QUORUM;
    case APPLY_TO_STREAMS:
        return type == QUEUE_STREAM;
    case APPLY_TO_EXCHANGES:
    case APPLY_TO_COUNT:
        break;
    }
    return false;
}

/* queue NULL: an exchange */
static bool is_meant(const struct policy *p, const struct queue_def *queue)
{
    if (!queue)
        return p->def->apply_to == APPLY_TO_ALL || p->def->apply_to == APPLY_TO_EXCHANGES;
    return is_for_queue(p->def->apply_to, queue->type);
}

/* POLICY_IN_EFFECT: if none comes before. */
static enum policy_standing stands(const struct routing *routing, const struct policy *p,
                                   const struct queue_def *queue, struct slice name)
{
    if (!is_meant(p, queue))
        return POLICY_NOT_MEANT;
    if (queue && !policy_suits(p->def, queue->type))
        return POLICY_NOT_SUITED;
    return pattern_matches(&p->pattern, routing->matcher, name) ? POLICY_IN_EFFECT
                                                                : POLICY_NOT_MATCHING;
}

void policies_explain(const struct vhost *vhost, const struct queue_def *queue, struct slice name,
                      void (*tell)(void *arg, const struct policy_def *def,
                                   enum policy_standing standing),
                      void *arg)
{
    for (int kind = 0; kind < POLICY_KINDS; kind++) {
        bool found = false;
        list_each (it, &vhost->policies[kind]) {
            const struct policy *p = list_entry(it, struct policy, link);
            enum policy_standing standing = stands(vhost->routing, p, queue, name);
            bool matches = standing == POLICY_IN_EFFECT;
            tell(arg, p->def, matches && found ? POLICY_OUTRANKED : standing);
            found = found || matches;
        }
    }
}

static struct policy_def *best(const struct routing *routing, const struct list *policies,
                               const struct queue_def *queue, struct slice name)
{
    list_each (it, policies) {
        const struct policy *p = list_entry(it, struct policy, link);
        if (stands(routing, p, queue, name) == POLICY_IN_EFFECT)
            return p->def;
    }
    return NULL;
}

static struct applied match(const struct routing *routing, const struct vhost *vhost,
                            const struct queue_def *queue, struct slice name)
{
    return (struct applied){best(routing, &vhost->policies[false], queue, name),
                            best(routing, &vhost->policies[true], queue, name)};
}

uint64_t routing_policy_version(const struct routing *routing)
{
    return routing->policy_version;
}

struct applied routing_match_queue(const struct routing *routing, const struct queue_def *queue)
{
    const struct vhost *vhost = routing_find_vhost(routing, queue->vhost);
    return vhost ? match(routing, vhost, queue, queue->name) : (struct applied){NULL, NULL};
}

void policies_apply_to_exchange(struct exchange *x)
{
    const struct routing *routing = x->vhost->routing;
    if (x->applied_version == routing->policy_version)
        return;
    struct applied now = match(routing, x->vhost, NULL, x->def->name);
    applied_set(&x->applied, &now);
    x->applied_version = routing->policy_version;
}
