/* Runs on the shard of the line. What a line belongs to is found by its name, at the moment when a
 * message is due. */
#include "broker/queue/line.h"

#include "base/props.h"
#include "base/table.h"
#include "broker/delay.h"
#include "broker/durable.h"

/* As it was published, but for x-delay; of an id of its own in the store, if any. */
static struct msg *make_due(struct deadletters *d, const struct queue_def *line, struct msg *m)
{
    struct slice header = msg_header(m);
    if (line->line_of == LINE_OF_QUEUE && !m->store_id)
        return msg_ref_n(m, 1);
    if (line->line_of == LINE_OF_EXCHANGE) {
        buf_clear(&d->headers);
        buf_clear(&d->props);
        delay_put_over(props_headers(msg_properties(m)), &d->headers);
        buf_append(&d->props, header.data, CONTENT_HEADER_FIXED);
        props_replace(msg_properties(m), AMQP_PROP_HEADERS, buf_slice(&d->headers), &d->props);
        header = buf_slice(&d->props);
    }
    struct msg *due = msg_with_header(m, header);
    due->flags |= m->flags & MSG_EXPIRES;
    return due;
}

size_t line_route(struct deadletters *d, struct vhost *vhost, struct exchange *exchange,
                  const struct msg *due)
{
    struct failure why;
    struct slice headers = props_headers(msg_properties(due)), hidden = msg_hidden_keys(due);
    if (!exchange)
        return 0;
    if (hidden.len) {
        buf_clear(&d->routed);
        buf_append_slice(&d->routed, headers);
        table_put_array(&d->routed, SLICE("BCC"), hidden);
        headers = buf_slice(&d->routed);
    }
    struct route_input input = {msg_routing_key(due), headers, msg_properties(due)};
    if (route_message(&d->route, routing_of(d->shard), vhost, exchange, &input, &why))
        return 0;
    return d->route.count;
}

void line_post(struct op *op, const struct route *r)
{
    msg_ref_n(op_body(op, struct op_enqueue)->msg, (uint32_t)r->count - 1);
    for (size_t i = 0; i < r->count; i++) {
        op->to = r->targets[i]->addr;
        post(op);
    }
}

static bool post_to_queue(struct deadletters *d, struct op *op, const struct vhost *vhost,
                          struct slice name)
{
    struct target_queue *queue = vhost_find_queue(vhost, name);
    if (!queue)
        return false;
    durable_prepare(d->shard, op_body(op, struct op_enqueue)->msg, &queue->def, 1);
    op->to = queue->def->addr;
    post(op);
    return true;
}

size_t line_publish(struct deadletters *d, const struct queue_def *line, struct dead_letter *letter,
                    struct addr answers, uint64_t number)
{
    struct vhost *vhost = routing_find_vhost(routing_of(d->shard), line->vhost);
    struct msg *due = make_due(d, line, letter->msg);
    struct op op = {.kind = OP_ENQUEUE};
    size_t n = 0;
    op.flags = (uint16_t)((due->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0) |
                          (addr_is_none(answers) ? 0 : OP_ENQUEUE_CONFIRM | OP_ENQUEUE_LETTER));
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = due, .channel = answers, .seq = number, .waiter = line->addr};
    if (vhost && line->line_of == LINE_OF_QUEUE) {
        n = post_to_queue(d, &op, vhost, line->name);
    } else if (vhost && (n = line_route(d, vhost, vhost_find_exchange(vhost, line->name), due))) {
        durable_prepare_route(d->shard, due, &d->route);
        line_post(&op, &d->route);
    }
    if (!n)
        msg_unref(due);
    msg_unref(letter->msg);
    return n;
}
