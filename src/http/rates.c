#include "http/rates.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

struct key {
    uint64_t kind, id;
};

struct watched {
    struct key key;
    uint64_t seen_ms, former_ms, last_ms; /* former_ms, last_ms 0: there is none */
    size_t count;
    uint64_t counters[]; /* the former ones, then the last */
};

struct rates {
    struct hash objects;
    uint64_t swept_ms;
};

static struct slice key_of(const void *object)
{
    const struct watched *w = object;
    return slice_of(&w->key, sizeof w->key);
}

struct rates *rates_new(void)
{
    struct rates *r = NEW(struct rates);
    hash_init(&r->objects, key_of);
    return r;
}

void rates_free(struct rates **rates)
{
    struct rates *r = *rates;
    if (!r)
        return;
    hash_each (i, &r->objects) {
        free(hash_at(&r->objects, i));
    }
    hash_fini(&r->objects);
    free(r);
    *rates = NULL;
}

/* The table is made anew of those that stay. */
static void sweep(struct rates *r, uint64_t now_ms)
{
    struct hash kept;
    hash_init(&kept, key_of);
    hash_each (i, &r->objects) {
        struct watched *w = hash_at(&r->objects, i);
        if (w->seen_ms + RATES_FORGET_MS < now_ms)
            free(w);
        else
            hash_add(&kept, w);
    }
    hash_fini(&r->objects);
    r->objects = kept;
    r->swept_ms = now_ms;
}

static struct watched *get(struct rates *r, struct key key, uint64_t now_ms, size_t count)
{
    struct watched *w = hash_find(&r->objects, slice_of(&key, sizeof key));
    if (w)
        return w;
    if (r->swept_ms + RATES_FORGET_MS < now_ms)
        sweep(r, now_ms);
    if (r->objects.count >= RATES_OBJECTS)
        return NULL;
    w = mem_zalloc(sizeof *w + 2 * count * sizeof *w->counters);
    w->key = key;
    w->count = count;
    hash_add(&r->objects, w);
    return w;
}

static void take(struct watched *w, uint64_t now_ms, const uint64_t *counters)
{
    w->last_ms = now_ms;
    memcpy(w->counters + w->count, counters, w->count * sizeof *counters);
}

static void pass_on(struct watched *w)
{
    w->former_ms = w->last_ms;
    memcpy(w->counters, w->counters + w->count, w->count * sizeof *w->counters);
}

static void put_growth(const struct watched *w, double *ret_rates)
{
    double seconds = (double)(w->last_ms - w->former_ms) / 1000.0;
    for (size_t i = 0; i < w->count; i++)
        ret_rates[i] = ((double)w->counters[w->count + i] - (double)w->counters[i]) / seconds;
}

void rates_recall(const struct rates *r, enum rates_kind kind, uint64_t id, uint64_t now_ms,
                  size_t count, double *ret_rates)
{
    struct key key = {kind, id};
    const struct watched *w = hash_find(&r->objects, slice_of(&key, sizeof key));
    for (size_t i = 0; i < count; i++)
        ret_rates[i] = 0;
    if (w && w->former_ms && now_ms - w->last_ms <= RATES_FORGET_MS)
        put_growth(w, ret_rates);
}

void rates_look(struct rates *r, enum rates_kind kind, uint64_t id, uint64_t now_ms,
                const uint64_t *counters, size_t count, double *ret_rates)
{
    struct watched *w = get(r, (struct key){kind, id}, now_ms, count);
    for (size_t i = 0; i < count; i++)
        ret_rates[i] = 0;
    if (!w)
        return;
    w->seen_ms = now_ms;
    if (!w->last_ms || now_ms - w->last_ms > RATES_FORGET_MS) {
        take(w, now_ms, counters);
        w->former_ms = 0;
        return;
    }
    if (now_ms - w->last_ms >= RATES_INTERVAL_MS) {
        pass_on(w);
        take(w, now_ms, counters);
    }
    if (w->former_ms)
        put_growth(w, ret_rates);
}
