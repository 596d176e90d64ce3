/* Queues of a shard share one output buffer; confirms are joined over a turn. The clock that steps
 * get is the shard's monotonic one, as of the turn. */
#include "broker/queue/actor.h"

#include "base/mem.h"
#include "broker/broker.h"
#include "broker/queue/deadletter.h"
#include "broker/queue/queue_priv.h"
#include "meta/meta.h"
#include "shard/slot.h"
#include "shard/timer.h"

#include <stdlib.h>

enum { SWEEP_PORTION = 20000, SWEEP_PAUSE_MS = 1 };

/* One a shard, shared by its queues. */
struct queue_host {
    struct queue_out out;
    struct ready_pool pool;
    struct deadletters deadletters;
    struct deferred confirms;
};

struct queue_actor {
    struct queue *queue;
    struct queue_host *host;
    struct shard *shard;
    struct listed listed;
    struct timer wake; /* to sweep, to tick */
    uint64_t wake_ms;
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

static void wake_at(struct queue_actor *a, uint64_t ms)
{
    uint64_t now = shard_now_ms(a->shard);
    if (timer_is_set(&a->wake) && a->wake_ms <= ms)
        return;
    a->wake_ms = ms;
    timer_set(&a->wake, ms > now ? ms - now : SWEEP_PAUSE_MS);
}

static void bury(struct queue_actor *a)
{
    struct queue_out *out = &a->host->out;
    for (size_t i = 0; i < out->dead_count; i++)
        deadletters_publish(&a->host->deadletters, a->queue->def, a->queue->rules, &out->dead[i]);
    out->dead_count = 0;
}

/* What a step gave out. */
static inline void perform(struct queue_actor *a)
{
    struct queue_out *out = &a->host->out;
    if (!addr_is_none(out->confirm_channel))
        shard_defer(a->shard, DEFER_POST, &a->host->confirms);
    post_all(out);
    if (out->dead_count)
        bury(a);
    if (out->deadline_ms)
        wake_at(a, out->deadline_ms);
}

static void on_wake(struct timer *t)
{
    struct queue_actor *a = list_entry(t, struct queue_actor, wake);
    uint64_t now = shard_now_ms(a->shard);
    bool more = queue_sweep(a->queue, &a->host->pool, SWEEP_PORTION);
    if (a->destroyed && !more) {
        queue_actor_free(a);
        return;
    }
    queue_tick(a->queue, now, &a->host->out);
    perform(a);
    if (a->queue->garbage.count)
        wake_at(a, now + SWEEP_PAUSE_MS);
}

static void on_op(void *object, struct op *op)
{
    struct queue_actor *a = object;
    bool destroy = op->kind == OP_QUEUE_DESTROY;
    queue_step(a->queue, op, shard_now_ms(a->shard), &a->host->out);
    perform(a);
    if (destroy) {
        slot_free(a->shard, a->queue->def->addr);
        a->destroyed = true;
    }
    if (destroy || a->queue->garbage.count)
        wake_at(a, shard_now_ms(a->shard));
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
    deadletters_init(&h->deadletters, shard);
    deferred_init(&h->confirms, post_confirms);
    broker_set_queue_host(shard, h);
    listing_set_getter(LISTING_QUEUES, get_column);
}

void queue_actor_fini(struct shard *shard)
{
    struct queue_host *h = host_of(shard);
    deferred_cancel(&h->confirms);
    queue_out_fini(&h->out);
    deadletters_fini(&h->deadletters);
    ready_pool_fini(&h->pool);
    free(h);
}

struct queue_actor *queue_actor_new(struct shard *shard, struct queue_def *def)
{
    struct queue_actor *a = NEW(struct queue_actor);
    a->queue = queue_new(def, shard_now_ms(shard));
    a->host = host_of(shard);
    a->shard = shard;
    timer_init(&a->wake, shard, on_wake);
    slot_assign(shard, def->addr, &queue_type, a);
    listing_add(shard, LISTING_QUEUES, &a->listed, a);
    if (bounds_deadline(a->queue))
        wake_at(a, bounds_deadline(a->queue));
    return a;
}

void queue_actor_free(struct queue_actor *a)
{
    timer_stop(&a->wake);
    listing_remove(a->shard, LISTING_QUEUES, &a->listed);
    if (!a->destroyed)
        slot_free(a->shard, a->queue->def->addr);
    queue_free(a->queue);
    free(a);
}

const struct queue *queue_actor_queue(const struct queue_actor *actor)
{
    return actor->queue;
}
