/* What is done to messages as they come and as they go. */
#ifndef AMQP_INTERCEPT_H
#define AMQP_INTERCEPT_H

#include "amqp/channel_priv.h"

/* Headers that the configuration asks for. Both put a copy in place of the message. */
void intercept_publish(struct channel *ch, struct msg **msg);
void intercept_delivery(struct channel *ch, struct msg **msg);
/* Asks the hook; false: it was refused. */
bool intercept_ask(struct channel *ch, struct msg **msg, struct failure *why);
/* The same, where there is a hook. */
static inline bool intercept_incoming(struct channel *ch, struct msg **msg, struct failure *why)
{
    const struct amqp_options *o = &ch->amqp->options;
    if (__builtin_expect(o->intercept.timestamp | o->intercept.routing_node, 0))
        intercept_publish(ch, msg);
    return __builtin_expect(!ch->amqp->hook, 1) || intercept_ask(ch, msg, why);
}
static inline void intercept_outgoing(struct channel *ch, struct msg **msg)
{
    if (__builtin_expect(ch->amqp->options.intercept.sent_time, 0))
        intercept_delivery(ch, msg);
}

#endif
