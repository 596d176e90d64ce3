/* The master's actor on shard 0: takes requests one by one, answers each after its changes are on
 * their way to every shard. */
#include "base/bug.h"
#include "base/heap.h"
#include "base/mem.h"
#include "meta/meta_priv.h"
#include "shard/slot.h"

#include <stdlib.h>

struct meta *meta_of(const struct node *node)
{
    return node_local(node, SHARD_LOCAL_META);
}

/* --- requests --- */

struct meta_request *meta_request_new(enum meta_verb verb, struct addr reply_to)
{
    struct meta_request *rq = NEW(struct meta_request);
    rq->verb = verb;
    rq->reply_to = reply_to;
    return rq;
}

void meta_request_free(struct meta_request **request)
{
    struct meta_request *rq = *request;
    if (!rq)
        return;
    struct slice *owned[] = {&rq->user,        &rq->vhost,      &rq->name,      &rq->source,
                             &rq->type,        &rq->key,        &rq->args,      &rq->read,
                             &rq->configure,   &rq->write,      &rq->algorithm, &rq->hash,
                             &rq->description, &rq->queue_type, &rq->pattern,   &rq->apply_to};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        slice_free(owned[i]);
    queue_def_unref(&rq->queue);
    free(rq);
    *request = NULL;
}

void meta_request_set(struct slice *field, struct slice value)
{
    slice_free(field);
    *field = slice_dup(value);
}

void meta_request_set_name(struct slice *field, struct slice value)
{
    meta_request_set(field, value);
    meta_clean(field);
}

void meta_release_request(struct op *op)
{
    meta_request_free(&op_body(op, struct op_meta)->request);
}

void meta_release_reply(struct op *op)
{
    meta_request_free(&op_body(op, struct op_meta)->request);
}

void meta_post(struct node *node, struct meta_request **request)
{
    struct op op = {.to = meta_of(node)->addr, .kind = OP_META_REQUEST};
    op_body(&op, struct op_meta)->request = *request;
    *request = NULL;
    post(&op);
}

/* What is kept goes into one record. */
static bool is_too_large(const struct meta_request *rq)
{
    return rq->args.len + rq->description.len + rq->type.len + rq->configure.len + rq->write.len +
               rq->read.len + rq->pattern.len >
           META_REQUEST_MAX;
}

static enum err dispatch(struct meta *m, struct meta_request *rq)
{
    if (is_too_large(rq))
        return failure_set(&rq->why, ERR_PRECONDITION_FAILED, "a definition of more than %d bytes",
                           (int)META_REQUEST_MAX);
    switch (rq->verb) {
    case META_QUEUE_DECLARE:
        return meta_queue_declare(m, rq);
    case META_QUEUE_DELETE:
        return meta_queue_delete(m, rq);
    case META_EXCHANGE_DECLARE:
        return meta_exchange_declare(m, rq);
    case META_EXCHANGE_DELETE:
        return meta_exchange_delete(m, rq);
    case META_BIND:
        return meta_bind(m, rq);
    case META_UNBIND:
        return meta_unbind(m, rq);
    case META_CONNECTION_DOWN:
        return meta_connection_down(m, rq);
    case META_VHOST_PUT:
        return meta_vhost_put(m, rq);
    case META_VHOST_DELETE:
        return meta_vhost_delete(m, rq);
    case META_USER_PUT:
        return meta_user_put(m, rq);
    case META_USER_DELETE:
        return meta_user_delete(m, rq);
    case META_PERMISSION_SET:
        return meta_permission_set(m, rq);
    case META_PERMISSION_CLEAR:
        return meta_permission_clear(m, rq);
    case META_TOPIC_PERMISSION_SET:
        return meta_topic_permission_set(m, rq);
    case META_TOPIC_PERMISSION_CLEAR:
        return meta_topic_permission_clear(m, rq);
    case META_POLICY_SET:
        return meta_policy_set(m, rq);
    case META_POLICY_CLEAR:
        return meta_policy_clear(m, rq);
    case META_PARAMETER_SET:
        return meta_parameter_set(m, rq);
    case META_PARAMETER_CLEAR:
        return meta_parameter_clear(m, rq);
    case META_USER_LIMITS_SET:
        return meta_user_limits_set(m, rq);
    case META_USER_LIMITS_CLEAR:
        return meta_user_limits_clear(m, rq);
    case META_SYNC:
        m->store.recorded = m->store.log != NULL;
        return ERR_NONE;
    case META_VERB_COUNT:
        break;
    }
    bug_panic("unknown verb %d", (int)rq->verb);
}

enum err meta_handle(struct meta *m, struct meta_request *rq)
{
    bool by_hand = rq->flags & META_TRUSTED && !rq->user.len;
    struct slice before = m->local->events.user;
    m->local->events.user = by_hand ? SLICE("rmq-cli") : rq->user;
    enum err err = dispatch(m, rq);
    if (!err)
        event_request(m->local, rq);
    m->local->events.user = before;
    return err;
}

enum err meta_apply(struct node *node, struct meta_request *request)
{
    struct meta *m = meta_of(node);
    m->direct = true;
    request->code = meta_handle(m, request);
    m->direct = false;
    return request->code;
}

enum err meta_put(struct node *node, struct meta_request *request)
{
    struct meta *m = meta_of(node);
    m->store.asker = ADDR_NONE;
    request->code = meta_handle(m, request);
    return request->code;
}

static void reply(struct meta *m, struct meta_request *rq)
{
    if (addr_is_none(rq->reply_to)) {
        meta_request_free(&rq);
        return;
    }
    struct op op = {.to = rq->reply_to, .kind = OP_META_REPLY};
    op_body(&op, struct op_meta)->request = rq;
    meta_answer(m, &op);
}

static void on_op(void *object, struct op *op)
{
    struct meta *m = object;
    check_magic(m, META_MAGIC);
    m->store.recorded = false;
    m->store.asker = ADDR_NONE;
    if (op->kind == OP_QUEUE_GONE) {
        meta_on_queue_gone(m, op_body(op, struct op_queue_gone));
        return;
    }
    bug_on(op->kind != OP_META_REQUEST);
    struct meta_request *rq = op_body(op, struct op_meta)->request;
    m->store.asker = rq->reply_to;
    enum heap before = heap_enter(HEAP_DEFINITIONS);
    rq->code = meta_handle(m, rq);
    heap_enter(before);
    reply(m, rq);
}

static const struct actor_type meta_type = {"metadata master", on_op};

const char *meta_node_name(const struct node *node)
{
    return meta_of(node)->options.node_name;
}

struct addr meta_addr(const struct node *node)
{
    return meta_of(node)->addr;
}

void meta_set_queue_maker(struct node *node, unsigned shard, struct addr maker)
{
    struct meta *m = meta_of(node);
    bug_on(shard >= m->shards);
    m->makers[shard] = maker;
}

/* --- publishing --- */

static void apply_everywhere(struct meta *m, const struct meta_change *change)
{
    for (unsigned i = 0; i < m->shards; i++)
        routing_apply(routing_of(node_shard(m->node, i)), change);
}

void meta_publish(struct meta *m, struct meta_change *change)
{
    meta_record(m, change);
    meta_distribute(m, change);
}

void meta_distribute(struct meta *m, struct meta_change *change)
{
    if (m->direct) {
        apply_everywhere(m, change);
        change_unref(&change);
        return;
    }
    shard_publish_begin(node_shard(m->node, 0));
    for (unsigned i = 1; i < m->shards; i++) {
        struct op op = {.to = m->replicas[i], .kind = OP_META_CHANGE};
        change_ref(change);
        op_body(&op, struct op_change)->change = change;
        post(&op);
    }
    shard_publish_end(node_shard(m->node, 0));
    routing_apply(m->local, change);
    change_unref(&change);
}

/* --- what verbs share --- */

struct vhost *meta_get_vhost(struct meta *m, const struct meta_request *rq, struct failure *why)
{
    struct vhost *vhost = routing_find_vhost(m->local, rq->vhost);
    if (!vhost)
        failure_set(why, ERR_NOT_FOUND, "Virtual host \"%.*s\" does not exist",
                    SLICE_ARG(rq->vhost));
    return vhost;
}

enum err meta_check_right(struct meta *m, const struct meta_request *rq, enum access_right right,
                          const char *kind, struct slice name, struct failure *why)
{
    if (rq->flags & META_TRUSTED)
        return ERR_NONE;
    return access_check(m->local, NULL, rq->user, rq->vhost, right, kind, name, why);
}

enum err meta_check_target(struct meta *m, const struct meta_request *rq, const char *kind,
                           struct slice name, const char *argument, struct failure *why)
{
    struct table_value value;
    if (!table_find(rq->args, slice_str(argument), &value))
        return ERR_NONE;
    if (value.type != TABLE_LONGSTR)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "invalid type '%s' for arg '%s' in %s '%.*s' in vhost '%.*s'",
                           table_type_name(value.type), argument, kind, SLICE_ARG(name),
                           SLICE_ARG(rq->vhost));
    enum err err = meta_check_right(m, rq, ACCESS_READ, kind, name, why);
    if (err)
        return err;
    return meta_check_right(m, rq, ACCESS_WRITE, "exchange", value.bytes, why);
}

/* --- beginning and end --- */

/* The options of the caller need not outlive the call. */
static void keep_options(struct meta *m, const struct meta_options *options)
{
    char **users = mem_zalloc((options->loopback_user_count + 1) * sizeof *users);
    for (size_t i = 0; i < options->loopback_user_count; i++)
        users[i] = mem_strdup(options->loopback_users[i]);
    m->options.loopback_users = (const char *const *)users;
    m->options.loopback_user_count = options->loopback_user_count;
    m->options.default_vhost = mem_strdup(options->default_vhost);
    m->options.node_name = mem_strdup(options->node_name ? options->node_name : "");
    m->options.stopped = options->stopped;
}

static void drop_options(struct meta *m)
{
    for (size_t i = 0; i < m->options.loopback_user_count; i++)
        free((void *)(uintptr_t)m->options.loopback_users[i]);
    free((void *)(uintptr_t)m->options.loopback_users);
    free((void *)(uintptr_t)m->options.default_vhost);
    free((void *)(uintptr_t)m->options.node_name);
}

static void init_shard(struct shard *shard, void *arg)
{
    struct meta *m = arg;
    unsigned i = shard_index(shard);
    routing_new(shard, &m->options);
    m->replicas[i] = routing_of(shard)->addr;
    if (i == 0) {
        m->local = routing_of(shard);
        m->addr = slot_new(shard, &meta_type, m);
    }
}

void meta_make_default_vhost(struct meta *m)
{
    struct vhost_def like = {.name = slice_str(m->options.default_vhost),
                             .description = SLICE("Default virtual host")};
    m->direct = true;
    meta_put_vhost(m, &like);
    m->direct = false;
}

void meta_init(struct node *node, const struct meta_options *options)
{
    struct meta *m = NEW(struct meta);
    m->magic = META_MAGIC;
    m->node = node;
    m->shards = node_shard_count(node);
    limits_init(&m->limits);
    keep_options(m, options);
    meta_queues_init(m);
    meta_answers_init(m);
    meta_imports_init(m);
    node_set_local(node, SHARD_LOCAL_META, m);
    node_each_shard(node, init_shard, m);
    meta_make_default_vhost(m);
}

static void fini_shard(struct shard *shard, void *arg)
{
    struct meta *m = arg;
    if (shard_index(shard) == 0)
        slot_free(shard, m->addr);
    routing_free(shard);
}

void meta_fini(struct node *node)
{
    struct meta *m = meta_of(node);
    meta_answers_fini(m);
    meta_imports_fini(m);
    meta_queues_fini(m);
    node_each_shard(node, fini_shard, m);
    drop_options(m);
    vhost_defaults_free(&m->vhost_defaults);
    meta_set_credential_rules(node, 0, SLICE_EMPTY);
    buf_fini(&m->scratch);
    free(m);
    node_set_local(node, SHARD_LOCAL_META, NULL);
}
