#include "http/samples.h"

#include "base/hash.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/queue/face.h"
#include "http/http_priv.h"
#include "meta/def.h"

#include <stdlib.h>

enum { PORTION = 100 /* objects of a turn */ };

/* In the order of the views of kind_live.c. */
static const struct {
    enum listing listing;
    const char *columns[RATES_COUNTERS];
} kinds[] = {
    [RATES_QUEUE] = {LISTING_QUEUES,
                     {"messages", "messages_ready", "messages_unacknowledged", "publish",
                      "deliver_get", "ack", "redeliver"}},
    [RATES_CONNECTION] = {LISTING_CONNECTIONS, {"recv_oct", "send_oct"}},
    [RATES_CHANNEL] = {LISTING_CHANNELS, {"published", "delivered"}},
};

struct key {
    uint64_t kind, addr;
};

struct sampled {
    struct key key;
    struct addr addr;
    size_t position;     /* in the list */
    uint64_t asked_ms;   /* 0: nobody did */
    bool was_zero;       /* at the first look: it has done nothing before */
    struct trend *trend; /* NULL: it is so still, or there was none */
};

struct samples {
    struct hash objects;
    struct sampled *list[SAMPLES_OBJECTS]; /* owned: the same */
};

static struct slice key_of(const void *object)
{
    const struct sampled *o = object;
    return slice_of(&o->key, sizeof o->key);
}

struct samples *samples_new(void)
{
    struct samples *s = NEW(struct samples);
    hash_init(&s->objects, key_of);
    return s;
}

static void forget(struct samples *s, struct sampled *o)
{
    struct sampled *last = s->list[s->objects.count - 1];
    (void)hash_remove(&s->objects, key_of(o));
    s->list[o->position] = last;
    last->position = o->position;
    trend_free(&o->trend);
    free(o);
}

void samples_free(struct samples **samples)
{
    struct samples *s = *samples;
    if (!s)
        return;
    while (s->objects.count)
        forget(s, s->list[0]);
    hash_fini(&s->objects);
    free(s);
    *samples = NULL;
}

static struct sampled *find(struct samples *s, enum rates_kind kind, struct addr addr)
{
    struct key key = {kind, addr_u64(addr)};
    return hash_find(&s->objects, slice_of(&key, sizeof key));
}

static struct sampled *add(struct samples *s, enum rates_kind kind, struct addr addr)
{
    if (s->objects.count == SAMPLES_OBJECTS)
        return NULL;
    struct sampled *o = NEW(struct sampled);
    o->key = (struct key){kind, addr_u64(addr)};
    o->addr = addr;
    o->position = s->objects.count;
    s->list[o->position] = o;
    hash_add(&s->objects, o);
    return o;
}

const struct trend *samples_ask(struct samples *s, enum rates_kind kind, struct addr addr,
                                uint64_t now_ms)
{
    struct sampled *o = find(s, kind, addr);
    if (!o)
        o = add(s, kind, addr);
    if (!o)
        return NULL;
    o->asked_ms = now_ms;
    return o->trend;
}

/* ---- sampling ---- */

/* False: it is gone. */
static bool read_counters(const struct sampled *o, struct shard *shard, uint64_t *ret_counters,
                          size_t *ret_count)
{
    enum listing what = kinds[o->key.kind].listing;
    const void *object = listing_find(shard, what, o->addr);
    size_t n = 0;
    if (!object)
        return false;
    for (; n < RATES_COUNTERS && kinds[o->key.kind].columns[n]; n++) {
        struct value v = listing_get(what, object, kinds[o->key.kind].columns[n]);
        ret_counters[n] = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
        value_fini(&v);
    }
    *ret_count = n;
    return true;
}

static bool are_zero(const uint64_t *counters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (counters[i])
            return false;
    }
    return true;
}

/* The objects, then the queues that are not among them yet. */
struct sample_visit {
    struct visit visit;
    uint64_t now_ms, wall_offset;
    bool objects_done;
};

static void take(struct samples *s, struct sampled *o, struct shard *shard,
                 const struct sample_visit *v)
{
    uint64_t counters[RATES_COUNTERS];
    size_t count;
    bool wanted = o->asked_ms && o->asked_ms + SAMPLES_FORGET_MS > v->now_ms;
    bool few = o->key.kind == RATES_QUEUE && listing_count(shard, LISTING_QUEUES) <= SAMPLES_QUEUES;
    if (!(wanted || few) || !read_counters(o, shard, counters, &count)) {
        forget(s, o);
        return;
    }
    bool zero = are_zero(counters, count);
    o->was_zero = o->was_zero || (zero && !o->trend);
    if (!o->trend && !wanted && zero)
        return;
    if (!o->trend)
        o->trend = trend_new(trend_of_object, 2, count, o->was_zero);
    trend_add(o->trend, v->now_ms, v->wall_offset, counters);
}

static void take_queue(struct samples *s, struct shard *shard, const struct queue_face *face,
                       const struct sample_visit *v)
{
    struct addr addr = face->type->def(face)->addr;
    if (face->type->is_dead(face) || find(s, RATES_QUEUE, addr))
        return;
    struct sampled *o = add(s, RATES_QUEUE, addr);
    if (o)
        take(s, o, shard, v);
}

static bool sample_run(struct visit *visit, struct shard *shard)
{
    struct sample_visit *v = (struct sample_visit *)visit;
    struct samples *s = http_of(shard_node(shard))->samples[shard_index(shard)];
    size_t budget = PORTION, index;
    if (!v->objects_done) {
        while (visit_next(visit, s->objects.count, &budget, &index))
            take(s, s->list[index], shard, v);
        if (visit->left)
            return false;
        visit->begun = false;
        v->objects_done = true;
    }
    size_t queues = listing_count(shard, LISTING_QUEUES);
    while (queues <= SAMPLES_QUEUES && visit_next(visit, queues, &budget, &index))
        take_queue(s, shard, listing_at(shard, LISTING_QUEUES, index), v);
    if (visit->left && queues <= SAMPLES_QUEUES)
        return false;
    v->objects_done = false;
    return true;
}

struct visit *samples_visit(struct node *node, uint64_t now_ms, uint64_t wall_offset)
{
    struct sample_visit *v = NEW(struct sample_visit);
    v->visit.run = sample_run;
    v->visit.shard = node_shard_count(node) - 1;
    v->now_ms = now_ms;
    v->wall_offset = wall_offset;
    return &v->visit;
}
