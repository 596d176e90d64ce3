/* A stream: one publisher, readers that come and go at any place, with filters and without. The
 * offset of each message is known when it is sent. What was confirmed, or seen by a reader, is
 * there after every start, at its offset; readers see all from their place on, in order, each once,
 * but what retention took. */
#include "base/bug.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/durable.h"
#include "broker/stream/stream_priv.h"
#include "meta/routing.h"
#include "partition/partition_priv.h"
#include "shard/shard_priv.h"
#include "shard/slot.h"
#include "tests/sim/broker_sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static const char name[] = "log";
static const char *const values[STREAM_VALUES] = {"", "a", "b", "c"}; /* the first: none */

struct partition_options __real_stream_options(const struct queue_def *def,
                                               const struct applied *applied);
struct partition_options __wrap_stream_options(const struct queue_def *def,
                                               const struct applied *applied);

/* Segments are short. */
struct partition_options __wrap_stream_options(const struct queue_def *def,
                                               const struct applied *applied)
{
    struct partition_options o = __real_stream_options(def, applied);
    o.segment_bytes = sim->stream.segment_bytes;
    return o;
}

static struct target_queue *find_target(void)
{
    const struct vhost *v = routing_find_vhost(routing_of(sim->stream.shard), SLICE("/"));
    return v ? vhost_find_queue(v, slice_str(name)) : NULL;
}

/* NULL: it is not there, or not open yet. */
static const struct partition *find_log(void)
{
    const struct target_queue *t = find_target();
    if (!t)
        return NULL;
    struct shard *self = shard_self(), *home = node_shard(sim->node, t->addr.shard);
    shard_enter(home);
    const struct queue_face *face = stream_queue_find(home, t->addr);
    shard_enter(self);
    const struct stream_queue *q =
        face ? list_entry((struct queue_face *)(uintptr_t)face, struct stream_queue, face) : NULL;
    return q && partition_is_open(q->log) ? q->log : NULL;
}

/* ---- what is there ---- */

static bool is_kept_short(void)
{
    return sim->stream.max_bytes || sim->stream.max_age;
}

static void note_safe(uint64_t below)
{
    struct stream_world *w = &sim->stream;
    w->safe = below > w->safe ? below : w->safe;
}

/* True: what a start found was looked at, and goes on. */
static bool is_known(void)
{
    struct stream_world *w = &sim->stream;
    const struct partition *log = w->known ? NULL : find_log();
    if (!log)
        return w->known;
    struct partition_offsets o = partition_offsets(log);
    sim_check(o.next >= w->safe, "stream: %" PRIu64 " of %" PRIu64 " safe messages are there",
              o.next, w->safe);
    sim_check(o.next <= w->count, "stream: %" PRIu64 " messages of %" PRIu64 " that were sent",
              o.next, w->count);
    sim_check(o.committed == o.next && o.first <= o.next, "stream: its offsets are odd");
    sim_check(!o.first || is_kept_short(), "stream: it begins at %" PRIu64, o.first);
    w->count = w->base = o.next;
    w->known = true;
    return true;
}

/* ---- publishing ---- */

static size_t size_of(uint32_t uid)
{
    return sizeof uid + uid * 7919u % 180;
}

static struct msg *make_message(uint32_t uid, unsigned value)
{
    uint8_t room[128];
    struct buf headers = BUF_INIT;
    struct wire_writer wr = wire_writer(room, sizeof room);
    struct amqp_basic_properties props = {.flags = AMQP_PROP_DELIVERY_MODE, .delivery_mode = 2};
    if (value) {
        table_put_str(&headers, SLICE("x-stream-filter-value"), slice_str(values[value]));
        props.flags |= AMQP_PROP_HEADERS;
        props.headers = buf_slice(&headers);
    }
    content_header_encode(
        &wr, &(struct content_header){.class_id = AMQP_CLASS_BASIC, .body_size = size_of(uid)});
    props_encode(&wr, &props);
    buf_fini(&headers);
    struct msg *m =
        msg_new(SLICE("\0\3log"), slice_of(room, wire_written(&wr)), size_of(uid), true);
    memset(m->body, (int)(uid & 0xff), size_of(uid));
    memcpy(m->body, &uid, sizeof uid);
    m->flags |= MSG_PERSISTENT;
    return m;
}

static void publish(struct addr to)
{
    struct stream_world *w = &sim->stream;
    struct op op = {.to = to, .kind = OP_ENQUEUE};
    struct stream_entry e = {.uid = ++w->uids, .value = (uint8_t)rnd(STREAM_VALUES)};
    MEM_GROW(w->entries, w->cap, w->count + 1);
    w->entries[w->count++] = e;
    op.flags = one_in(4) ? 0 : OP_ENQUEUE_CONFIRM;
    *op_body(&op, struct op_enqueue) = (struct op_enqueue){
        .msg = make_message(e.uid, e.value), .channel = w->addr, .seq = w->count - w->base};
    post(&op);
}

static void on_confirm(const struct op *op)
{
    struct stream_world *w = &sim->stream;
    const struct op_confirm *in = op_body(op, const struct op_confirm);
    sim_check(!(op->flags & OP_CONFIRM_NACK), "a message of the stream is refused");
    sim_check(in->first && w->base + in->last <= w->count, "stream: a wrong confirm");
    sim_trace("  stream: confirmed to %" PRIu64 "\n", w->base + in->last);
    note_safe(w->base + in->last);
}

/* ---- reading ---- */

static void begin_reading(struct addr to, uint32_t n, bool all)
{
    struct stream_world *w = &sim->stream;
    struct stream_client *k = &w->readers[n];
    struct buf args = BUF_INIT;
    struct consume_request *r = NEW(struct consume_request);
    *k = (struct stream_client){.asked = true, .addr = to};
    switch (all ? 0 : rnd(5)) {
    case 0:
        table_put_str(&args, SLICE("x-stream-offset"), SLICE("first"));
        break;
    case 1:
        k->next = w->count; /* what was sent comes there before */
        break;
    case 2:
        table_put_str(&args, SLICE("x-stream-offset"), SLICE("last"));
        k->anywhere = true;
        break;
    case 3:
        table_put_timestamp(&args, SLICE("x-stream-offset"), 1700000000 + rnd(1000));
        k->anywhere = true;
        break;
    default:
        k->next = rnd(w->count + 1);
        table_put_i64(&args, SLICE("x-stream-offset"), (int64_t)k->next);
    }
    if (!all && one_in(3)) {
        k->filter = 1 + (unsigned)rnd(STREAM_VALUES - 1);
        k->unfiltered = one_in(2);
        table_put_str(&args, SLICE("x-stream-filter"), slice_str(values[k->filter]));
        table_put_bool(&args, SLICE("x-stream-match-unfiltered"), k->unfiltered);
    }
    r->channel = w->addr;
    r->number = n;
    r->tag = slice_dup(SLICE("t"));
    r->queue = slice_dup(slice_str(name));
    r->user = slice_dup(SLICE("u"));
    r->args = slice_dup(buf_slice(&args));
    r->prefetch = all ? 50 : 1 + (uint32_t)rnd(10);
    r->window = all ? 50 : 1 + (uint32_t)rnd(12);
    buf_fini(&args);
    struct op op = {.to = to, .kind = OP_CONSUME};
    op_body(&op, struct op_consume)->request = r;
    post(&op);
}

static void on_consuming(const struct op *op)
{
    const struct op_consumer *in = op_body(op, const struct op_consumer);
    struct stream_client *k = &sim->stream.readers[op->n];
    sim_check(!in->code && k->asked, "stream: a reader is refused");
    k->asked = false;
    k->there = true;
    k->number = in->consumer;
    k->serial = in->serial;
}

static bool is_wanted(const struct stream_client *k, const struct stream_entry *e)
{
    return !k->filter || e->value == k->filter || (!e->value && k->unfiltered);
}

/* What lies between what a reader had and what it gets now is not for it, or gone. */
static void check_place(const struct stream_client *k, uint64_t offset)
{
    const struct stream_world *w = &sim->stream;
    const struct partition *log = find_log();
    /* the shard may not know yet what is gone */
    uint64_t first = log ? segments_look(log->segments).first : 0;
    sim_check(offset < w->count, "stream: offset %" PRIu64 " of %" PRIu64, offset, w->count);
    sim_check(k->anywhere || offset >= k->next, "stream: offset %" PRIu64 " after %" PRIu64, offset,
              k->next);
    for (uint64_t at = k->next; !k->anywhere && at < offset; at++)
        sim_check(at < first || !is_wanted(k, &w->entries[at]),
                  "stream: offset %" PRIu64 " is left out", at);
}

static void on_deliver(struct op *op)
{
    struct stream_world *w = &sim->stream;
    struct op_deliver *d = op_body(op, struct op_deliver);
    struct stream_client *k = &w->readers[op->n];
    if (!power_is_cut() && k->there) {
        uint32_t uid;
        check_place(k, d->seq);
        const struct stream_entry *e = &w->entries[d->seq];
        memcpy(&uid, d->msg->body, sizeof uid);
        sim_check(uid == e->uid && d->msg->body_len == size_of(uid),
                  "stream: message %u at %" PRIu64 ", where %u is", uid, d->seq, e->uid);
        sim_check(is_wanted(k, e), "stream: message %u is not for that reader", uid);
        k->anywhere = false;
        k->next = d->seq + 1;
        k->slot = d->slot;
        k->held++;
        note_safe(d->seq + 1); /* nobody sees what a crash may take */
    }
    msg_unref(d->msg);
}

static struct op reader_op(uint32_t n, enum op_symbol kind)
{
    const struct stream_client *k = &sim->stream.readers[n];
    struct op op = {.to = k->addr, .kind = (uint16_t)kind, .n = n};
    *op_body(&op, struct op_consumer) = (struct op_consumer){
        .consumer = k->number, .serial = k->serial, .channel = sim->stream.addr};
    return op;
}

/* Acknowledges some, or all, and may have as many more. */
static void go_on_reading(uint32_t n, bool all)
{
    struct stream_client *k = &sim->stream.readers[n];
    uint32_t count = all ? k->held : (uint32_t)rnd(k->held + 1);
    struct op credit = reader_op(n, OP_CREDIT);
    for (uint32_t i = 0; i < count; i++) {
        struct op op = {.to = k->addr, .kind = OP_SETTLE, .flags = SETTLE_ACK, .n = 1};
        op_body(&op, struct op_settle)->inline_slots[0] = k->slot;
        post(&op);
    }
    k->held -= count;
    credit.n = count;
    if (count)
        post(&credit);
}

static void leave(uint32_t n)
{
    struct op op = reader_op(n, OP_CANCEL);
    sim->stream.readers[n].there = false;
    sim->stream.readers[n].asked = true;
    post(&op);
}

static void on_op(void *unused, struct op *op)
{
    (void)unused;
    if (op->kind == OP_META_REPLY)
        meta_request_free(&op_body(op, struct op_meta)->request);
    else if (op->kind == OP_DELIVER)
        on_deliver(op);
    else if (op->kind == OP_CONSUME_REPLY)
        on_consuming(op);
    else if (op->kind == OP_CANCEL_OK)
        sim->stream.readers[op->n].asked = false;
    else if (op->kind == OP_CONFIRM && !power_is_cut())
        on_confirm(op);
}

static const struct actor_type stream_client_type = {"stream client", on_op};

void stream_act(void)
{
    struct target_queue *t = find_target();
    if (!t || !is_known())
        return;
    for (uint64_t n = rnd(12); n--;)
        publish(t->addr);
    uint32_t n = (uint32_t)rnd(STREAM_CLIENTS);
    struct stream_client *k = &sim->stream.readers[n];
    if (!k->asked && !k->there)
        begin_reading(t->addr, n, false);
    else if (k->there && one_in(12))
        leave(n);
    else if (k->there)
        go_on_reading(n, false);
}

/* ---- the end ---- */

bool stream_drain(void)
{
    struct stream_world *w = &sim->stream;
    struct target_queue *t = find_target();
    struct stream_client *k = &w->readers[STREAM_CLIENTS];
    if (!t || !is_known())
        return !w->on;
    if (!k->asked && !k->there)
        begin_reading(t->addr, STREAM_CLIENTS, true);
    else if (k->there)
        go_on_reading(STREAM_CLIENTS, true);
    const struct partition *log = find_log();
    return k->there && (k->next == w->count || (log && partition_offsets(log).first == w->count));
}

void stream_delete(void)
{
    struct target_queue *t = find_target();
    struct op op = {.kind = OP_DELETE};
    if (!t)
        return;
    op.to = t->addr;
    *op_body(&op, struct op_queue_query) = (struct op_queue_query){.reply_to = sim->stream.addr};
    post(&op);
}

static bool on_file(const char *file, void *unused)
{
    (void)unused;
    sim_fail("a segment is left: partitions/%s", file);
}

void stream_check_gone(void)
{
    int status = disk_list(power_disk(), "partitions", on_file, NULL);
    bug_on(status < 0 && status != -ENOENT);
}

/* ---- lives ---- */

void stream_choose(void)
{
    static const char *const ages[] = {"1s", "3s", "10s"};
    struct stream_world *w = &sim->stream;
    w->on = one_in(3);
    w->segment_bytes = 200 + rnd(2000);
    if (one_in(3))
        w->max_bytes = 1 + rnd(6000);
    if (one_in(4))
        w->max_age = ages[rnd(3)];
}

void stream_begin(void)
{
    struct stream_world *w = &sim->stream;
    w->shard = node_shard(sim->node, 0);
    w->addr = slot_new(w->shard, &stream_client_type, w);
    w->known = false;
    memset(w->readers, 0, sizeof w->readers);
}

void stream_fini(void)
{
    free(sim->stream.entries);
}

void stream_declare(void)
{
    struct stream_world *w = &sim->stream;
    struct buf args = BUF_INIT;
    struct meta_request *q = meta_request_new(META_QUEUE_DECLARE, w->addr);
    table_put_str(&args, SLICE("x-queue-type"), SLICE("stream"));
    if (w->max_bytes)
        table_put_i64(&args, SLICE("x-max-length-bytes"), (int64_t)w->max_bytes);
    if (w->max_age)
        table_put_str(&args, SLICE("x-max-age"), slice_str(w->max_age));
    q->flags = META_TRUSTED | META_DURABLE;
    meta_request_set(&q->vhost, SLICE("/"));
    meta_request_set(&q->name, slice_str(name));
    meta_request_set(&q->args, buf_slice(&args));
    buf_fini(&args);
    shard_enter(w->shard);
    meta_post(sim->node, &q);
}
