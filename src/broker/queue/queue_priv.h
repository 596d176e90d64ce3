/* Insides of a queue, for this folder and its tests. */
#ifndef BROKER_QUEUE_QUEUE_PRIV_H
#define BROKER_QUEUE_QUEUE_PRIV_H

#include "base/mem.h"
#include "broker/queue/consumers.h"
#include "broker/queue/queue.h"
#include "broker/queue/rules.h"
#include "broker/queue/unacked.h"

struct queue {
    struct queue_def *def;
    struct rules *rules; /* NULL: a plain queue */
    uint64_t next_seq;
    uint64_t used_ms; /* last use, as x-expires counts it */
    struct ready ready;
    struct ready_garbage garbage; /* purged, to be freed by queue_sweep */
    struct unacked unacked;
    struct consumers consumers;
    bool dead;
    uint64_t published, delivered, acked, redelivered;
};

/* ---- out ---- */
static inline struct op *queue_emit(struct queue_out *out, enum op_symbol kind, struct addr to)
{
    MEM_GROW(out->ops, out->cap, out->count + 1);
    struct op *op = &out->ops[out->count++];
    *op = (struct op){.kind = (uint16_t)kind, .to = to};
    return op;
}

static inline void queue_effect(struct queue_out *out, enum effect_kind kind,
                                const struct ready_entry *e)
{
    struct effect_log *log = out->log;
    if (!log)
        return;
    MEM_GROW(log->effects, log->cap, log->count + 1);
    log->effects[log->count++] = (struct effect){.kind = kind,
                                                 .seq = e->seq,
                                                 .msg = e->msg,
                                                 .expiry = e->expiry,
                                                 .delivery_count = e->delivery_count};
}

/* The publish is answered; answers in a row are joined until queue_out_flush. */
void queue_confirm(struct queue_out *out, struct addr channel, uint64_t seq, bool refused);
/* Emits what is joined so far. */
void queue_out_flush(struct queue_out *out);

/* The queue takes no more messages; what it holds is freed bit by bit (queue_sweep). reply: the
 * master is to be told, and answers this; NULL: it knows. */
void queue_die(struct queue *q, const struct op_queue_query *reply, struct queue_out *out);

/* ---- quorum.c ---- */
static inline bool quorum_is(const struct queue *q)
{
    return q->def->type == QUEUE_QUORUM;
}
/* A copy that tells how often the message was returned. */
struct msg *quorum_counted(struct msg *m, uint32_t delivery_count);
/* A client returned it. */
void quorum_return(struct queue *q, struct ready_entry *e, struct queue_out *out);

/* ---- bounds.c ---- */
/* Nothing plain about the queue or the message: limits are looked at. */
static inline bool bounds_apply(const struct queue *q)
{
    return q->rules || q->ready.expiry;
}
/* When a message that comes now expires, 0 = never. */
uint64_t bounds_expiry(const struct queue *q, const struct msg *m, uint64_t now_ms);
/* No room for the message, and the queue rejects. */
bool bounds_refuse(const struct queue *q, const struct msg *m);
/* Within limits again after messages came or came back: drops at the head, then what expired. */
void bounds_enforce(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* A portion of what expired. */
void bounds_expire(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* More expired than that portion. */
static inline bool bounds_due(const struct queue *q, uint64_t now_ms)
{
    uint64_t first = ready_next_expiry(&q->ready);
    return first && first <= now_ms;
}
/* A message that is neither ready nor unacknowledged any more leaves as a dead letter, if the queue
 * keeps those. */
void bounds_bury(struct queue *q, struct msg *m, enum death death, struct queue_out *out);
/* The queue itself was not used for too long. */
bool bounds_unused(const struct queue *q, uint64_t now_ms);
/* When to call queue_tick, 0 = never. */
uint64_t bounds_deadline(const struct queue *q);

#endif
