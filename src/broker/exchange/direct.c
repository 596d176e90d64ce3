/* direct: a message goes where its routing key equals the binding key.
 * Cost: one hash lookup a message, whatever is bound; O(1) a bind or unbind. */
#include "base/buf.h"
#include "base/bug.h"
#include "base/hash.h"
#include "base/mem.h"
#include "broker/exchange/dest_list.h"
#include "broker/exchange/exchange.h"

#include <stdlib.h>

struct direct {
    struct hash keys; /* struct direct_key */
};

struct direct_key {
    struct dest_list dests;
    size_t len;
    uint8_t text[];
};

static struct slice text_of(const void *object)
{
    const struct direct_key *key = object;
    return slice_of(key->text, key->len);
}

static void *direct_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    (void)args;
    struct direct *d = NEW(struct direct);
    hash_init(&d->keys, text_of);
    return d;
}

static void key_free(struct direct_key *key)
{
    dest_list_fini(&key->dests);
    free(key);
}

static void direct_free(void *instance)
{
    struct direct *d = instance;
    hash_each (it, &d->keys)
        key_free(hash_at(&d->keys, it));
    hash_fini(&d->keys);
    free(d);
}

static void direct_bind(void *instance, struct binding *binding)
{
    struct direct *d = instance;
    struct direct_key *key = hash_find(&d->keys, binding->key);
    if (!key) {
        key = mem_alloc(sizeof *key + binding->key.len);
        dest_list_init(&key->dests);
        key->len = binding->key.len;
        if (key->len)
            memcpy(key->text, binding->key.data, key->len);
        hash_add(&d->keys, key);
    }
    dest_list_add(&key->dests, binding);
}

static void direct_unbind(void *instance, struct binding *binding)
{
    struct direct *d = instance;
    struct direct_key *key = hash_find(&d->keys, binding->key);
    bug_on(!key);
    dest_list_remove(&key->dests, binding);
    if (key->dests.count == 0) {
        hash_remove(&d->keys, binding->key);
        key_free(key);
    }
}

static void direct_route(const void *instance, const struct route_input *input,
                         struct route_sink *sink)
{
    const struct direct *d = instance;
    const struct direct_key *key = hash_find(&d->keys, input->key);
    if (key)
        dest_list_route(&key->dests, sink);
}

static bool direct_judge(const struct binding *binding, const struct route_input *input,
                         struct buf *why)
{
    if (slice_eq(binding->key, input->key))
        return true;
    buf_append_str(why, "the keys are not equal");
    return false;
}

const struct exchange_type exchange_direct = {
    .name = "direct",
    .text = "a message goes where the binding key equals its routing key",
    .new = direct_new,
    .free = direct_free,
    .bind = direct_bind,
    .unbind = direct_unbind,
    .route = direct_route,
    .judge = direct_judge,
};
