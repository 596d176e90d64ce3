/* Puts a message into the publishing shard's log, in parts. What queues of other shards log about
 * it comes later in the journal: it is handed over before it is posted to them. */
#include "broker/durable.h"

#include "broker/route.h"
#include "store/store.h"

enum { PART = 256 << 10, UNIT = 1 << 20 };

uint64_t durable_store(struct shard *shard, const struct msg *m, uint32_t queues)
{
    struct store_log *log = store_log_of(shard);
    uint64_t id = store_new_message_id(store_of(shard_node(shard)));
    struct content content;
    msg_content(m, &content);
    record_put_message(store_records(log), id, queues, &content);
    for (uint64_t at = 0; at < m->body_len; at += PART) {
        size_t n = m->body_len - at < PART ? m->body_len - at : PART;
        struct buf *b = store_records(log);
        record_put_part(b, id, at, slice_of(m->body + at, n));
        if (b->len >= UNIT)
            store_hand_over(log);
    }
    store_hand_over_large(log);
    return id;
}

/* Counts the queues that store the message among those added. */
struct audience {
    const struct msg *msg;
    unsigned shard;
    size_t durable;
    bool elsewhere;
};

static void audience_add(struct audience *a, const struct queue_def *def)
{
    if (!durable_in(def, a->msg))
        return;
    a->durable++;
    a->elsewhere |= def->addr.shard != a->shard;
}

static void prepare(struct shard *shard, struct msg *m, const struct audience *a)
{
    struct store_log *log = store_log_of(shard);
    if (!log || !(a->durable > 1 || (a->durable && m->body_len >= DURABLE_LARGE)))
        return;
    m->store_id = durable_store(shard, m, (uint32_t)a->durable);
    if (a->elsewhere)
        store_hand_over(log);
}

static bool may_need(const struct msg *m, size_t count)
{
    return !m->store_id && (count > 1 || m->body_len >= DURABLE_LARGE);
}

void durable_prepare(struct shard *shard, struct msg *msg, struct queue_def *const *queues,
                     size_t count)
{
    struct audience a = {.msg = msg, .shard = shard_index(shard)};
    if (!may_need(msg, count))
        return;
    for (size_t i = 0; i < count; i++)
        audience_add(&a, queues[i]);
    prepare(shard, msg, &a);
}

void durable_prepare_route(struct shard *shard, struct msg *msg, const struct route *route)
{
    struct audience a = {.msg = msg, .shard = shard_index(shard)};
    if (!may_need(msg, route->count))
        return;
    for (size_t i = 0; i < route->count; i++)
        audience_add(&a, route->targets[i]->def);
    prepare(shard, msg, &a);
}
