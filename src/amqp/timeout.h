/* Time limits of acknowledgements. A delivery that has one bears the second at which it is late; a
 * channel knows the first of these, and is looked at once a second while there are any. Without a
 * limit a delivery costs one branch. */
#ifndef AMQP_TIMEOUT_H
#define AMQP_TIMEOUT_H

#include "base/list.h"
#include "base/slice.h"
#include "shard/op.h"

#include <stddef.h>

struct amqp_shard;
struct channel;
struct queue_def;
struct unacked_tag;

/* Of a channel. */
struct timeouts {
    struct list link; /* in amqp_shard.timed, or alone */
    uint32_t next;    /* none is late before that second */
    struct timed_queue {
        struct addr queue;
        uint64_t ms;
    } * queues; /* what their deliveries were given, for the text of the error */
    size_t count, cap;
};

void timeout_init(struct amqp_shard *a);
/* What counts for a delivery of that queue, 0: no limit. args: of basic.consume. This is the one
 * place that knows where limits come from. */
uint64_t timeout_of(const struct amqp_shard *a, const struct queue_def *def, struct slice args);
/* Consumers get the limit that timeout_of says now, for what they are sent from then on. */
void timeout_refresh(struct amqp_shard *a);
/* The delivery was just sent. */
void timeout_start(struct channel *ch, struct unacked_tag *entry, uint64_t ms);
/* The channel holds nothing any more. */
void timeout_forget(struct channel *ch);

#endif
