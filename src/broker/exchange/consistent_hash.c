/* x-consistent-hash: each message goes to one binding, chosen by a hash of its routing key, of a
 * header or of a property. A binding key is a number: the weight, how many buckets of the ring the
 * binding has. Equal values go the same way as long as the bindings stay, also after a start; a
 * binding that comes takes over its share of the values and moves no other.
 * Cost: O(log buckets) a message, O(bindings) a bind or unbind. */
#include "broker/exchange/consistent_hash.h"

#include "base/buf.h"
#include "base/bug.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/exchange/exchange.h"
#include "broker/exchange/header_value.h"

#include <inttypes.h>
#include <stdlib.h>

#define WEIGHT_MAX INT32_MAX

enum source { BY_KEY, BY_HEADER, BY_PROPERTY };

struct consistent {
    struct hash_ring ring; /* first: bindings know it */
    enum source source;
    struct slice header;         /* its name; owned */
    enum amqp_property property; /* which one */
    struct buf scratch;          /* a header's value */
};

static const struct {
    const char *name;
    enum amqp_property flag;
} properties[] = {
    {"correlation_id", AMQP_PROP_CORRELATION_ID},
    {"message_id", AMQP_PROP_MESSAGE_ID},
    {"timestamp", AMQP_PROP_TIMESTAMP},
};

enum { PROPERTIES = sizeof properties / sizeof *properties };

static size_t find_property(struct slice name)
{
    size_t i = 0;
    while (i < PROPERTIES && !slice_eq_str(name, properties[i].name))
        i++;
    return i;
}

/* --- arguments --- */

static bool find_arg(struct slice args, const char *name, struct table_value *ret_value)
{
    return args.len && table_find(args, slice_str(name), ret_value);
}

static enum err check_text(const char *name, const struct table_value *value, struct failure *why)
{
    if (value->type == TABLE_LONGSTR)
        return ERR_NONE;
    return failure_set(why, ERR_PRECONDITION_FAILED, "invalid type '%s' for arg '%s'",
                       table_type_name(value->type), name);
}

static enum err consistent_validate(const struct exchange_type *self, struct slice args,
                                    struct failure *why)
{
    (void)self;
    struct table_value header, property;
    bool has_header = find_arg(args, "hash-header", &header);
    bool has_property = find_arg(args, "hash-property", &property);
    enum err err = has_header ? check_text("hash-header", &header, why) : ERR_NONE;
    if (!err && has_property)
        err = check_text("hash-property", &property, why);
    if (err)
        return err;
    if (has_header && has_property)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "hash-header and hash-property are mutually exclusive");
    if (has_property && find_property(property.bytes) == PROPERTIES)
        return failure_set(why, ERR_PRECONDITION_FAILED, "Unsupported property: %.*s",
                           SLICE_ARG(property.bytes));
    return ERR_NONE;
}

/* As Erlang reads a number: a sign and digits. False: it is none. */
static bool parse_weight(struct slice key, int64_t *ret_weight)
{
    size_t i = key.len && (key.data[0] == '-' || key.data[0] == '+');
    bool negative = i && key.data[0] == '-';
    int64_t n = 0;
    if (i == key.len)
        return false;
    for (; i < key.len; i++) {
        if (key.data[i] < '0' || key.data[i] > '9')
            return false;
        if (n <= WEIGHT_MAX)
            n = n * 10 + (key.data[i] - '0');
    }
    *ret_weight = negative ? -n : n;
    return true;
}

static enum err consistent_validate_binding(const struct exchange_type *self, struct slice key,
                                            struct slice args, struct failure *why)
{
    (void)self;
    int64_t weight;
    (void)args;
    if (!parse_weight(key, &weight)) {
        struct table_value value = {.type = TABLE_LONGSTR, .bytes = key};
        struct buf term = BUF_INIT;
        table_value_print_quoted(&value, &term);
        enum err err = failure_set(why, ERR_PRECONDITION_FAILED,
                                   "The binding key must be an integer: %s", buf_cstr(&term));
        buf_fini(&term);
        return err;
    }
    if (weight < 1)
        return failure_set(why, ERR_PRECONDITION_FAILED, "The binding key must be greater than 0");
    if (weight > WEIGHT_MAX)
        return failure_set(why, ERR_PRECONDITION_FAILED, "The binding key must be at most %d",
                           WEIGHT_MAX);
    return ERR_NONE;
}

/* --- instances --- */

static void *consistent_new(const struct exchange_type *self, struct slice args)
{
    (void)self;
    struct consistent *c = NEW(struct consistent);
    struct table_value value;
    hash_ring_init(&c->ring);
    if (find_arg(args, "hash-header", &value)) {
        c->source = BY_HEADER;
        c->header = slice_dup(value.bytes);
    } else if (find_arg(args, "hash-property", &value)) {
        c->source = BY_PROPERTY;
        c->property = properties[find_property(value.bytes)].flag;
    }
    return c;
}

static void consistent_free(void *instance)
{
    struct consistent *c = instance;
    hash_ring_fini(&c->ring);
    slice_free(&c->header);
    buf_fini(&c->scratch);
    free(c);
}

static void consistent_bind(void *instance, struct binding *binding)
{
    struct consistent *c = instance;
    int64_t weight = 0;
    bug_on(!parse_weight(binding->key, &weight) || weight < 1);
    hash_ring_add(&c->ring, binding, (uint64_t)weight);
}

static void consistent_unbind(void *instance, struct binding *binding)
{
    hash_ring_remove(&((struct consistent *)instance)->ring, binding);
}

const struct hash_ring *consistent_hash_ring(const void *instance)
{
    return &((const struct consistent *)instance)->ring;
}

/* --- routing --- */

/* The bytes that are hashed; all messages without the header or property have the same, none. */
static struct slice value_of(struct consistent *c, const struct route_input *input)
{
    struct table_value value;
    struct slice bytes;
    switch (c->source) {
    case BY_HEADER:
        buf_clear(&c->scratch);
        if (input->headers.len && table_find(input->headers, c->header, &value))
            header_value_put(&c->scratch, &value);
        return buf_slice(&c->scratch);
    case BY_PROPERTY:
        return props_find(input->props, c->property, &bytes) ? bytes : SLICE_EMPTY;
    default:
        return input->key;
    }
}

/* Jump consistent hash (Lamping, Veach 2014): of n buckets the one that key has, such that one
 * bucket more takes over an n-th of the keys and moves no other. */
static uint64_t jump(uint64_t key, uint64_t n)
{
    int64_t bucket = -1, next = 0;
    while (next < (int64_t)n) {
        bucket = next;
        key = key * UINT64_C(2862933555777941757) + 1;
        next = (int64_t)((double)(bucket + 1) *
                         ((double)(INT64_C(1) << 31) / (double)((key >> 33) + 1)));
    }
    return (uint64_t)bucket;
}

static uint64_t bucket_of(struct consistent *c, const struct route_input *input)
{
    struct slice value = value_of(c, input);
    return jump(hash_stable(value.len ? value : SLICE("")), hash_ring_buckets(&c->ring));
}

static void consistent_route(const void *instance, const struct route_input *input,
                             struct route_sink *sink)
{
    struct consistent *c = (struct consistent *)instance;
    if (c->ring.count)
        sink->found(sink, &hash_ring_find(&c->ring, bucket_of(c, input))->to);
}

/* --- for people --- */

static bool consistent_judge(const struct binding *binding, const struct route_input *input,
                             struct buf *why)
{
    struct consistent *c = binding->own;
    uint64_t bucket = bucket_of(c, input);
    if (hash_ring_find(&c->ring, bucket) == binding)
        return true;
    buf_printf(why, "bucket %" PRIu64 " is not one of its own", bucket);
    return false;
}

static void consistent_tell(const void *instance, const struct route_input *input, struct buf *out)
{
    struct consistent *c = (struct consistent *)instance;
    if (!c->ring.count)
        return;
    const char *what = "routing key";
    struct slice name = SLICE_EMPTY;
    if (c->source == BY_HEADER) {
        what = "header ";
        name = c->header;
    }
    for (size_t i = 0; c->source == BY_PROPERTY && i < PROPERTIES; i++) {
        if (properties[i].flag == c->property)
            what = properties[i].name;
    }
    bool has_value = c->source == BY_KEY || value_of(c, input).len;
    buf_printf(out, "bucket %" PRIu64 " of %" PRIu64 ", by %s of the %s%.*s", bucket_of(c, input),
               hash_ring_buckets(&c->ring), has_value ? "the hash" : "the absence", what,
               SLICE_ARG(name));
}

const struct exchange_type exchange_consistent_hash = {
    .name = "x-consistent-hash",
    .text = "a message goes to one binding, chosen by a hash of its routing key, or of the header "
            "or property that hash-header or hash-property names; the binding key is the "
            "binding's weight",
    .keyless = true,
    .validate = consistent_validate,
    .validate_binding = consistent_validate_binding,
    .new = consistent_new,
    .free = consistent_free,
    .bind = consistent_bind,
    .unbind = consistent_unbind,
    .route = consistent_route,
    .judge = consistent_judge,
    .tell = consistent_tell,
};
