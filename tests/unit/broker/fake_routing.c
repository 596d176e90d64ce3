#include "fake_routing.h"

#include "base/bug.h"
#include "base/mem.h"

#include <stdlib.h>

void fake_init(struct routing *routing)
{
    *routing = (struct routing){.vhost = NEW(struct vhost)};
    for (unsigned i = 0; i < FAKE_MAX; i++)
        routing->vhost->names[i] = slice_str(mem_printf("q%u", i));
}

void fake_fini(struct routing *routing)
{
    struct vhost *vhost = routing->vhost;
    for (unsigned i = 0; i < vhost->exchange_count; i++)
        vhost->exchanges[i].type->free(vhost->exchanges[i].instance);
    for (unsigned i = 0; i < FAKE_MAX; i++)
        slice_free(&vhost->names[i]);
    free(vhost);
}

struct exchange *fake_exchange(struct routing *routing, const struct exchange_type *type)
{
    struct vhost *vhost = routing->vhost;
    bug_on(vhost->exchange_count == FAKE_MAX);
    struct exchange *x = &vhost->exchanges[vhost->exchange_count++];
    x->type = type;
    x->instance = type->new (type, SLICE_EMPTY);
    return x;
}

void fake_bind(struct routing *routing, struct exchange *from, struct destination to,
               const char *key)
{
    struct vhost *vhost = routing->vhost;
    bug_on(vhost->binding_count == FAKE_MAX);
    struct binding *binding = &vhost->bindings[vhost->binding_count++];
    *binding = (struct binding){.to = to, .key = slice_str(key)};
    from->bound = true;
    from->type->bind(from->instance, binding);
}

struct target_queue *vhost_find_queue(const struct vhost *vhost, struct slice name)
{
    struct vhost *v = (struct vhost *)vhost;
    for (unsigned i = 0; i < FAKE_MAX; i++) {
        if (slice_eq(v->names[i], name))
            return &v->queues[i];
    }
    return NULL;
}

const struct exchange_type *exchange_get_type(const struct exchange *exchange)
{
    return exchange->type;
}

struct target_queue *exchange_find_line(struct exchange *exchange)
{
    return exchange->line;
}

bool exchange_is_bound(const struct exchange *exchange)
{
    return exchange->bound;
}

const void *exchange_get_instance(const struct exchange *exchange)
{
    return exchange->instance;
}

struct exchange *exchange_find_alternate(struct exchange *exchange)
{
    return exchange->alternate;
}

uint32_t routing_next_stamp(struct routing *routing)
{
    if (++routing->stamp == 0) {
        for (unsigned i = 0; i < FAKE_MAX; i++)
            routing->vhost->queues[i].stamp = routing->vhost->exchanges[i].stamp = 0;
        routing->stamp = 1;
    }
    return routing->stamp;
}

uint32_t *exchange_stamp(struct exchange *exchange)
{
    return &exchange->stamp;
}
