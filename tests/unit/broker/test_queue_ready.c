/* Ready messages against a naive model: long queues, in which messages are returned in every order,
 * expire anywhere and have priorities. */
#include "base/mem.h"
#include "broker/queue/expiry.h"
#include "broker/queue/ready.h"
#include "unit.h"

#include <stdlib.h>

enum { MESSAGES = 60000, LEVELS_MAX = 256 };

struct world {
    uint64_t random, now;
    struct ready ready;
    struct ready_pool pool;
    struct msg *msg, *durable; /* each stands for all of its kind */
    unsigned levels;
    struct ready_entry entries[MESSAGES]; /* by seq */
    bool there[MESSAGES];
    uint64_t last, count, persistent;
    uint64_t first[LEVELS_MAX]; /* of each level nothing is there below */
    uint64_t held[MESSAGES];
    size_t held_count;
};

static uint64_t rnd(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static void come(struct world *w, uint64_t seq)
{
    w->there[seq] = true;
    w->count++;
    w->persistent += w->entries[seq].msg == w->durable;
}

static void leave(struct world *w, uint64_t seq)
{
    w->there[seq] = false;
    w->count--;
    w->persistent -= w->entries[seq].msg == w->durable;
}

static void put(struct world *w, uint64_t seq)
{
    unsigned level = w->entries[seq].level;
    come(w, seq);
    if (seq < w->first[level])
        w->first[level] = seq;
}

static uint64_t take_first(struct world *w)
{
    for (unsigned level = w->levels; level-- > 0;) {
        uint64_t s = w->first[level];
        while (s <= w->last && (!w->there[s] || w->entries[s].level != level))
            s++;
        w->first[level] = s;
        if (s > w->last)
            continue;
        leave(w, s);
        return s;
    }
    return 0;
}

static void push(struct world *w, bool timed)
{
    uint64_t seq = w->last + 1 + (rnd(w, 8) == 0); /* some were delivered at once */
    if (seq >= MESSAGES)
        return;
    w->entries[seq] = (struct ready_entry){.msg = rnd(w, 3) ? w->msg : w->durable,
                                           .seq = seq,
                                           .level = (uint16_t)rnd(w, w->levels),
                                           .expiry = timed ? w->now + 1 + rnd(w, 3000) : 0};
    w->last = seq;
    ready_push(&w->ready, &w->pool, &w->entries[seq]);
    put(w, seq);
}

static void pop(struct world *w)
{
    struct ready_entry e;
    uint64_t seq = take_first(w);
    bool found = ready_pop(&w->ready, &w->pool, &e);
    cr_assert_eq(found, seq != 0);
    if (!found)
        return;
    cr_assert_eq(e.seq, seq);
    w->held[w->held_count++] = seq;
}

static void give_back(struct world *w, size_t i)
{
    uint64_t seq = w->held[i];
    w->held[i] = w->held[--w->held_count];
    ready_return(&w->ready, &w->pool, &w->entries[seq]);
    put(w, seq);
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void give_all_back(struct world *w)
{
    unsigned how = (unsigned)rnd(w, 3);
    if (how == 0) {
        while (w->held_count)
            give_back(w, rnd(w, w->held_count));
        return;
    }
    qsort(w->held, w->held_count, sizeof *w->held, ascending);
    for (size_t i = 0, n = w->held_count; i < n; i++) {
        uint64_t seq = how == 1 ? w->held[i] : w->held[n - 1 - i];
        ready_return(&w->ready, &w->pool, &w->entries[seq]);
        put(w, seq);
    }
    w->held_count = 0;
}

static void expire(struct world *w)
{
    struct ready_entry due[READY_CHUNK_ENTRIES];
    unsigned n;
    w->now += rnd(w, 200);
    while ((n = ready_expire(&w->ready, &w->pool, w->now, due))) {
        for (unsigned i = 0; i < n; i++) {
            cr_assert(w->there[due[i].seq]);
            cr_assert_leq(due[i].expiry, w->now);
            leave(w, due[i].seq);
        }
    }
    for (uint64_t s = 1; s <= w->last; s++)
        cr_assert_not(w->there[s] && w->entries[s].expiry && w->entries[s].expiry <= w->now);
    cr_assert(!ready_next_expiry(&w->ready) || ready_next_expiry(&w->ready) > w->now);
}

/* Order, and that holes do not waste chunks. */
static void check_sequence(const struct world *w, const struct sequence *s)
{
    uint64_t before = 0, live = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        const struct ready_chunk *c = sequence_at(s, i);
        uint32_t holes = 0;
        cr_assert_eq(c->home, s);
        cr_assert(c->entries[c->head].msg && c->entries[c->tail - 1].msg);
        for (uint32_t k = c->head; k < c->tail; k++) {
            cr_assert_gt(c->entries[k].seq, before);
            before = c->entries[k].seq;
            holes += !c->entries[k].msg;
            cr_assert(!c->entries[k].msg || !c->entries[k].expiry ||
                      (c->expiry && c->expiry->heap[c->place].earliest <= c->entries[k].expiry));
        }
        cr_assert_eq(holes, c->holes);
        live += c->tail - c->head - holes;
    }
    if (w->levels == 1)
        cr_assert_eq(live, w->count);
    cr_assert_eq(s->first, s->count ? sequence_at(s, 0) : NULL);
    cr_assert_eq(s->last, s->count ? sequence_at(s, s->count - 1) : NULL);
}

static void operate(struct world *w, bool timed)
{
    uint64_t n = rnd(w, 1000);
    switch (rnd(w, 8)) {
    case 0:
    case 1:
    case 2:
        while (n--)
            push(w, timed && rnd(w, 2));
        break;
    case 3:
    case 4:
        for (n = n * 3 / 2; n--;)
            pop(w);
        break;
    case 5:
        while (n-- && w->held_count)
            give_back(w, rnd(w, w->held_count));
        break;
    case 6:
        if (rnd(w, 3) == 0)
            give_all_back(w);
        break;
    default:
        expire(w);
    }
}

/* A reference for each that is discarded. */
static void hold_all(struct world *w)
{
    msg_ref_n(w->durable, (uint32_t)w->ready.persistent);
    msg_ref_n(w->msg, (uint32_t)(w->ready.count - w->ready.persistent));
}

static void run(uint64_t seed, unsigned levels, bool timed)
{
    struct world *w = NEW(struct world);
    struct ready_garbage garbage = {0};
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    w->now = 1;
    w->levels = levels;
    w->msg = msg_new(SLICE("\0\1k"), SLICE("\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0"), 1, true);
    w->durable = msg_new(SLICE("\0\1k"), SLICE("\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0"), 1, true);
    w->durable->flags |= MSG_PERSISTENT;
    for (unsigned i = 0; i < levels; i++)
        w->first[i] = UINT64_MAX;
    ready_init(&w->ready, levels - 1);
    for (int i = 0; i < 200; i++) {
        operate(w, timed);
        cr_assert_eq(w->ready.count, w->count);
        cr_assert_eq(w->ready.bytes, w->count);
        cr_assert_eq(w->ready.persistent, w->persistent);
        cr_assert_eq(w->ready.persistent_bytes, w->persistent);
        check_sequence(w, &w->ready.plain);
    }
    hold_all(w);
    ready_discard(&w->ready, &garbage);
    cr_assert_eq(ready_next_expiry(&w->ready), 0);
    push(w, true);
    cr_assert_eq(w->ready.count, w->last < MESSAGES - 2 ? 1 : w->ready.count);
    while (ready_sweep(&garbage, &w->pool, 1000))
        ;
    if (w->ready.count)
        hold_all(w);
    ready_discard(&w->ready, &garbage);
    ready_sweep(&garbage, &w->pool, UINT32_MAX);
    cr_assert_eq(w->ready.persistent, 0);
    cr_assert_eq(w->msg->refs, 1);
    cr_assert_eq(w->durable->refs, 1);
    msg_unref(w->msg);
    msg_unref(w->durable);
    ready_fini(&w->ready);
    ready_pool_fini(&w->pool);
    free(w);
}

UNIT(ready, plain)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run(seed, 1, false);
}

UNIT(ready, expiring)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        run(seed, 1, true);
}

UNIT(ready, levels)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        run(seed, 2, true);
        run(seed, 11, true);
        run(seed, 256, true);
    }
}

/* One message in a hundred stays: chunks are joined, so that memory follows the messages. */
UNIT(ready, few_that_stay_are_gathered)
{
    struct ready r;
    struct ready_pool pool = {0};
    struct ready_garbage garbage = {0};
    struct ready_entry due[READY_CHUNK_ENTRIES];
    struct msg *m = msg_new(SLICE("\0\1k"), SLICE("\0\x3c\0\0\0\0\0\0\0\0\0\1\0\0"), 1, true);
    ready_init(&r, 0);
    for (uint64_t s = 1; s <= 100000; s++)
        ready_push(&r, &pool,
                   &(struct ready_entry){
                       .msg = m, .seq = s, .expiry = s % 100 ? 10 + s * 7919 % 5000 : 0});
    for (uint64_t now = 1; now <= 6000; now += 3) {
        while (ready_expire(&r, &pool, now, due))
            ;
    }
    cr_assert_eq(r.count, 1000);
    cr_assert_leq(r.plain.count, 1000 / 16);
    cr_assert_eq(ready_next_expiry(&r), 0);
    msg_ref_n(m, 1000);
    ready_discard(&r, &garbage);
    ready_sweep(&garbage, &pool, UINT32_MAX);
    msg_unref(m);
    ready_fini(&r);
    ready_pool_fini(&pool);
}
