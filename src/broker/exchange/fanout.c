/* fanout: every message goes to every destination. Keys and headers do not matter.
 * Cost: O(destinations) a message, O(1) a bind or unbind. */
#include "base/mem.h"
#include "broker/exchange/dest_list.h"
#include "broker/exchange/exchange.h"

#include <stdlib.h>

static void *fanout_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    (void)args;
    struct dest_list *all = NEW(struct dest_list);
    dest_list_init(all);
    return all;
}

static void fanout_free(void *instance)
{
    dest_list_fini(instance);
    free(instance);
}

static void fanout_bind(void *instance, struct binding *binding)
{
    dest_list_add(instance, binding);
}

static void fanout_unbind(void *instance, struct binding *binding)
{
    dest_list_remove(instance, binding);
}

static void fanout_route(const void *instance, const struct route_input *input,
                         struct route_sink *sink)
{
    (void)input;
    dest_list_route(instance, sink);
}

const struct exchange_type exchange_fanout = {
    .name = "fanout",
    .text = "every message goes to everything that is bound, whatever its routing key",
    .keyless = true,
    .new = fanout_new,
    .free = fanout_free,
    .bind = fanout_bind,
    .unbind = fanout_unbind,
    .route = fanout_route,
};
