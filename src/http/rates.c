#include "http/rates.h"

#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

struct sample {
    uint64_t ms;
    uint64_t counters[RATES_COUNTERS];
};

struct key {
    uint64_t kind, id;
};

struct watched {
    struct key key;
    uint64_t seen_ms;
    struct sample former, last;
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

static struct watched *get(struct rates *r, struct key key, uint64_t now_ms)
{
    struct watched *w = hash_find(&r->objects, slice_of(&key, sizeof key));
    if (w)
        return w;
    if (r->swept_ms + RATES_FORGET_MS < now_ms)
        sweep(r, now_ms);
    if (r->objects.count >= RATES_OBJECTS)
        return NULL;
    w = NEW(struct watched);
    w->key = key;
    hash_add(&r->objects, w);
    return w;
}

static void take(struct sample *s, uint64_t now_ms, const uint64_t *counters, size_t count)
{
    s->ms = now_ms;
    memcpy(s->counters, counters, count * sizeof *counters);
}

void rates_look(struct rates *r, enum rates_kind kind, uint64_t id, uint64_t now_ms,
                const uint64_t *counters, size_t count, double *ret_rates)
{
    struct watched *w = get(r, (struct key){kind, id}, now_ms);
    for (size_t i = 0; i < count; i++)
        ret_rates[i] = 0;
    if (!w)
        return;
    w->seen_ms = now_ms;
    if (!w->last.ms || now_ms - w->last.ms > RATES_FORGET_MS) {
        take(&w->last, now_ms, counters, count);
        w->former.ms = 0;
        return;
    }
    if (now_ms - w->last.ms >= RATES_INTERVAL_MS) {
        w->former = w->last;
        take(&w->last, now_ms, counters, count);
    }
    if (!w->former.ms)
        return;
    double seconds = (double)(w->last.ms - w->former.ms) / 1000.0;
    for (size_t i = 0; i < count; i++)
        ret_rates[i] = ((double)w->last.counters[i] - (double)w->former.counters[i]) / seconds;
}
