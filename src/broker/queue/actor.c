/* Queues of a shard share one output buffer; confirms are joined over a turn. */
#include "broker/queue/actor.h"

#include "base/mem.h"
#include "broker/broker.h"
#include "broker/queue/queue_priv.h"
#include "meta/meta.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <stdlib.h>

enum { SWEEP_PORTION = 20000 };

/* One a shard, shared by its queues. */
struct queue_host {
    struct queue_out out;
    struct ready_pool pool;
    struct deferred confirms;
};

struct queue_actor {
    struct queue *queue;
    struct queue_host *host;
    struct shard *shard;
    struct listed listed;
    struct timer sweep;
    bool destroyed; /* off its address; free when swept */
};

static struct value get_column(const void *object, const char *column)
{
    const struct queue_actor *a = object;
    return queue_column(a->queue, column);
}

static void post_all(struct queue_out *out)
{
    for (size_t i = 0; i < out->count; i++)
        post(&out->ops[i]);
    out->count = 0;
}

static void post_confirms(struct deferred *d)
{
    struct queue_host *h = list_entry(d, struct queue_host, confirms);
    queue_out_flush(&h->out);
    post_all(&h->out);
}

static void sweep(struct timer *t)
{
    struct queue_actor *a = list_entry(t, struct queue_actor, sweep);
    if (queue_sweep(a->queue, &a->host->pool, SWEEP_PORTION))
        timer_set(t, 0);
    else if (a->destroyed)
        queue_actor_free(a);
}

static void on_op(void *object, struct op *op)
{
    struct queue_actor *a = object;
    struct queue_host *h = a->host;
    bool destroy = op->kind == OP_QUEUE_DESTROY;
    bool sweeps = destroy || op->kind == OP_PURGE || op->kind == OP_DELETE || op->kind == OP_CANCEL;
    queue_step(a->queue, op, &h->out);
    if (!addr_is_none(h->out.confirm_channel))
        shard_defer(a->shard, DEFER_POST, &h->confirms);
    post_all(&h->out);
    if (destroy) {
        slot_free(a->shard, queue_get_def(a->queue)->addr);
        a->destroyed = true;
    }
    if (sweeps)
        timer_set(&a->sweep, 0);
}

static const struct actor_type queue_type = {"queue", on_op};

/* Where the queues' host of a shard is found: the queue maker knows it through the shard. */
static struct queue_host *host_of(const struct shard *shard)
{
    return broker_queue_host(shard);
}

void queue_actor_init(struct shard *shard)
{
    struct queue_host *h = NEW(struct queue_host);
    h->out.pool = &h->pool;
    h->out.meta = meta_addr(shard_node(shard));
    deferred_init(&h->confirms, post_confirms);
    broker_set_queue_host(shard, h);
    listing_set_getter(LISTING_QUEUES, get_column);
}

void queue_actor_fini(struct shard *shard)
{
    struct queue_host *h = host_of(shard);
    deferred_cancel(&h->confirms);
    queue_out_fini(&h->out);
    ready_pool_fini(&h->pool);
    free(h);
}

struct queue_actor *queue_actor_new(struct shard *shard, struct queue_def *def)
{
    struct queue_actor *a = NEW(struct queue_actor);
    a->queue = queue_new(def);
    a->host = host_of(shard);
    a->shard = shard;
    timer_init(&a->sweep, shard, sweep);
    slot_assign(shard, def->addr, &queue_type, a);
    listing_add(shard, LISTING_QUEUES, &a->listed, a);
    return a;
}

void queue_actor_free(struct queue_actor *a)
{
    timer_stop(&a->sweep);
    listing_remove(a->shard, LISTING_QUEUES, &a->listed);
    if (!a->destroyed)
        slot_free(a->shard, queue_get_def(a->queue)->addr);
    queue_free(a->queue);
    free(a);
}

const struct queue *queue_actor_queue(const struct queue_actor *actor)
{
    return actor->queue;
}
