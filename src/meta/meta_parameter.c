/* The master's parameters, and the limits of virtual hosts and users. */
#include "base/log.h"
#include "base/mem.h"
#include "meta/component.h"
#include "meta/meta_priv.h"
#include "meta/term.h"

static void publish(struct meta *m, const struct parameter_def *like, bool cleared)
{
    struct meta_change *change = change_new(CHANGE_PARAMETER);
    change->cleared = cleared;
    change->parameter = parameter_def_new(like);
    meta_publish(m, change);
}

/* --- limits: what they may be --- */

static const char *const vhost_limits[] = {"max-connections", "max-queues", NULL};
static const char *const user_limits[] = {"max-connections", "max-channels", NULL};

static bool is_known(struct slice key, const char *const *known)
{
    while (*known && !slice_eq_str(key, *known))
        known++;
    return *known != NULL;
}

static void check_terms(struct slice limits, const char *const *known, const char *of,
                        struct buf *errors)
{
    struct buf unknown = BUF_INIT;
    struct slice key;
    struct table_value value;
    for (struct table_iter it = table_iter(limits); table_next(&it, &key, &value);) {
        if (!is_known(key, known))
            table_put(&unknown, key, &value);
    }
    if (unknown.len) {
        buf_append_str(errors, "Unrecognised terms ");
        term_print_pairs(buf_slice(&unknown), errors);
        buf_printf(errors, " in %s\n", of);
    }
    buf_fini(&unknown);
    for (struct table_iter it = table_iter(limits); table_next(&it, &key, &value);) {
        if (!is_known(key, known) || table_is_int(value.type))
            continue;
        buf_printf(errors, "%.*s should be a number, actually was ", SLICE_ARG(key));
        term_print(&value, errors);
        buf_append_byte(errors, '\n');
    }
}

static void check_limits(const struct table_value *value, const char *const *known, const char *of,
                         struct buf *errors)
{
    if (value->type == TABLE_TABLE) {
        check_terms(value->bytes, known, of, errors);
    } else if (value->type == TABLE_ARRAY) {
        if (!value->bytes.len)
            return;
        buf_append_str(errors, "Unrecognised terms ");
        term_print(value, errors);
        buf_printf(errors, " in %s\n", of);
    } else {
        buf_printf(errors, "%s not a list ", of);
        term_print(value, errors);
        buf_append_byte(errors, '\n');
    }
}

/* --- parameters --- */

static bool is_limits(struct slice component)
{
    return slice_eq_str(component, "vhost-limits");
}

bool meta_has_component(struct slice name)
{
    return is_limits(name) || component_exists(name);
}

static enum err check_value(const struct parameter_def *like, struct failure *why)
{
    struct table_value value;
    struct buf errors = BUF_INIT;
    enum err err = ERR_NONE;
    if (!table_find(like->value, SLICE("value"), &value))
        return failure_set(why, ERR_PRECONDITION_FAILED, "a parameter needs a value");
    if (like->kind == PARAMETER_OF_VHOST && !meta_has_component(like->component))
        buf_printf(&errors, "component %.*s not found\n", SLICE_ARG(like->component));
    else if (like->kind == PARAMETER_OF_VHOST && is_limits(like->component))
        check_limits(&value, vhost_limits, "limits", &errors);
    else if (like->kind == PARAMETER_OF_VHOST)
        component_check(like->component, like->name, &value, &errors);
    if (errors.len)
        err = failure_set(why, ERR_PRECONDITION_FAILED, "Validation failed\n\n%.*s",
                          SLICE_ARG(buf_slice(&errors)));
    buf_fini(&errors);
    return err;
}

static uint64_t count_of(const struct meta *m, struct slice component)
{
    uint64_t count = 0;
    hash_each (i, &m->local->vhosts) {
        const struct vhost *vhost = hash_at(&m->local->vhosts, i);
        list_each (it, &vhost->parameters)
            count += slice_eq(list_entry(it, struct parameter, link)->def->component, component);
    }
    return count;
}

/* One that is there may be set again. */
static enum err check_limit(const struct meta *m, const struct parameter_def *like,
                            struct failure *why)
{
    enum limit limit = component_limit(like->component);
    if (like->kind != PARAMETER_OF_VHOST || limit == LIMIT_COUNT ||
        parameters_find(m->local, like) ||
        !limits_reached(&m->limits, limit, count_of(m, like->component)))
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "Validation failed\n\ncomponent %.*s is limited to %lld\n",
                       SLICE_ARG(like->component), (long long)limits_get(&m->limits, limit));
}

static struct parameter_def as_parameter(const struct meta_request *rq)
{
    if (rq->flags & META_GLOBAL)
        return (struct parameter_def){
            .kind = PARAMETER_GLOBAL, .name = rq->name, .value = rq->args};
    return (struct parameter_def){.kind = PARAMETER_OF_VHOST,
                                  .vhost = rq->vhost,
                                  .component = rq->source,
                                  .name = rq->name,
                                  .value = rq->args};
}

static bool is_policy(const struct meta_request *rq)
{
    return !(rq->flags & META_GLOBAL) &&
           (slice_eq_str(rq->source, "policy") || slice_eq_str(rq->source, "operator_policy"));
}

static struct slice limits_of(const struct parameter_def *def)
{
    struct slice limits;
    return def && table_find_table(def->value, SLICE("value"), &limits) ? limits : SLICE_EMPTY;
}

static void put_limits(struct slice limits, struct buf *out)
{
    struct buf sorted = BUF_INIT;
    table_sort(limits, &sorted);
    table_put_table(out, SLICE("value"), buf_slice(&sorted));
    buf_fini(&sorted);
}

/* META_SINGLE: makes it a request about all limits, whatever became of the others meanwhile; that
 * is what is kept, and told. */
static void widen(const struct meta *m, struct meta_request *rq)
{
    struct parameter_def like = as_parameter(rq);
    struct slice there = limits_of(parameters_find(m->local, &like));
    struct buf limits = BUF_INIT, value = BUF_INIT;
    if (rq->verb == META_PARAMETER_SET)
        table_merge(there, limits_of(&like), &limits);
    else
        table_remove(there, rq->key, &limits);
    rq->verb = limits.len ? META_PARAMETER_SET : META_PARAMETER_CLEAR;
    put_limits(buf_slice(&limits), &value);
    meta_request_set(&rq->args, buf_slice(&value));
    buf_fini(&limits);
    buf_fini(&value);
}

static void publish_request(struct meta *m, struct meta_request *rq)
{
    if (rq->flags & META_SINGLE)
        widen(m, rq);
    struct parameter_def like = as_parameter(rq);
    publish(m, &like, rq->verb == META_PARAMETER_CLEAR);
}

enum err meta_parameter_set(struct meta *m, struct meta_request *rq)
{
    struct parameter_def like = as_parameter(rq);
    if (is_policy(rq))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "policies may not be set using this method");
    if (like.kind == PARAMETER_OF_VHOST && !meta_get_vhost(m, rq, &rq->why))
        return rq->why.code;
    if (rq->name.len > UINT8_MAX || rq->source.len > UINT8_MAX)
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "parameter name is too long");
    enum err err = check_value(&like, &rq->why);
    if (!err)
        err = check_limit(m, &like, &rq->why);
    if (err)
        return err;
    if (like.kind == PARAMETER_OF_VHOST && component_exists(like.component))
        log_warning(
            DEFAULT, NULL,
            "%.*s '%.*s' of virtual host '%.*s' is kept, but moves no messages: this broker "
            "runs no such links",
            SLICE_ARG(like.component), SLICE_ARG(like.name), SLICE_ARG(like.vhost));
    publish_request(m, rq);
    return ERR_NONE;
}

enum err meta_parameter_clear(struct meta *m, struct meta_request *rq)
{
    struct parameter_def like = as_parameter(rq);
    if (is_policy(rq))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED,
                           "policies may not be cleared using this method");
    if (!parameters_find(m->local, &like))
        return failure_set(&rq->why, ERR_NOT_FOUND, "Parameter does not exist");
    publish_request(m, rq);
    return ERR_NONE;
}

/* --- limits of users --- */

/* None are left: as if there never were. */
static void publish_limits(struct meta *m, struct slice user, struct slice limits)
{
    struct buf value = BUF_INIT;
    struct parameter_def like = {.kind = PARAMETER_USER_LIMITS, .name = user};
    put_limits(limits, &value);
    like.value = buf_slice(&value);
    if (limits.len || parameters_find(m->local, &like))
        publish(m, &like, !limits.len);
    buf_fini(&value);
}

static const struct user *get_user(struct meta *m, struct meta_request *rq)
{
    const struct user *user = access_find_user(m->local, rq->name);
    if (!user)
        failure_set(&rq->why, ERR_NOT_FOUND, "User \"%.*s\" does not exist", SLICE_ARG(rq->name));
    return user;
}

enum err meta_user_limits_set(struct meta *m, struct meta_request *rq)
{
    const struct user *user = get_user(m, rq);
    struct table_value value = {.type = TABLE_VOID};
    struct buf errors = BUF_INIT, merged = BUF_INIT;
    enum err err = ERR_NONE;
    if (!user)
        return rq->why.code;
    table_find(rq->args, SLICE("value"), &value);
    check_limits(&value, user_limits, "user-limits", &errors);
    if (errors.len)
        err = failure_set(&rq->why, ERR_PRECONDITION_FAILED, "%.*s", (int)errors.len - 1,
                          (const char *)errors.data);
    if (!err && value.type == TABLE_TABLE) {
        table_merge(limits_of(user->limits), value.bytes, &merged);
        publish_limits(m, rq->name, buf_slice(&merged));
    }
    buf_fini(&errors);
    buf_fini(&merged);
    return err;
}

/* key: the limit, or "all". */
enum err meta_user_limits_clear(struct meta *m, struct meta_request *rq)
{
    const struct user *user = get_user(m, rq);
    struct buf left = BUF_INIT;
    if (!user)
        return rq->why.code;
    if (!slice_eq_str(rq->key, "all"))
        table_remove(limits_of(user->limits), rq->key, &left);
    publish_limits(m, rq->name, buf_slice(&left));
    buf_fini(&left);
    return ERR_NONE;
}
