/* Messages of single queues: published, taken out. */
#include "http/body.h"
#include "http/bounds.h"
#include "http/handlers.h"
#include "http/http_priv.h"
#include "http/jobs.h"
#include "http/login.h"
#include "http/message_view.h"
#include "http/payload.h"
#include "http/session.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/announce.h"
#include "broker/broker.h"
#include "broker/durable.h"
#include "broker/msg.h"
#include "broker/route.h"
#include "http/view.h"
#include "meta/access.h"
#include "meta/routing.h"
#include "meta/tally.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- properties ---- */

/* Borrows from the table. False: it was answered. */
static bool read_property(struct session *s, struct slice table, const struct message_property *p,
                          struct amqp_basic_properties *all)
{
    struct table_value value;
    int64_t n = -1;
    char *at = (char *)all + p->offset;
    if (!table_find(table, slice_str(p->name), &value) || value.type == TABLE_VOID)
        return true;
    all->flags |= (uint16_t)p->flag;
    if (p->form == PROPERTY_TEXT && value.type == TABLE_LONGSTR && value.bytes.len <= UINT8_MAX) {
        *(struct slice *)(void *)at = value.bytes;
        return true;
    }
    if (p->form == PROPERTY_TABLE &&
        (value.type == TABLE_TABLE || (value.type == TABLE_ARRAY && !value.bytes.len))) {
        *(struct slice *)(void *)at = value.bytes;
        return true;
    }
    bool number = p->form == PROPERTY_OCTET || p->form == PROPERTY_TIME;
    if (number && !body_int(s, table, p->name, &n))
        return false;
    if (number && n >= 0 && (p->form == PROPERTY_TIME || n <= UINT8_MAX)) {
        if (p->form == PROPERTY_TIME)
            *(uint64_t *)(void *)at = (uint64_t)n;
        else
            *(uint8_t *)at = (uint8_t)n;
        return true;
    }
    reply_bad(s, "the property %s has a value that it cannot have", p->name);
    return false;
}

static bool is_expiration(struct slice text)
{
    if (!text.len || text.len > 12)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    }
    return true;
}

/* What AMQP refuses is refused here. False: it was answered. */
static bool check_properties(struct session *s, const struct amqp_basic_properties *p)
{
    if ((p->flags & AMQP_PROP_DELIVERY_MODE) && p->delivery_mode != 1 && p->delivery_mode != 2)
        reply_bad(s, "invalid message: {delivery_mode_unknown,%u}", p->delivery_mode);
    else if ((p->flags & AMQP_PROP_EXPIRATION) && !is_expiration(p->expiration))
        reply_bad(s, "406 PRECONDITION_FAILED - invalid expiration '%.*s'",
                  SLICE_ARG(p->expiration));
    else if ((p->flags & AMQP_PROP_USER_ID) && !slice_eq(p->user_id, s->user) &&
             !(s->tags & TAG_IMPERSONATOR))
        reply_bad(s,
                  "406 PRECONDITION_FAILED - user_id property set to '%.*s' but authenticated user "
                  "was '%.*s'",
                  SLICE_ARG(p->user_id), SLICE_ARG(s->user));
    else
        return true;
    return false;
}

static bool read_properties(struct session *s, struct slice body, struct amqp_basic_properties *all)
{
    struct slice table = SLICE_EMPTY;
    *all = (struct amqp_basic_properties){.flags = 0};
    (void)table_find_table(body, SLICE("properties"), &table);
    for (size_t i = 0; i < MESSAGE_PROPERTIES; i++) {
        if (!read_property(s, table, &message_properties[i], all))
            return false;
    }
    return check_properties(s, all);
}

/* ---- publishing ---- */

struct publishing {
    size_t waiting; /* queues that have not confirmed, or refused */
    bool routed;    /* not all of them only keep a copy */
    bool refused;   /* by one of them */
};

static void reply_routed(struct session *s, bool routed)
{
    reply_json(s, 200, routed ? SLICE("{\"routed\":true}") : SLICE("{\"routed\":false}"));
}

static void on_confirm(struct session *s, struct op *op)
{
    struct publishing *p = s->state;
    if (op->kind != OP_CONFIRM)
        return;
    const struct op_confirm *in = op_body(op, const struct op_confirm);
    p->waiting -= (size_t)(in->last - in->first + 1);
    p->refused |= (op->flags & OP_CONFIRM_NACK) != 0;
    if (p->waiting)
        return;
    if (p->refused)
        reply_bad(s, "rejected Unable to publish message. Check queue limits.");
    else
        reply_routed(s, p->routed);
}

/* The payload of a request, which is a job if it is a large one in base64. */
struct decoding {
    struct job job;
    struct buf request; /* a table */
    bool good;
    struct slice bytes; /* owned */
};

static void decode(struct job *job)
{
    struct decoding *d = (struct decoding *)job;
    struct slice text = SLICE_EMPTY;
    size_t length = 0;
    (void)table_find_str(buf_slice(&d->request), SLICE("payload"), &text);
    uint8_t *bytes = mem_alloc(base64_decoded_size(text.len));
    d->good = base64_decode(text, bytes, &length);
    d->bytes = slice_of(bytes, length);
}

static void free_decoding(struct job *job)
{
    struct decoding *d = (struct decoding *)job;
    buf_fini(&d->request);
    slice_free(&d->bytes);
    free(d);
}

/* NULL: it is too large, and that was answered. */
static struct msg *build_message(struct session *s, struct slice exchange, struct slice key,
                                 const struct amqp_basic_properties *props, struct slice body)
{
    uint8_t names[ANNOUNCE_NAMES_MAX];
    struct buf header = BUF_INIT;
    if (body.len > http_message_max(s->http)) {
        reply_bad(s,
                  "406 PRECONDITION_FAILED - message size %zu is larger than configured max size "
                  "%" PRIu64,
                  body.len, http_message_max(s->http));
        return NULL;
    }
    size_t names_len = announce_names(names, exchange, key);
    announce_header(&header, body.len, props);
    struct msg *msg = msg_new(slice_of(names, names_len), buf_slice(&header), body.len, true);
    if (body.len)
        memcpy(msg->body, body.data, body.len);
    buf_fini(&header);
    return msg;
}

/* NULL: it was answered. */
static struct msg *make_message(struct session *s, struct slice exchange,
                                const struct decoding *decoded)
{
    struct slice body = buf_slice(&decoded->request);
    struct slice key, payload, encoding;
    struct amqp_basic_properties props;
    if (!table_find_str(body, SLICE("routing_key"), &key) ||
        !table_find_str(body, SLICE("payload"), &payload) ||
        !table_find_str(body, SLICE("payload_encoding"), &encoding) || key.len > UINT8_MAX) {
        reply_bad(s, "routing_key, payload and payload_encoding are texts");
        return NULL;
    }
    if (!read_properties(s, body, &props))
        return NULL;
    struct msg *msg = NULL;
    if (slice_eq_str(encoding, "base64")) {
        if (!decoded->good)
            reply_bad(s, "payload is no base64");
        else
            msg = build_message(s, exchange, key, &props, decoded->bytes);
    } else if (slice_eq_str(encoding, "string")) {
        msg = build_message(s, exchange, key, &props, payload);
    } else {
        reply_bad(s, "unsupported_encoding: %.*s", SLICE_ARG(encoding));
    }
    return msg;
}

/* The exchange, NULL for the default one; false: it was answered. */
static bool find_exchange(struct session *s, const struct vhost *vhost, struct slice name,
                          struct slice key, struct exchange **ret_exchange)
{
    struct failure why;
    struct routing *routing = session_routing(s);
    if (access_check(routing, NULL, s->user, s->vhost, ACCESS_WRITE, "exchange", name, &why)) {
        session_fail(s, &why);
        return false;
    }
    struct exchange *x = vhost_find_exchange(vhost, name);
    *ret_exchange = name.len ? x : NULL;
    if (!x && name.len) {
        reply_bad(s, "404 NOT_FOUND - no exchange '%.*s' in vhost '%.*s'", SLICE_ARG(name),
                  SLICE_ARG(s->vhost));
        return false;
    }
    if (x && exchange_get_def(x)->internal) {
        reply_bad(s,
                  "403 ACCESS_REFUSED - cannot publish to internal exchange '%.*s' in vhost '%.*s'",
                  SLICE_ARG(name), SLICE_ARG(s->vhost));
        return false;
    }
    if (x && slice_eq_str(exchange_get_def(x)->type, "topic") &&
        access_check_topic(routing, NULL, s->user, s->vhost, ACCESS_WRITE, name, key, &why)) {
        session_fail(s, &why);
        return false;
    }
    return true;
}

/* Takes the message. */
static void hand_over(struct session *s, struct route *r, struct msg *msg)
{
    uint64_t *totals = broker_totals(s->shard);
    broker_count_published(totals, msg->body_len);
    totals[r->count ? TOTAL_ROUTED : TOTAL_DROPPED]++;
    if (!r->count) {
        msg_unref(msg);
        reply_routed(s, false);
        return;
    }
    struct publishing *p = NEW(struct publishing);
    p->waiting = r->count;
    p->routed = r->count > r->unheard;
    s->state = p;
    s->free_state = free;
    s->on_message = on_confirm;
    durable_prepare_route(s->shard, msg, r);
    if (r->count > 1)
        msg_ref_n(msg, (uint32_t)r->count - 1);
    for (size_t i = 0; i < r->count; i++) {
        struct op op = {.to = r->targets[i]->addr, .kind = OP_ENQUEUE};
        op.flags =
            (uint16_t)(OP_ENQUEUE_CONFIRM | (msg->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0));
        *op_body(&op, struct op_enqueue) =
            (struct op_enqueue){.msg = msg, .channel = s->addr, .seq = ++s->publish_seq};
        post(&op);
    }
}

static void count_published(struct vhost *vhost, struct slice name, const struct route *r)
{
    struct exchange *x = vhost_find_exchange(vhost, name);
    tally_count(tally_for_vhost(vhost), TOTAL_PUBLISHED, 1);
    if (!r->count)
        tally_count(tally_for_vhost(vhost), TOTAL_DROPPED, 1);
    if (!x)
        return;
    tally_count(tally_for_exchange(x), EXCHANGE_IN, 1);
    tally_count(tally_for_exchange(x), EXCHANGE_OUT, r->count - r->unheard);
}

static void route_and_hand_over(struct session *s, struct vhost *vhost, struct exchange *exchange,
                                struct msg *msg)
{
    struct route r;
    struct failure why;
    struct slice props = msg_properties(msg);
    struct route_input input = {.key = msg_routing_key(msg), .props = props};
    if (props_flags(props) & AMQP_PROP_HEADERS)
        input.headers = props_headers(props);
    route_init(&r);
    if (route_message(&r, session_routing(s), vhost, exchange, &input, &why)) {
        msg_unref(msg);
        reply_bad(s, "%s", why.text);
    } else {
        count_published(vhost, msg_exchange(msg), &r);
        hand_over(s, &r, msg);
    }
    route_fini(&r);
}

static void publish(struct session *s, const struct decoding *decoded)
{
    struct exchange *exchange;
    struct slice name = target_exchange(s->args[1]);
    struct vhost *vhost = routing_find_vhost(session_routing(s), s->vhost);
    if (!vhost) {
        reply_not_found(s);
        return;
    }
    struct msg *msg = make_message(s, name, decoded);
    if (msg && !find_exchange(s, vhost, name, msg_routing_key(msg), &exchange))
        msg_unref(msg);
    else if (msg)
        route_and_hand_over(s, vhost, exchange, msg);
}

static void on_decoded(struct session *s, struct job *job)
{
    publish(s, (struct decoding *)job);
    free_decoding(job);
}

static bool is_base64(struct slice request)
{
    struct slice encoding;
    return table_find_str(request, SLICE("payload_encoding"), &encoding) &&
           slice_eq_str(encoding, "base64");
}

void api_publish(struct session *s)
{
    if (broker_alarm(s->shard)) { /* as publishers over AMQP, who wait */
        reply_errorf(s, 503, "unavailable", "publishing is blocked: %s", broker_alarm(s->shard));
        return;
    }
    struct decoding *d = NEW(struct decoding);
    d->job = (struct job){.run = decode, .on_done = on_decoded, .free = free_decoding};
    if (!body_parse(s, &d->request) ||
        !body_has(s, buf_slice(&d->request), "properties routing_key payload payload_encoding")) {
        free_decoding(&d->job);
        return;
    }
    bool base64 = is_base64(buf_slice(&d->request));
    if (base64 && d->request.len > HTTP_BODY_TURN) {
        jobs_start(s->http->jobs, s, &d->job);
        return;
    }
    if (base64)
        decode(&d->job);
    on_decoded(s, &d->job);
}

/* ---- getting ---- */

/* Messages are taken one by one and settled when the last one is written, so that one that is too
 * large for the answer, and all that a client did not wait for, go back. */
struct getting {
    struct addr queue;
    enum settle_how how; /* of what was got */
    bool base64;
    uint64_t left, truncate;
    uint64_t given, bytes;  /* messages, and their JSON */
    struct buf json;        /* not written yet */
    struct msg *msg;        /* being written: a reference */
    struct payload payload; /* of it */
    uint32_t *slots;
    size_t count, cap;
};

static void settle(struct getting *g, enum settle_how how)
{
    if (!g->count)
        return;
    struct op op = {
        .to = g->queue, .kind = OP_SETTLE, .flags = (uint16_t)how, .n = (uint32_t)g->count};
    op_body(&op, struct op_settle)->slots = g->slots;
    g->slots = NULL;
    g->count = g->cap = 0;
    post(&op);
}

/* What a client that left did not settle goes back. */
static void free_getting(void *state)
{
    struct getting *g = state;
    settle(g, SETTLE_REQUEUE);
    if (g->msg)
        msg_unref(g->msg);
    buf_fini(&g->json);
    free(g->slots);
    free(g);
}

static void begin_message(struct getting *g, const struct op *op)
{
    const struct op_deliver *in = op_body(op, const struct op_deliver);
    struct view v = view_of(&g->json, NULL);
    struct slice body = msg_body(in->msg);
    buf_append_str(&g->json, g->given++ ? "," : "[");
    view_begin(&v);
    view_int(&v, "payload_bytes", (int64_t)in->msg->body_len);
    view_bool(&v, "redelivered", op->flags & OP_DELIVER_REDELIVERED);
    view_text(&v, "exchange", msg_exchange(in->msg));
    view_text(&v, "routing_key", msg_routing_key(in->msg));
    view_int(&v, "message_count", in->remaining);
    message_put_properties(&v, msg_properties(in->msg));
    buf_append_byte(&g->json, ',');
    if (body.len > g->truncate)
        body.len = g->truncate;
    g->msg = in->msg;
    payload_begin(&g->payload, body, g->base64);
}

static void write_messages(struct session *s, struct getting *g)
{
    if (!s->reply.begun)
        reply_open(s, 200, "application/json");
    reply_write(s, buf_slice(&g->json));
    buf_clear(&g->json);
}

static void finish_get(struct session *s)
{
    struct getting *g = s->state;
    settle(g, g->how);
    buf_append_str(&g->json, g->given ? "]" : "[]");
    if (s->reply.begun) {
        write_messages(s, g);
        reply_close(s);
        return;
    }
    struct buf json = g->json;
    g->json = BUF_INIT;
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
}

static void get_next(struct session *s)
{
    const struct getting *g = s->state;
    struct op op = {.to = g->queue, .kind = OP_GET};
    op_body(&op, struct op_queue_query)->reply_to = s->addr;
    post(&op);
}

static void give_back(const struct op_deliver *in)
{
    struct op op = {.to = in->queue, .kind = OP_SETTLE, .flags = SETTLE_RETURN_UNSEEN, .n = 1};
    op_body(&op, struct op_settle)->inline_slots[0] = in->slot;
    post(&op);
}

static void leave_in_queue(struct session *s, uint64_t size)
{
    if (((const struct getting *)s->state)->given)
        finish_get(s);
    else
        reply_bad(s,
                  "the message has a payload of %" PRIu64 " bytes, of which at most %d are given: "
                  "truncate says how many",
                  size, HTTP_GET_BYTES);
}

/* A portion of the message at hand; after its last one the next message. */
static void put_more(struct session *s)
{
    struct getting *g = s->state;
    size_t before = g->json.len;
    bool more = payload_next(&g->payload, &g->json);
    if (!more) {
        buf_append_byte(&g->json, '}');
        msg_unref(g->msg);
        g->msg = NULL;
        g->left--;
    }
    g->bytes += g->json.len - before;
    bool much = g->json.len >= HTTP_GET_PIECE;
    if (much)
        write_messages(s, g);
    if (more)
        session_when_taken(s, put_more);
    else if (!g->left)
        finish_get(s);
    else if (much || g->given % HTTP_GET_TURN == 0)
        session_when_taken(s, get_next);
    else
        get_next(s);
}

static void on_got(struct session *s, struct op *op)
{
    struct getting *g = s->state;
    if (op->kind != OP_GET_OK) {
        finish_get(s);
        return;
    }
    const struct op_deliver *in = op_body(op, const struct op_deliver);
    uint64_t size = in->msg->body_len;
    if (g->bytes + (size < g->truncate ? size : g->truncate) > HTTP_GET_BYTES) {
        give_back(in);
        msg_unref(in->msg);
        leave_in_queue(s, size);
        return;
    }
    MEM_GROW(g->slots, g->cap, g->count + 1);
    g->slots[g->count++] = in->slot;
    begin_message(g, op);
    put_more(s);
}

/* The queue is gone: before the first message, or with what is left of it. */
static void on_refused(struct session *s, const struct op_queue_query *answer)
{
    (void)answer;
    if (((const struct getting *)s->state)->given)
        finish_get(s);
    else
        reply_not_found(s);
}

/* False: it was answered. */
static bool read_ackmode(struct session *s, struct slice mode, struct getting *g)
{
    static const struct {
        const char *name;
        enum settle_how how;
    } modes[] = {{"ack_requeue_true", SETTLE_REQUEUE},
                 {"reject_requeue_true", SETTLE_REQUEUE},
                 {"ack_requeue_false", SETTLE_ACK},
                 {"reject_requeue_false", SETTLE_REJECT}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        if (slice_eq_str(mode, modes[i].name)) {
            g->how = modes[i].how;
            return true;
        }
    }
    reply_bad(s, "unknown ackmode '%.*s'", SLICE_ARG(mode));
    return false;
}

static bool read_get(struct session *s, struct slice body, struct getting *g)
{
    struct slice mode = SLICE_EMPTY, encoding = SLICE_EMPTY;
    int64_t count = 0, truncate = INT64_MAX;
    if (!body_has(s, body, "count ackmode encoding") || !body_int(s, body, "count", &count) ||
        !body_int(s, body, "truncate", &truncate))
        return false;
    (void)table_find_str(body, SLICE("ackmode"), &mode);
    (void)table_find_str(body, SLICE("encoding"), &encoding);
    if (!read_ackmode(s, mode, g))
        return false;
    g->base64 = slice_eq_str(encoding, "base64");
    if (count < 0 || truncate < 0 || (!g->base64 && !slice_eq_str(encoding, "auto"))) {
        reply_bad(s, "count and truncate are not negative, encoding is auto or base64");
        return false;
    }
    g->left = count < HTTP_GET_MAX ? (uint64_t)count : HTTP_GET_MAX;
    g->truncate = (uint64_t)truncate;
    return true;
}

void api_get_messages(struct session *s)
{
    struct failure why;
    struct buf table;
    const struct vhost *vhost = routing_find_vhost(session_routing(s), s->vhost);
    struct target_queue *queue = vhost_find_queue(vhost, s->args[1]);
    if (!queue) {
        reply_not_found(s);
        return;
    }
    if (access_check(session_routing(s), NULL, s->user, s->vhost, ACCESS_READ, "queue", s->args[1],
                     &why)) {
        session_fail(s, &why);
        return;
    }
    if (queue->def->type == QUEUE_STREAM || queue->def->owner) {
        reply_bad(s, queue->def->owner ? "405 RESOURCE_LOCKED - the queue is a connection's own"
                                       : "540 NOT_IMPLEMENTED - basic.get not supported by stream "
                                         "queues");
        return;
    }
    if (!body_parse(s, &table))
        return;
    struct getting *g = NEW(struct getting);
    g->queue = queue->def->addr;
    bool good = read_get(s, buf_slice(&table), g);
    buf_fini(&table);
    if (!good) {
        free_getting(g);
        return;
    }
    s->state = g;
    s->free_state = free_getting;
    s->on_message = on_got;
    s->on_query = on_refused;
    if (g->left)
        get_next(s);
    else
        finish_get(s);
}
