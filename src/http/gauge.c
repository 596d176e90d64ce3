#include "http/gauge.h"

#include "base/mem.h"
#include "broker/broker.h"
#include "broker/queue/face.h"
#include "broker/queue/queue.h"
#include "http/http_priv.h"
#include "http/session.h"
#include "meta/def.h"
#include "meta/tally.h"

#include <pthread.h>
#include <stdlib.h>

static uint64_t column(enum listing what, const void *object, const char *name)
{
    struct value v = listing_get(what, object, name);
    uint64_t n = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return n;
}

static void add_stream(struct gauge_totals *t, const struct queue_face *face,
                       const struct queue_counts *n)
{
    uint64_t lag = column(LISTING_QUEUES, face, "max_offset_lag");
    t->streams++;
    t->stream_messages += n->ready;
    t->stream_unacknowledged += n->unacked;
    t->stream_segments += column(LISTING_QUEUES, face, "segments");
    t->stream_bytes += column(LISTING_QUEUES, face, "segment_bytes");
    t->stream_readers += column(LISTING_QUEUES, face, "readers");
    t->stream_lag = lag > t->stream_lag ? lag : t->stream_lag;
}

static void add_queue(struct gauge_totals *t, const void *object)
{
    const struct queue_face *face = object;
    if (face->type->is_dead(face))
        return;
    struct queue_counts n = face->type->counts(face);
    t->queues++;
    t->consumers += n.consumers;
    t->messages_ready += n.ready;
    t->messages_unacknowledged += n.unacked;
    t->messages_delayed += n.later;
    t->bytes_ready += n.ready_bytes;
    t->bytes_unacknowledged += n.unacked_bytes;
    t->bytes_delayed += n.later_bytes;
    t->messages_paged_out += n.paged_out;
    t->bytes_paged_out += n.paged_out_bytes;
    if (face->type->def(face)->type == QUEUE_STREAM)
        add_stream(t, face, &n);
}

static void count_in_vhost(const struct shard *shard, const void *object)
{
    const struct queue_face *face = object;
    if (face->type->is_dead(face))
        return;
    struct queue_counts n = face->type->counts(face);
    struct vhost *vhost = n.ready + n.unacked
                              ? routing_find_vhost(routing_of(shard), face->type->def(face)->vhost)
                              : NULL;
    if (!vhost)
        return;
    tally_count(tally_for_vhost(vhost), VHOST_READY, n.ready);
    tally_count(tally_for_vhost(vhost), VHOST_UNACKED, n.unacked);
}

/* Other lines keep what is not for consumers: values of deduplication, histories. */
static void add_line(struct gauge_totals *t, const void *object)
{
    const struct queue_face *face = object;
    if (face->type->is_dead(face) || (face->type->def(face)->line_of != LINE_OF_EXCHANGE &&
                                      face->type->def(face)->line_of != LINE_OF_QUEUE))
        return;
    struct queue_counts n = face->type->counts(face);
    t->lines++;
    t->lines_messages += n.ready + n.unacked + n.later;
    t->lines_bytes += n.ready_bytes + n.unacked_bytes + n.later_bytes;
}

static void add_connection(struct gauge_totals *t, const void *connection)
{
    static const struct {
        const char *name;
        enum broker_total total;
    } counters[] = {{"recv_oct", TOTAL_BYTES_IN},
                    {"send_oct", TOTAL_BYTES_OUT},
                    {"recv_cnt", TOTAL_FRAMES_IN},
                    {"send_cnt", TOTAL_FRAMES_OUT}};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        t->done[counters[i].total] += column(LISTING_CONNECTIONS, connection, counters[i].name);
}

static void add_channel(struct gauge_totals *t, const void *channel)
{
    t->messages_unconfirmed += column(LISTING_CHANNELS, channel, "messages_unconfirmed");
    t->publishers += column(LISTING_CHANNELS, channel, "published") != 0;
}

static void count_all(struct gauge *g, const struct shard *shard)
{
    struct gauge_totals *t = &g->totals;
    for (enum listing what = 0; what < LISTING_COUNT; what++)
        g->objects += listing_count(shard, what);
    t->connections += listing_count(shard, LISTING_CONNECTIONS);
    t->channels += listing_count(shard, LISTING_CHANNELS);
    for (size_t i = 0; i < TOTAL_COUNT; i++)
        t->done[i] += broker_totals(shard)[i];
}

static void look_at(struct gauge *g, const struct shard *shard, void *object)
{
    static void (*const add[])(struct gauge_totals * t, const void *object) = {
        [LISTING_QUEUES] = add_queue,
        [LISTING_LINES] = add_line,
        [LISTING_CONNECTIONS] = add_connection,
        [LISTING_CHANNELS] = add_channel,
    };
    _Static_assert(sizeof add / sizeof *add == LISTING_COUNT, "one each");
    add[g->at](&g->totals, object);
    if (g->by_vhost && g->at == LISTING_QUEUES)
        count_in_vhost(shard, object);
    if (g->by_vhost)
        listing_tell(g->at, object);
}

/* The objects of a shard, one kind after the other. */
static bool gauge_run(struct visit *visit, struct shard *shard)
{
    struct gauge *g = (struct gauge *)visit;
    size_t budget = VISIT_OBJECTS, index;
    while (g->at < LISTING_COUNT) {
        if (!visit->begun && g->at == 0)
            count_all(g, shard);
        while (visit_next(visit, listing_count(shard, g->at), &budget, &index))
            look_at(g, shard, listing_at(shard, g->at, index));
        if (visit->left)
            return false;
        visit->begun = false;
        g->at++;
    }
    g->at = 0;
    return true;
}

/* ---- what was found a moment ago ---- */

enum {
    MEMORY_OBJECTS = 10000, /* to look at more again is work */
    MEMORY_MS = 1000,
    MEMORY_MS_MAX = 5000, /* as old as RabbitMQ's statistics get */
    OBJECTS_PER_MS = 50   /* more objects are looked at less often */
};

uint64_t gauge_memory_ms(size_t objects)
{
    uint64_t ms = objects / OBJECTS_PER_MS;
    if (objects <= MEMORY_OBJECTS)
        return 0;
    return ms < MEMORY_MS ? MEMORY_MS : ms > MEMORY_MS_MAX ? MEMORY_MS_MAX : ms;
}

struct gauge_memory {
    pthread_mutex_t lock;
    uint64_t until_ms; /* 0: nothing was taken */
    struct gauge_totals totals;
};

struct gauge_memory *gauge_memory_new(void)
{
    struct gauge_memory *m = NEW(struct gauge_memory);
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

void gauge_memory_free(struct gauge_memory **memory)
{
    if (!*memory)
        return;
    pthread_mutex_destroy(&(*memory)->lock);
    free(*memory);
    *memory = NULL;
}

void gauge_remember(struct gauge_memory *m, const struct gauge *g)
{
    uint64_t ms = gauge_memory_ms(g->objects);
    if (!ms)
        return;
    pthread_mutex_lock(&m->lock);
    m->totals = g->totals;
    m->until_ms = g->begun_ms + ms;
    pthread_mutex_unlock(&m->lock);
}

static bool recall(struct gauge_memory *m, struct gauge *g)
{
    pthread_mutex_lock(&m->lock);
    bool fresh = g->begun_ms < m->until_ms;
    if (fresh)
        g->totals = m->totals;
    pthread_mutex_unlock(&m->lock);
    return fresh;
}

/* ---- of a request ---- */

struct gauge *gauge_new(void)
{
    return session_visit_new(sizeof(struct gauge), gauge_run);
}

static void on_back(struct session *s, struct visit *visit)
{
    struct gauge *g = (struct gauge *)visit;
    if (session_visit_on(s, visit))
        return;
    gauge_remember(s->http->gauge_memory, g);
    s->on_gauge(s, g);
}

void gauge_start(struct session *s, void (*on_end)(struct session *session, struct gauge *gauge))
{
    struct gauge *g = gauge_new();
    g->begun_ms = shard_now_ms(s->shard);
    if (recall(s->http->gauge_memory, g)) {
        on_end(s, g);
        return;
    }
    s->on_gauge = on_end;
    session_visit(s, &g->visit, node_shard_count(session_node(s)) - 1, on_back);
}
