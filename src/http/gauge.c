#include "http/gauge.h"

#include "broker/broker.h"
#include "broker/queue/face.h"
#include "broker/queue/queue.h"
#include "http/session.h"

static void add_queue(struct gauge_totals *t, const struct queue_face *face)
{
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
}

static void add_channel(struct gauge_totals *t, const void *channel)
{
    struct value v = listing_get(LISTING_CHANNELS, channel, "messages_unconfirmed");
    t->messages_unconfirmed += v.type == VALUE_INT ? (uint64_t)v.integer : 0;
    value_fini(&v);
}

static void count_all(struct gauge_totals *t, const struct shard *shard)
{
    t->connections += listing_count(shard, LISTING_CONNECTIONS);
    t->channels += listing_count(shard, LISTING_CHANNELS);
    for (size_t i = 0; i < TOTAL_COUNT; i++)
        t->done[i] += broker_totals(shard)[i];
}

/* The queues of a shard, then its channels. */
static bool gauge_run(struct visit *visit, struct shard *shard)
{
    struct gauge *g = (struct gauge *)visit;
    enum listing what = g->at_channels ? LISTING_CHANNELS : LISTING_QUEUES;
    size_t budget = VISIT_OBJECTS, index;
    if (!visit->begun && !g->at_channels)
        count_all(&g->totals, shard);
    while (visit_next(visit, listing_count(shard, what), &budget, &index)) {
        const void *object = listing_at(shard, what, index);
        if (g->at_channels)
            add_channel(&g->totals, object);
        else
            add_queue(&g->totals, object);
    }
    if (visit->left)
        return false;
    visit->begun = false;
    g->at_channels = !g->at_channels;
    return !g->at_channels;
}

static void on_back(struct session *s, struct visit *visit)
{
    if (session_visit_on(s, visit))
        return;
    s->on_gauge(s, (struct gauge *)visit);
}

void gauge_start(struct session *s, void (*on_end)(struct session *session, struct gauge *gauge))
{
    struct gauge *g = session_visit_new(sizeof *g, gauge_run);
    s->on_gauge = on_end;
    session_visit(s, &g->visit, node_shard_count(session_node(s)) - 1, on_back);
}
