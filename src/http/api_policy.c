/* Policies, parameters and limits. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/kind.h"
#include "http/login.h"
#include "http/session.h"

#include "base/table.h"
#include "meta/access.h"
#include "meta/routing.h"

#include <inttypes.h>

static struct asker asker_named(const struct session *s, size_t arg)
{
    struct asker asker = list_asker(s);
    asker.text = slice_dup(s->args[arg]);
    return asker;
}

static void answer_set(struct session *s, const struct meta_request *request, unsigned status)
{
    if (request->code)
        reply_bad(s, "%s", request->why.text);
    else
        reply_empty(s, status);
}

static void on_set(struct session *s, const struct meta_request *request)
{
    answer_set(s, request, 201);
}

static void on_limit_set(struct session *s, const struct meta_request *request)
{
    answer_set(s, request, 204);
}

/* What is not there to be cleared is not found, whatever the words. */
static void on_cleared(struct session *s, const struct meta_request *request)
{
    if (request->code)
        reply_not_found(s);
    else
        reply_empty(s, 204);
}

/* ---- policies ---- */

void api_policies(struct session *s)
{
    list_start(s, &kind_policies, list_asker(s));
}

void api_policy(struct session *s)
{
    list_start_one(s, &kind_policies, asker_named(s, 1));
}

void api_operator_policies(struct session *s)
{
    list_start(s, &kind_operator_policies, list_asker(s));
}

void api_operator_policy(struct session *s)
{
    list_start_one(s, &kind_operator_policies, asker_named(s, 1));
}

/* False: it was answered. */
static bool need_vhost(struct session *s)
{
    if (routing_find_vhost(session_routing(s), s->vhost))
        return true;
    reply_error(s, 404, "not_found", "vhost_not_found");
    return false;
}

static struct meta_request *named_request(struct session *s, enum meta_verb verb, unsigned flags,
                                          struct slice name)
{
    struct meta_request *rq = session_request(s, verb, true);
    rq->flags |= flags;
    meta_request_set(&rq->vhost, s->vhost);
    meta_request_set(&rq->name, name);
    return rq;
}

static void put_policy(struct session *s, unsigned flags)
{
    struct buf table;
    if (!need_vhost(s) || !body_parse(s, &table))
        return;
    struct slice body = buf_slice(&table);
    struct meta_request *rq = named_request(s, META_POLICY_SET, flags, s->args[1]);
    body_value(body, "definition", &rq->args);
    if (body_has(s, body, "pattern definition") && body_text(s, body, "pattern", &rq->pattern) &&
        body_text(s, body, "apply-to", &rq->apply_to) &&
        body_int(s, body, "priority", &rq->priority))
        session_submit(s, &rq, on_set);
    meta_request_free(&rq);
    buf_fini(&table);
}

static void clear_policy(struct session *s, unsigned flags)
{
    struct meta_request *rq = named_request(s, META_POLICY_CLEAR, flags, s->args[1]);
    session_submit(s, &rq, on_cleared);
}

void api_put_policy(struct session *s)
{
    put_policy(s, 0);
}

void api_delete_policy(struct session *s)
{
    clear_policy(s, 0);
}

void api_put_operator_policy(struct session *s)
{
    put_policy(s, META_OPERATOR);
}

void api_delete_operator_policy(struct session *s)
{
    clear_policy(s, META_OPERATOR);
}

/* ---- parameters ---- */

void api_parameters(struct session *s)
{
    struct asker asker = list_asker(s);
    if (s->args[0].data)
        asker.text = slice_dup(s->args[0]);
    list_start(s, &kind_parameters, asker);
}

/* The arguments of paths: component, vhost, name. */
enum { COMPONENT, VHOST, NAME };

void api_parameter(struct session *s)
{
    struct asker asker = asker_named(s, COMPONENT);
    asker.text2 = slice_dup(s->args[NAME]);
    list_start_one(s, &kind_parameters, asker);
}

static struct meta_request *parameter_request(struct session *s, enum meta_verb verb)
{
    struct meta_request *rq = named_request(s, verb, 0, s->args[NAME]);
    meta_request_set(&rq->source, s->args[COMPONENT]);
    return rq;
}

void api_put_parameter(struct session *s)
{
    struct buf table;
    if (!body_parse(s, &table))
        return;
    if (body_has(s, buf_slice(&table), "value")) {
        struct meta_request *rq = parameter_request(s, META_PARAMETER_SET);
        body_value(buf_slice(&table), "value", &rq->args);
        session_submit(s, &rq, on_set);
    }
    buf_fini(&table);
}

void api_delete_parameter(struct session *s)
{
    struct meta_request *rq = parameter_request(s, META_PARAMETER_CLEAR);
    session_submit(s, &rq, on_cleared);
}

void api_global_parameters(struct session *s)
{
    list_start(s, &kind_global_parameters, list_asker(s));
}

void api_global_parameter(struct session *s)
{
    list_start_one(s, &kind_global_parameters, asker_named(s, 0));
}

void api_put_global_parameter(struct session *s)
{
    struct buf table;
    if (!body_parse(s, &table))
        return;
    if (body_has(s, buf_slice(&table), "value")) {
        struct meta_request *rq = named_request(s, META_PARAMETER_SET, META_GLOBAL, s->args[0]);
        body_value(buf_slice(&table), "value", &rq->args);
        session_submit(s, &rq, on_set);
    }
    buf_fini(&table);
}

void api_put_cluster_name(struct session *s)
{
    struct buf table;
    struct slice name;
    bool there;
    if (!body_parse(s, &table))
        return;
    if (body_has(s, buf_slice(&table), "name") &&
        body_find_text(s, buf_slice(&table), "name", &name, &there)) {
        struct meta_request *rq =
            named_request(s, META_PARAMETER_SET, META_GLOBAL, SLICE("cluster_name"));
        body_value(buf_slice(&table), "name", &rq->args);
        session_submit(s, &rq, NULL);
    }
    buf_fini(&table);
}

void api_delete_global_parameter(struct session *s)
{
    struct meta_request *rq = named_request(s, META_PARAMETER_CLEAR, META_GLOBAL, s->args[0]);
    session_submit(s, &rq, on_cleared);
}

/* ---- limits ---- */

void api_vhost_limits(struct session *s)
{
    list_start(s, &kind_vhost_limits, list_asker(s));
}

void api_user_limits(struct session *s)
{
    struct asker asker = list_asker(s);
    if (s->args[0].data)
        asker.text = slice_dup(s->args[0]);
    list_start(s, &kind_user_limits, asker);
}

/* {"value": {name: n}}, as the metadata master takes limits. False: it was answered. */
static bool read_limit(struct session *s, struct slice *field)
{
    struct buf table, limits = BUF_INIT, entry = BUF_INIT;
    int64_t n = 0;
    if (!body_parse(s, &table))
        return false;
    bool good =
        body_has(s, buf_slice(&table), "value") && body_int(s, buf_slice(&table), "value", &n);
    if (good) {
        table_put_i64(&limits, s->args[1], n);
        table_put_table(&entry, SLICE("value"), buf_slice(&limits));
        meta_request_set(field, buf_slice(&entry));
    }
    buf_fini(&table);
    buf_fini(&limits);
    buf_fini(&entry);
    return good;
}

static bool check_limit_name(struct session *s)
{
    if (s->args[1].len && s->args[1].len <= UINT8_MAX)
        return true;
    reply_not_found(s);
    return false;
}

/* All limits of a virtual host are one parameter, of which the master changes one. NULL: it was
 * answered. */
static struct meta_request *vhost_limit_request(struct session *s, enum meta_verb verb)
{
    if (!need_vhost(s) || !check_limit_name(s))
        return NULL;
    struct meta_request *rq = named_request(s, verb, META_SINGLE, SLICE("limits"));
    meta_request_set(&rq->source, SLICE("vhost-limits"));
    return rq;
}

void api_put_vhost_limit(struct session *s)
{
    struct meta_request *rq = vhost_limit_request(s, META_PARAMETER_SET);
    if (rq && read_limit(s, &rq->args))
        session_submit(s, &rq, on_limit_set);
    meta_request_free(&rq);
}

void api_delete_vhost_limit(struct session *s)
{
    struct meta_request *rq = vhost_limit_request(s, META_PARAMETER_CLEAR);
    if (!rq)
        return;
    meta_request_set(&rq->key, s->args[1]);
    session_submit(s, &rq, on_limit_set);
}

/* NULL: there is no such user, and it was answered. */
static struct meta_request *user_limit_request(struct session *s, enum meta_verb verb)
{
    if (!access_user_exists(session_routing(s), s->args[0])) {
        reply_not_found(s);
        return NULL;
    }
    struct meta_request *rq = session_request(s, verb, true);
    meta_request_set(&rq->name, s->args[0]);
    return rq;
}

void api_put_user_limit(struct session *s)
{
    struct meta_request *rq =
        check_limit_name(s) ? user_limit_request(s, META_USER_LIMITS_SET) : NULL;
    if (rq && read_limit(s, &rq->args))
        session_submit(s, &rq, on_limit_set);
    meta_request_free(&rq);
}

void api_delete_user_limit(struct session *s)
{
    struct meta_request *rq = user_limit_request(s, META_USER_LIMITS_CLEAR);
    if (!rq)
        return;
    meta_request_set(&rq->key, s->args[1]);
    session_submit(s, &rq, on_limit_set);
}
