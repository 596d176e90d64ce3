/* Insides of a queue, for this folder and its tests. */
#ifndef BROKER_QUEUE_QUEUE_PRIV_H
#define BROKER_QUEUE_QUEUE_PRIV_H

#include "base/err.h"
#include "base/mem.h"
#include "broker/queue/ahead.h"
#include "broker/queue/consumers.h"
#include "broker/queue/dedup.h"
#include "broker/queue/queue.h"
#include "broker/queue/rules.h"
#include "broker/queue/unacked.h"

/* Of a queue that has, or had, messages which are not in memory. */
struct paging {
    struct op *gets; /* that wait for the first message, from get_at */
    size_t get_at, get_count, get_cap;
    bool reading;                                   /* a request is under way, for */
    enum { READ_FIRST, READ_INDEX, READ_DUE } what; /* or the last one was */
    bool blocked;   /* as of the last step: the first message is not in memory */
    uint16_t level; /* its level, ticket, first number, time */
    uint64_t ticket, from, asked_ms;
    uint64_t losses; /* counts when messages left an extent */
    /* what expires soon: a sweep over the extents finds it, portion by portion (overdue.c) */
    struct {
        bool on;
        bool crowded; /* there was less room than it would take */
        unsigned level;
        uint64_t from, until; /* the next number; a time */
        uint64_t ms;          /* how far the last one looked ahead, 0: there was none */
    } sweep;
    struct wanted *wanted; /* of READ_DUE: those found and not read, by number */
    uint64_t *seqs;        /* their numbers */
    uint32_t wanted_count;
    size_t wanted_cap;
    uint16_t wanted_level;
    uint64_t wanted_first; /* none of them expires before */
    struct ahead ahead;    /* those that were read */
    struct {
        uint64_t expiry, seq; /* no message of an extent that keeps its order is due before */
        bool stale;           /* or even later */
    } order;
};

/* How a message was given to a client. */
enum given { GIVEN, GIVEN_NO_ACK, GOT, GOT_NO_ACK, GIVEN_WAYS };

struct queue {
    struct queue_def *def;
    struct applied applied; /* references */
    struct rules *rules;    /* NULL: a plain queue */
    uint64_t next_seq;
    uint64_t used_ms;   /* last use, as x-expires counts it */
    uint64_t active_ms; /* last op, for those who look */
    bool stored;        /* persistent messages are */
    /* Seqs above certain up to doubtful may be of transactions that are open. Those up to marked
     * are not once all are closed whose number is below mark. */
    uint64_t certain, doubtful, marked, mark;
    bool transactional; /* the step under way */
    struct ready ready;
    struct ready_garbage garbage; /* purged, to be freed by queue_sweep */
    struct paging *paging;        /* NULL: all was always in memory */
    struct pace *pace;            /* NULL: it is short */
    struct dedup *dedup;          /* NULL: it does not look for duplicates */
    struct unacked unacked;
    struct consumers consumers;
    bool dead;
    unsigned halts; /* queues that its dead letters go to and that have to catch up (brake.h) */
    uint64_t published, acked, redelivered, get_empty;
    uint64_t given[GIVEN_WAYS];
};

static inline uint64_t queue_given(const struct queue *q)
{
    return q->given[GIVEN] + q->given[GIVEN_NO_ACK] + q->given[GOT] + q->given[GOT_NO_ACK];
}

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
    if (!log || !(e->stored || log->all))
        return;
    MEM_GROW(log->effects, log->cap, log->count + 1);
    log->effects[log->count++] =
        (struct effect){.kind = kind,
                        .seq = e->seq,
                        .last = e->seq,
                        .msg = kind == EFFECT_ENQ ? msg_ref_n(e->msg, 1) : NULL,
                        .expiry = e->expiry,
                        .level = e->level,
                        .stored = e->stored,
                        .own = out->own,
                        .delivery_count = e->delivery_count};
}

/* A message that is given back gets another place. That is no part of a transaction: it may leave
 * the new place before the commit is in the log, and then it must not have the old one again. */
static inline void queue_effect_move(struct queue_out *out, const struct ready_entry *to,
                                     const struct ready_entry *from)
{
    bool own = out->own;
    out->own = false;
    queue_effect(out, EFFECT_ENQ, to);
    queue_effect(out, EFFECT_SETTLE, from);
    out->own = own;
}

/* A message leaves the queue, whatever for. */
static inline void queue_leave(struct queue *q, const struct msg *m, uint64_t seq)
{
    if (__builtin_expect(q->dedup != NULL, 0))
        dedup_drop(q->dedup, m, seq);
}

/* Somebody has to look at each message that leaves. */
static inline bool queue_looks_at_all(const struct queue *q)
{
    return q->ready.later || (q->rules && (q->rules->dead_letters || q->rules->deduplicates));
}

/* Everything that is ready goes. */
void queue_effect_purge(const struct queue *q, struct queue_out *out);

/* The publish is answered; answers in a row are joined until queue_out_flush. */
void queue_confirm(struct queue_out *out, enum confirm_when when, struct addr channel, uint64_t seq,
                   uint16_t flags);
/* Emits what is joined so far, to ops and to held. */
void queue_out_flush(struct queue_out *out);

/* A message with that value would be dropped as a duplicate. Of a queue that deduplicates. */
bool queue_has_like(const struct queue *q, const struct op *op, const struct dedup_key *key,
                    const struct queue_out *out);

/* Answers a get; false: the first message is not in memory. */
bool queue_get(struct queue *q, const struct op *op, uint64_t now_ms, struct queue_out *out);
/* The level of its priority. */
uint8_t queue_level_of(const struct queue *q, const struct msg *m);
/* A message that was in the queue, but not ready, as before: goes to a consumer, or is ready. */
void queue_arrive(struct queue *q, struct ready_entry *e, const struct ready_entry *before,
                  struct queue_out *out);
/* The answer to a question that is refused. */
void queue_refuse(const struct op *op, enum err code, enum queue_refusal why,
                  struct queue_out *out);
/* Sends what consumers can take. */
void queue_dispatch(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* At the end of each step. */
void queue_finish(struct queue *q, uint64_t now_ms, struct queue_out *out);

/* The queue takes no more messages; what it holds is freed bit by bit (queue_sweep). reply: the
 * master is to be told, and answers this; NULL: it knows. */
void queue_die(struct queue *q, const struct op_queue_query *reply, struct queue_out *out);

/* ---- quorum.c ---- */
static inline bool quorum_is(const struct queue *q)
{
    return q->def->type == QUEUE_QUORUM;
}
/* It tells clients how often a message was returned: as a quorum queue, or because that is limited.
 */
static inline bool quorum_counts(const struct queue *q)
{
    return quorum_is(q) || (q->rules && q->rules->delivery_limit != RULES_NONE);
}
/* A copy that tells it. */
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
/* More than the limits allow, and the first have to go. */
bool bounds_over(const struct queue *q);
/* Within limits again after messages came or came back: drops at the head, then what expired. */
void bounds_enforce(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* A portion of what expired. */
void bounds_expire(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* The end of a message that is neither ready nor unacknowledged any more: it leaves as a dead
 * letter, if the queue keeps those. Consumes its reference. */
void bounds_bury(struct queue *q, const struct ready_entry *e, enum death death,
                 struct queue_out *out);
/* The same of one that is a dead letter already, and was tried so often. */
void bounds_send(struct queue *q, const struct ready_entry *e, enum death death, uint32_t tries,
                 struct queue_out *out);
/* Likewise of one that an operator takes out: it moves to another queue, of which this takes the
 * reference, or is gone (to is NULL). */
void bounds_let_go(struct queue *q, const struct ready_entry *e, struct queue_def *to,
                   struct queue_out *out);
/* It has not come there: it is in the queue again as it was, or waits there for the same time, but
 * behind all others. Takes the message; its number. */
uint64_t bounds_take_back(struct queue *q, const struct dead_letter *moved, struct queue_out *out);
/* As bounds_bury, of one that never came to be in the queue. */
void bounds_bury_refused(struct queue *q, struct msg *m, struct queue_out *out);
/* The queue itself was not used for too long. */
bool bounds_unused(const struct queue *q, uint64_t now_ms);
/* When to call queue_tick, 0 = never. */
uint64_t bounds_deadline(const struct queue *q);

/* ---- paging.c ---- */
/* At the end of a step: answers gets, sends full chunks away, asks for what is needed next. */
void paging_step(struct queue *q, uint64_t now_ms, struct queue_out *out);
static inline bool paging_is_due(const struct queue *q)
{
    return q->paging || q->ready.filled;
}
/* Gets wait already. */
static inline bool paging_has_gets(const struct queue *q)
{
    return q->paging && q->paging->get_count > q->paging->get_at;
}
void paging_keep_get(struct queue *q, const struct op *op);
/* All numbers so far, and one that no message ever gets: what comes later is of later steps. */
void paging_doubt(struct queue *q);
/* The messages are gone, by purge or with the queue. */
void paging_forget(struct queue *q);
void paging_free(struct paging **p);
void paging_refuse_gets(struct queue *q, struct queue_out *out);
/* The first messages are too many and not in memory: drops a whole extent; false: it must be looked
 * at first. */
bool paging_drop_first(struct queue *q, struct queue_out *out);

/* ---- order.c ---- */
/* What is in memory expires, or has waited long enough: about a chunk. */
unsigned order_expire(struct queue *q, struct ready_pool *pool, uint64_t now_ms,
                      struct ready_entry ret_entries[READY_CHUNK_ENTRIES]);
uint64_t order_deadline_in_line(const struct queue *q);
/* When the first of that does, 0 = never, or not before something was read. */
static inline uint64_t order_deadline(const struct queue *q)
{
    uint64_t next = ready_next_expiry(&q->ready), line;
    if (!q->ready.later && !(q->rules && q->rules->line))
        return next;
    line = order_deadline_in_line(q);
    return q->ready.later && next && (!line || next < line) ? next : line;
}
/* It is time; also for those that a step left for the next. */
static inline bool bounds_due(const struct queue *q, uint64_t now_ms)
{
    uint64_t first = order_deadline(q);
    return first && first <= now_ms;
}

/* ---- overdue.c ---- */
/* Lets go of what expired, or has waited long enough, and is not in memory: about a portion; how
 * many. */
unsigned overdue_expire(struct queue *q, uint64_t now_ms, unsigned portion, struct queue_out *out);
/* Takes out one, as bounds_let_go, that the store had when struct paging counted so many losses.
 * False: it is not there any more, and to is left alone; *ret_again: or is on its way into memory,
 * or may have left since, to be looked for again. */
bool overdue_cancel(struct queue *q, const struct ready_entry *e, uint64_t losses,
                    struct queue_def *to, struct queue_out *out, bool *ret_again);
/* When to look for expired messages that are not in memory, 0 = never. */
uint64_t overdue_deadline(const struct queue *q);
/* When the first of a level expires, at the earliest, 0 = never. */
uint64_t overdue_next(const struct queue *q, unsigned level);

#endif
