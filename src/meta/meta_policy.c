/* The master's policies and operator policies. */
#include "base/mem.h"
#include "meta/meta_priv.h"
#include "meta/policy.h"

static enum err no_parameter(struct failure *why)
{
    return failure_set(why, ERR_NOT_FOUND, "Parameter does not exist");
}

static void publish(struct meta *m, const struct policy_def *like, bool cleared)
{
    struct meta_change *change = change_new(CHANGE_POLICY);
    change->cleared = cleared;
    change->policy = policy_def_new(like);
    meta_publish(m, change);
}

enum err meta_policy_set(struct meta *m, struct meta_request *rq)
{
    struct policy_def like = {
        .operator_made = rq->flags & META_OPERATOR,
        .vhost = rq->vhost,
        .name = rq->name,
        .pattern = rq->pattern,
        .priority = rq->priority,
        .apply_to = APPLY_TO_ALL,
    };
    struct table_value definition = {.type = TABLE_VOID};
    if (!meta_get_vhost(m, rq, &rq->why))
        return rq->why.code;
    if (rq->name.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "policy name is too long");
    table_find(rq->args, SLICE("value"), &definition);
    enum err err = policy_check(&like, &definition, rq->apply_to, &rq->why);
    if (err)
        return err;
    if (rq->apply_to.data)
        policy_apply_to_parse(rq->apply_to, &like.apply_to);
    struct buf sorted = BUF_INIT;
    table_sort(definition.bytes, &sorted);
    like.args = buf_slice(&sorted);
    publish(m, &like, false);
    buf_fini(&sorted);
    return ERR_NONE;
}

enum err meta_policy_clear(struct meta *m, struct meta_request *rq)
{
    const struct vhost *vhost = routing_find_vhost(m->local, rq->vhost);
    const struct policy *p =
        vhost ? policies_find(vhost, rq->flags & META_OPERATOR, rq->name) : NULL;
    if (!p)
        return no_parameter(&rq->why);
    publish(m, p->def, true);
    return ERR_NONE;
}
