/* x-random and x-local-random: each message goes to one binding, taken at random, each with the
 * same chance. The second one takes only classic queues, bound with an empty key: those of this
 * node, which on one node are all.
 * Cost: O(1) a message, a bind or an unbind. */
#include "base/random.h"

#include "base/buf.h"
#include "base/mem.h"
#include "broker/exchange/dest_list.h"
#include "broker/exchange/exchange.h"
#include "meta/args.h"
#include "meta/routing.h"

#include <stdlib.h>

struct chance {
    struct dest_list all;
    uint64_t state; /* of the generator, never 0 */
};

static void *chance_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    (void)args;
    struct chance *c = NEW(struct chance);
    dest_list_init(&c->all);
    c->state = random_u64() | 1;
    return c;
}

static void chance_free(void *instance)
{
    struct chance *c = instance;
    dest_list_fini(&c->all);
    free(c);
}

static void chance_bind(void *instance, struct binding *binding)
{
    dest_list_add(&((struct chance *)instance)->all, binding);
}

static void chance_unbind(void *instance, struct binding *binding)
{
    dest_list_remove(&((struct chance *)instance)->all, binding);
}

/* xorshift64*: its high half is good enough to share work out. */
static uint32_t next_number(struct chance *c)
{
    c->state ^= c->state >> 12;
    c->state ^= c->state << 25;
    c->state ^= c->state >> 27;
    return (uint32_t)(c->state * UINT64_C(2685821657736338717) >> 32);
}

static void chance_route(const void *instance, const struct route_input *input,
                         struct route_sink *sink)
{
    struct chance *c = (struct chance *)instance;
    (void)input;
    if (c->all.count)
        sink->found(sink, &c->all.items[(uint64_t)next_number(c) * c->all.count >> 32].to);
}

static void chance_tell(const void *instance, const struct route_input *input, struct buf *out)
{
    const struct chance *c = instance;
    (void)input;
    if (c->all.count > 1)
        buf_printf(out, "one of the %u bindings, taken anew at random for each message",
                   c->all.count);
}

static enum err local_validate_binding(const struct exchange_type *self, struct slice key,
                                       struct slice args, struct failure *why)
{
    (void)self;
    (void)args;
    if (!key.len)
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED, "Non empty binding '%.*s' key not permitted",
                       SLICE_ARG(key));
}

static enum err local_validate_destination(const struct destination *to, struct failure *why)
{
    if (!to->queue)
        return failure_set(why, ERR_PRECONDITION_FAILED, "Destination not found");
    if (to->queue->def->type == QUEUE_CLASSIC)
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "Queue type rabbit_%s_queue not valid for this exchange type",
                       args_queue_type_name(to->queue->def->type));
}

const struct exchange_type exchange_random = {
    .name = "x-random",
    .text = "a message goes to one binding, taken at random",
    .keyless = true,
    .by_chance = true,
    .new = chance_new,
    .free = chance_free,
    .bind = chance_bind,
    .unbind = chance_unbind,
    .route = chance_route,
    .tell = chance_tell,
};

const struct exchange_type exchange_local_random = {
    .name = "x-local-random",
    .text = "a message goes to one of the node's classic queues that are bound, with an empty "
            "binding key, taken at random",
    .keyless = true,
    .by_chance = true,
    .validate_binding = local_validate_binding,
    .validate_destination = local_validate_destination,
    .new = chance_new,
    .free = chance_free,
    .bind = chance_bind,
    .unbind = chance_unbind,
    .route = chance_route,
    .tell = chance_tell,
};
