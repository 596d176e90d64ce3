/* Messages that expire while they are not in memory.
 *
 * An extent whose messages expire in the order in which they came is read shortly before that; of
 * any other it is known when each of them does (due.h). After a start nothing is known of an
 * extent, so it is looked through shortly before its first may expire.
 *
 * If nobody wants to see them, those whose time has come are settled one by one, unread. Else, and
 * if what waits for its time there is to be ready then (later.h), they are read ahead of it: a
 * sweep goes over all extents and reads, in the order of their numbers, what expires within the
 * next second or so; that waits in memory (ahead.h) for its moment. So a read takes much of what is
 * stored side by side, and its duration does not count. The less room there is, the less far a
 * sweep looks ahead.
 *
 * Where all wait equally long the parts of a line are in order, and what is read ahead waits for
 * those that are due before (order.c). A clock that was set back, or a shorter delay by a policy,
 * ends that for the parts that have such a step within: of these it is known when each message is
 * due, as of messages with times of their own, and they cannot be told from them. To wait for all
 * extents whose first is due earlier would be simple, but would keep such messages in order too: a
 * sweep reads in the order of numbers, so where it is late all would be as late as its last
 * portion. So for as long as what lay around the step is there, messages of one delay may change
 * places.
 *
 * Invariant: what is read ahead, and what is being read for that, is in its extent still, but not
 * in the extent's due. What leaves the extent otherwise is forgotten here (overdue_forget). */
#include "broker/queue/away.h"
#include "broker/queue/expiry.h"
#include "broker/queue/later.h"

#include <stdlib.h>

enum { DUE_PORTION = 4096, LEAST_MS = 16, LEAST_LATE_MS = 250 };

/* As in struct due_entry. */
static uint32_t size_of(const struct msg *m)
{
    return due_pack(m->body_len, m->flags & MSG_PERSISTENT);
}

/* ---- what is next ---- */

/* What of the extents is first, but for one that is being read. */
struct first {
    uint64_t wake;          /* something is to be done then, 0 = never */
    uint64_t due;           /* that is by extents of which it is known when each expires; and */
    struct extent *unknown; /* of the others the first, NULL: none */
    unsigned level;         /* where it is */
    uint32_t i;
};

static void look_at(struct queue *q, unsigned level, uint32_t i, struct extent *x, struct first *f)
{
    uint64_t wake = away_wake(q, x);
    if (!wake || away_is_being_read(q, level, x))
        return;
    f->wake = away_earlier(f->wake, wake);
    if (x->due) {
        f->due = away_earlier(f->due, wake);
    } else if (!f->unknown || wake < away_wake(q, f->unknown)) {
        f->unknown = x;
        f->level = level;
        f->i = i;
    }
}

static struct first find_first(struct queue *q)
{
    struct first f = {0};
    for (unsigned level = 0; level < READY_LEVELS; level = ready_next_level(&q->ready, level)) {
        const struct backlog *b = ready_level(&q->ready, level)->backlog;
        for (uint32_t i = 0; b && i < b->count; i++)
            look_at(q, level, i, backlog_at(b, i), &f);
    }
    q->ready.paged->expiry = f.wake;
    return f;
}

static bool is_late(const struct queue *q, uint64_t now)
{
    uint64_t wake = q->ready.paged ? q->ready.paged->expiry : 0;
    return wake && wake <= now;
}

/* ---- reading ahead ---- */

/* So much may wait in memory. */
static uint64_t room(const struct queue *q, const struct ready_pool *pool)
{
    uint64_t limit = away_limit(q, pool->limits);
    return ready_pool_held(pool) < limit ? limit / 4 : pool->limits->portion_bytes;
}

static bool is_full(const struct queue *q, const struct ready_pool *pool)
{
    return q->paging->ahead.count && q->paging->ahead.bytes >= room(q, pool);
}

static void begin_sweep(struct queue *q, const struct ready_pool *pool, bool late, uint64_t now)
{
    struct paging *p = q->paging;
    bool crowded = p->sweep.crowded || ready_pool_held(pool) >= away_limit(q, pool->limits);
    uint64_t ms = p->sweep.ms ? p->sweep.ms : AWAY_AHEAD_MS;
    uint64_t least = crowded ? LEAST_MS : LEAST_LATE_MS;
    if (!crowded && !late)
        ms = ms * 2 < AWAY_AHEAD_MS ? ms * 2 : AWAY_AHEAD_MS;
    else if (ms > least)
        ms = ms / 2 > least ? ms / 2 : least;
    p->sweep.on = true;
    p->sweep.crowded = false;
    p->sweep.level = 0;
    p->sweep.from = 0;
    p->sweep.ms = ms;
    p->sweep.until = now + ms;
}

/* What is left of the sweep takes only what is urgent. */
static void hurry(struct queue *q, const struct ready_pool *pool, uint64_t now)
{
    struct paging *p = q->paging;
    uint64_t urgent = now + away_lead(q);
    if (p->ahead.bytes < room(q, pool) / 2)
        return;
    p->sweep.crowded = true;
    if (p->sweep.until > urgent)
        p->sweep.until = urgent;
}

/* False: that is a portion. */
static bool find_in_extent(struct paging *p, struct extent *x, uint64_t *bytes, uint64_t max_bytes)
{
    while (x->due && x->expiry <= p->sweep.until) {
        if (p->wanted_count == DUE_PORTION || *bytes >= max_bytes)
            return false;
        const struct due_entry *d = due_first(x->due);
        MEM_GROW(p->wanted, p->wanted_cap, p->wanted_count + 1);
        p->wanted[p->wanted_count++] = (struct wanted){
            .seq = x->due->base + d->offset, .expiry = d->expiry, .size = d->size, .fifo = x->fifo};
        *bytes += due_size(d->size);
        due_pop(x->due);
        x->ordered = false; /* what is joined with it need not expire later than this one */
        extent_look_at_due(x);
    }
    return true;
}

/* The next portion, of one level. */
static void sweep_on(struct queue *q, const struct paging_limits *l)
{
    struct paging *p = q->paging;
    uint64_t bytes = 0;
    while (p->sweep.level < READY_LEVELS) {
        const struct backlog *b = ready_level(&q->ready, p->sweep.level)->backlog;
        if (p->wanted_count)
            return;
        p->wanted_level = (uint16_t)p->sweep.level;
        for (uint32_t i = b ? backlog_from(b, p->sweep.from) : 0; b && i < b->count; i++) {
            p->sweep.from = backlog_at(b, i)->first;
            if (!find_in_extent(p, backlog_at(b, i), &bytes, l->portion_bytes))
                return;
        }
        p->sweep.level = ready_next_level(&q->ready, p->sweep.level);
        p->sweep.from = 0;
    }
    p->sweep.on = false;
}

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void note_wanted_first(struct paging *p)
{
    p->wanted_first = UINT64_MAX;
    for (uint32_t i = 0; i < p->wanted_count; i++) {
        if (p->wanted[i].expiry < p->wanted_first)
            p->wanted_first = p->wanted[i].expiry;
    }
}

static void find_wanted(struct queue *q, const struct paging_limits *l)
{
    struct paging *p = q->paging;
    sweep_on(q, l);
    p->order.stale = true;
    if (p->wanted_count)
        qsort(p->wanted, p->wanted_count, sizeof *p->wanted, compare_wanted);
    note_wanted_first(p);
}

static void drop_gone(struct paging *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->wanted_count; i++) {
        if (!p->wanted[i].gone)
            p->wanted[n++] = p->wanted[i];
    }
    p->order.stale |= n != p->wanted_count;
    p->wanted_count = n;
}

static void free_wanted(struct paging *p)
{
    free(p->wanted);
    free(p->seqs);
    p->wanted = NULL;
    p->seqs = NULL;
    p->wanted_count = 0;
    p->wanted_cap = 0;
}

static bool request_due(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    drop_gone(p);
    if (is_full(q, out->pool))
        return false;
    if (!p->wanted_count && p->sweep.on) {
        hurry(q, out->pool, now);
        find_wanted(q, out->pool->limits);
    }
    if (!p->wanted_count)
        return false;
    p->seqs = mem_realloc(p->seqs, p->wanted_count * sizeof *p->seqs);
    for (uint32_t i = 0; i < p->wanted_count; i++)
        p->seqs[i] = p->wanted[i].seq;
    p->reading = true;
    p->asked_ms = now;
    p->what = READ_DUE;
    p->level = p->wanted_level;
    p->from = p->seqs[0];
    out->page = (struct page_request){.ticket = ++p->ticket,
                                      .from = p->seqs[0],
                                      .to = p->seqs[p->wanted_count - 1],
                                      .max_bytes = out->pool->limits->portion_bytes,
                                      .max_count = p->wanted_count,
                                      .level = p->level,
                                      .seqs = p->seqs,
                                      .seq_count = p->wanted_count};
    return true;
}

/* A line goes on where it left the store in order, with the first of its extents: that is read as
 * what is next, once there is room for it. */
static bool goes_on(const struct queue *q, const struct ready_pool *pool, uint64_t now)
{
    const struct sequence *s = ready_level(&q->ready, away_line_level(q));
    const struct extent *x = away_has_line(q) && s->backlog ? backlog_at(s->backlog, 0) : NULL;
    return x && !x->due && x->expiry && away_wake(q, x) <= now && paging_is_hungry(q, s, pool);
}

/* And it has not got to that yet: what precedes it in memory leaves before, or is leaving. */
static bool has_more_before(const struct queue *q, const struct first *f, uint64_t now)
{
    const struct expiry *x = ready_in_order(&q->ready);
    if (!away_is_line(q, f->level) || f->i || !f->unknown->ordered)
        return false;
    return f->unknown->expiry > now || (x && x->count && x->heap[0].earliest <= now &&
                                        x->heap[0].chunk->home == ready_level(&q->ready, f->level));
}

/* What is of use for expiry alone is read to know its times; what is next anyway, to be there. */
static void request_unknown(struct queue *q, const struct first *f, bool on, uint64_t now,
                            struct queue_out *out)
{
    unsigned line = away_line_level(q);
    const struct extent *x = f->unknown;
    if (on && (q->paging->what != READ_FIRST || !x || (f->level == line && !f->i))) {
        x = backlog_at(ready_level(&q->ready, line)->backlog, 0);
        paging_request(q, line, x, false, now, out);
        return;
    }
    bool index = f->i || !x->ordered || away_is_line(q, f->level) ||
                 !paging_is_hungry(q, ready_level(&q->ready, f->level), out->pool);
    paging_request(q, f->level, x, index, now, out);
}

bool overdue_ask(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    bool looks = queue_looks_at_all(q);
    p->sweep.on &= looks;
    if (!p->sweep.on && !p->wanted_count) {
        free_wanted(p);
        if (!is_late(q, now))
            return false;
    }
    struct first f = find_first(q);
    if (f.unknown && (away_wake(q, f.unknown) > now || has_more_before(q, &f, now)))
        f.unknown = NULL;
    bool on = goes_on(q, out->pool, now), unknown = on || f.unknown;
    if (!p->sweep.on && looks && f.due && f.due <= now)
        begin_sweep(q, out->pool, f.due + away_lead(q) <= now, now);
    if (unknown && p->what == READ_DUE) { /* in turn */
        request_unknown(q, &f, on, now, out);
        return true;
    }
    if (request_due(q, now, out))
        return true;
    if (unknown)
        request_unknown(q, &f, on, now, out);
    return unknown;
}

/* ---- answers ---- */

/* Of a line that was in order, as nearly all are that were not looked through since a start, no
 * more has to be known; unless it was to be read now, and not as what is next. */
static void leave_in_order(const struct queue *q, unsigned level, struct extent *kept, bool known)
{
    if (!away_is_line(q, level) || !kept->ordered)
        return;
    kept->fifo = known;
    if (!known)
        due_free(&kept->due);
}

/* Only what has expired leaves the extent, of a line not even that. Of the rest it is known now
 * when it does. */
void overdue_take_index(struct queue *q, const struct page_answer *a, uint64_t now,
                        struct queue_out *out)
{
    unsigned level = q->paging->level;
    struct backlog *b = ready_level(&q->ready, level)->backlog;
    uint32_t at = (uint32_t)(backlog_find(b, q->paging->from) - backlog_at(b, 0));
    struct extent part = extent_empty(), kept = extent_empty();
    uint64_t until = away_is_line(q, level) ? 0 : now;
    struct ready_amount gone = {0};
    bool known = backlog_at(b, at)->ordered;
    extent_keep_times(backlog_at(b, at), a->entries, a->count);
    for (size_t i = 0; i < a->count; i++) {
        struct ready_entry *e = &a->entries[i];
        e->stored = true;
        e->level = (uint16_t)level;
        extent_add(&part, e);
        if (!e->expiry || e->expiry > until) {
            extent_add(&kept, e);
            extent_add_due(&kept, e);
            msg_unref(e->msg);
            continue;
        }
        ready_amount_add(&gone, e->msg);
        bounds_bury(q, e, DEATH_EXPIRED, out);
    }
    overdue_forget_read(q, backlog_at(b, at), &part, a->next);
    away_shrink(q, level, at, &part, a->next, out);
    out->extents_left |= gone.count != 0;
    ready_count_out(&q->ready, level, gone);
    if (kept.count) {
        leave_in_order(q, level, &kept, known);
        backlog_insert(b, at, &kept);
        away_count_in(q, &kept);
    }
}

static void keep_ahead(struct queue *q, struct ready_pool *pool, const struct wanted *w,
                       struct ready_entry *e)
{
    e->stored = true;
    e->expiry = w->expiry;
    e->level = q->paging->level;
    ahead_add(&q->paging->ahead, pool, e);
    e->msg = NULL;
}

/* It was counted, but is not there. */
static void lose(struct queue *q, struct backlog *b, const struct wanted *w, struct queue_out *out)
{
    away_lose(q, q->paging->level, backlog_find(b, w->seq), w->size);
    out->lost++;
}

/* What was not reached is asked for again. */
void overdue_take(struct queue *q, const struct page_answer *a, struct queue_out *out)
{
    struct paging *p = q->paging;
    struct backlog *b = ready_level(&q->ready, p->level)->backlog;
    uint32_t left = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < p->wanted_count; i++) {
        const struct wanted *w = &p->wanted[i];
        if (w->gone)
            continue;
        if (w->seq >= a->next) {
            p->wanted[left++] = *w;
            continue;
        }
        while (at < a->count && a->entries[at].seq < w->seq)
            at++;
        if (at < a->count && a->entries[at].seq == w->seq)
            keep_ahead(q, out->pool, w, &a->entries[at]);
        else
            lose(q, b, w, out);
    }
    p->wanted_count = left;
    p->order.stale = true;
    note_wanted_first(p);
    for (size_t i = 0; i < a->count; i++) {
        if (a->entries[i].msg)
            msg_unref(a->entries[i].msg);
    }
    if (b)
        away_drop_empty(q, p->level);
}

/* ---- gone ---- */

void overdue_forget(struct queue *q, unsigned level, uint64_t first, uint64_t last)
{
    struct paging *p = q->paging;
    p->order.stale = true;
    for (uint32_t i = 0; p->wanted_level == level && i < p->wanted_count; i++)
        p->wanted[i].gone |= p->wanted[i].seq >= first && p->wanted[i].seq <= last;
    ahead_drop(&p->ahead, level, first, last);
}

void overdue_forget_read(struct queue *q, const struct extent *x, const struct extent *part,
                         uint64_t next)
{
    bool all = part->count >= x->count;
    overdue_forget(q, q->paging->level, x->first, all ? x->last : next - 1);
}

static bool is_waited_for(const struct paging *p, unsigned level, uint64_t seq)
{
    for (uint32_t i = 0; p->wanted_level == level && i < p->wanted_count; i++) {
        if (p->wanted[i].seq == seq && !p->wanted[i].gone)
            return true;
    }
    for (size_t i = 0; i < p->ahead.count; i++) {
        if (p->ahead.items[i].level == level && p->ahead.items[i].seq == seq)
            return true;
    }
    return false;
}

/* Certain, if it is known when those of the extent expire, or none left that since. */
static bool is_there(const struct queue *q, struct extent *x, const struct ready_entry *e,
                     uint64_t losses, bool *ret_again)
{
    if (is_waited_for(q->paging, e->level, e->seq))
        return true;
    if (e->expiry && (x->due || !x->expiry))
        return x->due && due_remove(x->due, e->seq);
    *ret_again = x->losses > losses;
    return !*ret_again;
}

bool overdue_cancel(struct queue *q, const struct ready_entry *e, uint64_t losses,
                    struct queue_def *to, struct queue_out *out, bool *ret_again)
{
    const struct backlog *b = ready_level(&q->ready, e->level)->backlog;
    struct extent *x = b ? backlog_find(b, e->seq) : NULL;
    *ret_again = x && away_is_being_read(q, e->level, x);
    if (!x || *ret_again || !is_there(q, x, e, losses, ret_again))
        return false;
    if (ready_is_later(&q->ready, e->level))
        later_left(q, e);
    away_lose(q, e->level, x, size_of(e->msg));
    msg_ref_n(e->msg, 1);
    bounds_let_go(q, e, to, out);
    overdue_forget(q, e->level, e->seq, e->seq);
    if (x->due)
        extent_look_at_due(x);
    out->extents_left = true;
    away_drop_empty(q, e->level);
    away_close(q, e->level);
    return true;
}

void overdue_drop(struct queue *q, unsigned level, uint32_t i, struct queue_out *out)
{
    struct backlog *b = ready_level(&q->ready, level)->backlog;
    const struct extent *x = backlog_at(b, i);
    struct ready_entry first = {.seq = x->first, .level = (uint16_t)level, .stored = true};
    out->own = false; /* reads must not see them, whether a transaction is committed or not */
    queue_effect(out, EFFECT_SETTLE, &first);
    if (out->log)
        out->log->effects[out->log->count - 1].last = x->last;
    out->extents_left = true; /* its neighbours may become one */
    if (away_is_being_read(q, level, x))
        q->paging->reading = false;
    overdue_forget(q, level, x->first, x->last);
    away_drop(q, level, i);
}

/* Unread, one by one. */
static unsigned settle_due(struct queue *q, unsigned level, struct extent *x, uint64_t now,
                           unsigned portion, struct queue_out *out)
{
    unsigned n = 0;
    out->own = false;
    for (; x->due && x->expiry <= now && n < portion; n++) {
        const struct due_entry *d = due_first(x->due);
        struct ready_entry e = {
            .seq = x->due->base + d->offset, .level = (uint16_t)level, .stored = true};
        queue_effect(out, EFFECT_SETTLE, &e);
        away_lose(q, level, x, d->size);
        due_pop(x->due);
        extent_look_at_due(x);
    }
    out->extents_left |= n != 0;
    return n;
}

static unsigned expire_level(struct queue *q, unsigned level, uint64_t now, unsigned portion,
                             struct queue_out *out)
{
    struct backlog *b = ready_level(&q->ready, level)->backlog;
    unsigned n = 0;
    for (uint32_t i = b->count; i-- > 0;) {
        struct extent *x = backlog_at(b, i);
        if (x->latest <= now)
            overdue_drop(q, level, i, out);
        else if (n < portion && !away_is_being_read(q, level, x))
            n += settle_due(q, level, x, now, portion - n, out);
    }
    away_drop_empty(q, level);
    away_close(q, level);
    return n;
}

static struct extent *extent_of(const struct queue *q, const struct ready_entry *e)
{
    return backlog_find(ready_level(&q->ready, e->level)->backlog, e->seq);
}

bool overdue_may_go(const struct queue *q, const struct ready_entry *e)
{
    return order_lets_go(q, e, is_full(q, q->paging->ahead.pool));
}

/* Out of memory, at their times. */
static unsigned expire_ahead(struct queue *q, uint64_t now, unsigned portion, struct queue_out *out)
{
    struct ahead *a = &q->paging->ahead;
    const struct ready_entry *e;
    unsigned n = 0;
    for (; n < portion && (e = ahead_first(a)) && e->expiry <= now; n++) {
        if (!overdue_may_go(q, e) || !order_is_in_turn(q, e))
            break;
        struct extent *x = extent_of(q, e);
        struct ready_entry gone = ahead_pop(a);
        away_lose(q, gone.level, x, size_of(gone.msg));
        out->own = false;
        out->extents_left = true;
        if (!x->count) {
            away_drop_empty(q, gone.level);
            away_close(q, gone.level);
        }
        later_time_over(q, &gone, now, out);
    }
    return n;
}

unsigned overdue_expire(struct queue *q, uint64_t now, unsigned portion, struct queue_out *out)
{
    unsigned n = 0;
    if (!q->ready.paged)
        return 0;
    n = expire_ahead(q, now, portion, out);
    if (queue_looks_at_all(q) || !is_late(q, now))
        return n;
    for (unsigned level = 0; q->ready.paged && level < ready_level_count(&q->ready); level++) {
        if (ready_level(&q->ready, level)->backlog)
            n += expire_level(q, level, now, portion - n, out);
    }
    if (q->ready.paged)
        find_first(q);
    return n;
}

uint64_t overdue_deadline(const struct queue *q)
{
    if (!q->ready.paged)
        return 0;
    const struct paging *p = q->paging;
    const struct ready_entry *e = ahead_first(&p->ahead);
    uint64_t next = e && overdue_may_go(q, e) ? e->expiry : 0;
    if (p->reading && queue_looks_at_all(q))
        return next;
    if (p->wanted_count && !p->reading)
        next = away_earlier(next, p->wanted_first);
    return away_earlier(next, q->ready.paged->expiry);
}

uint64_t overdue_next(const struct queue *q, unsigned level)
{
    if (!q->ready.paged)
        return 0;
    const struct paging *p = q->paging;
    const struct backlog *b = ready_level(&q->ready, level)->backlog;
    uint64_t next = p->wanted_count && p->wanted_level == level ? p->wanted_first : 0;
    for (size_t i = 0; i < p->ahead.count; i++) {
        if (p->ahead.items[i].level == level)
            next = away_earlier(next, p->ahead.items[i].expiry);
    }
    for (uint32_t i = 0; b && i < b->count; i++)
        next = away_earlier(next, backlog_at(b, i)->expiry);
    return next;
}

void overdue_forget_all(struct paging *p)
{
    ahead_clear(&p->ahead);
    free_wanted(p);
    p->sweep.on = false;
}
