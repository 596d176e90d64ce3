/* Requests that wait for virtual hosts to be made. */
#include "meta/vhost_defaults.h"

#include "base/log.h"
#include "base/mem.h"
#include "meta/meta_priv.h"
#include "meta/policy.h"

#include <stdlib.h>

struct vhost_default {
    char *origin;
    struct pattern pattern;
    struct meta_request *request;
};

struct vhost_defaults {
    struct vhost_default *items;
    size_t count, cap;
    struct pattern_matcher *matcher;
};

struct vhost_defaults *vhost_defaults_new(void)
{
    struct vhost_defaults *d = NEW(struct vhost_defaults);
    d->matcher = pattern_matcher_new();
    return d;
}

void vhost_defaults_free(struct vhost_defaults **defaults)
{
    struct vhost_defaults *d = *defaults;
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++) {
        free(d->items[i].origin);
        pattern_fini(&d->items[i].pattern);
        meta_request_free(&d->items[i].request);
    }
    free(d->items);
    pattern_matcher_free(&d->matcher);
    free(d);
    *defaults = NULL;
}

/* ---- what may be a default ---- */

static enum err check_policy(const struct meta_request *rq, struct failure *why)
{
    const struct policy_def like = {
        .operator_made = true, .name = rq->name, .pattern = rq->pattern};
    struct table_value definition = {.type = TABLE_VOID};
    (void)table_find(rq->args, SLICE("value"), &definition);
    return policy_check(&like, &definition, rq->apply_to, why);
}

static enum err check_request(const struct meta_request *rq, struct failure *why)
{
    const struct slice patterns[] = {rq->configure, rq->write, rq->read};
    enum err err = rq->verb == META_POLICY_SET ? check_policy(rq, why) : ERR_NONE;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns && !err; i++)
        err = pattern_check(patterns[i], why);
    return err;
}

enum err vhost_defaults_add(struct vhost_defaults *d, const char *origin, struct slice pattern,
                            struct meta_request **request, struct failure *why)
{
    struct meta_request *rq = *request;
    enum err err = pattern_check(pattern, why);
    if (!err)
        err = check_request(rq, why);
    *request = NULL;
    if (err) {
        meta_request_free(&rq);
        return err;
    }
    rq->flags |= META_TRUSTED;
    MEM_GROW(d->items, d->cap, d->count + 1);
    struct vhost_default *item = &d->items[d->count++];
    *item = (struct vhost_default){.origin = mem_strdup(origin), .request = rq};
    pattern_init(&item->pattern, pattern);
    return ERR_NONE;
}

/* ---- putting ---- */

/* Limits without any are an exemption; a user that is there keeps password and tags. */
static bool is_needless(const struct meta *m, const struct meta_request *rq)
{
    struct slice limits;
    if (rq->verb == META_PARAMETER_SET)
        return !table_find_table(rq->args, SLICE("value"), &limits) || !limits.len;
    return rq->verb == META_USER_PUT && access_user_exists(m->local, rq->name);
}

static void put(struct meta *m, const struct vhost_default *item, struct slice vhost)
{
    struct meta_request *rq = item->request;
    meta_request_set(&rq->vhost, vhost);
    meta_request_set(&rq->user, m->local->events.user);
    if (meta_handle(m, rq))
        log_error(DEFAULT, NULL, "%s was not put into virtual host '%.*s': %s", item->origin,
                  SLICE_ARG(vhost), rq->why.text);
    else
        log_info(DEFAULT, NULL, "%s was put into virtual host '%.*s'", item->origin,
                 SLICE_ARG(vhost));
}

void meta_put_vhost_defaults(struct meta *m, struct slice vhost)
{
    const struct vhost_defaults *d = m->vhost_defaults;
    bool limited = false;
    for (size_t i = 0; d && i < d->count; i++) {
        const struct vhost_default *item = &d->items[i];
        bool limits = item->request->verb == META_PARAMETER_SET;
        if ((limits && limited) || !pattern_matches(&item->pattern, d->matcher, vhost))
            continue;
        limited = limited || limits;
        if (!is_needless(m, item->request))
            put(m, item, vhost);
    }
}

void meta_set_vhost_defaults(struct node *node, struct vhost_defaults **defaults)
{
    struct meta *m = meta_of(node);
    vhost_defaults_free(&m->vhost_defaults);
    m->vhost_defaults = *defaults;
    *defaults = NULL;
}

void meta_apply_vhost_defaults(struct node *node, struct slice vhost)
{
    struct meta *m = meta_of(node);
    m->direct = true;
    meta_put_vhost_defaults(m, vhost);
    m->direct = false;
}
