/* One trusted request per definition, before the loops run. */
#include "daemon/seed.h"

#include "base/log.h"
#include "base/table.h"
#include "meta/access.h"
#include "meta/meta.h"
#include "store/store.h"

#include <stdio.h>
#include <sysexits.h>

static struct meta_request *new_request(enum meta_verb verb)
{
    struct meta_request *r = meta_request_new(verb, ADDR_NONE);
    r->flags = META_TRUSTED;
    return r;
}

static void set(struct slice *field, const char *text)
{
    meta_request_set(field, slice_str(text));
}

static void set_texts(struct slice *field, const struct conf_texts *texts)
{
    struct buf all = BUF_INIT;
    for (size_t i = 0; i < texts->count; i++)
        buf_printf(&all, "%s%s", i ? "," : "", texts->items[i]);
    meta_request_set(field, slice_str(buf_cstr(&all)));
    buf_fini(&all);
}

static void set_args(struct slice *field, const struct conf_args *args)
{
    struct buf table = BUF_INIT;
    for (size_t i = 0; i < args->count; i++) {
        const struct conf_arg *arg = &args->items[i];
        struct slice name = slice_str(arg->name);
        if (arg->type == CONF_ARG_VOID)
            table_put_void(&table, name);
        else if (arg->type == CONF_ARG_BOOL)
            table_put_bool(&table, name, arg->boolean);
        else if (arg->type == CONF_ARG_INT)
            table_put_i64(&table, name, arg->integer);
        else if (arg->type == CONF_ARG_DOUBLE)
            table_put_double(&table, name, arg->real);
        else
            table_put_str(&table, name, slice_str(arg->text));
    }
    meta_request_set(field, buf_slice(&table));
    buf_fini(&table);
}

/* Takes the request; 0, or EX_CONFIG with the definition's place in why. */
static int apply(struct daemon *d, struct meta_request *request, const char *origin,
                 struct failure *why)
{
    int code = 0;
    if (meta_apply(d->node, request)) {
        failure_set(why, request->code, "%s: %s", origin, request->why.text);
        code = EX_CONFIG;
    }
    meta_request_free(&request);
    return code;
}

/* Of a definition that may not fit what came to be since the first start. */
static int apply_if_it_fits(struct daemon *d, struct meta_request *request, const char *origin,
                            struct failure *why)
{
    int code = apply(d, request, origin, why);
    if (!code || !meta_is_seeded(d->node))
        return code;
    log_warning(CONFIG, NULL, "%s; what is there stays as it is", why->text);
    return 0;
}

static int put_user(struct daemon *d, const struct conf_user *user, struct failure *why)
{
    struct meta_request *r = new_request(META_USER_PUT);
    set(&r->name, user->name);
    set_texts(&r->type, &user->tags);
    if (*user->password) {
        const struct routing *routing = routing_of(node_shard(d->node, 0));
        struct slice password = slice_str(user->password);
        if (access_login(routing, r->name, password, true) != AUTH_OK) /* else it is that hash */
            set(&r->key, user->password);
    } else {
        set(&r->hash, user->password_hash);
        set(&r->algorithm, digest_kind_name(user->hashing_algorithm));
    }
    return apply(d, r, user->origin, why);
}

static int put_permission(struct daemon *d, const struct conf_permission *p, struct failure *why)
{
    struct meta_request *r = new_request(META_PERMISSION_SET);
    set(&r->name, p->user);
    set(&r->vhost, p->vhost);
    set(&r->configure, p->configure);
    set(&r->write, p->write);
    set(&r->read, p->read);
    return apply_if_it_fits(d, r, p->origin, why);
}

static int put_default_user(struct daemon *d, struct failure *why)
{
    const struct conf *conf = d->conf;
    if (!*conf->default_user || conf->definitions.users.count)
        return 0;
    struct conf_user user = {.origin = "default_user",
                             .name = conf->default_user,
                             .password = conf->default_pass,
                             .password_hash = "",
                             .tags = conf->default_user_tags};
    struct conf_permission permission = {.origin = "default_permissions",
                                         .user = conf->default_user,
                                         .vhost = conf->default_vhost,
                                         .configure = conf->default_permissions.configure,
                                         .write = conf->default_permissions.write,
                                         .read = conf->default_permissions.read};
    int code = put_user(d, &user, why);
    return code ? code : put_permission(d, &permission, why);
}

static int put_vhost(struct daemon *d, const struct conf_vhost *vhost, struct failure *why)
{
    struct meta_request *r = new_request(META_VHOST_PUT);
    set(&r->name, vhost->name);
    set(&r->description, vhost->description);
    if (*vhost->default_queue_type)
        set(&r->queue_type, vhost->default_queue_type);
    set_texts(&r->type, &vhost->tags);
    return apply(d, r, vhost->origin, why);
}

static int put_topic_permission(struct daemon *d, const struct conf_topic_permission *p,
                                struct failure *why)
{
    struct meta_request *r = new_request(META_TOPIC_PERMISSION_SET);
    set(&r->name, p->user);
    set(&r->vhost, p->vhost);
    set(&r->source, p->exchange);
    set(&r->write, p->write);
    set(&r->read, p->read);
    return apply_if_it_fits(d, r, p->origin, why);
}

static int put_exchange(struct daemon *d, const struct conf_exchange *exchange, struct failure *why)
{
    struct meta_request *r = new_request(META_EXCHANGE_DECLARE);
    r->flags |= (exchange->durable ? META_DURABLE : 0u) |
                (exchange->auto_delete ? META_AUTO_DELETE : 0u) |
                (exchange->internal ? META_INTERNAL : 0u);
    set(&r->vhost, exchange->vhost);
    set(&r->name, exchange->name);
    set(&r->type, exchange->type);
    set_args(&r->args, &exchange->arguments);
    return apply_if_it_fits(d, r, exchange->origin, why);
}

static int put_queue(struct daemon *d, const struct conf_queue *queue, struct failure *why)
{
    struct meta_request *r = new_request(META_QUEUE_DECLARE);
    r->flags |= (queue->durable ? META_DURABLE : 0u) | (queue->auto_delete ? META_AUTO_DELETE : 0u);
    set(&r->vhost, queue->vhost);
    set(&r->name, queue->name);
    set_args(&r->args, &queue->arguments);
    return apply_if_it_fits(d, r, queue->origin, why);
}

static int put_binding(struct daemon *d, const struct conf_binding *binding, struct failure *why)
{
    struct meta_request *r = new_request(META_BIND);
    r->flags |= binding->to_exchange ? META_TO_EXCHANGE : 0u;
    set(&r->vhost, binding->vhost);
    set(&r->source, binding->source);
    set(&r->name, binding->destination);
    set(&r->key, binding->routing_key);
    set_args(&r->args, &binding->arguments);
    return apply_if_it_fits(d, r, binding->origin, why);
}

#define PUT_ALL(list, put)                                                \
    for (size_t i = 0; i < d->conf->definitions.list.count && !code; i++) \
    code = put(d, &d->conf->definitions.list.items[i], why)

int seed_start(struct daemon *d, struct failure *why)
{
    struct store *store = store_of(d->node);
    if (store && meta_load(d->node, store, why))
        return EX_DATAERR;
    int code = meta_is_seeded(d->node) ? 0 : put_default_user(d, why);
    PUT_ALL(vhosts, put_vhost);
    PUT_ALL(users, put_user);
    PUT_ALL(permissions, put_permission);
    PUT_ALL(topic_permissions, put_topic_permission);
    PUT_ALL(exchanges, put_exchange);
    PUT_ALL(queues, put_queue);
    PUT_ALL(bindings, put_binding);
    if (!code && !meta_is_seeded(d->node))
        meta_set_seeded(d->node);
    return code;
}
