/* Every extent of a queue is counted in its struct paged, and its messages in struct ready too. */
#include "broker/queue/away.h"

#include <stdlib.h>

struct paging *away_paging(struct queue *q)
{
    if (!q->paging)
        q->paging = NEW(struct paging);
    return q->paging;
}

uint64_t away_limit(const struct queue *q, const struct paging_limits *l)
{
    return q->stored ? l->shard_bytes : l->transient_bytes;
}

uint64_t away_wake(const struct queue *q, const struct extent *x)
{
    if (!x->expiry || (x->due && !queue_looks_at_all(q)))
        return x->expiry;
    uint64_t lead = x->due ? away_lead(q) : AWAY_LEAD_MS + x->count / AWAY_READS_A_MS;
    return x->expiry > lead ? x->expiry - lead : 1;
}

void away_count_in(struct queue *q, const struct extent *x)
{
    struct paged *p = q->ready.paged;
    p->count += x->count;
    p->bytes += x->bytes;
    p->persistent += x->persistent;
    p->persistent_bytes += x->persistent_bytes;
    p->expiry = away_earlier(p->expiry, away_wake(q, x));
    order_note(q, x);
}

void away_count_out(struct queue *q, const struct extent *x)
{
    struct paged *p = q->ready.paged;
    p->count -= x->count;
    p->bytes -= x->bytes;
    p->persistent -= x->persistent;
    p->persistent_bytes -= x->persistent_bytes;
    q->paging->order.stale = true;
}

void away_open(struct queue *q, struct sequence *s)
{
    away_paging(q)->order.stale = true;
    if (!q->ready.paged)
        q->ready.paged = NEW(struct paged);
    q->ready.paged->levels++;
    s->backlog = NEW(struct backlog);
}

void away_close(struct queue *q, unsigned level)
{
    struct sequence *s = ready_level(&q->ready, level);
    struct backlog *b = s->backlog;
    if (b->count)
        return;
    while (b->tail.count)
        sequence_append(s, sequence_take(&b->tail, 0));
    backlog_free(&s->backlog);
    if (!--q->ready.paged->levels) {
        free(q->ready.paged);
        q->ready.paged = NULL;
    }
    ready_note_loss(&q->ready, level);
}

void away_drop(struct queue *q, unsigned level, uint32_t i)
{
    struct backlog *b = ready_level(&q->ready, level)->backlog;
    const struct extent *x = backlog_at(b, i);
    away_count_out(q, x);
    ready_count_out(&q->ready, level, extent_amount(x));
    backlog_remove(b, i);
}

void away_drop_empty(struct queue *q, unsigned level)
{
    const struct backlog *b = ready_level(&q->ready, level)->backlog;
    for (uint32_t i = b->count; i-- > 0;) {
        if (!backlog_at(b, i)->count)
            away_drop(q, level, i);
    }
}

void away_lose(struct queue *q, unsigned level, struct extent *x, uint32_t size)
{
    struct paged *p = q->ready.paged;
    uint64_t bytes = due_size(size), persistent = due_is_persistent(size);
    x->losses = ++q->paging->losses;
    x->count--;
    x->bytes -= bytes;
    x->persistent -= persistent;
    x->persistent_bytes -= persistent ? bytes : 0;
    p->count--;
    p->bytes -= bytes;
    p->persistent -= persistent;
    p->persistent_bytes -= persistent ? bytes : 0;
    ready_count_out(&q->ready, level,
                    (struct ready_amount){1, bytes, persistent, persistent ? bytes : 0});
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

void away_shrink(struct queue *q, unsigned level, uint32_t i, const struct extent *part,
                 uint64_t next, struct queue_out *out)
{
    struct extent *x = backlog_at(ready_level(&q->ready, level)->backlog, i);
    away_count_out(q, x);
    ready_count_in(&q->ready, level,
                   (struct ready_amount){minus(part->count, x->count), minus(part->bytes, x->bytes),
                                         minus(part->persistent, x->persistent),
                                         minus(part->persistent_bytes, x->persistent_bytes)});
    x->count = minus(x->count, part->count);
    x->bytes = minus(x->bytes, part->bytes);
    x->persistent = minus(x->persistent, part->persistent);
    x->persistent_bytes = minus(x->persistent_bytes, part->persistent_bytes);
    x->first = next;
    x->losses = ++q->paging->losses;
    if (x->due) {
        due_drop_below(x->due, next);
        extent_look_at_due(x);
    } else if (x->expiry && x->ordered && part->last_expiry > x->expiry) {
        x->expiry = part->last_expiry;
    }
    away_count_in(q, x);
    if (x->count && next <= x->last)
        return;
    out->lost += x->count;
    away_drop(q, level, i);
}

bool away_is_being_read(const struct queue *q, unsigned level, const struct extent *x)
{
    const struct paging *p = q->paging;
    return p->reading && p->what != READ_DUE && p->level == level && p->from >= x->first &&
           p->from <= x->last;
}
