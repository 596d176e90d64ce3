/* What a stream shows: its columns, its consumers, why it delivers nothing. */
#include "broker/stream/stream_priv.h"

#include "broker/queue/queue.h"
#include "meta/def.h"

#include <string.h>

/* Bytes of a stream that nobody reads, about, without its log. */
enum { COLUMN_FIXED = sizeof(struct stream_queue) + 200 };

static const struct stream_queue *of(const struct queue_face *face)
{
    return list_entry((struct queue_face *)(uintptr_t)face, const struct stream_queue, face);
}

static uint64_t count_of(const struct stream_queue *q)
{
    struct partition_offsets o = partition_offsets(q->log);
    return o.committed > o.first ? o.committed - o.first : 0;
}

static uint64_t held_by_readers(const struct stream_queue *q)
{
    uint64_t n = 0;
    for (size_t i = 0; i < q->reader_cap; i++)
        n += q->readers[i] ? q->readers[i]->unacked : 0;
    return n;
}

/* With the messages of the tail, as those of a queue. */
static uint64_t memory_of(const struct stream_queue *q)
{
    uint64_t bytes = COLUMN_FIXED + q->window.tail_bytes + q->reader_cap * sizeof(void *) +
                     q->reader_count * sizeof(struct stream_reader) +
                     q->window.cap * sizeof(struct tail_entry) +
                     q->confirm_cap * sizeof *q->confirms + partition_memory(q->log);
    list_each (it, &q->window.pages) {
        const struct stream_page *page = list_entry(it, struct stream_page, link);
        bytes += page->bytes.cap + page->cap * sizeof *page->entries +
                 page->batch_cap * sizeof *page->batches;
    }
    return bytes;
}

static const struct queue_def *get_def(const struct queue_face *face)
{
    return of(face)->def;
}

static bool is_dead(const struct queue_face *face)
{
    return of(face)->dead;
}

/* Of the reader that is farthest behind. */
static uint64_t max_lag(const struct stream_queue *q, uint64_t committed)
{
    uint64_t lag = 0;
    for (size_t i = 0; i < q->reader_cap; i++) {
        const struct stream_reader *r = q->readers[i];
        if (r && !r->seeking && r->next < committed && committed - r->next > lag)
            lag = committed - r->next;
    }
    return lag;
}

static struct value number_column(const struct stream_queue *q, const char *column)
{
    struct partition_offsets o = partition_offsets(q->log);
    uint64_t tail = q->window.tail_next - q->window.tail_first;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"publish", q->published},
        {"deliver", q->delivered},
        {"deliver_get", q->delivered},
        {"ack", q->acked},
        {"messages", count_of(q)},
        {"messages_ready", count_of(q)},
        {"messages_persistent", count_of(q)},
        {"messages_unacknowledged", held_by_readers(q)},
        {"messages_ram", tail},
        {"messages_ready_ram", tail},
        {"message_bytes_ram", q->window.tail_bytes},
        {"consumers", q->reader_count},
        {"readers", q->reader_count},
        {"memory", memory_of(q)},
        {"first_offset", o.first},
        {"segments", partition_segments(q->log)},
        {"segment_bytes", partition_bytes(q->log)},
        {"max_offset_lag", max_lag(q, o.committed)},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!strcmp(numbers[i].name, column))
            return value_int((int64_t)numbers[i].value);
    }
    /* as RabbitMQ counts: the last one that is there */
    if (!strcmp(column, "last_offset"))
        return value_int((int64_t)o.next - 1);
    if (!strcmp(column, "committed_offset"))
        return value_int((int64_t)o.committed - 1);
    return value_none();
}

static struct value get_column(const struct queue_face *face, const char *column)
{
    const struct stream_queue *q = of(face);
    struct value v = queue_face_definition(q->def, column);
    if (v.type == VALUE_NONE)
        v = queue_face_policy(q->routing, q->def, column);
    if (v.type == VALUE_NONE && q->log)
        v = number_column(q, column);
    if (v.type == VALUE_NONE && !strcmp(column, "state"))
        return value_text(q->dead ? SLICE("stopped") : SLICE("running"));
    return v;
}

/* As the columns have them: the bytes of messages are not known apart. */
static struct queue_counts get_counts(const struct queue_face *face)
{
    const struct stream_queue *q = of(face);
    struct queue_counts counts = {.consumers = (uint32_t)q->reader_count};
    if (q->log) {
        counts.ready = count_of(q);
        counts.unacked = held_by_readers(q);
    }
    return counts;
}

static void
each_consumer(const struct queue_face *face,
              void (*fn)(const struct queue_face *face, const void *consumer, void *arg), void *arg)
{
    const struct stream_queue *q = of(face);
    for (size_t i = 0; i < q->reader_cap; i++) {
        if (q->readers[i])
            fn(face, q->readers[i], arg);
    }
}

static struct value consumer_column(const struct queue_face *face, const void *consumer,
                                    const char *column)
{
    const struct stream_reader *r = consumer;
    if (!strcmp(column, "active"))
        return value_bool(true);
    if (!strcmp(column, "activity_status"))
        return value_text(SLICE("up"));
    if (!strcmp(column, "messages_unacknowledged"))
        return value_int(r->unacked);
    if (!strcmp(column, "offset"))
        return value_int((int64_t)r->next);
    return queue_face_request(r->request, of(face)->def, column);
}

/* ---- explain ---- */

static enum queue_verdict judge(const struct stream_queue *q)
{
    uint64_t committed = q->log ? partition_offsets(q->log).committed : 0;
    bool any_behind = false, any_free = false, any_waits = false;
    if (q->dead)
        return QUEUE_DELETED;
    if (!partition_is_open(q->log))
        return QUEUE_OPENING;
    if (!count_of(q))
        return QUEUE_EMPTY;
    if (!q->reader_count)
        return QUEUE_NO_CONSUMER;
    for (size_t i = 0; i < q->reader_cap; i++) {
        const struct stream_reader *r = q->readers[i];
        if (!r || (r->next >= committed && !r->seeking))
            continue;
        any_behind = true;
        any_free |= r->unacked < r->request->prefetch && r->window;
        any_waits |= r->waiting || r->seeking;
    }
    if (!any_behind)
        return QUEUE_CAUGHT_UP;
    if (!any_free)
        return QUEUE_CONSUMERS;
    return any_waits ? QUEUE_READING : QUEUE_DELIVERING;
}

static struct queue_standing explain(const struct queue_face *face, uint64_t now_ms)
{
    const struct stream_queue *q = of(face);
    uint64_t tail = q->window.tail_next - q->window.tail_first;
    struct queue_standing s = {.verdict = judge(q),
                               .unacked = held_by_readers(q),
                               .consumers = q->reader_count,
                               .consumer_numbers = (uint32_t)q->reader_cap,
                               .max_length = UINT64_MAX,
                               .max_bytes = q->options.max_bytes};
    (void)now_ms;
    if (!q->log)
        return s;
    s.ready = count_of(q);
    s.ready_bytes = partition_bytes(q->log);
    s.away = s.ready > tail ? s.ready - tail : 0;
    if (s.max_bytes != UINT64_MAX)
        s.overflow = "the oldest segment goes";
    return s;
}

static enum consumer_standing standing_of(const struct stream_reader *r)
{
    if (r->unacked >= r->request->prefetch)
        return CONSUMER_PREFETCH;
    return r->window ? CONSUMER_CAN_TAKE : CONSUMER_SLOW;
}

static bool explain_consumer(const struct queue_face *face, uint32_t number,
                             struct consumer_view *ret_view)
{
    const struct stream_queue *q = of(face);
    const struct stream_reader *r = number < q->reader_cap ? q->readers[number] : NULL;
    if (!r)
        return false;
    *ret_view = (struct consumer_view){.standing = standing_of(r),
                                       .tag = r->request->tag,
                                       .user = r->request->user,
                                       .connection = r->request->connection,
                                       .channel = r->request->channel.slot,
                                       .prefetch = r->request->prefetch,
                                       .unacked = r->unacked,
                                       .active = true,
                                       .has_offset = !r->seeking,
                                       .offset = r->next};
    return true;
}

const struct queue_face_type stream_face_type = {.def = get_def,
                                                 .is_dead = is_dead,
                                                 .column = get_column,
                                                 .counts = get_counts,
                                                 .each_consumer = each_consumer,
                                                 .consumer_column = consumer_column,
                                                 .explain = explain,
                                                 .explain_consumer = explain_consumer,
                                                 .keep_policies = stream_keep_policies,
                                                 .free = stream_queue_free};
