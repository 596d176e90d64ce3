/* Publishers who are told to wait: a queue takes what they send, but cannot go on with it yet.
 * Their channels leave further publishes in the socket until they are let go; what is on its way
 * comes still. Private to this folder. */
#ifndef BROKER_QUEUE_BRAKE_H
#define BROKER_QUEUE_BRAKE_H

#include "shard/op.h"

#include <stddef.h>

struct brake {
    struct addr *channels; /* that wait; each once */
    size_t count, cap;
};

/* The publish came too early: who sent it is to wait, if that is a channel. */
void brake_hold(struct brake *b, const struct op *enqueue);
/* All go on. */
void brake_release(struct brake *b);

#endif
