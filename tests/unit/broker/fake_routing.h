/* A routing replica made by hand, in place of the real one of meta/routing.c: what route.c reads of
 * it, and no more. */
#ifndef FAKE_ROUTING_H
#define FAKE_ROUTING_H

#include "meta/routing.h"

enum { FAKE_MAX = 256 };

struct exchange {
    const struct exchange_type *type;
    void *instance;
    struct exchange *alternate;
    struct target_queue *line; /* NULL: it has none */
    bool bound;
    uint32_t stamp;
};

struct vhost {
    struct target_queue queues[FAKE_MAX]; /* named "q0", "q1", ... */
    struct exchange exchanges[FAKE_MAX];
    struct binding bindings[FAKE_MAX];
    unsigned exchange_count, binding_count;
    struct slice names[FAKE_MAX]; /* of the queues; empty: there is no such queue */
};

struct routing {
    uint32_t stamp;
    struct vhost *vhost;
};

void fake_init(struct routing *routing);
void fake_fini(struct routing *routing);
struct exchange *fake_exchange(struct routing *routing, const struct exchange_type *type);
void fake_bind(struct routing *routing, struct exchange *from, struct destination to,
               const char *key);

#endif
