/* What of a queue is in memory and what in the store alone: full chunks at the back of long levels
 * leave, portions come back before they are needed. One read is under way at a time; its answer
 * may be late, and whatever needs a message that is not there waits for it. What expires while it
 * is away is read, or not, by overdue.c.
 *
 * Invariants: behind the messages of a level that are next in order come its extents, then what was
 * published last (extent.h). What leaves is in the log. A message that is given back lies in front
 * of all extents: no chunk leaves while a message that consumers hold may lie within its range. */
#include "base/bug.h"
#include "broker/queue/away.h"
#include "broker/queue/expiry.h"
#include "broker/queue/later.h"
#include "broker/queue/pace.h"

#include <stdlib.h>

enum { CHUNKS_A_STEP = 64 };

struct window {
    uint64_t count, bytes;
};

/* What a queue may have in memory, by what all of the shard have. */
static struct window window_of(const struct queue *q, const struct ready_pool *pool)
{
    enum { WIDE = 8, NARROW = 16 };
    const struct paging_limits *l = pool->limits;
    uint64_t held = ready_pool_held(pool), limit = away_limit(q, l);
    if (held < limit / 2)
        return (struct window){(uint64_t)l->window * WIDE, l->window_bytes * WIDE};
    if (held < limit)
        return (struct window){l->window, l->window_bytes};
    return (struct window){l->window / NARROW, l->window_bytes / NARROW};
}

static struct window in_memory(const struct ready *r)
{
    struct window w = {r->count + ready_later_count(r), r->bytes + ready_later_bytes(r)};
    if (r->paged) {
        w.count -= r->paged->count;
        w.bytes -= r->paged->bytes;
    }
    return w;
}

static bool is_over(const struct queue *q, const struct window *w)
{
    struct window there = in_memory(&q->ready);
    return there.count > w->count || there.bytes > w->bytes;
}

/* ---- out ---- */

void queue_in_transaction(struct queue *q)
{
    q->transactional = true;
}

void paging_doubt(struct queue *q)
{
    q->doubtful = q->next_seq++;
    q->transactional = false;
}

/* What is known to be committed by now. */
static void look_at_transactions(struct queue *q, const struct queue_out *out)
{
    uint64_t next, oldest;
    if (q->doubtful <= q->certain || !out->oldest_transaction)
        return;
    oldest = out->oldest_transaction(out, &next);
    if (q->marked > q->certain && oldest >= q->mark)
        q->certain = q->marked;
    if (q->marked <= q->certain) {
        q->marked = q->doubtful;
        q->mark = next;
    }
    if (oldest >= q->mark)
        q->certain = q->marked;
}

/* Chunk i may be followed by what is not in memory. */
static bool may_precede(const struct queue *q, const struct sequence *s, uint32_t i)
{
    return !sequence_at(s, i)->returned || (!q->unacked.count && q->doubtful <= q->certain);
}

/* No message of the chunk is of a transaction that is open: the store would not show it yet. */
static bool is_certain(const struct queue *q, const struct ready_chunk *c)
{
    return c->entries[c->tail - 1].seq <= q->certain || c->entries[c->head].seq > q->doubtful;
}

static bool is_full(const struct sequence *s, uint32_t i)
{
    return i + 1 < s->count || ready_chunk_is_full(sequence_at(s, i));
}

/* The chunk is out of its sequence. */
static struct extent page_out(struct queue *q, struct ready_chunk *c, struct queue_out *out)
{
    struct extent x = extent_empty();
    out->commits_count |= c->entries[c->head].seq <= q->doubtful;
    for (uint32_t i = c->head; i < c->tail; i++) {
        struct ready_entry *e = &c->entries[i];
        if (!e->msg)
            continue;
        extent_add(&x, e);
        extent_add_due(&x, e);
        if (e->stored)
            continue;
        e->stored = true;
        queue_effect(out, EFFECT_ENQ, e);
        out->log->effects[out->log->count - 1].paged = true;
    }
    if (x.ordered)
        due_free(&x.due);
    if (c->expiry)
        expiry_remove(c);
    ready_garbage_add(&out->paged_out, c);
    away_count_in(q, &x);
    return x;
}

/* x is to follow the extents. Numbers between them are of messages that are gone, or of other
 * levels: what several levels sent away need not be in the order of their numbers. */
static void note_paged(struct queue_out *out, const struct backlog *b, const struct extent *x)
{
    uint64_t first = b->count ? backlog_at(b, b->count - 1)->last + 1 : x->first;
    if (out->paged.last >= first)
        out->extents_changed = true;
    if (!out->paged.last)
        out->paged.first = first;
    out->paged.last = x->last;
}

/* Chunks that came after the extents. */
static unsigned page_out_tail(struct queue *q, struct backlog *b, const struct window *w,
                              struct queue_out *out)
{
    unsigned n = 0;
    while (b->tail.count && is_full(&b->tail, 0) && is_certain(q, b->tail.first) &&
           n < CHUNKS_A_STEP && is_over(q, w)) {
        struct extent x = page_out(q, sequence_take(&b->tail, 0), out);
        note_paged(out, b, &x);
        backlog_append(b, &x, out->pool->limits->extent);
        n++;
    }
    return n;
}

/* Chunks in front of the extents, but the first. */
static unsigned page_out_front(struct queue *q, struct sequence *s, const struct window *w,
                               struct queue_out *out)
{
    unsigned n = 0;
    while (s->count > 1 && may_precede(q, s, s->count - 1) && is_certain(q, s->last) &&
           n < CHUNKS_A_STEP && is_over(q, w)) {
        struct extent x = page_out(q, sequence_take(s, s->count - 1), out);
        x.losses = ++q->paging->losses; /* while it was in memory */
        out->extents_changed = true;
        backlog_prepend(s->backlog, &x, out->pool->limits->extent);
        n++;
    }
    return n;
}

/* Something of a level that is all in memory can leave: gives it a backlog, the chunk being filled
 * goes there. */
static bool split(struct queue *q, struct sequence *s)
{
    bool filling = s->count && !is_full(s, s->count - 1);
    if (s->count < (filling ? 3 : 2) || !may_precede(q, s, s->count - 1) ||
        (filling && !may_precede(q, s, s->count - 2)) ||
        !is_certain(q, sequence_at(s, s->count - (filling ? 2 : 1))))
        return false;
    away_open(q, s);
    if (filling)
        sequence_append(&s->backlog->tail, sequence_take(s, s->count - 1));
    return true;
}

static unsigned page_out_level(struct queue *q, struct sequence *s, const struct window *w,
                               struct queue_out *out)
{
    const struct window twice = {w->count * 2, w->bytes * 2};
    if (!s->backlog)
        return split(q, s) ? page_out_front(q, s, w, out) : 0;
    unsigned n = page_out_tail(q, s->backlog, w, out);
    /* what was read back is needed next: not before all of the tail has left */
    return q->paging->reading || n == CHUNKS_A_STEP ? n : n + page_out_front(q, s, &twice, out);
}

/* What waits for its time, then the lowest level; READY_LEVELS: that was the last. */
static unsigned first_to_leave(const struct ready *r)
{
    return r->later ? r->later->level : 0;
}

static unsigned next_to_leave(const struct ready *r, unsigned level)
{
    unsigned next = ready_is_later(r, level) ? 0 : level + 1;
    return next < ready_level_count(r) ? next : READY_LEVELS;
}

/* In portions. */
static void look(struct queue *q, uint64_t now, struct queue_out *out)
{
    q->ready.filled = false;
    if (!out->pool->limits)
        return;
    pace_look(q, now, out->pool->limits);
    if (!out->log)
        return;
    struct window w = window_of(q, out->pool);
    unsigned n = 0;
    if (!q->stored && ready_pool_held(out->pool) < out->pool->limits->transient_bytes / 2)
        return;
    look_at_transactions(q, out);
    for (unsigned level = first_to_leave(&q->ready); level < READY_LEVELS && is_over(q, &w);
         level = next_to_leave(&q->ready, level)) {
        n += page_out_level(q, ready_level(&q->ready, level), &w, out);
        if (n >= CHUNKS_A_STEP) {
            q->ready.filled = true;
            break;
        }
    }
}

/* ---- in ---- */

void paging_request(struct queue *q, unsigned level, const struct extent *x, bool index,
                    uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    const struct paging_limits *l = out->pool->limits;
    p->reading = true;
    p->asked_ms = now;
    p->what = index ? READ_INDEX : READ_FIRST;
    p->level = (uint16_t)level;
    p->from = x->first;
    out->page = (struct page_request){.ticket = ++p->ticket,
                                      .from = x->first,
                                      .to = x->last,
                                      .max_bytes = l->portion_bytes,
                                      .max_count = index ? l->extent : l->portion,
                                      .level = p->level};
    struct window w = window_of(q, out->pool);
    if (!index && out->page.max_count > w.count / 2)
        out->page.max_count = (uint32_t)(w.count / 2 ? w.count / 2 : 1);
    if (!index && out->page.max_bytes > w.bytes / 2)
        out->page.max_bytes = w.bytes / 2;
}

/* Somebody would take messages. */
static bool is_wanted(const struct queue *q)
{
    return q->consumers.count || paging_has_gets(q) || bounds_over(q);
}

/* Little is left in front of the extents. */
bool paging_is_hungry(const struct queue *q, const struct sequence *s,
                      const struct ready_pool *pool)
{
    if (!s->first)
        return true;
    struct window w = window_of(q, pool);
    uint64_t chunks = w.count / READY_CHUNK_ENTRIES / 2;
    return s->count <= (chunks ? chunks : 1) && in_memory(&q->ready).bytes < w.bytes / 2;
}

/* In turn, where messages are wanted by somebody and for their time. */
static void ask(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    unsigned level = ready_first_level(&q->ready);
    struct sequence *s = ready_level(&q->ready, level);
    if (p->reading || !out->pool->limits)
        return;
    bool next = s->backlog && is_wanted(q) && paging_is_hungry(q, s, out->pool);
    if ((!next || p->what == READ_FIRST) && overdue_ask(q, now, out))
        return;
    if (next)
        paging_request(q, level, backlog_at(s->backlog, 0), false, now, out);
}

static void take_first(struct queue *q, const struct page_answer *a, struct queue_out *out)
{
    struct sequence *s = ready_level(&q->ready, q->paging->level);
    struct extent part = extent_empty();
    extent_keep_times(backlog_at(s->backlog, 0), a->entries, a->count);
    for (size_t i = 0; i < a->count; i++) {
        struct ready_entry *e = &a->entries[i];
        e->stored = true;
        e->level = q->paging->level;
        extent_add(&part, e);
        struct ready_chunk *c = sequence_push(s, out->pool, e);
        if (e->expiry)
            ready_note_expiry(&q->ready, e->level, c, e->expiry);
    }
    overdue_forget_read(q, backlog_at(s->backlog, 0), &part, a->next);
    away_shrink(q, q->paging->level, 0, &part, a->next, out);
}

void queue_restore(struct queue *q, const struct queue_level *levels, size_t count,
                   uint64_t next_seq)
{
    q->next_seq = next_seq;
    for (size_t i = 0; i < count; i++) {
        const struct queue_level *l = &levels[i];
        struct extent x = {.first = l->first,
                           .last = l->last,
                           .count = l->count,
                           .bytes = l->bytes,
                           .expiry = l->expiry,
                           .latest = EXTENT_UNKNOWN,
                           .persistent = l->count,
                           .persistent_bytes = l->bytes};
        if (!l->count)
            continue;
        if (l->level >= ready_level_count(&q->ready)) {
            bug_on(l->level != ready_later_level(&q->ready));
            ready_open_later(&q->ready);
        }
        struct sequence *s = ready_level(&q->ready, l->level);
        away_open(q, s);
        backlog_insert(s->backlog, 0, &x);
        away_count_in(q, &x);
        ready_count_in(&q->ready, l->level, extent_amount(&x));
        ready_note_gain(&q->ready, l->level);
        if (l->expiry && !q->ready.expiry)
            q->ready.expiry = NEW(struct expiry);
    }
    later_restored(q);
}

/* ---- gone ---- */

bool paging_drop_first(struct queue *q, struct queue_out *out)
{
    if (!ready_is_blocked(&q->ready) || queue_looks_at_all(q))
        return false;
    unsigned level = ready_first_level(&q->ready);
    const struct extent *x = backlog_at(ready_level(&q->ready, level)->backlog, 0);
    if (q->ready.count - x->count < q->rules->max_length &&
        q->ready.bytes - x->bytes <= q->rules->max_bytes)
        return false;
    overdue_drop(q, level, 0, out);
    away_close(q, level);
    return true;
}

void paging_forget(struct queue *q)
{
    if (!q->paging)
        return;
    q->paging->reading = false;
    overdue_forget_all(q->paging);
}

/* ---- gets ---- */

void paging_keep_get(struct queue *q, const struct op *op)
{
    struct paging *p = away_paging(q);
    MEM_GROW(p->gets, p->get_cap, p->get_count + 1);
    p->gets[p->get_count++] = *op;
}

void paging_free(struct paging **p)
{
    if (*p) {
        free((*p)->gets);
        overdue_forget_all(*p);
    }
    free(*p);
    *p = NULL;
}

static void drop_gets_if_none(struct paging *p)
{
    if (p->get_at < p->get_count)
        return;
    free(p->gets);
    p->gets = NULL;
    p->get_at = p->get_count = p->get_cap = 0;
}

static void answer_gets(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    while (p->get_at < p->get_count && queue_get(q, &p->gets[p->get_at], now, out))
        p->get_at++;
    drop_gets_if_none(p);
}

void paging_refuse_gets(struct queue *q, struct queue_out *out)
{
    struct paging *p = q->paging;
    if (!p)
        return;
    while (p->get_at < p->get_count)
        queue_refuse(&p->gets[p->get_at++], ERR_NOT_FOUND, QUEUE_REFUSED_GONE, out);
    drop_gets_if_none(p);
}

void paging_step(struct queue *q, uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    if (p && p->blocked && !ready_is_blocked(&q->ready)) {
        answer_gets(q, now, out);
        queue_dispatch(q, now, out);
    }
    if (q->ready.filled)
        look(q, now, out);
    if (q->ready.paged)
        ask(q, now, out);
    if (q->paging)
        q->paging->blocked = ready_is_blocked(&q->ready);
}

void queue_page_in(struct queue *q, const struct page_answer *a, uint64_t now,
                   struct queue_out *out)
{
    struct paging *p = q->paging;
    if (!p || !p->reading || p->ticket != a->ticket) {
        for (size_t i = 0; i < a->count; i++)
            msg_unref(a->entries[i].msg);
    } else {
        p->reading = false;
        if (p->what == READ_FIRST)
            take_first(q, a, out);
        else if (p->what == READ_INDEX)
            overdue_take_index(q, a, now, out);
        else
            overdue_take(q, a, out);
        if (ready_level(&q->ready, p->level)->backlog)
            away_close(q, p->level);
        if (bounds_apply(q)) {
            bounds_expire(q, now, out);
            bounds_enforce(q, now, out);
        }
        if (q->ready.later)
            queue_dispatch(q, now, out);
    }
    queue_finish(q, now, out);
}
