/* The kinds of op between connections, channels, queues and the metadata master, and their bodies.
 * Rows are in ops.def; broker/ops.c makes the node's table of them. */
#ifndef META_OPS_H
#define META_OPS_H

#include "shard/op.h"

struct msg;
struct queue_def;
struct meta_request;
struct meta_change;
struct consume_request;

enum { OP_FIRST = 8 };

enum op_symbol {
    OP_BEFORE_ = OP_FIRST - 1,
#define OP(symbol, label, release) OP_##symbol,
#include "meta/ops.def"
#undef OP
    OP_END
};

/* META_REQUEST, META_REPLY: owns the request. */
struct op_meta {
    struct meta_request *request;
};

/* META_CHANGE: owns one reference. */
struct op_change {
    struct meta_change *change;
};

/* QUEUE_CREATE: owns one reference of the definition. op.to is the shard's queue maker. */
struct op_queue_create {
    struct queue_def *def;
};

/* ENQUEUE: owns one reference of the message. seq: the channel's publish sequence number, answered
 * by CONFIRM if OP_ENQUEUE_CONFIRM is set. waiter: who gets PUBLISH_WAIT, a channel or the queue
 * that a dead letter left; none: nobody. op.n: the low bits of the version of the replica that it
 * was routed by, 0: not known. */
struct op_enqueue {
    struct msg *msg;
    struct addr channel;
    uint64_t seq;
    struct addr waiter;
    uint64_t transaction; /* 0: none; else it counts once that is committed */
};
enum {
    OP_ENQUEUE_CONFIRM = 1,
    OP_ENQUEUE_EXPIRES = 2, /* the message has an expiration */
    OP_ENQUEUE_LETTER = 4,  /* a dead letter: answered as soon as it has its place in the log */
    OP_ENQUEUE_SIFTED = 8,  /* it passed a deduplicating exchange */
    OP_ENQUEUE_MOVED = 16   /* by an operator, out of another queue: it is not refused */
};

/* A dead letter on its way between queues: one that is gone refuses it, where a publish is
 * confirmed. */
static inline bool op_enqueue_is_letter(const struct op *op)
{
    return (op->flags & (OP_ENQUEUE_LETTER | OP_ENQUEUE_SIFTED)) == OP_ENQUEUE_LETTER;
}

/* CONFIRM: publishes first..last of the channel are safe (or refused: OP_CONFIRM_NACK). */
struct op_confirm {
    uint64_t first, last;
};
enum { OP_CONFIRM_NACK = 1, OP_CONFIRM_LOGGED = 2 /* records of the transaction were made */ };

/* PUBLISH_WAIT: each is followed by one with OP_PUBLISH_GO_ON. */
enum { OP_PUBLISH_GO_ON = 1 };

/* DELIVER (to a consumer) and GET_OK: owns one reference of the message. op.n
 * is the consumer's number on its channel. slot is the queue's name for the unacknowledged message,
 * SLOT_NO_ACK if none is kept. */
struct op_deliver {
    struct msg *msg;
    struct addr queue;
    uint64_t seq;
    uint32_t slot;
    uint32_t remaining; /* GET_OK: messages left */
    uint64_t delivery_count;
};
enum { OP_DELIVER_REDELIVERED = 1, OP_DELIVER_STORED = 2 /* its settlement will be too */ };
enum { SLOT_NO_ACK = 0xffffffffu };

/* REPLY, to the front of the listener's shard, and UNROUTABLE, its answer where nobody listens: own
 * one reference of the message. listener and secret are as some client wrote them. A checked reply
 * was published with mandatory set: the asker gets CONFIRM for seq (if that is not 0) or
 * UNROUTABLE. Without a message it is the question whether anybody listens, answered by QUERY_REPLY
 * as STAT. */
struct op_reply {
    struct msg *msg;
    struct addr listener;
    uint64_t secret;
    struct addr asker; /* channel */
    uint64_t seq;
};
enum { OP_REPLY_CHECKED = 1 };

/* TX_BARRIER: op_enqueue without a message; answered by CONFIRM when what was posted before in the
 * transaction is in the log. */

/* SETTLE: op.n slots, inline or in a heap array that the op owns. */
enum settle_how {
    SETTLE_ACK,
    SETTLE_REJECT,
    SETTLE_REQUEUE,
    SETTLE_FAILED, /* given back since its consumer failed with it, or is gone */
    SETTLE_RETURN_UNSEEN
};
enum { SETTLE_INLINE = 8 };
struct op_settle {
    uint32_t *slots; /* NULL: inline_slots */
    uint64_t transaction;
    uint32_t inline_slots[SETTLE_INLINE];
};
/* op.flags holds enum settle_how. RETURN_UNSEEN: the client never saw it, redelivered stays as it
 * was. */

/* CREDIT (op.n more messages may be sent; OP_CREDIT_RESUME: and the pause is over), CANCEL, and the
 * answers to CANCEL and CONSUME, which name the channel's number in op.n. */
struct op_consumer {
    uint32_t consumer; /* the queue's number */
    uint32_t serial;   /* against reuse of the number */
    struct addr queue, channel;
    uint32_t code; /* CONSUME_REPLY: enum err */
    uint32_t why;  /* CONSUME_REPLY: enum consume_refusal */
};
enum { OP_CREDIT_RESUME = 1 };
enum { OP_CANCEL_SILENT = 1 }; /* nobody waits for CANCEL_OK */
enum consume_refusal { CONSUME_REFUSED_NOT, CONSUME_REFUSED_EXCLUSIVE, CONSUME_REFUSED_GONE };

/* CONSUME: owns the request (broker/queue/consumers.h). */
struct op_consume {
    struct consume_request *request;
};

/* GET, PURGE, STAT, DELETE and their answers (op.n of an answer: the kind that asked);
 * WAITING_LIST, which is answered by WAITING_PAGE, and WAITING_CANCEL: cookie is the id
 * (broker/queue/waiting.h); BROWSE, which is answered by WAITING_PAGE: cookie is the first number,
 * of the level op.n. */
struct op_queue_query {
    struct addr reply_to;
    uint64_t connection; /* id of the asker, for exclusive queues */
    uint32_t messages;   /* answers: ready messages (or purged, or deleted) */
    uint32_t consumers;
    uint32_t code;   /* answers: enum err, 0 = done */
    uint32_t why;    /* answers: enum queue_refusal */
    uint64_t cookie; /* comes back as it was */
};
enum { OP_GET_NO_ACK = 1 };
enum { OP_DELETE_IF_UNUSED = 1, OP_DELETE_IF_EMPTY = 2 };

/* QUEUE_GONE: the queue marked itself dead (deleted by a client, or auto-delete): the master
 * unroutes it, posts QUEUE_DESTROY back and, if reply.reply_to is set, answers the asker with
 * QUERY_REPLY (OP_DELETE's) carrying reply. */
struct op_queue_gone {
    struct op_queue_query reply;
    struct addr queue;
};
_Static_assert(sizeof(struct op_queue_gone) <= OP_BODY_SIZE, "fits an op");

enum queue_refusal {
    QUEUE_REFUSED_NOT,
    QUEUE_REFUSED_IN_USE,
    QUEUE_REFUSED_NOT_EMPTY,
    QUEUE_REFUSED_GONE
};
/* SESSION_CLOSE (the reason), TRACE_LINE: owns the text. SESSION_TRACE's body is the struct addr
 * that gets the lines, none = off. */
struct op_text {
    char *text;
};

void meta_release_request(struct op *op);
void meta_release_reply(struct op *op);
void meta_release_change(struct op *op);

#endif
