/* Runs on the shard of the line. A message with a new value goes to the queues that the exchange
 * routes it to now; they answer when they have it in the log, or, where the values are not stored,
 * when it is safe. Then the value is recorded, and the confirm waits for that. Publishes of a value
 * that is on its way wait for how it ends. */
#include "broker/queue/sieve.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/announce.h"
#include "broker/durable.h"
#include "broker/exchange/deduplication.h"
#include "broker/exchange/header_value.h"
#include "broker/ops.h"
#include "broker/queue/line.h"
#include "broker/queue/pager.h"
#include "broker/queue/queue_priv.h"
#include "shard/slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEEP = 1024 };
static const uint64_t ttl_max_ms = 315360000000; /* ten years, as of arguments */

struct passage {
    struct op from;    /* the publish, but for its message */
    struct msg *value; /* for the queue, one reference */
    uint32_t waiting;  /* answers; 0: it has ended */
    uint16_t flags;    /* of all answers */
    bool known;        /* it is a duplicate, for the alternate exchange */
    struct op *kept;   /* later publishes of the value */
    size_t kept_count, kept_cap;
    uint64_t bytes;
};

/* ---- values ---- */

static uint64_t ttl_of(const struct sieve *s, struct slice headers)
{
    uint64_t ms = s->ttl;
    deduplication_number(headers, "x-cache-ttl", &ms);
    return ms == RULES_NONE || ms < ttl_max_ms ? ms : ttl_max_ms;
}

/* What the queue keeps of the message; NULL: it has no value. */
static struct msg *make_value(const struct sieve *s, const struct msg *m)
{
    struct slice headers = props_headers(msg_properties(m));
    struct table_value value;
    struct buf body = BUF_INIT, header = BUF_INIT;
    struct amqp_basic_properties props = {.flags = 0};
    char text[24];
    if (!headers.len || !table_find(headers, SLICE("x-deduplication-header"), &value))
        return NULL;
    uint64_t ttl = ttl_of(s, headers);
    if (ttl != RULES_NONE) {
        props.flags = AMQP_PROP_EXPIRATION;
        props.expiration = slice_of(text, (size_t)snprintf(text, sizeof text, "%" PRIu64, ttl));
    }
    header_value_put(&body, &value);
    announce_header(&header, body.len, &props);
    struct msg *copy = msg_new(SLICE("\0\0"), buf_slice(&header), body.len, true);
    memcpy(copy->body, body.data, body.len);
    copy->flags |= MSG_PERSISTENT;
    buf_fini(&header);
    buf_fini(&body);
    return copy;
}

/* ---- answers ---- */

/* Whether who asked has to wait for the log. */
static bool waits_for_log(const struct sieve *s, const struct op *op)
{
    return s->queue->stored && !(op->flags & OP_ENQUEUE_LETTER) &&
           !op_body(op, const struct op_enqueue)->transaction;
}

static void answer(struct sieve *s, const struct op *op, uint16_t flags)
{
    if (op->flags & OP_ENQUEUE_CONFIRM)
        s->owner.answer(s->owner.arg, op, waits_for_log(s, op), flags);
}

/* To the queue: it answers when it has the value safe, or has had it before. Takes the reference.
 */
static void take_value(struct sieve *s, const struct op *from, struct msg *value, uint16_t flags)
{
    struct op op = *from;
    op_body(&op, struct op_enqueue)->msg = value;
    bool logged = flags & OP_CONFIRM_LOGGED && !s->queue->stored;
    if (logged)
        op.flags &= (uint16_t)~OP_ENQUEUE_CONFIRM;
    s->owner.take(s->owner.arg, &op);
    if (logged)
        answer(s, from, flags);
}

/* ---- on the way ---- */

static uint64_t next_number(const struct sieve *s)
{
    return s->first + (s->count - s->at);
}

static struct passage *passage_of(struct sieve *s, uint64_t number)
{
    return &s->passed[s->at + (number - s->first)];
}

static struct passage *add_passage(struct sieve *s)
{
    if (s->count == s->cap && s->at > s->count / 2) {
        s->count -= s->at;
        memmove(s->passed, s->passed + s->at, s->count * sizeof *s->passed);
        s->at = 0;
    }
    MEM_GROW(s->passed, s->cap, s->count + 1);
    return &s->passed[s->count++];
}

/* One more publish. A queue that takes what passes may be slow: it reads its own values, say. */
static void count(struct sieve *s, struct passage *p, const struct op *op, const struct msg *m)
{
    uint64_t bytes = sizeof *op + msg_size(m);
    p->bytes += bytes;
    s->bytes += bytes;
    if (s->bytes > pager_limits.passing_bytes)
        brake_hold(&s->brake, op);
}

static void drop_ended(struct sieve *s)
{
    while (s->at < s->count && !s->passed[s->at].waiting) {
        s->at++;
        s->first++;
    }
    if (s->at < s->count)
        return;
    s->at = s->count = 0;
    if (s->cap > KEEP) {
        free(s->passed);
        s->passed = NULL;
        s->cap = 0;
    }
}

bool sieve_is_idle(const struct sieve *s)
{
    return s->at == s->count;
}

static struct msg *own_copy(struct msg *m)
{
    if (!m->store_id)
        return m;
    struct msg *copy = msg_with_header(m, msg_header(m));
    msg_unref(m);
    return copy;
}

/* Where it goes; a duplicate to the alternate exchange. */
static size_t find_targets(struct sieve *s, const struct msg *m, bool known)
{
    const struct queue_def *def = s->queue->def;
    struct vhost *vhost = routing_find_vhost(routing_of(s->tools->shard), def->vhost);
    struct exchange *x = vhost ? vhost_find_exchange(vhost, def->name) : NULL;
    struct target_queue *line = x ? exchange_find_line(x) : NULL;
    if (!line || line->def != def)
        return 0;
    s->tools->route.sifted = x;
    size_t n = line_route(s->tools, vhost, known ? exchange_find_alternate(x) : x, m);
    s->tools->route.sifted = NULL;
    return n;
}

/* Posts the message to what find_targets found. Takes the message and the value. */
static void pass(struct sieve *s, const struct op *from, struct msg *value, bool known)
{
    struct op op = {.kind = OP_ENQUEUE};
    struct op_enqueue *in = op_body(&op, struct op_enqueue);
    uint64_t number = next_number(s);
    struct dedup_place place = {.seq = number + 1};
    *in = *op_body(from, const struct op_enqueue);
    in->msg = own_copy(in->msg);
    in->channel = s->addr;
    in->waiter = ADDR_NONE;
    in->seq = number;
    op.flags =
        (uint16_t)((from->flags & OP_ENQUEUE_EXPIRES) | OP_ENQUEUE_CONFIRM | OP_ENQUEUE_SIFTED |
                   (s->queue->stored && !in->transaction ? OP_ENQUEUE_LETTER : 0));
    const struct route *r = &s->tools->route;
    struct passage *p = add_passage(s);
    *p = (struct passage){
        .from = *from, .value = value, .waiting = (uint32_t)r->count, .known = known};
    count(s, p, from, in->msg);
    if (!known && dedup_key_in(s->passing, value, &place.key))
        dedup_put(s->passing, &place);
    durable_prepare_route(s->tools->shard, in->msg, r);
    line_post(&op, r);
}

/* All have answered. */
static void end_passage(struct sieve *s, uint64_t number)
{
    struct passage p = *passage_of(s, number);
    struct dedup_key key;
    bool refused = p.flags & OP_CONFIRM_NACK || s->queue->dead;
    s->bytes -= p.bytes;
    if (!p.known)
        dedup_drop(s->passing, p.value, number + 1);
    else if (!dedup_key_in(s->passing, p.value, &key) ||
             !queue_has_like(s->queue, &p.from, &key, s->out))
        refused = true;
    if (refused) {
        answer(s, &p.from, p.flags);
        msg_unref(p.value);
    } else {
        take_value(s, &p.from, p.value, p.flags);
    }
    for (size_t i = 0; i < p.kept_count; i++)
        sieve_put(s, &p.kept[i]);
    free(p.kept);
}

static void on_op(void *object, struct op *op)
{
    struct sieve *s = object;
    const struct op_confirm *in = op_body(op, const struct op_confirm);
    bug_on(op->kind != OP_CONFIRM || in->first < s->first || in->last >= next_number(s));
    for (uint64_t number = in->first; number <= in->last; number++) {
        struct passage *p = passage_of(s, number);
        bug_on(!p->waiting);
        p->flags |= op->flags;
        if (!--p->waiting)
            end_passage(s, number);
    }
    drop_ended(s);
    if (s->brake.count && s->bytes <= pager_limits.passing_bytes / 2)
        brake_release(&s->brake);
}

static const struct actor_type sieve_type = {"deduplication", on_op};

/* ---- in ---- */

/* Its value is on its way already. What comes from another such exchange does not wait for it: that
 * one may be what it waits for itself, where exchanges are bound to one another in a circle. */
static void keep(struct sieve *s, struct passage *p, const struct op *op)
{
    if (op->flags & OP_ENQUEUE_SIFTED) {
        if (op->flags & OP_ENQUEUE_CONFIRM)
            s->owner.answer(s->owner.arg, op, false, 0);
        msg_unref(op_body(op, const struct op_enqueue)->msg);
        return;
    }
    MEM_GROW(p->kept, p->kept_cap, p->kept_count + 1);
    p->kept[p->kept_count++] = *op;
    count(s, p, op, op_body(op, const struct op_enqueue)->msg);
}

void sieve_put(struct sieve *s, struct op *op)
{
    struct op_enqueue *in = op_body(op, struct op_enqueue);
    struct msg *m = in->msg, *value = s->queue->dead ? NULL : make_value(s, m);
    struct dedup_key key;
    if (!value) { /* the exchange is gone */
        answer(s, op, 0);
        msg_unref(m);
        return;
    }
    dedup_key_in(s->passing, value, &key);
    const struct dedup_place *same = dedup_find(s->passing, &key, NULL);
    if (same) {
        keep(s, passage_of(s, same->seq - 1), op);
        msg_unref(value);
        return;
    }
    s->owner.expire(s->owner.arg);
    bool known = queue_has_like(s->queue, op, &key, s->out);
    if (find_targets(s, m, known)) {
        pass(s, op, value, known);
        return;
    }
    if (known) {
        take_value(s, op, value, 0);
    } else { /* what reaches no queue is not known afterwards */
        answer(s, op, 0);
        msg_unref(value);
    }
    msg_unref(m);
}

/* ---- the whole ---- */

struct sieve *sieve_new(struct queue *queue, struct deadletters *tools, const struct queue_out *out,
                        const struct sieve_owner *owner)
{
    struct sieve *s = NEW(struct sieve);
    s->queue = queue;
    s->tools = tools;
    s->out = out;
    s->owner = *owner;
    s->ttl = RULES_NONE;
    deduplication_number(queue->def->args, "x-cache-ttl", &s->ttl);
    s->passing = dedup_new();
    s->passing->of_bodies = true;
    s->addr = slot_new(tools->shard, &sieve_type, s);
    return s;
}

void sieve_free(struct sieve **sieve)
{
    struct sieve *s = *sieve;
    *sieve = NULL;
    if (!s)
        return;
    slot_free(s->tools->shard, s->addr);
    for (size_t i = s->at; i < s->count; i++) {
        struct passage *p = &s->passed[i];
        if (!p->waiting)
            continue;
        for (size_t k = 0; k < p->kept_count; k++)
            queue_release_enqueue(&p->kept[k]);
        free(p->kept);
        msg_unref(p->value);
    }
    brake_release(&s->brake);
    free(s->passed);
    dedup_free(&s->passing);
    free(s);
}
