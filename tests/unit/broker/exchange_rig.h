/* One instance of an exchange type with bindings to numbered queues, compared with a naive matcher.
 */
#ifndef EXCHANGE_RIG_H
#define EXCHANGE_RIG_H

#include "base/mem.h"
#include "base/table.h"
#include "broker/exchange/exchange.h"
#include "meta/routing.h"
#include "unit.h"

#include <stdlib.h>

enum { RIG_MAX = 512 };

struct rig_random {
    uint64_t state;
};

static inline uint64_t rig_next(struct rig_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline size_t rig_below(struct rig_random *random, size_t n)
{
    return (size_t)(rig_next(random) % n);
}

struct rig {
    struct route_sink sink; /* first */
    const struct exchange_type *type;
    void *instance;
    struct rig_random random;
    struct binding bindings[RIG_MAX]; /* number i leads to queue i */
    bool bound[RIG_MAX];
    struct target_queue queues[RIG_MAX];
    unsigned hits[RIG_MAX]; /* of the last route */
    unsigned found;         /* calls of the sink in the last route */
};

static inline void rig_found(struct route_sink *sink, const struct destination *to)
{
    struct rig *rig = (struct rig *)sink;
    cr_assert_null(to->exchange);
    rig->hits[to->queue - rig->queues]++;
    rig->found++;
}

static inline struct rig *rig_new(const struct exchange_type *type, uint64_t seed)
{
    struct rig *rig = NEW(struct rig);
    rig->sink.found = rig_found;
    rig->type = type;
    rig->instance = type->new (type, SLICE_EMPTY);
    rig->random.state = seed;
    return rig;
}

/* Copies key and args. */
static inline void rig_bind(struct rig *rig, unsigned n, struct slice key, struct slice args)
{
    cr_assert(!rig->bound[n]);
    rig->bound[n] = true;
    rig->bindings[n] = (struct binding){.to = {.queue = &rig->queues[n]},
                                        .key = slice_dup(key),
                                        .args = slice_dup(args),
                                        .order = n};
    rig->type->bind(rig->instance, &rig->bindings[n]);
}

static inline void rig_forget(struct rig *rig, unsigned n)
{
    slice_free(&rig->bindings[n].key);
    slice_free(&rig->bindings[n].args);
    rig->bound[n] = false;
}

static inline void rig_unbind(struct rig *rig, unsigned n)
{
    cr_assert(rig->bound[n]);
    rig->type->unbind(rig->instance, &rig->bindings[n]);
    rig_forget(rig, n);
}

/* With what is still bound. */
static inline void rig_free(struct rig *rig)
{
    rig->type->free(rig->instance);
    for (unsigned i = 0; i < RIG_MAX; i++) {
        if (rig->bound[i])
            rig_forget(rig, i);
    }
    free(rig);
}

static inline void rig_route(struct rig *rig, struct slice key, struct slice headers)
{
    memset(rig->hits, 0, sizeof rig->hits);
    rig->found = 0;
    struct route_input input = {.key = key, .headers = headers};
    rig->type->route(rig->instance, &input, &rig->sink);
}

/* What a type does, said naively, with random bindings and messages that meet often. */
struct rig_model {
    bool (*matches)(const struct binding *binding, struct slice key, struct slice headers);
    void (*make_binding)(struct rig_random *random, struct buf *key, struct buf *args);
    void (*make_message)(struct rig_random *random, struct buf *key, struct buf *headers);
};

/* What the type says of one binding is what it did, with a reason if it did not take it. */
static inline void rig_judge(const struct rig *rig, unsigned n, struct slice key,
                             struct slice headers)
{
    struct buf why = BUF_INIT;
    struct route_input input = {.key = key, .headers = headers};
    if (!rig->bound[n])
        return;
    bool taken = !rig->type->judge || rig->type->judge(&rig->bindings[n], &input, &why);
    cr_assert_eq(taken, rig->hits[n] > 0, "binding '%.*s' key '%.*s': %s",
                 SLICE_ARG(rig->bindings[n].key), SLICE_ARG(key), buf_cstr(&why));
    cr_assert_eq(why.len == 0, taken);
    buf_fini(&why);
}

static inline void rig_compare(struct rig *rig, const struct rig_model *model, struct slice key,
                               struct slice headers)
{
    rig_route(rig, key, headers);
    for (unsigned i = 0; i < RIG_MAX; i++) {
        bool want = rig->bound[i] && model->matches(&rig->bindings[i], key, headers);
        struct buf text = BUF_INIT;
        if (want != (rig->hits[i] > 0)) {
            table_print(rig->bindings[i].args, &text);
            buf_append_str(&text, " headers ");
            table_print(headers, &text);
        }
        cr_assert_eq(rig->hits[i] > 0, want, "binding '%.*s' key '%.*s' args %s: %s",
                     SLICE_ARG(rig->bindings[i].key), SLICE_ARG(key), buf_cstr(&text),
                     want ? "not found" : "found");
        buf_fini(&text);
        rig_judge(rig, i, key, headers);
    }
}

/* Binds and unbinds at random among the first `slots` bindings; after each change some messages
 * must go where the model says. */
static inline void rig_run(const struct exchange_type *type, const struct rig_model *model,
                           uint64_t seed, unsigned slots, unsigned changes)
{
    struct rig *rig = rig_new(type, seed);
    struct buf key = BUF_INIT, table = BUF_INIT;
    for (unsigned i = 0; i < changes; i++) {
        unsigned n = (unsigned)rig_below(&rig->random, slots);
        if (rig->bound[n]) {
            rig_unbind(rig, n);
        } else {
            buf_clear(&key);
            buf_clear(&table);
            model->make_binding(&rig->random, &key, &table);
            rig_bind(rig, n, buf_slice(&key), buf_slice(&table));
        }
        for (unsigned j = 0; j < 4; j++) {
            buf_clear(&key);
            buf_clear(&table);
            model->make_message(&rig->random, &key, &table);
            rig_compare(rig, model, buf_slice(&key), buf_slice(&table));
        }
    }
    for (unsigned n = 0; n < slots && seed % 2; n++) {
        if (rig->bound[n])
            rig_unbind(rig, n);
    }
    buf_fini(&key);
    buf_fini(&table);
    rig_free(rig);
}

#endif
