/* Open addressing with linear probing; what leaves is filled from behind. A key is 128 bits of a
 * hash that is seeded anew in every process. */
#include "broker/queue/dedup.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/exchange/header_value.h"

#include <stdlib.h>

enum { PLACES_FIRST = 8 };

struct dedup *dedup_new(void)
{
    return NEW(struct dedup);
}

void dedup_free(struct dedup **d)
{
    if (!*d)
        return;
    free((*d)->there.places);
    free((*d)->left.places);
    free((*d)->waits);
    free(*d);
    *d = NULL;
}

static struct dedup_key key_of(struct slice value)
{
    uint64_t hash[2];
    hash_wide(value, hash);
    return (struct dedup_key){hash[0], hash[1]};
}

bool dedup_key_of(const struct msg *m, struct dedup_key *ret_key)
{
    struct table_value value;
    struct slice headers;
    if (!props_find(msg_properties(m), AMQP_PROP_HEADERS, &headers) || !headers.len ||
        !table_find(headers, SLICE("x-deduplication-header"), &value))
        return false;
    struct buf bytes = BUF_INIT;
    header_value_put(&bytes, &value);
    *ret_key = key_of(buf_slice(&bytes));
    buf_fini(&bytes);
    return true;
}

bool dedup_key_in(const struct dedup *d, const struct msg *m, struct dedup_key *ret_key)
{
    if (!d->of_bodies)
        return dedup_key_of(m, ret_key);
    *ret_key = key_of(msg_body(m));
    return true;
}

/* ---- tables ---- */

static bool same_key(const struct dedup_key *a, const struct dedup_key *b)
{
    return a->high == b->high && a->low == b->low;
}

static size_t home(const struct dedup_table *t, const struct dedup_key *key)
{
    return key->low & t->mask;
}

/* seq 0: any. */
static struct dedup_place *find_from(const struct dedup_table *t, size_t i,
                                     const struct dedup_key *key, uint64_t seq)
{
    for (; t->places[i].seq; i = (i + 1) & t->mask) {
        if (same_key(&t->places[i].key, key) && (!seq || t->places[i].seq == seq))
            return &t->places[i];
    }
    return NULL;
}

static struct dedup_place *find(const struct dedup_table *t, const struct dedup_key *key,
                                uint64_t seq)
{
    return t->count ? find_from(t, home(t, key), key, seq) : NULL;
}

static void place(struct dedup_table *t, const struct dedup_place *p)
{
    size_t i = home(t, &p->key);
    while (t->places[i].seq)
        i = (i + 1) & t->mask;
    t->places[i] = *p;
}

static void resize(struct dedup_table *t, size_t places)
{
    struct dedup_table old = *t;
    t->places = mem_zalloc(places * sizeof *t->places);
    t->mask = places - 1;
    for (size_t i = 0; old.places && i <= old.mask; i++) {
        if (old.places[i].seq)
            place(t, &old.places[i]);
    }
    free(old.places);
}

static void add(struct dedup_table *t, const struct dedup_place *p)
{
    if (!t->places)
        resize(t, PLACES_FIRST);
    else if ((t->count + 1) * 4 > (t->mask + 1) * 3)
        resize(t, (t->mask + 1) * 2);
    t->count++;
    place(t, p);
}

static void clear(struct dedup_table *t)
{
    free(t->places);
    *t = (struct dedup_table){0};
}

static void take_out(struct dedup_table *t, struct dedup_place *p)
{
    size_t hole = (size_t)(p - t->places);
    for (size_t i = (hole + 1) & t->mask; t->places[i].seq; i = (i + 1) & t->mask) {
        if (((i - home(t, &t->places[i].key)) & t->mask) < ((i - hole) & t->mask))
            continue;
        t->places[hole] = t->places[i];
        hole = i;
    }
    t->places[hole].seq = 0;
    if (!--t->count)
        clear(t);
    else if (t->mask + 1 > PLACES_FIRST && t->count * 8 < t->mask)
        resize(t, (t->mask + 1) / 2);
}

/* ---- the set ---- */

const struct dedup_place *dedup_find(const struct dedup *d, const struct dedup_key *key,
                                     const struct dedup_place *after)
{
    const struct dedup_table *t = &d->there;
    if (!after)
        return find(t, key, 0);
    return find_from(t, ((size_t)(after - t->places) + 1) & t->mask, key, 0);
}

void dedup_put(struct dedup *d, const struct dedup_place *p)
{
    add(&d->there, p);
}

static struct dedup_place number_place(uint64_t seq)
{
    return (struct dedup_place){.key = {seq, hash_mix(seq, 0)}, .seq = seq};
}

void dedup_drop(struct dedup *d, const struct msg *m, uint64_t seq)
{
    struct dedup_key key;
    struct dedup_place *there;
    if (!dedup_key_in(d, m, &key))
        return;
    there = find(&d->there, &key, seq);
    if (there) {
        take_out(&d->there, there);
    } else if (d->recalling) {
        struct dedup_place gone = number_place(seq);
        add(&d->left, &gone);
    }
}

void dedup_move(struct dedup *d, const struct msg *m, uint64_t from, uint64_t to)
{
    struct dedup_place there = {.seq = to};
    if (!dedup_key_in(d, m, &there.key))
        return;
    dedup_drop(d, m, from);
    dedup_put(d, &there);
}

void dedup_clear(struct dedup *d)
{
    clear(&d->there);
    dedup_recalled(d);
}

struct dedup_table dedup_empty(struct dedup *d)
{
    struct dedup_table before = d->there;
    d->there = (struct dedup_table){0};
    dedup_recalled(d);
    return before;
}

void dedup_keep(struct dedup *d, const struct dedup_table *before, const struct msg *m,
                uint64_t seq)
{
    struct dedup_place there = {.seq = seq};
    if (!dedup_key_in(d, m, &there.key))
        return;
    const struct dedup_place *known = find(before, &there.key, seq);
    dedup_put(d, known ? known : &there);
}

void dedup_recall(struct dedup *d, const struct msg *m, uint64_t seq)
{
    struct dedup_place there = {.seq = seq}, gone = number_place(seq);
    if (d->recalling && !find(&d->left, &gone.key, seq) && dedup_key_in(d, m, &there.key))
        dedup_put(d, &there);
}

void dedup_recalled(struct dedup *d)
{
    d->recalling = false;
    clear(&d->left);
}

/* ---- confirms that wait ---- */

void dedup_await(struct dedup *d, const struct dedup_wait *wait)
{
    MEM_GROW(d->waits, d->wait_cap, d->wait_count + 1);
    d->waits[d->wait_count++] = *wait;
}

bool dedup_awaited(struct dedup *d, uint64_t oldest, struct dedup_wait *ret_wait)
{
    for (size_t i = 0; i < d->wait_count; i++) {
        if (d->waits[i].mark > oldest)
            continue;
        *ret_wait = d->waits[i];
        d->waits[i] = d->waits[--d->wait_count];
        return true;
    }
    return false;
}
