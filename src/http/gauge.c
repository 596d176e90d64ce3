#include "http/gauge.h"

#include "broker/broker.h"
#include "broker/queue/face.h"
#include "broker/queue/queue.h"
#include "http/session.h"

static void add_queue(struct gauge_totals *t, const struct queue_face *face)
{
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

static bool gauge_run(struct visit *visit, struct shard *shard)
{
    struct gauge *g = (struct gauge *)visit;
    size_t budget = VISIT_OBJECTS, index;
    if (!visit->begun) {
        g->totals.connections += listing_count(shard, LISTING_CONNECTIONS);
        g->totals.channels += listing_count(shard, LISTING_CHANNELS);
        for (size_t i = 0; i < TOTAL_COUNT; i++)
            g->totals.done[i] += broker_totals(shard)[i];
    }
    while (visit_next(visit, listing_count(shard, LISTING_QUEUES), &budget, &index)) {
        const struct queue_face *face = listing_at(shard, LISTING_QUEUES, index);
        if (!face->type->is_dead(face))
            add_queue(&g->totals, face);
    }
    return !visit->left;
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
