#include "broker/queue/brake.h"

#include "base/mem.h"
#include "meta/ops.h"
#include "shard/shard.h"

#include <stdlib.h>

void brake_hold(struct brake *b, const struct op *enqueue)
{
    struct addr waiter = op_body(enqueue, const struct op_enqueue)->waiter;
    if (addr_is_none(waiter))
        return;
    for (size_t i = b->count; i-- > 0;) {
        if (addr_eq(b->waiters[i], waiter))
            return;
    }
    MEM_GROW(b->waiters, b->cap, b->count + 1);
    b->waiters[b->count++] = waiter;
    post(&(struct op){.to = waiter, .kind = OP_PUBLISH_WAIT});
}

void brake_release(struct brake *b)
{
    for (size_t i = 0; i < b->count; i++)
        post(&(struct op){.to = b->waiters[i], .kind = OP_PUBLISH_WAIT, .flags = OP_PUBLISH_GO_ON});
    free(b->waiters);
    *b = (struct brake){0};
}
