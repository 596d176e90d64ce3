/* Definitions: made by the master on shard 0, read by every shard, freed by whoever lets go last.
 * Each is one allocation: the struct and behind it the bytes its slices point at. */
#include "meta/def_priv.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/table.h"
#include "meta/args.h"

#include <stdlib.h>

/* The bytes behind a definition, being filled. */
struct tail {
    uint8_t *pos;
};

static struct slice put(struct tail *tail, struct slice s)
{
    struct slice copy = slice_of(tail->pos, s.len);
    if (s.len)
        memcpy(tail->pos, s.data, s.len);
    tail->pos += s.len;
    return copy;
}

static bool last_ref(_Atomic uint32_t *refs)
{
    uint32_t before = atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel);
    bug_on(before == 0);
    return before == 1;
}

static void more_refs(_Atomic uint32_t *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* ref and unref of a definition that is one allocation */
#define COUNTED(type)                       \
    struct type *type##_ref(struct type *d) \
    {                                       \
        more_refs(&d->refs);                \
        return d;                           \
    }                                       \
    void type##_unref(struct type **def)    \
    {                                       \
        struct type *d = *def;              \
        *def = NULL;                        \
        if (d && last_ref(&d->refs))        \
            free(d);                        \
    }

COUNTED(permission_def)
COUNTED(policy_def)
COUNTED(parameter_def)
COUNTED(binding_def)

/* The same, of one that holds another. */
#define COUNTED_WITH(type, release)         \
    struct type *type##_ref(struct type *d) \
    {                                       \
        more_refs(&d->refs);                \
        return d;                           \
    }                                       \
    void type##_unref(struct type **def)    \
    {                                       \
        struct type *d = *def;              \
        *def = NULL;                        \
        if (!d || !last_ref(&d->refs))      \
            return;                         \
        release;                            \
        free(d);                            \
    }

COUNTED_WITH(vhost_def, usage_unref(&d->usage))
COUNTED_WITH(user_def, usage_unref(&d->usage))
COUNTED_WITH(queue_def, queue_def_unref(&d->line))
COUNTED_WITH(exchange_def, queue_def_unref(&d->line))

static struct usage *share(struct usage *former)
{
    return former ? usage_ref(former) : usage_new();
}

struct queue_def *queue_def_new(const struct queue_def *like)
{
    struct queue_def *def =
        mem_alloc(sizeof *def + like->vhost.len + like->name.len + like->args.len);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    if (def->line)
        queue_def_ref(def->line);
    def->vhost = put(&tail, like->vhost);
    def->name = put(&tail, like->name);
    def->args = put(&tail, like->args);
    list_init(&def->owned);
    def->type = QUEUE_CLASSIC;
    def->single_active_consumer = false;
    if (def->line_of && def->line_of != LINE_OF_QUEUE)
        return def; /* the arguments are an exchange's */
    def->type = args_queue_type(def->args);
    table_find_bool(def->args, SLICE("x-single-active-consumer"), &def->single_active_consumer);
    return def;
}

struct exchange_def *exchange_def_new(const struct exchange_def *like)
{
    struct exchange_def *def = mem_alloc(sizeof *def + like->vhost.len + like->name.len +
                                         like->type.len + like->args.len + like->user.len);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    if (def->line)
        queue_def_ref(def->line);
    def->vhost = put(&tail, like->vhost);
    def->name = put(&tail, like->name);
    def->type = put(&tail, like->type);
    def->args = put(&tail, like->args);
    def->user = put(&tail, like->user);
    def->alternate = SLICE_EMPTY;
    table_find_str(def->args, SLICE("alternate-exchange"), &def->alternate);
    return def;
}

struct vhost_def *vhost_def_new(const struct vhost_def *like)
{
    struct vhost_def *def =
        mem_alloc(sizeof *def + like->name.len + like->description.len + like->tags.len);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    def->name = put(&tail, like->name);
    def->usage = share(like->usage);
    def->description = put(&tail, like->description);
    def->tags = put(&tail, like->tags);
    return def;
}

struct user_def *user_def_new(const struct user_def *like)
{
    struct user_def *def =
        mem_alloc(sizeof *def + like->name.len + like->tags.len + like->hash.len);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    def->name = put(&tail, like->name);
    def->tags = put(&tail, like->tags);
    def->usage = share(like->usage);
    def->hash = put(&tail, like->hash);
    return def;
}

struct permission_def *permission_def_new(const struct permission_def *like)
{
    size_t size = like->vhost.len + like->user.len + like->exchange.len;
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        size += like->patterns[i].len;
    struct permission_def *def = mem_alloc(sizeof *def + size);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    def->vhost = put(&tail, like->vhost);
    def->user = put(&tail, like->user);
    def->exchange = put(&tail, like->exchange);
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        def->patterns[i] = put(&tail, like->patterns[i]);
    return def;
}

struct policy_def *policy_def_new(const struct policy_def *like)
{
    struct policy_def *def = mem_alloc(sizeof *def + like->vhost.len + like->name.len +
                                       like->pattern.len + like->args.len);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    def->vhost = put(&tail, like->vhost);
    def->name = put(&tail, like->name);
    def->pattern = put(&tail, like->pattern);
    def->args = put(&tail, like->args);
    return def;
}

struct parameter_def *parameter_def_new(const struct parameter_def *like)
{
    struct parameter_def *def = mem_alloc(sizeof *def + like->vhost.len + like->component.len +
                                          like->name.len + like->value.len);
    struct tail tail = {(uint8_t *)(def + 1)};
    memcpy(def, like, sizeof *def);
    def->refs = 1;
    def->vhost = put(&tail, like->vhost);
    def->component = put(&tail, like->component);
    def->name = put(&tail, like->name);
    def->value = put(&tail, like->value);
    return def;
}

struct binding_def *binding_def_new(const struct binding_key *key, unsigned shards)
{
    size_t cells = shards * sizeof(struct bound *);
    struct binding_def *def = mem_zalloc(sizeof *def + cells + key->vhost.len + key->identity.len);
    struct tail tail = {(uint8_t *)(def + 1) + cells};
    def->refs = 1;
    def->to_exchange = key->to_exchange;
    def->order = key->order;
    def->vhost = put(&tail, key->vhost);
    def->identity = put(&tail, key->identity);
    binding_identity_split(def->identity, &def->source, &def->destination, &def->key, &def->args);
    return def;
}

/* --- the identity of a binding --- */

static void append_name(struct buf *out, struct slice name)
{
    bug_on(name.len > UINT8_MAX);
    buf_append_byte(out, (uint8_t)name.len);
    buf_append_slice(out, name);
}

void binding_identity_put(struct buf *out, bool to_exchange, struct slice source,
                          struct slice destination, struct slice key, struct slice args)
{
    buf_append_byte(out, to_exchange);
    append_name(out, source);
    append_name(out, destination);
    append_name(out, key);
    table_sort(args, out); /* given in another order they make the same binding, as in RabbitMQ */
}

static struct slice take_name(struct slice *rest)
{
    struct slice name = slice_of(rest->data + 1, rest->data[0]);
    *rest = slice_of(name.data + name.len, rest->len - 1 - name.len);
    return name;
}

void binding_identity_split(struct slice identity, struct slice *ret_source,
                            struct slice *ret_destination, struct slice *ret_key,
                            struct slice *ret_args)
{
    struct slice rest = slice_of(identity.data + 1, identity.len - 1);
    *ret_source = take_name(&rest);
    *ret_destination = take_name(&rest);
    *ret_key = take_name(&rest);
    *ret_args = rest;
}
