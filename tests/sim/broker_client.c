/* Clients: channels without a protocol. What they are told is what the broker has promised. */
#include "base/bug.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/durable.h"
#include "broker/limits.h"
#include "broker/queue/consumers.h"
#include "broker/queue/ready.h"
#include "broker/queue/waiting.h"
#include "broker/transaction.h"
#include "meta/routing.h"
#include "shard/slot.h"
#include "tests/sim/broker_sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- messages ---- */

struct slice check_body(uint32_t uid)
{
    uint32_t size = sim->messages[uid].size;
    buf_clear(&sim->room);
    uint8_t *p = buf_reserve(&sim->room, size);
    memcpy(p, &uid, sizeof uid);
    for (uint32_t i = sizeof uid; i < size; i++)
        p[i] = (uint8_t)(uid + i * 7);
    return slice_of(p, size);
}

static unsigned choose_size(void)
{
    uint64_t max = sim->segment_size > 1 << 20 ? 90000 : 3000;
    unsigned least = sizeof(uint32_t);
    if (one_in(12))
        return least + (unsigned)rnd(max);
    return least + (unsigned)rnd(one_in(4) ? 500 : 40);
}

static unsigned choose_priority(void)
{
    return rnd(8) ? (unsigned)rnd(4) : 252 + (unsigned)rnd(4);
}

static uint32_t new_message(const struct client *c, unsigned targets)
{
    MEM_GROW(sim->messages, sim->message_cap, sim->message_count + 1);
    sim->messages[sim->message_count] = (struct message){.client = c->index,
                                                         .size = choose_size(),
                                                         .priority = choose_priority(),
                                                         .ttl = one_in(8) ? rnd(900) : RULES_NONE,
                                                         .persistent = rnd(4) != 0,
                                                         .value = (unsigned)rnd(8),
                                                         .targets = targets};
    return (uint32_t)sim->message_count++;
}

static struct msg *make_message(uint32_t uid)
{
    const struct message *m = &sim->messages[uid];
    uint8_t room[128];
    char text[24];
    struct buf headers = BUF_INIT;
    struct wire_writer wr = wire_writer(room, sizeof room);
    struct amqp_basic_properties props = {.flags = AMQP_PROP_PRIORITY | AMQP_PROP_DELIVERY_MODE};
    props.priority = (uint8_t)m->priority;
    props.delivery_mode = m->persistent ? 2 : 1;
    if (m->ttl != RULES_NONE) {
        props.flags |= AMQP_PROP_EXPIRATION;
        props.expiration =
            slice_of(text, (size_t)snprintf(text, sizeof text, "%u", (unsigned)m->ttl));
    }
    if (m->value) {
        table_put_i64(&headers, SLICE("x-deduplication-header"), m->value);
        props.flags |= AMQP_PROP_HEADERS;
        props.headers = buf_slice(&headers);
    }
    wire_put_u16(&wr, AMQP_CLASS_BASIC);
    wire_put_u16(&wr, 0);
    wire_put_u64(&wr, m->size);
    props_encode(&wr, &props);
    buf_fini(&headers);
    struct slice body = check_body(uid);
    struct msg *msg =
        msg_new(SLICE("\0\1k"), slice_of(room, wire_written(&wr)), m->size, m->size < 60000);
    if (m->size < 60000)
        memcpy(msg->body, body.data, body.len);
    else
        msg_set_body(msg, (uint8_t *)slice_dup(body).data);
    msg->flags = (uint16_t)(msg->flags | (m->persistent ? MSG_PERSISTENT : 0) |
                            (m->ttl != RULES_NONE ? MSG_EXPIRES : 0));
    return msg;
}

/* ---- queues ---- */

static struct target_queue *find_target(const struct client *c, unsigned name)
{
    const struct vhost *v = routing_find_vhost(routing_of(c->shard), SLICE("/"));
    return v ? vhost_find_queue(v, slice_str(sim->plans[name].name)) : NULL;
}

/* Some that are there. */
static size_t choose_targets(const struct client *c, struct queue_def **ret_defs,
                             unsigned *ret_names)
{
    size_t want = one_in(3) ? 1 + rnd(SIM_TARGETS) : 1, n = 0;
    *ret_names = 0;
    for (int tries = 0; tries < 6 && n < want; tries++) {
        unsigned name = (unsigned)rnd(sim->queue_count);
        struct target_queue *t = find_target(c, name);
        if (!t || *ret_names >> name & 1)
            continue;
        ret_defs[n++] = t->def;
        *ret_names |= 1u << name;
    }
    return n;
}

void client_declare(struct client *c, unsigned name)
{
    const struct plan *plan = &sim->plans[name];
    struct meta_request *r = meta_request_new(META_QUEUE_DECLARE, c->addr);
    r->flags = META_TRUSTED | (plan->durable ? META_DURABLE : 0u) |
               (plan->auto_delete ? META_AUTO_DELETE : 0u);
    meta_request_set(&r->vhost, SLICE("/"));
    meta_request_set(&r->name, slice_str(plan->name));
    meta_request_set(&r->args, buf_slice(&plan->args));
    c->asked++;
    meta_post(sim->node, &r);
}

/* ---- publishing ---- */

static void note_publish(struct client *c, struct publish *p, uint32_t uid,
                         struct queue_def *const *defs, size_t n)
{
    *p = (struct publish){.uid = uid, .at = ++c->at, .left = (unsigned)n};
    memcpy(p->made, sim->effects, sizeof p->made);
    for (size_t i = 0; i < n; i++)
        p->queues[p->queue_count++] = defs[i]->id;
}

/* It was left out: another one of its kind was there at some time since. If it is sure which one,
 * that was promised too. */
static void promise_other(struct shadow *q, const struct publish *p)
{
    const struct message *m = &sim->messages[p->uid];
    bool safe = q->stores && (m->persistent || sim->plans[q->name].quorum);
    struct copy *other = NULL;
    unsigned found = 0;
    for (uint64_t seq = 1; seq < q->next; seq++) {
        struct copy *c = &q->copies[seq];
        if (!c->uid || sim->messages[c->uid].value != m->value ||
            !(c->live || c->went >= p->made[q->shard]))
            continue;
        other = c;
        found++;
    }
    sim_check(found, "message %u is confirmed, and no other of its kind was in queue %s", p->uid,
              sim->plans[q->name].name);
    if (found == 1 && safe && other->stored && !other->came_by)
        other->promised = true;
}

static void publish(struct client *c)
{
    struct queue_def *defs[SIM_TARGETS];
    unsigned names;
    size_t n = choose_targets(c, defs, &names);
    bool confirm = rnd(4) != 0;
    if (!n || c->publish_waits)
        return;
    uint32_t uid = new_message(c, names);
    struct msg *m = make_message(uid);
    durable_prepare(c->shard, m, defs, n);
    if (confirm) {
        MEM_GROW(c->publishes, c->publish_cap, c->publish_count + 2);
        note_publish(c, &c->publishes[++c->publish_count], uid, defs, n);
    }
    msg_ref_n(m, (uint32_t)n - 1);
    for (size_t i = 0; i < n; i++) {
        struct op op = {.to = defs[i]->addr, .kind = OP_ENQUEUE};
        op.flags = (uint16_t)((confirm ? OP_ENQUEUE_CONFIRM : 0) |
                              (m->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0));
        *op_body(&op, struct op_enqueue) = (struct op_enqueue){
            .msg = m, .channel = c->addr, .seq = c->publish_count, .waiter = c->addr};
        post(&op);
    }
    sim_trace("step %u: client %u publishes %u to %x\n", sim->step, c->index, uid, names);
}

/* The first that came of a message; *ret_more: there are others. */
static struct copy *find_uid(struct shadow *q, uint32_t uid, bool *ret_more)
{
    struct copy *found = NULL;
    *ret_more = false;
    for (uint64_t seq = 1; seq < q->next; seq++) {
        if (q->copies[seq].uid != uid)
            continue;
        *ret_more = found != NULL;
        found = found ? found : &q->copies[seq];
    }
    return found;
}

/* What was acknowledged to the queue before that publish is gone for good as well. */
static void promise_acks(const struct client *c, struct shadow *q, uint64_t before)
{
    for (uint64_t seq = 1; seq < q->next; seq++) {
        struct copy *a = &q->copies[seq];
        if (a->acked_by != c->index + 1 || a->acked_at >= before || a->letter)
            continue;
        sim_check(!a->live, "queue %s: message %u is settled, and there", sim->plans[q->name].name,
                  a->uid);
        a->promised_gone = true;
    }
}

static void promise(const struct client *c, const struct publish *p)
{
    for (unsigned i = 0; i < p->queue_count; i++) {
        struct shadow *q = shadow_find(p->queues[i]);
        if (!q || q->deleting)
            continue;
        bool more;
        struct copy *copy = find_uid(q, p->uid, &more);
        if (!copy && shadow_is_one_of_a_kind(q, p->uid)) {
            promise_other(q, p);
            continue;
        }
        sim_check(copy, "message %u is confirmed, and never came to queue %s", p->uid,
                  sim->plans[q->name].name);
        if ((more || shadow_is_one_of_a_kind(q, p->uid)) && sim->plans[q->name].letters_come)
            continue; /* any of them may be a dead letter */
        copy->promised = true;
        if (q->stores && copy->stored)
            promise_acks(c, q, p->at);
    }
}

static void on_confirm(struct client *c, const struct op *op)
{
    const struct op_confirm *in = op_body(op, const struct op_confirm);
    sim_check(in->first && in->last <= c->publish_count, "confirm of %" PRIu64, in->last);
    for (uint64_t seq = in->first; seq <= in->last; seq++) {
        struct publish *p = &c->publishes[seq];
        sim_check(p->left, "message %u is confirmed once too often", p->uid);
        p->refused |= (op->flags & OP_CONFIRM_NACK) != 0;
        if (--p->left == 0 && !p->refused)
            promise(c, p);
    }
}

/* ---- what is delivered ---- */

static struct held take_held(struct client *c, size_t i)
{
    struct held h = c->held[i];
    c->held[i] = c->held[--c->held_count];
    return h;
}

static void check_delivery(const struct shadow *q, const struct copy *copy, const struct op *op)
{
    const struct op_deliver *d = op_body(op, const struct op_deliver);
    const char *name = sim->plans[q->name].name;
    bool redelivered = op->flags & OP_DELIVER_REDELIVERED;
    sim_check(slice_eq(msg_body(d->msg), check_body(copy->uid)),
              "queue %s: message %u has another body", name, copy->uid);
    sim_check(copy->live || d->slot == SLOT_NO_ACK, "queue %s: message %u is delivered, and gone",
              name, copy->uid);
    sim_check(redelivered == (copy->count || copy->redelivered),
              "queue %s: message %u is redelivered %d, returned %u times, before a start %d", name,
              copy->uid, redelivered, copy->count, copy->redelivered);
    sim_check(d->delivery_count == copy->count, "queue %s: message %u was returned %u times", name,
              copy->uid, copy->count);
    sim_check(!copy->acked_by, "queue %s: message %u is back", name, copy->uid);
}

static void return_unseen(const struct op_deliver *d)
{
    struct op op = {.to = d->queue, .kind = OP_SETTLE, .n = 1, .flags = SETTLE_RETURN_UNSEEN};
    op_body(&op, struct op_settle)->inline_slots[0] = d->slot;
    post(&op);
}

static void hold(struct client *c, const struct op *op, uint64_t queue)
{
    const struct op_deliver *d = op_body(op, const struct op_deliver);
    struct shadow *q = shadow_find(queue);
    struct copy *copy = shadow_copy(q, d->seq);
    check_delivery(q, copy, op);
    copy->seen = true;
    if (d->slot != SLOT_NO_ACK) {
        bug_on(c->held_count == SIM_HELD);
        c->held[c->held_count++] = (struct held){.addr = d->queue,
                                                 .queue = queue,
                                                 .seq = d->seq,
                                                 .slot = d->slot,
                                                 .stored = op->flags & OP_DELIVER_STORED};
        sim_check(c->held[c->held_count - 1].stored || !copy->stored,
                  "queue %s: message %u is not told to be stored", sim->plans[q->name].name,
                  copy->uid);
    }
}

static void on_deliver(struct client *c, struct op *op)
{
    const struct op_deliver *d = op_body(op, const struct op_deliver);
    struct client_consumer *k = &c->consumers[op->n];
    bool wanted =
        (k->state == CONSUMER_THERE || k->state == CONSUMER_GOING) && addr_eq(k->addr, d->queue);
    if (wanted && (d->slot == SLOT_NO_ACK || c->held_count < SIM_HELD / 2)) {
        hold(c, op, k->queue);
        k->used++;
    } else if (d->slot != SLOT_NO_ACK) {
        return_unseen(d);
    }
    msg_unref(d->msg);
}

static void on_got(struct client *c, struct op *op)
{
    const struct op_deliver *d = op_body(op, const struct op_deliver);
    uint64_t id = 0;
    for (size_t i = 0; i < sim->shadow_count; i++) {
        const struct target_queue *t = find_target(c, sim->shadows[i].name);
        if (t && addr_eq(t->addr, d->queue))
            id = t->def->id;
    }
    c->asked--;
    if (id)
        hold(c, op, id);
    msg_unref(d->msg);
}

static bool is_settled(enum settle_how how)
{
    return how == SETTLE_ACK || how == SETTLE_REJECT;
}

static void note_settle(struct client *c, const struct held *h, enum settle_how how)
{
    struct shadow *q = shadow_find(h->queue);
    if (!q || !is_settled(how))
        return;
    struct copy *copy = shadow_copy(q, h->seq);
    copy->acked_by = c->index + 1;
    copy->acked_at = ++c->at;
}

static void settle(struct client *c, enum settle_how how)
{
    struct op op = {.kind = OP_SETTLE, .flags = (uint16_t)how};
    struct op_settle *in = op_body(&op, struct op_settle);
    if (!c->held_count)
        return;
    in->slots = NULL;
    size_t i = rnd(c->held_count);
    op.to = c->held[i].addr;
    for (; i < c->held_count && op.n < SETTLE_INLINE && (!op.n || rnd(4)); i++) {
        if (!addr_eq(c->held[i].addr, op.to))
            continue;
        struct held h = take_held(c, i--);
        note_settle(c, &h, how);
        in->inline_slots[op.n++] = h.slot;
        sim_trace("step %u: client %u settles %" PRIu64 " of %" PRIu64 ": %d\n", sim->step,
                  c->index, h.seq, h.queue, (int)how);
    }
    post(&op);
}

/* ---- consumers and questions ---- */

static struct shadow *choose_queue(struct client *c, struct target_queue **ret_target)
{
    *ret_target = find_target(c, (unsigned)rnd(sim->queue_count));
    return *ret_target ? shadow_find((*ret_target)->def->id) : NULL;
}

static void consume(struct client *c, bool all)
{
    struct target_queue *t;
    struct shadow *q = choose_queue(c, &t);
    uint32_t n = (uint32_t)rnd(SIM_CONSUMERS);
    struct client_consumer *k = &c->consumers[n];
    if (!q || k->state != CONSUMER_NONE)
        return;
    struct consume_request *r = NEW(struct consume_request);
    r->channel = c->addr;
    r->number = n;
    r->tag = slice_dup(SLICE("t"));
    r->queue = slice_dup(t->def->name);
    r->user = slice_dup(SLICE("u"));
    r->args = slice_dup(SLICE_EMPTY);
    r->no_ack = !all && one_in(6);
    r->prefetch = r->no_ack || all ? 0 : (uint32_t)rnd(5);
    r->window = all ? 50 : 1 + (uint32_t)rnd(12);
    r->priority = one_in(3) ? (int64_t)rnd(3) : 0;
    q->touched = true;
    q->no_ack |= r->no_ack;
    *k = (struct client_consumer){
        .state = CONSUMER_ASKED, .addr = t->addr, .queue = q->id, .no_ack = r->no_ack};
    struct op op = {.to = t->addr, .kind = OP_CONSUME};
    op_body(&op, struct op_consume)->request = r;
    c->asked++;
    post(&op);
    sim_trace("step %u: client %u consumes from %" PRIu64 "\n", sim->step, c->index, q->id);
}

static void on_consuming(struct client *c, const struct op *op)
{
    const struct op_consumer *in = op_body(op, const struct op_consumer);
    struct client_consumer *k = &c->consumers[op->n];
    c->asked--;
    k->state = in->code ? CONSUMER_NONE : CONSUMER_THERE;
    k->number = in->consumer;
    k->serial = in->serial;
}

static struct op consumer_op(struct client *c, uint32_t n, enum op_symbol kind)
{
    struct client_consumer *k = &c->consumers[n];
    struct op op = {.to = k->addr, .kind = (uint16_t)kind, .n = n};
    *op_body(&op, struct op_consumer) =
        (struct op_consumer){.consumer = k->number, .serial = k->serial, .channel = c->addr};
    return op;
}

static void cancel(struct client *c, uint32_t n)
{
    if (c->consumers[n].state != CONSUMER_THERE)
        return;
    struct op op = consumer_op(c, n, OP_CANCEL);
    c->consumers[n].state = CONSUMER_GOING;
    c->asked++;
    post(&op);
}

static void give_credit(struct client *c, uint32_t n)
{
    if (c->consumers[n].state != CONSUMER_THERE)
        return;
    struct op op = consumer_op(c, n, OP_CREDIT);
    op.n = c->consumers[n].used;
    op.flags = OP_CREDIT_RESUME;
    c->consumers[n].used = 0;
    post(&op);
}

static void ask(struct client *c, enum op_symbol kind)
{
    struct target_queue *t;
    struct shadow *q = choose_queue(c, &t);
    if (!q || c->held_count > SIM_HELD / 2)
        return;
    struct op op = {.to = t->addr, .kind = (uint16_t)kind};
    if (kind == OP_GET) {
        op.flags = one_in(3) ? OP_GET_NO_ACK : 0;
        q->no_ack |= op.flags != 0;
        q->touched = true;
    }
    q->purged |= kind == OP_PURGE;
    q->deleting |= kind == OP_DELETE;
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = c->addr, .cookie = q->id};
    c->asked++;
    post(&op);
    sim_trace("step %u: client %u asks %" PRIu64 " for %u\n", sim->step, c->index, q->id, kind);
}

/* A number that was of one that waited, if one is found soon. */
static uint64_t choose_waiting(const struct shadow *q)
{
    uint64_t seq = rnd(q->next + 1);
    for (int tries = 0;
         tries < 6 && (!seq || seq >= q->next || q->copies[seq].level != shadow_later_level(q));
         tries++)
        seq = rnd(q->next + 1);
    return seq;
}

/* What waits there: a page of it, or that one of them is to go. */
static void look_at_waiting(struct client *c)
{
    struct target_queue *t;
    const struct shadow *q = choose_queue(c, &t);
    if (!q)
        return;
    struct op op = {.to = t->addr, .kind = one_in(2) ? OP_WAITING_LIST : OP_WAITING_CANCEL};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = c->addr, .cookie = choose_waiting(q)};
    c->asked++;
    post(&op);
    sim_trace("step %u: client %u asks %" PRIu64 " for what waits: %u\n", sim->step, c->index,
              q->id, op.kind);
}

/* A page of all that is there. */
static void browse(struct client *c)
{
    struct target_queue *t;
    const struct shadow *q = choose_queue(c, &t);
    if (!q)
        return;
    struct op op = {.to = t->addr, .kind = OP_BROWSE};
    op.n = one_in(2) ? WAITING_FIRST : one_in(4) ? shadow_later_level(q) : choose_priority();
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = c->addr, .cookie = rnd(q->next + 1)};
    c->asked++;
    post(&op);
}

/* One of them is to go, or to move to a queue that others' messages come to. */
static void pick(struct client *c)
{
    struct target_queue *t, *to;
    struct shadow *q = choose_queue(c, &t), *there = choose_queue(c, &to);
    uint64_t seq = q ? rnd(q->next) : 0;
    struct copy *copy = q && seq ? &q->copies[seq] : NULL;
    if (!copy || !copy->uid)
        return;
    bool moves = there && there != q && sim->plans[there->name].letters_come && one_in(2);
    copy->picked = true;
    copy->picked_to = moves ? there->name + 1 : 0;
    struct op op = {.to = t->addr, .kind = OP_PICK};
    *op_body(&op, struct op_pick) = (struct op_pick){.reply_to = c->addr,
                                                     .seq = seq,
                                                     .level = copy->level,
                                                     .to = moves ? queue_def_ref(to->def) : NULL};
    c->asked++;
    post(&op);
    sim_trace("step %u: client %u picks %" PRIu64 " of queue %s\n", sim->step, c->index, seq,
              sim->plans[q->name].name);
}

static void on_waiting(struct client *c, struct op *op)
{
    struct waiting_page **page = &op_body(op, struct op_waiting)->page;
    for (unsigned i = 1; i < (*page)->count; i++)
        sim_check((*page)->messages[i].id > (*page)->messages[i - 1].id, "waiting out of order");
    c->asked--;
    waiting_page_free(page);
}

static void on_reply(struct client *c, const struct op *op)
{
    const struct op_queue_query *in = op_body(op, const struct op_queue_query);
    struct shadow *q = shadow_find(in->cookie);
    c->asked--;
    if (q && op->n == OP_DELETE && !in->code)
        q->deleted = true;
}

static void on_declared(struct client *c, struct op *op)
{
    struct meta_request *r = op_body(op, struct op_meta)->request;
    c->asked--;
    if (r->verb == META_BIND) {
        struct shadow *bound = shadow_find(r->cookie / SIM_QUEUES);
        sim_check(!r->code || !bound || bound->deleting, "a queue cannot be bound: %s",
                  r->why.text);
        if (bound && !r->code)
            bound->bound |= 1u << r->cookie % SIM_QUEUES;
        meta_request_free(&r);
        return;
    }
    if (r->verb == META_POLICY_SET || r->verb == META_POLICY_CLEAR) {
        sim_check(!r->code || r->verb == META_POLICY_CLEAR, "a policy is refused: %s", r->why.text);
        meta_request_free(&r);
        return;
    }
    sim_check(!r->code, "a queue cannot be declared: %s", r->why.text);
    struct shadow *q = r->queue ? shadow_find(r->queue->id) : NULL;
    sim_trace("  client %u: queue %" PRIu64 " is declared%s\n", c->index, q ? q->id : 0,
              r->created ? "" : ", it was there");
    if (q && r->created) /* to others it may be known before it is safe */
        q->declared = true;
    if (r->queue) /* its shadow may come later */
        operator_bind(c, r->queue);
    meta_request_free(&r);
}

/* ---- transactions ---- */

static void add_settles(struct client *c, struct transaction *t)
{
    c->settle_count = 0;
    for (uint64_t n = rnd(5); n-- && c->held_count;) {
        enum settle_how how = one_in(4) ? (enum settle_how)rnd(4) : SETTLE_ACK;
        struct held h = take_held(c, rnd(c->held_count));
        struct shadow *q = shadow_find(h.queue);
        if (is_settled(how)) {
            note_settle(c, &h, how);
            c->settles[c->settle_count++] = h;
            if (q)
                shadow_copy(q, h.seq)->acked_at = UINT64_MAX; /* counts when it is committed */
        }
        transaction_settle(t, h.addr, h.slot, how, h.stored);
    }
}

static void add_publishes(struct client *c, struct transaction *t)
{
    c->in_count = 0;
    for (uint64_t n = rnd(5); n--;) {
        struct queue_def *defs[SIM_TARGETS];
        unsigned names;
        size_t count = choose_targets(c, defs, &names);
        if (!count)
            continue;
        uint32_t uid = new_message(c, names);
        struct msg *m = make_message(uid);
        MEM_GROW(c->in_transaction, c->in_cap, c->in_count + 1);
        note_publish(c, &c->in_transaction[c->in_count++], uid, defs, count);
        sim_trace("  message %u to %x\n", uid, names);
        durable_prepare(c->shard, m, defs, count);
        for (size_t i = 0; i < count; i++)
            transaction_enqueue(t, msg_ref_n(m, 1), defs[i]->addr);
        msg_unref(m);
    }
}

static void commit(struct client *c)
{
    if (c->transaction)
        return;
    struct transaction *t = transaction_begin(c->shard, c->addr);
    c->transaction = sim->begun;
    sim_trace("step %u: client %u commits %" PRIu64 "\n", sim->step, c->index, c->transaction);
    add_publishes(c, t);
    add_settles(c, t);
    shadow_transaction(c->transaction)->asked = true;
    c->asked++;
    transaction_commit(&t);
}

static void on_committed(struct client *c, const struct op *op)
{
    shadow_transaction(c->transaction)->safe = true;
    sim_trace("  client %u: %" PRIu64 " is committed\n", c->index, c->transaction);
    for (size_t i = 0; i < c->in_count && !(op->flags & OP_CONFIRM_NACK); i++)
        promise(c, &c->in_transaction[i]);
    for (size_t i = 0; i < c->settle_count; i++) {
        struct shadow *q = shadow_find(c->settles[i].queue);
        if (!q || q->deleting || !c->settles[i].stored)
            continue;
        struct copy *copy = shadow_copy(q, c->settles[i].seq);
        sim_check(!copy->live, "queue %s: message %u was settled in a transaction, and is there",
                  sim->plans[q->name].name, copy->uid);
        copy->promised_gone = true;
    }
    c->transaction = 0;
    c->asked--;
}

/* ---- a client ---- */

/* Its queue has gone. */
static void on_cancelled(struct client *c, const struct op *op)
{
    struct client_consumer *k = &c->consumers[op->n];
    if (addr_eq(k->addr, op_body(op, const struct op_consumer)->queue) &&
        k->state == CONSUMER_THERE)
        k->state = CONSUMER_NONE;
}

/* Nobody looks at what a process does after its end. */
static void release(struct op *op)
{
    if (op->kind == OP_DELIVER || op->kind == OP_GET_OK)
        msg_unref(op_body(op, struct op_deliver)->msg);
    if (op->kind == OP_META_REPLY)
        meta_request_free(&op_body(op, struct op_meta)->request);
    if (op->kind == OP_WAITING_PAGE)
        waiting_release_page(op);
}

static void on_op(void *object, struct op *op)
{
    struct client *c = object;
    if (power_is_cut()) {
        release(op);
        return;
    }
    switch (op->kind) {
    case OP_CONFIRM:
        on_confirm(c, op);
        return;
    case OP_PUBLISH_WAIT:
        sim_check(c->publish_waits || !(op->flags & OP_PUBLISH_GO_ON), "nobody waits to publish");
        c->publish_waits += op->flags & OP_PUBLISH_GO_ON ? -1U : 1;
        return;
    case OP_TX_COMMITTED:
        on_committed(c, op);
        return;
    case OP_DELIVER:
        on_deliver(c, op);
        return;
    case OP_GET_OK:
        on_got(c, op);
        return;
    case OP_GET_EMPTY:
        c->asked--;
        return;
    case OP_WAITING_PAGE:
        on_waiting(c, op);
        return;
    case OP_QUERY_REPLY:
        on_reply(c, op);
        return;
    case OP_CONSUME_REPLY:
        on_consuming(c, op);
        return;
    case OP_CANCEL_OK:
        c->asked--;
        c->consumers[op->n].state = CONSUMER_NONE;
        return;
    case OP_CANCELLED:
        on_cancelled(c, op);
        return;
    case OP_META_REPLY:
        on_declared(c, op);
        return;
    default:
        bug_on(true);
    }
}

static const struct actor_type client_type = {"client", on_op};

void clients_begin(void)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        struct client *c = &sim->clients[i];
        *c = (struct client){.index = i, .shard = node_shard(sim->node, i % sim->shards)};
        c->addr = slot_new(c->shard, &client_type, c);
    }
}

void clients_end(void)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        free(sim->clients[i].publishes);
        free(sim->clients[i].in_transaction);
        sim->clients[i] = (struct client){.index = i};
    }
}

static void settle_some(struct client *c)
{
    static const enum settle_how hows[] = {SETTLE_ACK,    SETTLE_ACK,     SETTLE_ACK,
                                           SETTLE_REJECT, SETTLE_REQUEUE, SETTLE_FAILED};
    enum settle_how how = hows[rnd(6)];
    settle(c, how);
}

void client_act(struct client *c)
{
    uint64_t what = rnd(100);
    if (what < 40) {
        for (uint64_t n = 1 + (one_in(3) ? rnd(8) : 0); n--;)
            publish(c);
    } else if (what < 62) {
        settle_some(c);
    } else if (what < 70) {
        consume(c, false);
    } else if (what < 74) {
        cancel(c, (uint32_t)rnd(SIM_CONSUMERS));
    } else if (what < 82) {
        give_credit(c, (uint32_t)rnd(SIM_CONSUMERS));
    } else if (what < 87) {
        ask(c, OP_GET);
    } else if (what < 88) {
        (one_in(2) ? look_at_waiting : one_in(3) ? browse : pick)(c);
    } else if (what < (sim->purges ? 92 : 96)) {
        commit(c);
    } else if (what < 97) {
        ask(c, one_in(sim->purges ? 4 : 2) ? OP_DELETE : OP_PURGE);
    } else if (what < 98) {
        operator_act(c);
    } else {
        client_declare(c, (unsigned)rnd(sim->queue_count));
    }
}

void client_leave(struct client *c)
{
    for (uint32_t n = 0; n < SIM_CONSUMERS; n++)
        cancel(c, n);
    while (c->held_count)
        settle(c, SETTLE_REQUEUE);
}

void client_drain(struct client *c)
{
    consume(c, true);
    for (uint32_t n = 0; n < SIM_CONSUMERS; n++) {
        if (one_in(8))
            cancel(c, n);
        else
            give_credit(c, n);
    }
    while (c->held_count)
        settle(c, SETTLE_ACK);
}

void client_delete_all(struct client *c)
{
    for (unsigned name = 0; name < sim->queue_count; name++) {
        struct target_queue *t = find_target(c, name);
        if (!t)
            continue;
        struct op op = {.to = t->addr, .kind = OP_DELETE};
        *op_body(&op, struct op_queue_query) =
            (struct op_queue_query){.reply_to = c->addr, .cookie = t->def->id};
        struct shadow *q = shadow_find(t->def->id);
        if (q)
            q->deleting = true;
        c->asked++;
        post(&op);
    }
}
