/* Answers questions for what waits, message by message (waiting.h): a part of a queue's actor.
 * Private to this folder. */
#ifndef BROKER_QUEUE_PEEK_H
#define BROKER_QUEUE_PEEK_H

#include "broker/queue/pager.h"
#include "broker/queue/queue_priv.h"
#include "broker/queue/recorder.h"

struct peeks {
    struct queue *queue;
    struct pager *pager;
    struct recorder *recorder;
    struct queue_out *out;
    struct list waiting;                    /* for a page */
    void (*on_change)(struct peeks *peeks); /* out has what is to be performed */
};

void peeks_init(struct peeks *p, struct queue *q, struct pager *pager, struct recorder *recorder,
                struct queue_out *out, void (*on_change)(struct peeks *peeks));
/* Who waits is told that there is nothing. */
void peeks_fini(struct peeks *p);
/* WAITING_LIST or WAITING_CANCEL. */
void peeks_ask(struct peeks *p, const struct op *op);

#endif
