/* Routed like any message, by the headers too, but without confirm or return. */
#include "broker/announce.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/props.h"
#include "broker/durable.h"
#include "broker/route.h"
#include "meta/meta.h"

void announce_declare(struct node *node, const char *vhost, struct slice exchange)
{
    struct meta_request *r = meta_request_new(META_EXCHANGE_DECLARE, ADDR_NONE);
    r->flags = META_TRUSTED | META_DURABLE | META_INTERNAL;
    meta_request_set(&r->user, SLICE("rmq-internal"));
    meta_request_set(&r->vhost, slice_str(vhost));
    meta_request_set(&r->name, exchange);
    meta_request_set(&r->type, SLICE("topic"));
    if (meta_apply(node, r))
        log_error(DEFAULT, NULL, "exchange '%.*s' in vhost '%s': %s", SLICE_ARG(exchange), vhost,
                  r->why.text);
    meta_request_free(&r);
}

static size_t put_name(uint8_t *p, struct slice name)
{
    size_t n = name.len < UINT8_MAX ? name.len : UINT8_MAX;
    *p = (uint8_t)n;
    if (n)
        memcpy(p + 1, name.data, n);
    return n + 1;
}

size_t announce_names(uint8_t room[ANNOUNCE_NAMES_MAX], struct slice exchange, struct slice key)
{
    size_t n = put_name(room, exchange);
    return n + put_name(room + n, key);
}

void announce_header(struct buf *header, uint64_t body_len,
                     const struct amqp_basic_properties *props)
{
    struct wire_writer wr = wire_writer_buf(header);
    content_header_encode(
        &wr, &(struct content_header){.class_id = AMQP_CLASS_BASIC, .body_size = body_len});
    props_encode(&wr, props);
    wire_written(&wr);
}

size_t announce(struct shard *shard, struct route *route, const struct vhost *vhost,
                struct exchange *exchange, struct msg *msg)
{
    struct failure why;
    struct slice props = msg_properties(msg);
    struct route_input input = {msg_routing_key(msg), props_headers(props), props};
    size_t n = 0;
    if (!route_message(route, routing_of(shard), vhost, exchange, &input, &why))
        n = route->count;
    if (n) {
        durable_prepare_route(shard, msg, route);
        msg_ref_n(msg, (uint32_t)n);
    }
    for (size_t i = 0; i < n; i++) {
        struct op op = {.to = route->targets[i]->addr, .kind = OP_ENQUEUE};
        *op_body(&op, struct op_enqueue) = (struct op_enqueue){.msg = msg, .channel = ADDR_NONE};
        post(&op);
    }
    msg_unref(msg);
    return n;
}
