/* The messages of a queue one by one, wherever they are: listed in pages, taken out by their
 * numbers. What waits for its time in a queue or a delay line (WAITING_), or any that no consumer
 * holds (BROWSE, PICK). What is in the store alone is read for it; nothing else changes by being
 * looked at. */
#ifndef BROKER_QUEUE_WAITING_H
#define BROKER_QUEUE_WAITING_H

#include "base/err.h"
#include "shard/op.h"

#include <stdbool.h>

enum {
    WAITING_PAGE = 100,
    WAITING_FIRST = 0xffff, /* BROWSE: the level whose messages are delivered first */
    WAITING_LEVELS = 257    /* levels are below */
};

struct msg;
struct queue_def;

struct waiting_message {
    uint64_t id;     /* its number there; it has another one whenever it comes to wait again */
    uint64_t due_ms; /* until it is ready, or expires; of one that does not expire 0 */
    uint32_t delivery_count;
    bool expires, redelivered;
    struct msg *msg; /* one reference */
};
struct waiting_page {
    uint64_t next;  /* id to go on with; 0: that was all of the level, */
    unsigned level; /* and this one comes next; WAITING_LEVELS: none does */
    unsigned asked; /* the level of these */
    bool waits;     /* they do, for their time */
    unsigned count;
    struct waiting_message messages[WAITING_PAGE];
};
void waiting_page_free(struct waiting_page **page);
/* WAITING_PAGE: owns the page. */
struct op_waiting {
    struct waiting_page *page;
};
void waiting_release_page(struct op *op);
/* PICK: one message that is ready or waits, and is in nobody's hands, leaves: for good, or for
 * another queue, whose limits do not refuse it. It is in one of both at any moment, also after a
 * crash. Answered as a query, with the number as cookie. */
struct op_pick {
    struct addr reply_to;
    uint64_t seq;
    struct queue_def *to; /* one reference; NULL: it is dropped */
    uint32_t level;
};
_Static_assert(sizeof(struct op_pick) <= OP_BODY_SIZE, "fits an op");
void waiting_release_pick(struct op *op);

#endif
