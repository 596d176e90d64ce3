/* Answers questions for messages one by one (waiting.h): a part of a queue's actor.
 * Private to this folder. */
#ifndef BROKER_QUEUE_PEEK_H
#define BROKER_QUEUE_PEEK_H

#include "broker/queue/pager.h"
#include "broker/queue/queue_priv.h"
#include "broker/queue/recorder.h"
#include "broker/queue/transfer.h"

struct peeks {
    struct queue *queue;
    struct pager *pager;
    struct recorder *recorder;
    const struct recorded *recorded;
    const struct transfers *transfers;
    struct queue_out *out;
    struct list waiting;                    /* for a page */
    void (*on_change)(struct peeks *peeks); /* out has what is to be performed */
};

/* All but the list is set. */
void peeks_init(struct peeks *p);
/* Who waits is told that there is nothing. */
void peeks_fini(struct peeks *p);
/* WAITING_LIST, WAITING_CANCEL, BROWSE, PICK. */
static inline bool peeks_take(const struct op *op)
{
    return op->kind == OP_WAITING_LIST || op->kind == OP_WAITING_CANCEL || op->kind == OP_BROWSE ||
           op->kind == OP_PICK;
}
void peeks_ask(struct peeks *p, const struct op *op);

#endif
