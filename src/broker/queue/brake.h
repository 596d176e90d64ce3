/* Publishers who are told to wait: a queue takes what they send, but cannot go on with it yet. A
 * channel leaves further publishes in the socket until it is let go. So does a queue whose dead
 * letters, or delayed messages, these are with its messages: it lets none of them expire, hands
 * none to consumers, and makes those wait in turn who publish to it. What is on its way comes
 * still. Private to this folder. */
#ifndef BROKER_QUEUE_BRAKE_H
#define BROKER_QUEUE_BRAKE_H

#include "shard/op.h"

#include <stddef.h>

struct brake {
    struct addr *waiters; /* each once */
    size_t count, cap;
};

/* The publish came too early: its waiter, if it has one, is to wait. */
void brake_hold(struct brake *b, const struct op *enqueue);
/* All go on. */
void brake_release(struct brake *b);

#endif
