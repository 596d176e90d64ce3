/* In periods: in each, a few messages more may be published than three quarters of what is
 * delivered; confirms of what is beyond wait for deliveries, or for the end of the period. From the
 * second on only if consumers took a good part of what came in the one before: they would keep up
 * if they were given the time. Others meet nothing of it. */
#include "broker/queue/pace.h"

#include "base/mem.h"

#include <stdlib.h>

enum {
    PERIOD_MS = 100,
    SHARE = 4, /* consumers take at least one in so many */
    RUN = 32,  /* confirms that wait, and go, as one */
};

/* Confirms of a channel, in a row. */
struct waiting {
    struct addr channel;
    uint64_t first, last;
    uint64_t number; /* the first's, as published counts them */
};

struct pace {
    struct waiting *waiting; /* from at */
    size_t at, count, cap;
    uint64_t begun_ms, published, delivered; /* when the period began */
    bool holds;
};

static bool is_long(const struct queue *q, const struct paging_limits *l, unsigned part)
{
    return q->ready.count * sizeof(struct msg) + q->ready.bytes > l->pace_bytes / part;
}

void pace_look(struct queue *q, uint64_t now, const struct paging_limits *l)
{
    if (q->pace || q->dead || !is_long(q, l, 1))
        return;
    q->pace = NEW(struct pace);
    q->pace->begun_ms = now;
    q->pace->published = q->published;
    q->pace->delivered = queue_given(q);
    q->pace->holds = q->consumers.count != 0;
}

/* What may have come by now: less than what left, so that the queue gets shorter. */
static uint64_t allowed(const struct queue *q, const struct paging_limits *l)
{
    const struct pace *p = q->pace;
    return p->published + (queue_given(q) - p->delivered) / 4 * 3 + l->pace_ahead;
}

bool pace_keep(struct queue *q, struct addr channel, uint64_t seq, const struct paging_limits *l)
{
    struct pace *p = q->pace;
    uint64_t number = q->published + 1;
    if (!p->holds || (p->at == p->count && number <= allowed(q, l)))
        return false;
    struct waiting *last = p->at < p->count ? &p->waiting[p->count - 1] : NULL;
    if (last && addr_eq(last->channel, channel) && last->last + 1 == seq &&
        seq - last->first < RUN) {
        last->last = seq;
        return true;
    }
    MEM_GROW(p->waiting, p->cap, p->count + 1);
    p->waiting[p->count++] = (struct waiting){channel, seq, seq, number};
    return true;
}

static void let_go(struct pace *p, uint64_t up_to, struct queue_out *out)
{
    for (; p->at < p->count && p->waiting[p->at].number <= up_to; p->at++) {
        const struct waiting *w = &p->waiting[p->at];
        for (uint64_t seq = w->first; seq <= w->last; seq++)
            queue_confirm(out, CONFIRM_NOW, w->channel, seq, 0);
    }
    if (p->at == p->count)
        p->at = p->count = 0;
}

static void next_period(struct queue *q, uint64_t now, const struct paging_limits *l,
                        struct queue_out *out)
{
    struct pace *p = q->pace;
    uint64_t came = q->published - p->published, went = queue_given(q) - p->delivered;
    let_go(p, UINT64_MAX, out);
    p->holds = q->consumers.count && went && went * SHARE >= came && is_long(q, l, 1);
    p->begun_ms = now;
    p->published = q->published;
    p->delivered = queue_given(q);
    if (!is_long(q, l, 2))
        pace_free(q);
}

void pace_step(struct queue *q, uint64_t now, struct queue_out *out)
{
    const struct paging_limits *l = out->pool->limits;
    if (now - q->pace->begun_ms >= PERIOD_MS || q->dead)
        next_period(q, now, l, out);
    else
        let_go(q->pace, allowed(q, l), out);
}

bool pace_holds(const struct queue *q)
{
    return q->pace && q->pace->holds;
}

uint64_t pace_deadline(const struct queue *q)
{
    const struct pace *p = q->pace;
    return p && p->count ? p->begun_ms + PERIOD_MS : 0;
}

void pace_free(struct queue *q)
{
    if (q->pace)
        free(q->pace->waiting);
    free(q->pace);
    q->pace = NULL;
}
