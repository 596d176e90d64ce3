/* ev_async behind an opaque handle. */
#include "shard/bell.h"

#include "base/mem.h"
#include "shard/shard_priv.h"

#include <stdlib.h>

struct bell {
    ev_async watcher;
    struct shard *shard;
    void (*fn)(void *arg);
    void *arg;
};

static void rung(struct ev_loop *loop, ev_async *w, int revents)
{
    (void)loop;
    (void)revents;
    struct bell *b = w->data;
    b->shard->busy = true;
    b->fn(b->arg);
}

struct bell *bell_new(struct shard *shard, void (*fn)(void *arg), void *arg)
{
    struct bell *b = NEW(struct bell);
    b->shard = shard;
    b->fn = fn;
    b->arg = arg;
    ev_async_init(&b->watcher, rung);
    b->watcher.data = b;
    ev_async_start(shard->loop, &b->watcher);
    return b;
}

void bell_ring(struct bell *bell)
{
    ev_async_send(bell->shard->loop, &bell->watcher);
    guest_ring(bell->shard);
}

void bell_free(struct bell **bell)
{
    if (!*bell)
        return;
    ev_async_stop((*bell)->shard->loop, &(*bell)->watcher);
    free(*bell);
    *bell = NULL;
}
