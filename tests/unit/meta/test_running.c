/* The master with running loops: a front on shard 1 asks, queue makers on both shards make, changes
 * are visible to the asker when it is answered. */
#include "unit.h"
#include "world.h"

#include "base/mem.h"
#include "shard/slot.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { QUEUES = 500 };

static _Atomic int made, destroyed;

/* --- queues that only live and die --- */

struct dummy {
    struct queue_def *def;
};

static void on_queue_op(void *object, struct op *op)
{
    struct dummy *d = object;
    struct shard *shard = shard_self();
    cr_assert_eq(op->kind, OP_QUEUE_DESTROY);
    slot_free(shard, d->def->addr);
    queue_def_unref(&d->def);
    free(d);
    destroyed++;
}

static const struct actor_type dummy_type = {"dummy queue", on_queue_op};

static void on_maker_op(void *object, struct op *op)
{
    (void)object;
    struct dummy *d = NEW(struct dummy);
    d->def = op_body(op, struct op_queue_create)->def;
    cr_assert_eq(d->def->addr.shard, shard_index(shard_self()));
    slot_assign(shard_self(), d->def->addr, &dummy_type, d);
    made++;
}

static const struct actor_type maker_type = {"maker", on_maker_op};

/* --- a front --- */

struct front {
    struct node *node;
    struct addr addr, maker[WORLD_SHARDS];
    int declared, gone, deleted;
    bool down;
};

static void ask(struct front *f, enum meta_verb verb, int i)
{
    char name[16];
    struct meta_request *rq = meta_request_new(verb, f->addr);
    snprintf(name, sizeof name, "q%d", i);
    rq->flags = META_TRUSTED | (i % 4 ? META_EXCLUSIVE : 0);
    rq->connection = 9;
    rq->cookie = (uint64_t)i;
    meta_request_set(&rq->vhost, SLICE("/"));
    meta_request_set(&rq->name, slice_str(name));
    meta_post(f->node, &rq);
}

/* Every fourth queue is shared and goes by itself, the others with the connection. */
static void on_declared(struct front *f, const struct meta_request *rq)
{
    struct vhost *vhost = routing_find_vhost(routing_of(shard_self()), rq->vhost);
    struct target_queue *queue = vhost_find_queue(vhost, rq->name);
    cr_assert(queue && addr_eq(queue->addr, rq->queue->addr));
    cr_assert(!rq->queue->exclusive || queue->addr.shard == shard_index(shard_self()));
    f->declared++;
    if (rq->queue->exclusive)
        return;
    struct op op = {.to = meta_addr(f->node), .kind = OP_QUEUE_GONE};
    op_body(&op, struct op_queue_gone)->queue = queue->addr;
    op_body(&op, struct op_queue_gone)->reply.reply_to = f->addr;
    op_body(&op, struct op_queue_gone)->reply.cookie = 77;
    post(&op);
    f->gone++;
}

static void on_front_op(void *object, struct op *op)
{
    struct front *f = object;
    struct vhost *vhost = routing_find_vhost(routing_of(shard_self()), SLICE("/"));
    if (op->kind == OP_QUERY_REPLY) {
        cr_assert_eq(op_body(op, struct op_queue_query)->cookie, 77);
        cr_assert_eq(op->n, OP_DELETE);
        f->deleted++;
    } else {
        cr_assert_eq(op->kind, OP_META_REPLY);
        struct meta_request *rq = op_body(op, struct op_meta)->request;
        cr_assert_eq(rq->code, ERR_NONE);
        if (rq->verb == META_QUEUE_DECLARE)
            on_declared(f, rq);
        else
            f->down = true;
        meta_request_free(&rq);
    }
    if (f->declared == QUEUES && f->deleted == f->gone && !f->down)
        ask(f, META_CONNECTION_DOWN, 0);
    if (f->down) {
        cr_assert_null(vhost_find_queue(vhost, SLICE("q1")));
        cr_assert_null(vhost_find_queue(vhost, SLICE("q4")));
        node_stop(f->node);
    }
}

static const struct actor_type front_type = {"front", on_front_op};

static void start(struct shard *shard, void *arg)
{
    struct front *f = arg;
    unsigned i = shard_index(shard);
    f->maker[i] = slot_new(shard, &maker_type, f);
    meta_set_queue_maker(f->node, i, f->maker[i]);
    if (i != 1)
        return;
    f->addr = slot_new(shard, &front_type, f);
    for (int k = 0; k < QUEUES; k++)
        ask(f, META_QUEUE_DECLARE, k);
}

UNIT(running, changes_are_visible_before_answers)
{
    struct world *w = world_new();
    struct front f = {.node = w->node};
    node_each_shard(w->node, start, &f);
    node_run(w->node);
    cr_expect_eq(f.declared, QUEUES);
    cr_expect_eq(f.deleted, QUEUES / 4);
    cr_expect_eq(made, QUEUES);
    cr_expect_eq(meta_count(w->node, META_QUEUES), 0);
    world_free(&w);
    cr_expect_leq(destroyed, QUEUES);
}
