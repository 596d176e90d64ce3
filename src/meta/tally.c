/* A tally belongs to its object on this shard, and waits in routing.tallies while it has something
 * to tell. On shard 0 it also has the sums, each as it was at the last two times: a rate is the
 * growth of the last round that is complete, not of the one that is being gathered. */
#include "meta/tally.h"

#include "base/bug.h"
#include "base/mem.h"
#include "meta/routing_priv.h"

#include <stdlib.h>

struct cell {       /* shard 0 */
    uint64_t sum;   /* of all shards */
    uint64_t begin; /* sum when the round began */
    double growth;  /* of the round before, a second */
};

struct counted {
    struct tally tally;
    struct list link; /* routing.tallies */
    const struct vhost *vhost;
    const struct exchange *exchange; /* NULL: it is the vhost's */
    uint64_t round;                  /* shard 0: in which something came last */
    size_t count;
    struct cell cells[]; /* tally.own is behind them */
};

static struct counted *counted_of(const struct tally *t)
{
    return t ? list_entry(t, struct counted, tally) : NULL;
}

/* What is there now is set anew in each round. */
static bool is_level(const struct counted *c, size_t cell)
{
    return !c->exchange && cell >= VHOST_EVENTS;
}

static struct tally *tally_new(const struct vhost *vhost, const struct exchange *exchange)
{
    size_t count = exchange ? EXCHANGE_COUNTS : VHOST_COUNTS;
    struct counted *c = mem_zalloc(sizeof *c + count * (sizeof *c->cells + sizeof *c->tally.own));
    list_init(&c->link);
    c->vhost = vhost;
    c->exchange = exchange;
    c->count = count;
    c->tally.own = (uint64_t *)&c->cells[count];
    return &c->tally;
}

void tally_free(struct tally **tally)
{
    struct counted *c = counted_of(*tally);
    if (c)
        list_remove(&c->link);
    free(c);
    *tally = NULL;
}

struct tally *tally_for_vhost(struct vhost *vhost)
{
    if (!vhost->tally)
        vhost->tally = tally_new(vhost, NULL);
    return vhost->tally;
}

struct tally *tally_for_exchange(struct exchange *x)
{
    if (!x->tally)
        x->tally = tally_new(x->vhost, x);
    return x->tally;
}

void tally_wait(struct tally *tally)
{
    struct counted *c = counted_of(tally);
    tally->waits = true;
    list_append(&c->vhost->routing->tallies, &c->link);
}

/* ---- gathering ---- */

/* A record: this, the two names, the counters. */
struct head {
    uint32_t vhost_len, exchange_len, count;
    bool of_exchange;
};

static void put_record(struct counted *t, struct buf *out)
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
    buf_append(out, t->tally.own, t->count * sizeof *t->tally.own);
    memset(t->tally.own, 0, t->count * sizeof *t->tally.own);
    t->tally.waits = false;
}

bool tally_take(struct routing *routing, size_t *budget, struct buf *records)
{
    for (; *budget && !list_empty(&routing->tallies); --*budget) {
        struct counted *t = list_entry(routing->tallies.next, struct counted, link);
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
static struct counted *find(struct routing *routing, struct slice vhost_name,
                            const struct head *head, struct slice exchange_name)
{
    struct vhost *vhost = routing_find_vhost(routing, vhost_name);
    struct exchange *x =
        vhost && head->of_exchange ? vhost_find_exchange(vhost, exchange_name) : NULL;
    if (!vhost || (head->of_exchange && !x))
        return NULL;
    return counted_of(x ? tally_for_exchange(x) : tally_for_vhost(vhost));
}

static double growth_of(const struct cell *c, const struct routing *routing)
{
    double grown = (double)(int64_t)(c->sum - c->begin);
    return routing->tally_ms ? grown * 1000 / (double)routing->tally_ms : 0;
}

/* The first record of this round. */
static void begin_round(struct counted *t, const struct routing *routing)
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
        struct counted *t = find(routing, vhost, &head, name);
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

static struct tally_sum sum_of(const struct counted *t, const struct routing *routing,
                               unsigned what)
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
    return sum_of(counted_of(vhost->tally), vhost->routing, what);
}

struct tally_sum tally_of_exchange(const struct exchange *x, enum exchange_count what)
{
    return sum_of(counted_of(x->tally), x->vhost->routing, what);
}
