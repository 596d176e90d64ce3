/* What queues of type quorum do otherwise, as clients know it from RabbitMQ: a message tells how
 * often it was returned (in a classic queue only if there is a limit to it), and one that a client
 * returns goes to the tail, unless a delivery limit ends its rounds. */
#include "broker/queue/queue_priv.h"

#include "base/props.h"
#include "base/table.h"

/* Of what is given back both headers say the same: what 4.3 calls failed deliveries are all of
 * them. */
static void put_counts(struct slice headers, uint32_t delivery_count, struct buf *out)
{
    struct table_value count = table_value_i64(delivery_count);
    struct buf first = BUF_INIT;
    if (!delivery_count) {
        table_replace(headers, SLICE("x-delivery-count"), &count, out);
        return;
    }
    table_replace(headers, SLICE("x-delivery-count"), &count, &first);
    table_replace(buf_slice(&first), SLICE("x-acquired-count"), &count, out);
    buf_fini(&first);
}

struct msg *quorum_counted(struct msg *m, uint32_t delivery_count)
{
    struct buf headers = BUF_INIT, header = BUF_INIT;
    struct slice props = msg_properties(m);
    put_counts(props_headers(props), delivery_count, &headers);
    buf_append(&header, msg_header(m).data, CONTENT_HEADER_FIXED);
    props_replace(props, AMQP_PROP_HEADERS, buf_slice(&headers), &header);
    struct msg *copy = msg_with_header(m, buf_slice(&header));
    buf_fini(&headers);
    buf_fini(&header);
    return copy;
}

void quorum_return(struct queue *q, struct ready_entry *e, struct queue_out *out)
{
    if (q->rules && q->rules->delivery_limit != RULES_NONE) {
        queue_effect(out, EFFECT_RETURN, e);
        ready_return(&q->ready, out->pool, e);
        return;
    }
    struct ready_entry before =
        *e; /* let go of once the other is there: they may share a message */
    e->seq = q->next_seq++;
    if (q->dedup)
        dedup_move(q->dedup, e->msg, before.seq, e->seq);
    queue_effect_move(out, e, &before);
    ready_push(&q->ready, out->pool, e);
}
