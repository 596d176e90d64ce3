/* The actor: ops in, appends, confirms when they are safe. Until its log is open it keeps what
 * comes, and until its definition is safe: that is in the journal, which the log's files do not
 * wait for, and a start clears away what belongs to no stream. */
#include "broker/stream/stream_priv.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/mem.h"
#include "broker/ops.h"
#include "meta/meta.h"
#include "meta/routing.h"
#include "shard/slot.h"

#include <stdlib.h>

enum { AGE_CHECK_MS = 5000 };

/* ---- publishing ---- */

/* Publishes of a channel in a row, of one batch, are answered together. */
static void expect_confirm(struct stream_queue *q, const struct op_enqueue *in, uint64_t begin,
                           uint64_t offset)
{
    struct stream_confirm *last =
        q->confirm_count > q->confirm_at ? &q->confirms[q->confirm_count - 1] : NULL;
    if (last && last->begin == begin && last->last + 1 == in->seq &&
        addr_eq(last->channel, in->channel)) {
        last->last++;
        last->end = offset + 1;
        return;
    }
    MEM_GROW(q->confirms, q->confirm_cap, q->confirm_count + 1);
    q->confirms[q->confirm_count++] = (struct stream_confirm){.channel = in->channel,
                                                              .first = in->seq,
                                                              .last = in->seq,
                                                              .begin = begin,
                                                              .end = offset + 1};
}

static void confirm(struct stream_queue *q)
{
    uint64_t committed = partition_offsets(q->log).committed;
    for (; q->confirm_at < q->confirm_count; q->confirm_at++) {
        const struct stream_confirm *c = &q->confirms[q->confirm_at];
        if (c->end > committed)
            break;
        struct op op = {.to = c->channel, .kind = OP_CONFIRM};
        *op_body(&op, struct op_confirm) = (struct op_confirm){c->first, c->last};
        post(&op);
    }
    size_t left = q->confirm_count - q->confirm_at;
    if (!q->confirm_at || left > q->confirm_at)
        return;
    memmove(q->confirms, q->confirms + q->confirm_at, left * sizeof *q->confirms);
    q->confirm_at = 0;
    q->confirm_count = left;
}

static void on_enqueue(struct stream_queue *q, struct op *op)
{
    struct op_enqueue *in = op_body(op, struct op_enqueue);
    if (q->dead) {
        queue_release_enqueue(op);
        return;
    }
    struct msg *m = in->msg;
    struct slice value = SLICE_EMPTY;
    stream_entry_put(partition_add(q->log, stream_entry_size(m)), m);
    bool has = stream_filter_value(m, &value);
    partition_add_filter(q->log, value, has);
    struct partition_offsets o = partition_offsets(q->log);
    q->published++;
    if (op->flags & OP_ENQUEUE_CONFIRM)
        expect_confirm(q, in, o.begin, o.next - 1);
    if (q->reader_count)
        window_add(&q->window, o.next - 1, m);
    else
        msg_unref(m);
}

/* ---- consumers ---- */

struct stream_reader *stream_find_reader(const struct stream_queue *q, uint32_t number,
                                         uint32_t serial)
{
    struct stream_reader *r = number < q->reader_cap ? q->readers[number] : NULL;
    return r && r->serial == serial ? r : NULL;
}

static struct stream_reader *reader_new(struct stream_queue *q, struct consume_request *request)
{
    uint32_t n = 0;
    while (n < q->reader_cap && q->readers[n])
        n++;
    if (n == q->reader_cap) {
        size_t cap = q->reader_cap;
        MEM_GROW(q->readers, q->reader_cap, cap + 1);
        memset(q->readers + cap, 0, (q->reader_cap - cap) * sizeof(*q->readers));
    }
    struct stream_reader *r = NEW(struct stream_reader);
    q->next_serial = q->next_serial >= 0xffff ? 1 : q->next_serial + 1;
    r->request = request;
    r->number = n;
    r->serial = q->next_serial;
    r->window = request->window;
    r->filter = stream_filter(request->args);
    q->readers[n] = r;
    q->reader_count++;
    return r;
}

static void reader_drop(struct stream_queue *q, struct stream_reader *r)
{
    stream_leave_page(r);
    q->queued -= r->queued;
    q->readers[r->number] = NULL;
    q->reader_count--;
    consume_request_free(&r->request);
    free(r);
}

static void reader_free(struct stream_queue *q, struct stream_reader *r)
{
    reader_drop(q, r);
    window_sweep(&q->window, q->reader_count);
    stream_trim(q);
    if (!q->reader_count)
        window_trim(&q->window, q->window.tail_next);
}

static void on_consume(struct stream_queue *q, struct op *op)
{
    struct consume_request *request = op_body(op, struct op_consume)->request;
    if (q->dead || q->reader_count == STREAM_READERS_MAX) {
        queue_release_consume(op);
        return;
    }
    struct stream_reader *r = reader_new(q, request);
    struct op reply = {.to = request->channel, .kind = OP_CONSUME_REPLY, .n = request->number};
    *op_body(&reply, struct op_consumer) = (struct op_consumer){.consumer = r->number,
                                                                .serial = r->serial,
                                                                .queue = q->def->addr,
                                                                .channel = request->channel};
    post(&reply);
    stream_seek(q, r);
    stream_pump(q, r);
}

static void on_credit(struct stream_queue *q, const struct op *op)
{
    const struct op_consumer *in = op_body(op, const struct op_consumer);
    struct stream_reader *r = stream_find_reader(q, in->consumer, in->serial);
    if (!r)
        return;
    r->window += op->n;
    stream_pump(q, r);
}

static void on_cancel(struct stream_queue *q, struct op *op)
{
    const struct op_consumer *in = op_body(op, const struct op_consumer);
    struct stream_reader *r = stream_find_reader(q, in->consumer, in->serial);
    queue_release_cancel(op);
    if (r)
        reader_free(q, r);
}

static void give_back(struct stream_queue *q, uint32_t slot, uint32_t count, bool acked)
{
    struct stream_reader *r = stream_find_reader(q, slot & 0xffff, slot >> 16);
    if (!r)
        return;
    r->unacked -= count < r->unacked ? count : r->unacked;
    r->acked += acked ? count : 0;
    q->acked += acked ? count : 0;
    stream_pump(q, r);
}

/* However they are settled: all that a stream learns is that the reader may have more. */
static void on_settle(struct stream_queue *q, struct op *op)
{
    struct op_settle *in = op_body(op, struct op_settle);
    const uint32_t *slots = in->slots ? in->slots : in->inline_slots;
    for (uint32_t i = 0, n; i < op->n; i += n) {
        for (n = 1; i + n < op->n && slots[i + n] == slots[i];)
            n++;
        give_back(q, slots[i], n, op->flags == SETTLE_ACK);
    }
    free(in->slots);
}

/* ---- questions ---- */

static void answer(const struct op *op, const struct op_queue_query *in)
{
    struct op reply = {.to = in->reply_to, .kind = OP_QUERY_REPLY, .n = op->kind};
    *op_body(&reply, struct op_queue_query) = *in;
    post(&reply);
}

static void die(struct stream_queue *q)
{
    q->dead = true;
    timer_stop(&q->age);
    timer_stop(&q->retry);
    for (size_t i = 0; i < q->reader_cap; i++) {
        struct stream_reader *r = q->readers[i];
        if (!r)
            continue;
        struct op op = {.to = r->request->channel, .kind = OP_CANCELLED, .n = r->request->number};
        *op_body(&op, struct op_consumer) = (struct op_consumer){.consumer = r->number,
                                                                 .serial = r->serial,
                                                                 .queue = q->def->addr,
                                                                 .channel = r->request->channel};
        post(&op);
        reader_drop(q, r);
    }
    window_sweep(&q->window, 0);
    window_trim(&q->window, q->window.tail_next);
}

static void on_query(struct stream_queue *q, struct op *op)
{
    struct op_queue_query *in = op_body(op, struct op_queue_query);
    if (q->dead || op->kind == OP_GET || op->kind == OP_PURGE) { /* the latter are refused before */
        queue_release_query(op);
        return;
    }
    struct partition_offsets o = partition_offsets(q->log);
    if (op->kind == OP_DELETE) {
        die(q);
        struct op gone = {.to = meta_addr(shard_node(q->shard)), .kind = OP_QUEUE_GONE};
        in->messages = 0;
        *op_body(&gone, struct op_queue_gone) = (struct op_queue_gone){*in, q->def->addr};
        post(&gone);
        return;
    }
    uint64_t count = o.committed > o.first ? o.committed - o.first : 0;
    in->messages = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    in->consumers = q->reader_count;
    answer(op, in);
}

/* What waited for the disk will be there no more: it is answered as for a queue that is gone. */
static void confirm_all(struct stream_queue *q)
{
    for (; q->confirm_at < q->confirm_count; q->confirm_at++) {
        const struct stream_confirm *c = &q->confirms[q->confirm_at];
        struct op op = {.to = c->channel, .kind = OP_CONFIRM};
        *op_body(&op, struct op_confirm) = (struct op_confirm){c->first, c->last};
        post(&op);
    }
}

static void on_destroy(struct stream_queue *q)
{
    if (!q->dead)
        die(q);
    confirm_all(q);
    partition_remove(&q->log);
    stream_queue_free(&q->face);
}

static void take(struct stream_queue *q, struct op *op)
{
    switch (op->kind) {
    case OP_ENQUEUE:
        on_enqueue(q, op);
        break;
    case OP_SETTLE:
        on_settle(q, op);
        break;
    case OP_CONSUME:
        on_consume(q, op);
        break;
    case OP_CREDIT:
        on_credit(q, op);
        break;
    case OP_CANCEL:
        on_cancel(q, op);
        break;
    case OP_GET:
    case OP_PURGE:
    case OP_STAT:
    case OP_DELETE:
        on_query(q, op);
        break;
    case OP_TX_BARRIER:
        queue_release_barrier(op);
        break;
    case OP_QUEUE_DESTROY:
        on_destroy(q);
        break;
    default:
        bug_on(true);
    }
}

/* ---- the log ---- */

static void release_kept(struct stream_queue *q)
{
    const struct op_kind *kinds = broker_op_kinds();
    for (size_t i = 0; i < q->kept_count; i++) {
        void (*release)(struct op * op) = kinds[q->kept[i].kind - OP_FIRST].release;
        if (release)
            release(&q->kept[i]);
    }
    q->kept_count = 0;
}

static bool is_open(const struct stream_queue *q)
{
    return partition_is_open(q->log) && list_empty(&q->defined.link);
}

static void on_op(void *object, struct op *op)
{
    struct stream_queue *q = object;
    if (!is_open(q) && op->kind != OP_QUEUE_DESTROY) {
        MEM_GROW(q->kept, q->kept_cap, q->kept_count + 1);
        q->kept[q->kept_count++] = *op;
        return;
    }
    stream_keep_policies(&q->face);
    take(q, op);
}

/* Nothing that was kept ends the stream: that is not kept. */
static void go_on(struct stream_queue *q)
{
    struct op *kept = q->kept;
    size_t count = q->kept_count;
    q->kept = NULL;
    q->kept_count = q->kept_cap = 0;
    for (size_t i = 0; i < count; i++)
        take(q, &kept[i]);
    free(kept);
    partition_retain(q->log);
}

static void on_commit(void *arg)
{
    struct stream_queue *q = arg;
    confirm(q);
    stream_pump_all(q);
}

static void on_drop(void *arg)
{
    stream_pump_all(arg);
}

static void on_age(struct timer *t)
{
    struct stream_queue *q = list_entry(t, struct stream_queue, age);
    partition_retain(q->log);
    timer_set(t, AGE_CHECK_MS);
}

static void on_open(void *arg)
{
    go_on(arg);
}

static void on_defined(struct store_wait *wait)
{
    go_on(list_entry(wait, struct stream_queue, defined));
}

static const struct partition_user log_user = {on_open, on_commit, on_drop};
static const struct actor_type stream_type = {"stream", on_op};

/* ---- policies ---- */

static void watch_age(struct stream_queue *q)
{
    if (q->options.max_age_ms == UINT64_MAX)
        timer_stop(&q->age);
    else if (!timer_is_set(&q->age))
        timer_set(&q->age, AGE_CHECK_MS);
}

void stream_keep_policies(struct queue_face *face)
{
    struct stream_queue *q = list_entry(face, struct stream_queue, face);
    uint64_t version = routing_policy_version(q->routing);
    if (q->policy_version == version || q->dead)
        return;
    struct applied applied = routing_match_queue(q->routing, q->def);
    q->policy_version = version;
    if (applied_equal(&q->applied, &applied))
        return;
    applied_set(&q->applied, &applied);
    q->options = stream_options(q->def, &q->applied);
    if (!q->log)
        return;
    partition_set_options(q->log, &q->options);
    watch_age(q);
}

/* ---- life ---- */

struct stream_queue *stream_queue_new(struct shard *shard, struct queue_def *def)
{
    struct stream_queue *q = NEW(struct stream_queue);
    bool fresh = !store_is_recovered(store_of(shard_node(shard)), def->id);
    q->face.type = &stream_face_type;
    q->shard = shard;
    q->def = def;
    q->routing = routing_of(shard);
    window_init(&q->window);
    timer_init(&q->age, shard, on_age);
    stream_read_init(q);
    q->options = stream_options(def, &q->applied);
    stream_keep_policies(&q->face);
    q->log = partition_new(shard, def->id, fresh, &q->options, &log_user, q);
    watch_age(q);
    q->defined.fn = on_defined;
    list_init(&q->defined.link);
    if (fresh && store_log_of(shard))
        store_sync(store_log_of(shard), &q->defined);
    slot_assign(shard, def->addr, &stream_type, q);
    listing_add(shard, LISTING_QUEUES, &q->listed, q);
    return q;
}

void stream_queue_free(struct queue_face *face)
{
    struct stream_queue *q = list_entry(face, struct stream_queue, face);
    timer_stop(&q->age);
    timer_stop(&q->retry);
    for (size_t i = 0; i < q->reader_cap; i++) {
        if (q->readers[i])
            reader_drop(q, q->readers[i]);
    }
    store_wait_cancel(&q->defined);
    release_kept(q);
    window_fini(&q->window);
    if (q->log)
        partition_free(&q->log);
    listing_remove(q->shard, LISTING_QUEUES, &q->listed);
    slot_free(q->shard, q->def->addr);
    applied_fini(&q->applied);
    queue_def_unref(&q->def);
    free(q->readers);
    free(q->confirms);
    free(q->kept);
    free(q);
}

const struct queue_face *stream_queue_find(struct shard *shard, struct addr addr)
{
    return slot_find(shard, addr, &stream_type);
}
