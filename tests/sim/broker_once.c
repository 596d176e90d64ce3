/* A deduplicating exchange that keeps its values on the disk: a publisher sends each value again
 * and again. What was confirmed is in the queue behind it after every start, and is never let in
 * again; in one life nothing is let in twice, confirmed or not. */
#include "base/bug.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/durable.h"
#include "broker/queue/queue.h"
#include "meta/routing.h"
#include "shard/shard_priv.h"
#include "shard/slot.h"
#include "tests/sim/broker_sim.h"

#include <stdlib.h>

static const char name[] = "once";

struct body {
    uint32_t value, life;
};

static struct vhost *find_vhost(void)
{
    return routing_find_vhost(routing_of(sim->once.shard), SLICE("/"));
}

static struct target_queue *find_queue(void)
{
    const struct vhost *v = find_vhost();
    return v ? vhost_find_queue(v, slice_str(name)) : NULL;
}

/* ---- publishing ---- */

static struct msg *make_message(const struct body *body)
{
    uint8_t room[128];
    struct buf headers = BUF_INIT;
    struct wire_writer wr = wire_writer(room, sizeof room);
    struct amqp_basic_properties props = {.flags = AMQP_PROP_HEADERS | AMQP_PROP_DELIVERY_MODE,
                                          .delivery_mode = 2};
    table_put_i64(&headers, SLICE("x-deduplication-header"), body->value);
    props.headers = buf_slice(&headers);
    content_header_encode(
        &wr, &(struct content_header){.class_id = AMQP_CLASS_BASIC, .body_size = sizeof *body});
    props_encode(&wr, &props);
    buf_fini(&headers);
    struct msg *m =
        msg_new(SLICE("\4once\0"), slice_of(room, wire_written(&wr)), sizeof *body, true);
    memcpy(m->body, body, sizeof *body);
    m->flags |= MSG_PERSISTENT;
    return m;
}

static void publish(struct exchange *x)
{
    struct once *o = &sim->once;
    struct failure why;
    struct body body = {(uint32_t)rnd(SIM_VALUES), sim->life};
    struct msg *m = make_message(&body);
    struct slice props = msg_properties(m);
    struct route_input input = {msg_routing_key(m), props_headers(props), props};
    enum err err = route_message(&o->route, routing_of(o->shard), find_vhost(), x, &input, &why);
    bug_on(err);
    if (o->route.count != 1) { /* it is not bound yet */
        msg_unref(m);
        return;
    }
    durable_prepare_route(o->shard, m, &o->route);
    MEM_GROW(o->sent, o->sent_cap, o->sent_count + 2);
    o->sent[++o->sent_count] = body.value;
    struct op op = {
        .to = o->route.targets[0]->addr, .kind = OP_ENQUEUE, .flags = OP_ENQUEUE_CONFIRM};
    *op_body(&op, struct op_enqueue) =
        (struct op_enqueue){.msg = m, .channel = o->addr, .seq = o->sent_count, .waiter = o->addr};
    post(&op);
    sim_trace("step %u: value %u is sent\n", sim->step, body.value);
}

void once_act(void)
{
    struct vhost *v = find_vhost();
    struct exchange *x = v ? vhost_find_exchange(v, slice_str(name)) : NULL;
    for (uint64_t n = 1 + rnd(6); x && n-- && !sim->once.publish_waits;)
        publish(x);
}

/* ---- what is said and seen ---- */

static void on_confirm(const struct op *op)
{
    struct once *o = &sim->once;
    const struct op_confirm *in = op_body(op, const struct op_confirm);
    sim_check(!(op->flags & OP_CONFIRM_NACK), "a value is refused");
    for (uint64_t seq = in->first; seq <= in->last; seq++) {
        sim_check(seq && seq <= o->sent_count && o->sent[seq] != SIM_VALUES,
                  "a value is confirmed twice");
        sim_trace("  value %u is confirmed\n", o->sent[seq]);
        o->confirmed[o->sent[seq]] = true;
        o->sent[seq] = SIM_VALUES;
    }
}

static void on_op(void *unused, struct op *op)
{
    (void)unused;
    if (op->kind == OP_META_REPLY)
        meta_request_free(&op_body(op, struct op_meta)->request);
    else if (op->kind == OP_CONFIRM && !power_is_cut())
        on_confirm(op);
    else if (op->kind == OP_PUBLISH_WAIT)
        sim->once.publish_waits += op->flags & OP_PUBLISH_GO_ON ? -1U : 1;
}

static const struct actor_type once_type = {"publisher", on_op};

void once_see(uint64_t queue, const struct effect_log *log)
{
    struct once *o = &sim->once;
    const struct target_queue *t = find_queue();
    if (!t || t->def->id != queue || power_is_cut())
        return;
    for (size_t i = 0; i < log->count; i++) {
        const struct effect *e = &log->effects[i];
        struct body body;
        if (e->kind != EFFECT_ENQ || e->paged)
            continue;
        bug_on(e->msg->body_len != sizeof body);
        memcpy(&body, e->msg->body, sizeof body);
        sim_trace("  value %u comes\n", body.value);
        sim_check(!o->confirmed[body.value], "value %u is let in again", body.value);
        sim_check(o->let_in[body.value] != sim->life + 1, "value %u is let in twice", body.value);
        o->let_in[body.value] = sim->life + 1;
    }
}

static void read_level(const struct fold_queue *q, const struct fold_level *l, bool *found)
{
    struct fold_query query = {.queue = q->id,
                               .from = l->first,
                               .to = l->last,
                               .level = l->level,
                               .max_count = 100,
                               .max_bytes = 1 << 20};
    while (query.from <= query.to) {
        struct fold_page page = {.next = 0};
        fold_read(store_fold(sim->store), &query, &page);
        for (size_t i = 0; i < page.count; i++) {
            struct body body;
            bug_on(page.entries[i].content.body.len != sizeof body);
            memcpy(&body, page.entries[i].content.body.data, sizeof body);
            found[body.value] = true;
        }
        query.from = page.next;
        fold_page_fini(&page);
    }
}

void once_check(void)
{
    static struct fold_queue there;
    const struct target_queue *t = find_queue();
    bool found[SIM_VALUES] = {false};
    if (t && fold_get_queue(store_fold(sim->store), t->def->id, &there)) {
        for (unsigned i = 0; i < there.level_count; i++)
            read_level(&there, &there.levels[i], found);
    }
    for (unsigned v = 0; v < SIM_VALUES; v++)
        sim_check(found[v] || !sim->once.confirmed[v], "value %u is lost", v);
}

/* ---- lives ---- */

void once_begin(void)
{
    struct once *o = &sim->once;
    o->shard = node_shard(sim->node, sim->shards - 1);
    o->addr = slot_new(o->shard, &once_type, o);
    o->sent_count = 0;
    o->publish_waits = 0;
    route_init(&o->route);
}

void once_end(void)
{
    struct once *o = &sim->once;
    route_fini(&o->route);
    free(o->sent);
    o->sent = NULL;
    o->sent_cap = 0;
}

static struct meta_request *request(enum meta_verb verb)
{
    struct meta_request *r = meta_request_new(verb, sim->once.addr);
    r->flags = META_TRUSTED | META_DURABLE;
    meta_request_set(&r->vhost, SLICE("/"));
    meta_request_set(&r->name, slice_str(name));
    meta_request_set(&r->args, SLICE_EMPTY);
    return r;
}

void once_declare(void)
{
    struct buf args = BUF_INIT;
    struct meta_request *x = request(META_EXCHANGE_DECLARE), *q = request(META_QUEUE_DECLARE);
    struct meta_request *b = request(META_BIND);
    table_put_i64(&args, SLICE("x-cache-size"), 1000);
    table_put_str(&args, SLICE("x-cache-persistence"), SLICE("disk"));
    meta_request_set(&x->type, SLICE("x-message-deduplication"));
    meta_request_set(&x->args, buf_slice(&args));
    buf_fini(&args);
    meta_request_set(&b->source, slice_str(name));
    b->flags = META_TRUSTED;
    shard_enter(sim->once.shard);
    meta_post(sim->node, &x);
    meta_post(sim->node, &q);
    meta_post(sim->node, &b);
}

void once_delete(void)
{
    struct meta_request *x = request(META_EXCHANGE_DELETE);
    struct target_queue *t = find_queue();
    struct op op = {.kind = OP_DELETE};
    memset(sim->once.confirmed, 0, sizeof sim->once.confirmed);
    x->flags = META_TRUSTED;
    meta_post(sim->node, &x);
    if (!t)
        return;
    op.to = t->addr;
    *op_body(&op, struct op_queue_query) = (struct op_queue_query){.reply_to = sim->once.addr};
    post(&op);
}
