/* A hook that looks at what clients publish, before it is routed; at most one on a shard. */
#ifndef AMQP_HOOK_H
#define AMQP_HOOK_H

#include "base/err.h"
#include "base/slice.h"

struct msg;
struct shard;

struct amqp_publisher {
    struct slice user, vhost;
};

struct amqp_hook {
    /* May put a copy in place of the message. Refused: the channel is closed with why. */
    enum err (*on_publish)(struct amqp_hook *hook, const struct amqp_publisher *by,
                           struct msg **msg, struct failure *why);
};

/* NULL: none. On the shard, or before its loop runs. */
void amqp_set_hook(struct shard *shard, struct amqp_hook *hook);

#endif
