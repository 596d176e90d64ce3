/* See world.h. */
#include "world.h"

#include "base/mem.h"

#include <criterion/criterion.h>
#include <stdlib.h>

int world_bindings, world_queues_made;

/* --- exchange types that keep accounts --- */

struct account {
    int bindings;
};

static void *account_new(const struct exchange_type *self, struct slice args)
{
    (void)self, (void)args;
    return NEW(struct account);
}

static void account_free(void *instance)
{
    struct account *a = instance;
    world_bindings -= a->bindings;
    free(a);
}

static void account_bind(void *instance, struct binding *binding)
{
    struct account *a = instance;
    cr_assert(!binding->to.queue != !binding->to.exchange);
    binding->own = a;
    a->bindings++;
    world_bindings++;
}

static void account_unbind(void *instance, struct binding *binding)
{
    struct account *a = instance;
    cr_assert_eq(binding->own, a);
    a->bindings--;
    world_bindings--;
}

static void account_route(const void *instance, const struct route_input *input,
                          struct route_sink *sink)
{
    (void)instance, (void)input, (void)sink;
}

static enum err no_bad_key(const struct exchange_type *self, struct slice key, struct slice args,
                           struct failure *why)
{
    (void)self, (void)args;
    if (slice_eq_str(key, "bad"))
        return failure_set(why, ERR_PRECONDITION_FAILED, "a bad key");
    return ERR_NONE;
}

#define TYPE(symbol, label, internal)            \
    static const struct exchange_type symbol = { \
        .name = (label),                         \
        .text = "for tests",                     \
        .internal_only = (internal),             \
        .validate_binding = no_bad_key,          \
        .new = account_new,                      \
        .free = account_free,                    \
        .bind = account_bind,                    \
        .unbind = account_unbind,                \
        .route = account_route,                  \
    }
TYPE(type_direct, "direct", false);
TYPE(type_fanout, "fanout", false);
TYPE(type_topic, "topic", false);
TYPE(type_headers, "headers", false);
TYPE(type_hidden, "hidden", true);

static const struct exchange_type *as_direct(struct slice args)
{
    (void)args;
    return &type_direct;
}

static const struct exchange_type type_late = {
    .name = "late", .text = "for tests", .delays = true, .acts_as = as_direct};

/* --- ops --- */

static void release_create(struct op *op)
{
    world_queues_made++;
    queue_def_unref(&op_body(op, struct op_queue_create)->def);
}

const struct op_kind world_ops[OP_END] = {
    [OP_META_REQUEST] = {"request", meta_release_request},
    [OP_META_REPLY] = {"reply", meta_release_reply},
    [OP_META_CHANGE] = {"change", meta_release_change},
    [OP_QUEUE_CREATE] = {"create", release_create},
    [OP_QUEUE_DESTROY] = {"destroy", NULL},
    [OP_QUEUE_GONE] = {"gone", NULL},
    [OP_QUERY_REPLY] = {"query reply", NULL},
};

/* --- the world --- */

unsigned world_random(unsigned n)
{
    static uint64_t state = 88172645463325252ull; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 16) % n);
}

struct world *world_new(void)
{
    static const char *const local[] = {"guest"};
    struct world *w = NEW(struct world);
    exchange_type_register(&type_direct);
    exchange_type_register(&type_fanout);
    exchange_type_register(&type_topic);
    exchange_type_register(&type_headers);
    exchange_type_register(&type_hidden);
    exchange_type_register(&type_late);
    w->node = node_new(
        &(struct node_options){.shards = WORLD_SHARDS, .ops = world_ops, .op_count = OP_END});
    meta_init(w->node, &(struct meta_options){.default_vhost = "/",
                                              .loopback_users = local,
                                              .loopback_user_count = 1,
                                              .node_name = "test"});
    for (unsigned i = 0; i < WORLD_SHARDS; i++)
        meta_set_queue_maker(w->node, i,
                             (struct addr){.slot = 4711, .gen = 1, .shard = (uint8_t)i});
    w->connection = 7;
    return w;
}

void world_free(struct world **world)
{
    struct world *w = *world;
    meta_fini(w->node);
    node_free(&w->node);
    cr_assert_eq(world_bindings, 0);
    buf_fini(&w->name);
    free(w);
    *world = NULL;
}

static void put_word(struct buf *body, char *word)
{
    char *type = strchr(word, ':');
    char *value = type + 2;
    *type++ = '\0';
    *value++ = '\0';
    struct slice key = slice_str(word);
    switch (*type) {
    case 'I':
        table_put_i32(body, key, (int32_t)atoll(value));
        break;
    case 'l':
        table_put_i64(body, key, atoll(value));
        break;
    case 'S':
        table_put_str(body, key, slice_str(value));
        break;
    case 't':
        table_put_bool(body, key, strcmp(value, "true") == 0);
        break;
    case 'd':
        table_put_double(body, key, strtod(value, NULL));
        break;
    case 'T':
        table_put_timestamp(body, key, (uint64_t)atoll(value));
        break;
    case 'F':
        table_put_table(body, key, SLICE_EMPTY);
        break;
    case 'A':
        table_put_array(body, key, SLICE_EMPTY);
        break;
    default:
        cr_assert(false, "no such type: %c", *type);
    }
}

struct slice args_of(const char *text)
{
    static uint8_t room[8][1024];
    static unsigned next;
    uint8_t *out = room[next++ % 8];
    struct buf body = BUF_INIT;
    char *copy = mem_strdup(text), *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        put_word(&body, word);
    size_t n = body.len;
    cr_assert(n <= sizeof room[0]);
    if (n)
        memcpy(out, body.data, n);
    buf_fini(&body);
    free(copy);
    return slice_of(out, n);
}

struct meta_request *request(struct world *w, enum meta_verb verb, unsigned flags)
{
    struct meta_request *rq = meta_request_new(verb, ADDR_NONE);
    rq->flags = flags | (w->user ? 0 : META_TRUSTED);
    rq->connection = w->connection;
    meta_request_set(&rq->user, slice_str(w->user ? w->user : ""));
    meta_request_set(&rq->vhost, SLICE("/"));
    return rq;
}

enum err do_request(struct world *w, struct meta_request *rq)
{
    enum err err = meta_apply(w->node, rq);
    w->why = rq->why;
    w->created = rq->created;
    if (err)
        cr_expect_eq(rq->why.code, err);
    if (rq->queue) {
        buf_clear(&w->name);
        buf_append_slice(&w->name, rq->queue->name);
        w->addr = rq->queue->addr;
    }
    meta_request_free(&rq);
    return err;
}

enum err do_queue(struct world *w, const char *name, unsigned flags, const char *args)
{
    struct meta_request *rq = request(w, META_QUEUE_DECLARE, flags);
    meta_request_set_name(&rq->name, slice_str(name));
    meta_request_set(&rq->args, args_of(args));
    return do_request(w, rq);
}

enum err do_delete_queue(struct world *w, const char *name)
{
    struct meta_request *rq = request(w, META_QUEUE_DELETE, 0);
    meta_request_set(&rq->name, slice_str(name));
    return do_request(w, rq);
}

enum err do_exchange(struct world *w, const char *name, const char *type, unsigned flags,
                     const char *args)
{
    struct meta_request *rq = request(w, META_EXCHANGE_DECLARE, flags);
    meta_request_set_name(&rq->name, slice_str(name));
    meta_request_set(&rq->type, slice_str(type));
    meta_request_set(&rq->args, args_of(args));
    return do_request(w, rq);
}

enum err do_delete_exchange(struct world *w, const char *name, unsigned flags)
{
    struct meta_request *rq = request(w, META_EXCHANGE_DELETE, flags);
    meta_request_set_name(&rq->name, slice_str(name));
    return do_request(w, rq);
}

static enum err do_binding(struct world *w, enum meta_verb verb, const char *source,
                           const char *destination, const char *key, unsigned flags,
                           const char *args)
{
    struct meta_request *rq = request(w, verb, flags);
    meta_request_set_name(&rq->name, slice_str(destination));
    meta_request_set_name(&rq->source, slice_str(source));
    meta_request_set(&rq->key, slice_str(key));
    meta_request_set(&rq->args, args_of(args));
    return do_request(w, rq);
}

enum err do_bind(struct world *w, const char *source, const char *destination, const char *key,
                 unsigned flags, const char *args)
{
    return do_binding(w, META_BIND, source, destination, key, flags, args);
}

enum err do_unbind(struct world *w, const char *source, const char *destination, const char *key,
                   unsigned flags, const char *args)
{
    return do_binding(w, META_UNBIND, source, destination, key, flags, args);
}

enum err do_vhost(struct world *w, const char *name, unsigned flags)
{
    struct meta_request *rq = request(w, META_VHOST_PUT, flags);
    meta_request_set(&rq->name, slice_str(name));
    return do_request(w, rq);
}

enum err do_user(struct world *w, const char *name, const char *password, const char *tags,
                 unsigned flags)
{
    struct meta_request *rq = request(w, META_USER_PUT, flags);
    meta_request_set(&rq->name, slice_str(name));
    if (password)
        meta_request_set(&rq->key, slice_str(password));
    if (tags)
        meta_request_set(&rq->type, slice_str(tags));
    return do_request(w, rq);
}

enum err do_permission(struct world *w, const char *user, const char *configure, const char *write,
                       const char *read)
{
    struct meta_request *rq = request(w, META_PERMISSION_SET, 0);
    meta_request_set(&rq->name, slice_str(user));
    meta_request_set(&rq->configure, slice_str(configure));
    meta_request_set(&rq->write, slice_str(write));
    meta_request_set(&rq->read, slice_str(read));
    return do_request(w, rq);
}

enum err do_topic_permission(struct world *w, const char *user, const char *exchange,
                             const char *write, const char *read)
{
    struct meta_request *rq = request(w, META_TOPIC_PERMISSION_SET, 0);
    meta_request_set(&rq->name, slice_str(user));
    meta_request_set(&rq->source, slice_str(exchange));
    meta_request_set(&rq->write, slice_str(write));
    meta_request_set(&rq->read, slice_str(read));
    return do_request(w, rq);
}

static struct vhost *vhost_on(struct world *w, unsigned shard)
{
    return routing_find_vhost(routing_of(node_shard(w->node, shard)), SLICE("/"));
}

bool has_queue(struct world *w, const char *name)
{
    int n = 0;
    for (unsigned i = 0; i < WORLD_SHARDS; i++)
        n += vhost_find_queue(vhost_on(w, i), slice_str(name)) != NULL;
    cr_assert(n == 0 || n == WORLD_SHARDS);
    return n != 0;
}

bool has_exchange(struct world *w, const char *name)
{
    int n = 0;
    for (unsigned i = 0; i < WORLD_SHARDS; i++)
        n += vhost_find_exchange(vhost_on(w, i), slice_str(name)) != NULL;
    cr_assert(n == 0 || n == WORLD_SHARDS);
    return n != 0;
}

static bool count_row(const struct meta_row *row, void *arg)
{
    (void)row;
    ++*(size_t *)arg;
    return true;
}

size_t count(struct world *w, enum meta_noun noun)
{
    size_t n = 0;
    struct meta_cursor cursor = meta_cursor_begin(w->node, noun, SLICE_EMPTY);
    while (meta_cursor_next(w->node, &cursor, 3, count_row, &n))
        ;
    cr_assert_eq(n, meta_count(w->node, noun));
    return n;
}
