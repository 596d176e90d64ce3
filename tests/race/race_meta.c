/* The metadata master under TSan: a front on every shard declares, binds, unbinds and goes, while
 * rights change; what it was told is there when the answer comes, and at the end nothing is left,
 * nor in the store. */
#include "base/bug.h"
#include "base/mem.h"
#include "meta/access.h"
#include "meta/meta.h"
#include "shard/slot.h"
#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHARDS = 3, ROUNDS = 40, QUEUES = 25 };

/* --- an exchange type that keeps accounts --- */

static void *instance_new(const struct exchange_type *self, struct slice args)
{
    (void)self, (void)args;
    return NEW(int);
}

static void instance_bind(void *instance, struct binding *binding)
{
    bug_on(binding->own);
    ++*(int *)instance;
    binding->own = instance;
}

static void instance_unbind(void *instance, struct binding *binding)
{
    bug_on(binding->own != instance);
    --*(int *)instance;
}

static void instance_route(const void *instance, const struct route_input *input,
                           struct route_sink *sink)
{
    (void)instance, (void)input, (void)sink;
}

#define TYPE(word)                                                                \
    {                                                                             \
        .name = word, .text = "for tests", .new = instance_new, .free = free,     \
        .bind = instance_bind, .unbind = instance_unbind, .route = instance_route \
    }
static const struct exchange_type types[] = {TYPE("direct"), TYPE("fanout"), TYPE("topic"),
                                             TYPE("headers")};

/* --- queues that live and die --- */

static void on_queue_op(void *object, struct op *op)
{
    struct queue_def *def = object;
    bug_on(op->kind != OP_QUEUE_DESTROY);
    slot_free(shard_self(), def->addr);
    queue_def_unref(&def);
}

static const struct actor_type queue_type = {"queue", on_queue_op};

static void on_maker_op(void *object, struct op *op)
{
    struct queue_def *def = op_body(op, struct op_queue_create)->def;
    (void)object;
    slot_assign(shard_self(), def->addr, &queue_type, def);
}

static const struct actor_type maker_type = {"maker", on_maker_op};

/* --- fronts --- */

struct front {
    struct node *node;
    struct addr addr;
    struct routing_listener listener;
    unsigned index, round, waiting;
    bool leaving;
    uint64_t changes;
};

static _Atomic unsigned finished;

static struct meta_request *ask(struct front *f, enum meta_verb verb, const char *name)
{
    struct meta_request *rq = meta_request_new(verb, f->addr);
    rq->flags = META_EXCLUSIVE;
    rq->connection = f->index + 1;
    meta_request_set(&rq->user, SLICE("u"));
    meta_request_set(&rq->vhost, SLICE("/"));
    meta_request_set_name(&rq->name, slice_str(name));
    f->waiting++;
    return rq;
}

static void ask_round(struct front *f)
{
    char name[32];
    struct meta_request *rq;
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof name, "q.%u.%d", f->index, i);
        rq = ask(f, META_QUEUE_DECLARE, name);
        rq->flags = i % 2 ? META_DURABLE : META_EXCLUSIVE;
        meta_post(f->node, &rq);
        for (int k = 0; k < 4; k++) {
            rq = ask(f, k == 2 ? META_UNBIND : META_BIND, name);
            meta_request_set(&rq->source, SLICE("amq.direct"));
            meta_request_set(&rq->key, slice_str(k % 2 ? "odd" : "even"));
            meta_post(f->node, &rq);
        }
    }
    rq = ask(f, META_PERMISSION_SET, "u");
    meta_request_set(&rq->configure, SLICE("^(q\\.|amq)"));
    meta_request_set(&rq->write, SLICE(".*"));
    meta_request_set(&rq->read, f->round % 2 ? SLICE("^amq") : SLICE("."));
    meta_post(f->node, &rq);
}

static void leave(struct front *f)
{
    char name[32];
    struct meta_request *rq;
    for (int i = 1; i < QUEUES; i += 2) {
        snprintf(name, sizeof name, "q.%u.%d", f->index, i);
        rq = ask(f, META_QUEUE_DELETE, name);
        meta_post(f->node, &rq);
    }
    rq = ask(f, META_CONNECTION_DOWN, "");
    f->leaving = true;
    meta_post(f->node, &rq);
}

/* What others declared is looked at too. */
static void look_around(const struct vhost *vhost)
{
    char name[32];
    for (unsigned s = 0; s < SHARDS; s++) {
        snprintf(name, sizeof name, "q.%u.0", s);
        const struct target_queue *queue = vhost_find_queue(vhost, slice_str(name));
        bug_on(queue && !slice_eq_str(queue->def->name, name));
        bug_on(queue && queue->def->owner != s + 1);
    }
}

static void on_front_op(void *object, struct op *op)
{
    struct front *f = object;
    struct routing *routing = routing_of(shard_self());
    struct vhost *vhost = routing_find_vhost(routing, SLICE("/"));
    struct meta_request *rq = op_body(op, struct op_meta)->request;
    if (rq->code)
        bug_panic("%s", rq->why.text);
    if (rq->verb == META_QUEUE_DECLARE) {
        const struct target_queue *queue = vhost_find_queue(vhost, rq->name);
        bug_on(!queue || !addr_eq(queue->addr, rq->queue->addr));
        bug_on(access_check(routing, NULL, rq->user, rq->vhost, ACCESS_CONFIGURE, "queue", rq->name,
                            NULL));
        look_around(vhost);
    }
    meta_request_free(&rq);
    if (--f->waiting)
        return;
    if (!f->leaving) {
        leave(f);
        return;
    }
    f->leaving = false;
    if (++f->round < ROUNDS)
        ask_round(f);
    else if (++finished == SHARDS)
        node_stop(f->node);
}

static const struct actor_type front_type = {"front", on_front_op};

static void on_change(void *arg, const struct meta_change *change)
{
    struct front *f = arg;
    f->changes += meta_change_name(change).len != 0;
}

static void start(struct shard *shard, void *arg)
{
    struct front *f = (struct front *)arg + shard_index(shard);
    f->index = shard_index(shard);
    f->node = shard_node(shard);
    f->addr = slot_new(shard, &front_type, f);
    f->listener = (struct routing_listener){.on_change = on_change, .arg = f};
    routing_listen(routing_of(shard), &f->listener);
    meta_set_queue_maker(f->node, f->index, slot_new(shard, &maker_type, f));
}

static void begin(struct shard *shard, void *arg)
{
    ask_round((struct front *)arg + shard_index(shard));
}

static void release_create(struct op *op)
{
    queue_def_unref(&op_body(op, struct op_queue_create)->def);
}

static const struct op_kind kinds[OP_END] = {
    [OP_META_REQUEST] = {"request", meta_release_request},
    [OP_META_REPLY] = {"reply", meta_release_reply},
    [OP_META_CHANGE] = {"change", meta_release_change},
    [OP_QUEUE_CREATE] = {"create", release_create},
    [OP_QUEUE_DESTROY] = {"destroy", NULL},
};

static void seed(struct node *node)
{
    struct meta_request *rq = meta_request_new(META_USER_PUT, ADDR_NONE);
    meta_request_set(&rq->name, SLICE("u"));
    bug_on(meta_apply(node, rq));
    meta_request_free(&rq);
    rq = meta_request_new(META_PERMISSION_SET, ADDR_NONE);
    meta_request_set(&rq->name, SLICE("u"));
    meta_request_set(&rq->vhost, SLICE("/"));
    meta_request_set(&rq->configure, SLICE(".*"));
    meta_request_set(&rq->write, SLICE(".*"));
    meta_request_set(&rq->read, SLICE(".*"));
    bug_on(meta_apply(node, rq));
    meta_request_free(&rq);
}

static void count_queue(uint64_t id, bool durable, void *arg)
{
    (void)id, (void)durable;
    ++*(int *)arg;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

static void clean_up(const char *directory)
{
    bug_on(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0);
}

int main(void)
{
    struct front fronts[SHARDS] = {0};
    struct store *store;
    struct failure why;
    char directory[] = "/tmp/race-meta-XXXXXX";
    int left = 0;
    bug_on(!mkdtemp(directory));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        exchange_type_register(&types[i]);
    struct node *node =
        node_new(&(struct node_options){.shards = SHARDS, .ops = kinds, .op_count = OP_END});
    struct store_options options = {.directory = directory, .segment_size = 4 << 20};
    if (store_open(node, &options, &store, &why) != ERR_NONE)
        bug_panic("%s", why.text);
    meta_init(node, &(struct meta_options){.default_vhost = "/"});
    if (meta_load(node, store, &why) != ERR_NONE)
        bug_panic("%s", why.text);
    seed(node);
    node_each_shard(node, start, fronts);
    node_each_shard(node, begin, fronts);
    node_run(node);
    bug_on(meta_count(node, META_QUEUES) || meta_count(node, META_BINDINGS));
    printf("%d rounds on %d shards, %llu changes\n", ROUNDS, SHARDS,
           (unsigned long long)fronts[0].changes);
    node_drop_ops(node);
    meta_fini(node);
    store_close(&store);
    bug_on(store_open(node, &options, &store, &why) != ERR_NONE);
    fold_each_queue(store_fold(store), count_queue, &left);
    bug_on(left);
    store_close(&store);
    node_free(&node);
    clean_up(directory);
    return 0;
}
