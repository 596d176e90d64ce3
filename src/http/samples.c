#include "http/samples.h"

#include "base/hash.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/queue/face.h"
#include "http/http_priv.h"
#include "http/sums.h"
#include "meta/def.h"
#include "meta/meta.h"

#include <stdlib.h>

enum { PORTION = 100 /* objects of a turn */ };

/* In the order of the views of kind_live.c. Others are definitions. */
static const struct {
    enum listing listing;
    const char *columns[RATES_COUNTERS];
} kinds[] = {
    [RATES_QUEUE] = {LISTING_QUEUES,
                     {"messages", "messages_ready", "messages_unacknowledged", "publish",
                      "deliver_get", "deliver", "deliver_no_ack", "get", "get_no_ack", "get_empty",
                      "redeliver", "ack"}},
    [RATES_CONNECTION] = {LISTING_CONNECTIONS, {"recv_oct", "send_oct"}},
    [RATES_CHANNEL] = {LISTING_CHANNELS,
                       {"publish", "confirmed", "return_unroutable", "drop_unroutable",
                        "deliver_get", "deliver", "deliver_no_ack", "get", "get_no_ack",
                        "get_empty", "redeliver", "ack"}},
};

struct sampled {
    struct sample_id id;
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
    return slice_of(&o->id, sizeof o->id);
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

static struct sampled *find(const struct samples *s, struct sample_id id)
{
    return hash_find(&s->objects, slice_of(&id, sizeof id));
}

static struct sampled *add(struct samples *s, struct sample_id id)
{
    if (s->objects.count == SAMPLES_OBJECTS)
        return NULL;
    struct sampled *o = NEW(struct sampled);
    o->id = id;
    o->position = s->objects.count;
    s->list[o->position] = o;
    hash_add(&s->objects, o);
    return o;
}

const struct trend *samples_ask(struct samples *s, struct sample_id id, uint64_t now_ms)
{
    struct sampled *o = find(s, id);
    if (!o)
        o = add(s, id);
    if (!o)
        return NULL;
    o->asked_ms = now_ms;
    return o->trend;
}

const struct trend *samples_recall(const struct samples *s, struct sample_id id)
{
    const struct sampled *o = find(s, id);
    return o ? o->trend : NULL;
}

/* ---- sampling ---- */

/* How many; 0: it is gone. */
static size_t read_listed(struct sample_id id, struct shard *shard, uint64_t *ret_counters)
{
    enum listing what = kinds[id.kind].listing;
    const void *object = listing_find(shard, what, addr_from_u64(id.number));
    size_t n = 0;
    if (!object)
        return 0;
    for (; n < RATES_COUNTERS && kinds[id.kind].columns[n]; n++) {
        struct value v = listing_get(what, object, kinds[id.kind].columns[n]);
        ret_counters[n] = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
        value_fini(&v);
    }
    return n;
}

struct reading {
    struct sample_id id;
    size_t count; /* 0: it was not found */
    struct tally_sum sums[SUMS_OF_VHOST];
};

static bool read_row(const struct meta_row *row, void *arg)
{
    struct reading *r = arg;
    if (row->number != r->id.number)
        return false;
    if (r->id.kind == RATES_VHOST)
        sums_read_vhost(meta_row_vhost(row), r->sums);
    else
        sums_read_exchange(meta_row_exchange(row), r->sums);
    r->count = r->id.kind == RATES_VHOST ? SUMS_OF_VHOST : SUMS_OF_EXCHANGE;
    return false;
}

static size_t read_definition(struct sample_id id, struct shard *shard, uint64_t *ret_counters)
{
    struct reading r = {.id = id};
    struct meta_cursor cursor = {.noun = id.kind == RATES_VHOST ? META_VHOSTS : META_EXCHANGES,
                                 .vhost = id.vhost,
                                 .seen = id.number - 1,
                                 .last = id.number};
    (void)meta_cursor_next(shard_node(shard), &cursor, 1, read_row, &r);
    for (size_t i = 0; i < r.count; i++)
        ret_counters[i] = r.sums[i].sum;
    return r.count;
}

static bool is_definition(struct sample_id id)
{
    return id.kind == RATES_VHOST || id.kind == RATES_EXCHANGE;
}

static bool are_zero(const uint64_t *counters, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (counters[i])
            return false;
    }
    return true;
}

/* The objects, then the virtual hosts and the queues that are not among them yet. */
struct sample_visit {
    struct visit visit;
    uint64_t now_ms, wall_offset;
    bool objects_done, vhosts_done, walking;
    struct meta_cursor vhosts;
};

/* So few of its kind that all have samples. */
static bool is_one_of_few(struct sample_id id, const struct shard *shard)
{
    if (id.kind == RATES_QUEUE)
        return listing_count(shard, LISTING_QUEUES) <= SAMPLES_QUEUES;
    return id.kind == RATES_VHOST && meta_count(shard_node(shard), META_VHOSTS) <= SAMPLES_VHOSTS;
}

static void take(struct samples *s, struct sampled *o, struct shard *shard,
                 const struct sample_visit *v)
{
    uint64_t counters[RATES_COUNTERS];
    size_t count = 0;
    bool wanted = o->asked_ms && o->asked_ms + SAMPLES_FORGET_MS > v->now_ms;
    if (wanted || is_one_of_few(o->id, shard))
        count = is_definition(o->id) ? read_definition(o->id, shard, counters)
                                     : read_listed(o->id, shard, counters);
    if (!count) {
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
    struct sample_id id = {RATES_QUEUE, 0, addr_u64(face->type->def(face)->addr)};
    if (face->type->is_dead(face) || find(s, id))
        return;
    struct sampled *o = add(s, id);
    if (o)
        take(s, o, shard, v);
}

struct vhost_walk {
    struct samples *samples;
    struct shard *shard;
    const struct sample_visit *visit;
};

static bool take_vhost(const struct meta_row *row, void *arg)
{
    const struct vhost_walk *w = arg;
    struct sample_id id = {RATES_VHOST, w->visit->vhosts.vhost, row->number};
    struct sampled *o = find(w->samples, id) ? NULL : add(w->samples, id);
    if (o)
        take(w->samples, o, w->shard, w->visit);
    return true;
}

/* On shard 0. True: all were looked at, or they are too many. */
static bool take_vhosts(struct samples *s, struct shard *shard, struct sample_visit *v)
{
    struct node *node = shard_node(shard);
    struct vhost_walk walk = {s, shard, v};
    if (shard_index(shard) || meta_count(node, META_VHOSTS) > SAMPLES_VHOSTS)
        return true;
    if (!v->walking)
        v->vhosts = meta_cursor_begin(node, META_VHOSTS, SLICE_EMPTY);
    v->walking = true;
    return !meta_cursor_next(node, &v->vhosts, PORTION, take_vhost, &walk);
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
    if (!v->vhosts_done && !take_vhosts(s, shard, v))
        return false;
    v->vhosts_done = true;
    size_t queues = listing_count(shard, LISTING_QUEUES);
    while (queues <= SAMPLES_QUEUES && visit_next(visit, queues, &budget, &index))
        take_queue(s, shard, listing_at(shard, LISTING_QUEUES, index), v);
    if (visit->left && queues <= SAMPLES_QUEUES)
        return false;
    v->objects_done = v->vhosts_done = false;
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
