/* In which order leaves what waits for its time: by time, of the same by number. So messages that
 * wait equally long leave in the order in which they came, also where some are not in memory.
 *
 * An extent keeps its order if its messages are due in the order of their numbers, as where all
 * wait equally long, or if nothing is known of it yet. What came later waits until those of it that
 * are due before are in memory again. Others it does not wait for: where each message has a time of
 * its own none of two has to be the first, and all would be as late as what is read last. */
#include "broker/queue/away.h"
#include "broker/queue/expiry.h"

static struct extent *extent_of(const struct queue *q, const struct ready_entry *e)
{
    return backlog_find(ready_level(&q->ready, e->level)->backlog, e->seq);
}

static bool keeps_order(const struct extent *x)
{
    return x->expiry && (!x->due || x->fifo);
}

static void note(struct paging *p, uint64_t expiry, uint64_t seq)
{
    if (expiry > p->order.expiry || (expiry == p->order.expiry && seq > p->order.seq))
        return;
    p->order.expiry = expiry;
    p->order.seq = seq;
}

static void look_again(const struct queue *q)
{
    struct paging *p = q->paging;
    unsigned level = away_line_level(q);
    const struct backlog *b = ready_level(&q->ready, level)->backlog;
    p->order.expiry = p->order.seq = UINT64_MAX;
    p->order.stale = false;
    for (uint32_t i = 0; b && i < b->count; i++) {
        const struct extent *x = backlog_at(b, i);
        if (keeps_order(x))
            note(p, x->expiry, x->due ? x->due->base + due_first(x->due)->offset : x->first);
    }
    for (uint32_t i = 0; p->wanted_level == level && i < p->wanted_count; i++) {
        const struct wanted *w = &p->wanted[i];
        if (w->fifo && !w->gone)
            note(p, w->expiry, w->seq);
    }
}

void order_note(struct queue *q, const struct extent *x)
{
    q->paging->order.stale |= keeps_order(x) && x->expiry <= q->paging->order.expiry;
}

static bool goes_first(const struct queue *q, const struct ready_entry *e)
{
    const struct paging *p = q->paging;
    if (p->order.stale)
        look_again(q);
    return e->expiry < p->order.expiry || (e->expiry == p->order.expiry && e->seq < p->order.seq);
}

/* What is in an extent that is being read leaves with that. Nothing waits if there is no room for
 * what it waits for. */
bool order_lets_go(const struct queue *q, const struct ready_entry *e, bool full)
{
    if (away_is_being_read(q, e->level, extent_of(q, e)))
        return false;
    return !away_is_line(q, e->level) || full || goes_first(q, e);
}

/* What came last, and waits for what is in the store. */
static bool is_held(const struct queue *q, const struct expiry_item *first)
{
    const struct backlog *b = ready_level(&q->ready, away_line_level(q))->backlog;
    if (!b || first->chunk->home != &b->tail)
        return false;
    if (q->paging->order.stale)
        look_again(q);
    return first->earliest >= q->paging->order.expiry;
}

bool order_is_in_turn(const struct queue *q, const struct ready_entry *e)
{
    const struct expiry *x = ready_in_order(&q->ready);
    if (!away_is_line(q, e->level) || !x || !x->count || x->heap[0].earliest > e->expiry)
        return true;
    const struct ready_chunk *c = x->heap[0].chunk;
    return (x->heap[0].earliest == e->expiry && c->entries[c->head].seq > e->seq) ||
           is_held(q, &x->heap[0]);
}

/* It was read ahead, and its time has come. */
static uint64_t until(const struct queue *q, const struct ready_entry *e, uint64_t now)
{
    if (away_is_being_read(q, e->level, extent_of(q, e)))
        return e->expiry - 1;
    if (!overdue_may_go(q, e))
        return now;
    const struct expiry *x = ready_in_order(&q->ready);
    return e->expiry - (!x || expiry_first(x) != e->expiry || order_is_in_turn(q, e));
}

static void hold_tail(const struct queue *q, struct ready_limit *l)
{
    const struct backlog *b = ready_level(&q->ready, away_line_level(q))->backlog;
    if (!b)
        return;
    if (q->paging->order.stale)
        look_again(q);
    l->held = &b->tail;
    l->held_until = q->paging->order.expiry - 1;
}

static struct ready_limit limit_of(const struct queue *q, uint64_t now)
{
    struct ready_limit l = {.until = now};
    if (!q->ready.paged)
        return l;
    const struct ready_entry *e = ahead_first(&q->paging->ahead);
    if (e && e->expiry <= now)
        l.until = until(q, e, now);
    hold_tail(q, &l);
    return l;
}

unsigned order_expire(struct queue *q, struct ready_pool *pool, uint64_t now,
                      struct ready_entry ret_entries[READY_CHUNK_ENTRIES])
{
    unsigned n = 0;
    if (!away_has_line(q))
        return ready_expire(&q->ready, pool, now, ret_entries);
    const struct expiry *x = ready_in_order(&q->ready);
    if (x && x->count && expiry_first(x) <= now) {
        struct ready_limit limit = limit_of(q, now);
        n = ready_expire_in_order(&q->ready, pool, &limit, ret_entries);
    }
    return n || !q->ready.later ? n : ready_expire(&q->ready, pool, now, ret_entries);
}

uint64_t order_deadline_in_line(const struct queue *q)
{
    const struct expiry *x = ready_in_order(&q->ready);
    if (!x || !x->count)
        return 0;
    struct ready_limit limit = limit_of(q, expiry_first(x));
    return ready_next_in_order(&q->ready, &limit);
}
