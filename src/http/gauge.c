#include "http/gauge.h"

#include "broker/broker.h"
#include "broker/queue/face.h"
#include "http/session.h"
#include "meta/def.h"

static uint64_t number(const void *queue, const char *column)
{
    struct value v = listing_get(LISTING_QUEUES, queue, column);
    uint64_t n = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return n;
}

static void add_queue(struct gauge_totals *t, const void *queue)
{
    t->queues++;
    t->consumers += number(queue, "consumers");
    t->messages_ready += number(queue, "messages_ready");
    t->messages_unacknowledged += number(queue, "messages_unacknowledged");
    t->bytes_ready += number(queue, "message_bytes_ready");
    t->bytes_unacknowledged += number(queue, "message_bytes_unacknowledged");
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
