#include "broker/queue/brake.h"

#include "base/mem.h"
#include "meta/ops.h"
#include "shard/shard.h"

#include <stdlib.h>

void brake_hold(struct brake *b, const struct op *enqueue)
{
    struct addr channel = op_body(enqueue, const struct op_enqueue)->channel;
    if (!(enqueue->flags & OP_ENQUEUE_WAITS))
        return;
    for (size_t i = b->count; i-- > 0;) {
        if (addr_eq(b->channels[i], channel))
            return;
    }
    MEM_GROW(b->channels, b->cap, b->count + 1);
    b->channels[b->count++] = channel;
    post(&(struct op){.to = channel, .kind = OP_PUBLISH_WAIT});
}

void brake_release(struct brake *b)
{
    for (size_t i = 0; i < b->count; i++)
        post(
            &(struct op){.to = b->channels[i], .kind = OP_PUBLISH_WAIT, .flags = OP_PUBLISH_GO_ON});
    free(b->channels);
    *b = (struct brake){0};
}
