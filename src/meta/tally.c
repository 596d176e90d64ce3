/* A tally belongs to its object on this shard, and waits in routing.tallies while it has something
 * to tell. On shard 0 it also has the sums, each as it was at the last two times: a rate is the
 * growth of the last round that is complete, not of the one that is being gathered. */
#include "meta/tally.h"

#include "base/bug.h"
#include "base/mem.h"
#include "meta/routing_priv.h"

#include <stdlib.h>

struct cell {
    uint64_t own;   /* since it was taken last */
    uint64_t sum;   /* shard 0: of all shards */
    uint64_t begin; /* shard 0: sum when the round began */
    double growth;  /* shard 0: of the round before, a second */
};

struct tally {
    struct list link; /* routing.tallies */
    const struct vhost *vhost;
    const struct exchange *exchange; /* NULL: it is the vhost's */
    uint64_t round;                  /* shard 0: in which something came last */
    size_t count;
    struct cell cells[];
};

/* What is there now is set anew in each round. */
static bool is_level(const struct tally *t, size_t cell)
{
    return !t->exchange && cell >= VHOST_EVENTS;
}

static struct tally *tally_new(const struct vhost *vhost, const struct exchange *exchange)
{
    size_t count = exchange ? EXCHANGE_COUNTS : VHOST_COUNTS;
    struct tally *t = mem_zalloc(sizeof *t + count * sizeof *t->cells);
    list_init(&t->link);
    t->vhost = vhost;
    t->exchange = exchange;
    t->count = count;
    return t;
}

void tally_free(struct tally **tally)
{
    if (*tally)
        list_remove(&(*tally)->link);
    free(*tally);
    *tally = NULL;
}

static void count(struct tally *t, unsigned what, uint64_t n)
{
    t->cells[what].own += n;
    if (list_empty(&t->link))
        list_append(&t->vhost->routing->tallies, &t->link);
}

void vhost_count(struct vhost *vhost, unsigned what, uint64_t n)
{
    if (!vhost->tally)
        vhost->tally = tally_new(vhost, NULL);
    count(vhost->tally, what, n);
}

void exchange_count(struct exchange *x, enum exchange_count what, uint64_t n)
{
    if (!x->tally)
        x->tally = tally_new(x->vhost, x);
    count(x->tally, what, n);
}

/* ---- gathering ---- */

/* A record: this, the two names, the counters. */
struct head {
    uint32_t vhost_len, exchange_len, count;
    bool of_exchange;
};

static void put_record(struct tally *t, struct buf *out)
{
    struct slice vhost = t->vhost->def->name;
    struct slice name = t->exchange ? t->exchange->def->name : SLICE_EMPTY;
    struct head head = {.vhost_len = (uint32_t)vhost.len,
                        .exchange_len = (uint32_t)name.len,
                        .count = (uint32_t)t->count,
                        .of_exchange = t->exchange != NULL};
    buf_append(out, &head, sizeof head);
    buf_append_slice(out, vhost);
    buf_append_slice(out, name);
    for (size_t i = 0; i < t->count; i++) {
        buf_append(out, &t->cells[i].own, sizeof t->cells[i].own);
        t->cells[i].own = 0;
    }
}

bool tally_take(struct routing *routing, size_t *budget, struct buf *records)
{
    for (; *budget && !list_empty(&routing->tallies); --*budget) {
        struct tally *t = list_entry(routing->tallies.next, struct tally, link);
        list_remove(&t->link);
        put_record(t, records);
    }
    return list_empty(&routing->tallies);
}

static struct slice get(struct slice records, size_t *at, size_t len)
{
    struct slice part = slice_of(records.data + *at, len);
    *at += len;
    return part;
}

/* NULL: it is gone. */
static struct tally *find(struct routing *routing, struct slice vhost_name, const struct head *head,
                          struct slice exchange_name)
{
    struct vhost *vhost = routing_find_vhost(routing, vhost_name);
    struct exchange *x =
        vhost && head->of_exchange ? vhost_find_exchange(vhost, exchange_name) : NULL;
    if (!vhost || (head->of_exchange && !x))
        return NULL;
    struct tally **t = x ? &x->tally : &vhost->tally;
    if (!*t)
        *t = tally_new(vhost, x);
    return *t;
}

static double growth_of(const struct cell *c, const struct routing *routing)
{
    double grown = (double)(int64_t)(c->sum - c->begin);
    return routing->tally_ms ? grown * 1000 / (double)routing->tally_ms : 0;
}

/* The first record of this round. */
static void begin_round(struct tally *t, const struct routing *routing)
{
    bool is_last = t->round + 1 == routing->tally_round;
    for (size_t i = 0; i < t->count; i++) {
        struct cell *c = &t->cells[i];
        c->growth = is_last ? growth_of(c, routing) : 0;
        c->begin = is_last || !is_level(t, i) ? c->sum : 0;
        if (is_level(t, i))
            c->sum = 0;
    }
    t->round = routing->tally_round;
}

bool tally_add(struct routing *routing, struct slice records, size_t *at, size_t budget)
{
    bug_on(routing->index != 0);
    for (; budget && *at < records.len; budget--) {
        struct head head;
        memcpy(&head, get(records, at, sizeof head).data, sizeof head);
        struct slice vhost = get(records, at, head.vhost_len);
        struct slice name = get(records, at, head.exchange_len);
        struct slice counts = get(records, at, head.count * sizeof(uint64_t));
        struct tally *t = find(routing, vhost, &head, name);
        if (!t)
            continue;
        if (t->round != routing->tally_round)
            begin_round(t, routing);
        for (size_t i = 0; i < t->count; i++) {
            uint64_t n;
            memcpy(&n, counts.data + i * sizeof n, sizeof n);
            t->cells[i].sum += n;
        }
    }
    return *at == records.len;
}

void tally_close(struct routing *routing, uint64_t now_ms)
{
    routing->tally_ms = routing->tally_at_ms ? now_ms - routing->tally_at_ms : 0;
    routing->tally_at_ms = now_ms;
    routing->tally_round++;
}

/* ---- reading ---- */

static struct tally_sum sum_of(const struct tally *t, const struct routing *routing, unsigned what)
{
    struct tally_sum sum = {0};
    if (!t)
        return sum;
    const struct cell *c = &t->cells[what];
    sum.sum = c->sum;
    if (t->round == routing->tally_round) { /* it is being gathered */
        sum.sum = is_level(t, what) ? c->begin : c->sum;
        sum.growth = c->growth;
    } else if (t->round + 1 == routing->tally_round) {
        sum.growth = growth_of(c, routing);
    } else if (is_level(t, what)) {
        sum.sum = 0;
    }
    return sum;
}

struct tally_sum tally_of_vhost(const struct vhost *vhost, unsigned what)
{
    return sum_of(vhost->tally, vhost->routing, what);
}

struct tally_sum tally_of_exchange(const struct exchange *x, enum exchange_count what)
{
    return sum_of(x->tally, x->vhost->routing, what);
}
