/* What a queue and a consumer answer to list_queues and list_consumers. */
#include "base/clock.h"
#include "broker/msg.h"
#include "broker/queue/expiry.h"
#include "broker/queue/extent.h"
#include "broker/queue/face.h"
#include "broker/queue/later.h"
#include "broker/queue/pace.h"

#include <string.h>

/* Messages and bytes of their bodies. */
struct amount {
    uint64_t count, bytes;
};

static struct amount away(const struct queue *q)
{
    const struct paged *p = q->ready.paged;
    return p ? (struct amount){p->count, p->bytes} : (struct amount){0, 0};
}

static struct amount in_memory(const struct queue *q)
{
    struct amount a = away(q);
    return (struct amount){
        q->ready.count + ready_later_count(&q->ready) + q->unacked.count - a.count,
        q->ready.bytes + ready_later_bytes(&q->ready) + q->unacked.bytes - a.bytes};
}

/* Only a durable queue has any, whatever publishers said. */
static struct amount persistent(const struct queue *q)
{
    if (!q->def->durable)
        return (struct amount){0, 0};
    return (struct amount){q->ready.persistent + q->unacked.persistent,
                           q->ready.persistent_bytes + q->unacked.persistent_bytes};
}

static size_t backlog_memory(const struct backlog *b)
{
    size_t n = mem_size(b) + mem_size(b->extents);
    for (uint32_t i = 0; i < b->count; i++) {
        const struct due *due = backlog_at(b, i)->due;
        if (due)
            n += mem_size(due) + mem_size(due->items);
    }
    return n;
}

static size_t sequence_memory(const struct sequence *s)
{
    size_t n = s->count * sizeof(struct ready_chunk) + mem_size(s->chunks);
    if (s->backlog)
        n += backlog_memory(s->backlog) + sequence_memory(&s->backlog->tail);
    return n;
}

static size_t paging_memory(const struct paging *p)
{
    return p ? mem_size(p) + mem_size(p->wanted) + mem_size(p->seqs) + mem_size(p->ahead.items) : 0;
}

static size_t consumers_memory(const struct consumers *cs)
{
    size_t n = mem_size(cs->by_number) + mem_size(cs->levels);
    list_each (it, &cs->all) {
        const struct consumer *c = list_entry(it, struct consumer, link);
        const struct consume_request *r = c->request;
        n += mem_size(c) + mem_size(r) + mem_size(r->tag.data) + mem_size(r->queue.data) +
             mem_size(r->user.data) + mem_size(r->args.data);
    }
    return n;
}

/* Heap without what the bodies take, which messages share. */
static size_t own_memory(const struct queue *q)
{
    size_t n = mem_size(q) + mem_size(q->rules) + mem_size(q->ready.levels) +
               mem_size(q->ready.later) + mem_size(q->ready.paged) + paging_memory(q->paging) +
               mem_size(q->unacked.slots) + consumers_memory(&q->consumers);
    for (unsigned level = 0; level < READY_LEVELS; level = ready_next_level(&q->ready, level))
        n += sequence_memory(ready_level(&q->ready, level));
    if (q->ready.later)
        n += mem_size(q->ready.later->times) + mem_size(q->ready.later->times->heap);
    if (q->ready.expiry)
        n += mem_size(q->ready.expiry) + mem_size(q->ready.expiry->heap);
    return n;
}

/* Sorted by name: metrics ask for each of many queues. */
#define COUNTS(ROW)                                                                      \
    ROW(ack, q->acked)                                                                   \
    ROW(consumers, q->consumers.count)                                                   \
    ROW(deliver, q->given[GIVEN])                                                        \
    ROW(deliver_get, queue_given(q))                                                     \
    ROW(deliver_no_ack, q->given[GIVEN_NO_ACK])                                          \
    ROW(get, q->given[GOT])                                                              \
    ROW(get_empty, q->get_empty)                                                         \
    ROW(get_no_ack, q->given[GOT_NO_ACK])                                                \
    ROW(memory, own_memory(q) + in_memory(q).bytes)                                      \
    ROW(message_bytes, q->ready.bytes + q->unacked.bytes + ready_later_bytes(&q->ready)) \
    ROW(message_bytes_delayed, ready_later_bytes(&q->ready) - later_letter_bytes(q))     \
    ROW(message_bytes_delayed_ram, ready_later_bytes(&q->ready) - later_away(q).bytes)   \
    ROW(message_bytes_dlx, later_letter_bytes(q))                                        \
    ROW(message_bytes_paged_out, away(q).bytes)                                          \
    ROW(message_bytes_persistent, persistent(q).bytes)                                   \
    ROW(message_bytes_ram, in_memory(q).bytes)                                           \
    ROW(message_bytes_ready, q->ready.bytes)                                             \
    ROW(message_bytes_unacknowledged, q->unacked.bytes)                                  \
    ROW(messages, q->ready.count + q->unacked.count + ready_later_count(&q->ready))      \
    ROW(messages_delayed, ready_later_count(&q->ready) - later_letters(q))               \
    ROW(messages_delayed_ram, ready_later_count(&q->ready) - later_away(q).count)        \
    ROW(messages_dlx, later_letters(q))                                                  \
    ROW(messages_paged_out, away(q).count)                                               \
    ROW(messages_persistent, persistent(q).count)                                        \
    ROW(messages_ram, in_memory(q).count)                                                \
    ROW(messages_ready, q->ready.count)                                                  \
    ROW(messages_ready_ram, q->ready.count - (away(q).count - later_away(q).count))      \
    ROW(messages_unacknowledged, q->unacked.count)                                       \
    ROW(messages_unacknowledged_ram, q->unacked.count)                                   \
    ROW(publish, q->published)                                                           \
    ROW(redeliver, q->redelivered)

enum count {
#define ROW(name, value) COUNT_##name,
    COUNTS(ROW)
#undef ROW
        COUNT_COUNT
};

static uint64_t count_of(const struct queue *q, enum count which)
{
    switch (which) {
#define ROW(name, value) \
    case COUNT_##name:   \
        return value;
        COUNTS(ROW)
#undef ROW
    case COUNT_COUNT:
        break;
    }
    return 0;
}

static struct value count_column(const struct queue *q, const char *column)
{
    static const char *const names[] = {
#define ROW(name, value) #name,
        COUNTS(ROW)
#undef ROW
    };
    size_t from = 0, to = COUNT_COUNT;
    while (from < to) {
        size_t middle = (from + to) / 2;
        int order = strcmp(column, names[middle]);
        if (!order)
            return value_int((int64_t)count_of(q, (enum count)middle));
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return value_none();
}

static struct value tag_of(const struct consumer *c)
{
    return c ? value_text(c->request->tag) : value_none();
}

static struct value consumers_column(const struct queue *q, const char *column)
{
    const struct consumers *cs = &q->consumers;
    if (!strcmp(column, "exclusive_consumer_tag"))
        return tag_of(cs->exclusive);
    if (!strcmp(column, "single_active_consumer_tag"))
        return tag_of(cs->active);
    if (!strcmp(column, "consumer_capacity") || !strcmp(column, "consumer_utilisation")) {
        bool can = false;
        for (size_t i = 0; i < cs->level_count && !can; i++)
            can = consumers_level_ready(cs, i);
        return cs->count ? value_double(can ? 1.0 : 0.0) : value_int(0);
    }
    return value_none();
}

enum { IDLE_MS = 1000 };

static struct slice state_of(const struct queue *q)
{
    if (q->dead)
        return SLICE("stopped");
    return pace_holds(q) ? SLICE("flow") : SLICE("running");
}

/* Wall time of what happened last, if that is a while ago. */
static struct value idle_since(const struct queue *q)
{
    uint64_t idle = shard_now_ms(shard_self()) - q->active_ms;
    return idle < IDLE_MS ? value_none() : value_int((int64_t)(clock_wall_ms() - idle));
}

struct value queue_column(const struct queue *q, const char *column)
{
    struct value v = count_column(q, column);
    if (v.type == VALUE_NONE)
        v = queue_face_definition(q->def, column);
    if (v.type != VALUE_NONE)
        return v;
    if (!strcmp(column, "state"))
        return value_text(state_of(q));
    if (!strcmp(column, "idle_since"))
        return idle_since(q);
    return consumers_column(q, column);
}

struct value queue_consumer_column(const struct queue *q, const struct consumer *c,
                                   const char *column)
{
    bool active = consumers_is_active(&q->consumers, c);
    if (!strcmp(column, "active"))
        return value_bool(active);
    if (!strcmp(column, "activity_status"))
        return value_text(active
                              ? (q->consumers.single_active ? SLICE("single_active") : SLICE("up"))
                              : SLICE("waiting"));
    if (!strcmp(column, "messages_unacknowledged"))
        return value_int(c->unacked);
    return queue_face_request(c->request, q->def, column);
}
