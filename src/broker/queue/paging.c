/* What of a queue is in memory and what in the store alone: full chunks at the back of long levels
 * leave, portions come back before they are needed. One read is under way at a time; its answer
 * may be late, and whatever needs a message that is not there waits for it.
 *
 * What expires while it is away: an extent whose messages expire in the order in which they came is
 * read shortly before that; of any other it is known when each of them does (due.h), and those
 * whose time has come leave one by one, unread unless somebody gets them as dead letters. After a
 * start nothing is known of an extent, so it is looked through shortly before its first may expire.
 *
 * Invariants: behind the messages of a level that are next in order come its extents, then what was
 * published last (extent.h). What leaves is in the log. A message that is given back lies in front
 * of all extents: no chunk leaves while a message that consumers hold may lie within its range. */
#include "base/bug.h"
#include "broker/queue/expiry.h"
#include "broker/queue/extent.h"
#include "broker/queue/pace.h"
#include "broker/queue/queue_priv.h"

#include <stdlib.h>

enum { CHUNKS_A_STEP = 64, DUE_PORTION = 512, LEAD_MS = 200 };

/* A message that is to be read since its time has come. */
struct wanted {
    struct due_entry due;
    uint64_t seq; /* 0: it is gone */
};

struct window {
    uint64_t count, bytes;
};

/* What all queues of the shard have in memory. */
static uint64_t held_by(const struct ready_pool *pool)
{
    return pool->bytes + pool->used * sizeof(struct ready_chunk);
}

static uint64_t shard_limit(const struct queue *q, const struct paging_limits *l)
{
    return q->stored ? l->shard_bytes : l->transient_bytes;
}

/* What a queue may have in memory, by what all of the shard have. */
static struct window window_of(const struct queue *q, const struct ready_pool *pool)
{
    enum { WIDE = 8, NARROW = 16 };
    const struct paging_limits *l = pool->limits;
    uint64_t held = held_by(pool), limit = shard_limit(q, l);
    if (held < limit / 2)
        return (struct window){(uint64_t)l->window * WIDE, l->window_bytes * WIDE};
    if (held < limit)
        return (struct window){l->window, l->window_bytes};
    return (struct window){l->window / NARROW, l->window_bytes / NARROW};
}

static bool is_over(const struct queue *q, const struct window *w)
{
    const struct ready *r = &q->ready;
    uint64_t count = r->paged ? r->paged->count : 0, bytes = r->paged ? r->paged->bytes : 0;
    return r->count - count > w->count || r->bytes - bytes > w->bytes;
}

/* ---- accounts ---- */

static struct paging *paging_of(struct queue *q)
{
    if (!q->paging)
        q->paging = NEW(struct paging);
    return q->paging;
}

/* When something has to be done for what expires there, 0 = never. */
static uint64_t wake_of(const struct extent *x)
{
    if (!x->expiry || x->due)
        return x->expiry;
    return x->expiry > LEAD_MS ? x->expiry - LEAD_MS : 1;
}

static void account_in(struct paged *p, const struct extent *x)
{
    p->count += x->count;
    p->bytes += x->bytes;
    p->persistent += x->persistent;
    p->persistent_bytes += x->persistent_bytes;
    uint64_t wake = wake_of(x);
    if (wake && (!p->expiry || wake < p->expiry))
        p->expiry = wake;
}

static void account_out(struct paged *p, const struct extent *x)
{
    p->count -= x->count;
    p->bytes -= x->bytes;
    p->persistent -= x->persistent;
    p->persistent_bytes -= x->persistent_bytes;
}

/* Takes the extent, and all in it, off the queue. */
static void forget(struct queue *q, struct backlog *b, uint32_t i)
{
    const struct extent *x = backlog_at(b, i);
    account_out(q->ready.paged, x);
    q->ready.count -= x->count;
    q->ready.bytes -= x->bytes;
    backlog_remove(b, i);
}

static void open_backlog(struct queue *q, struct sequence *s)
{
    paging_of(q);
    if (!q->ready.paged)
        q->ready.paged = NEW(struct paged);
    q->ready.paged->levels++;
    s->backlog = NEW(struct backlog);
}

/* If no extents are left, the level is in memory again. */
static void close_backlog(struct queue *q, unsigned level)
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
    account_in(q->ready.paged, &x);
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
    open_backlog(q, s);
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

/* The lowest level first, in portions. */
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
    if (!q->stored && held_by(out->pool) < out->pool->limits->transient_bytes / 2)
        return;
    look_at_transactions(q, out);
    for (unsigned level = 0; level < ready_level_count(&q->ready) && is_over(q, &w); level++) {
        n += page_out_level(q, ready_level(&q->ready, level), &w, out);
        if (n >= CHUNKS_A_STEP) {
            q->ready.filled = true;
            break;
        }
    }
}

/* ---- in ---- */

static void request(struct queue *q, unsigned level, const struct extent *x, bool index,
                    uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    const struct paging_limits *l = out->pool->limits;
    p->reading = true;
    p->asked_ms = now;
    p->what = index ? READ_INDEX : READ_FIRST;
    p->level = (uint8_t)level;
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
static bool is_hungry(const struct queue *q, const struct sequence *s,
                      const struct ready_pool *pool)
{
    if (!s->first)
        return true;
    struct window w = window_of(q, pool);
    uint64_t chunks = w.count / READY_CHUNK_ENTRIES / 2;
    return s->count <= (chunks ? chunks : 1) &&
           q->ready.bytes - q->ready.paged->bytes < w.bytes / 2;
}

/* Its numbers are being read from the first on: nothing of it may leave otherwise. */
static bool is_being_read(const struct queue *q, unsigned level, const struct extent *x)
{
    const struct paging *p = q->paging;
    return p->reading && p->what != READ_DUE && p->level == level && p->from >= x->first &&
           p->from <= x->last;
}

/* The extent that is the first to do something for, but one that is being read; when the next
 * after it is, 0 = never. */
static struct extent *first_due(struct queue *q, unsigned *ret_level, uint32_t *ret_i,
                                uint64_t *ret_next)
{
    struct extent *first = NULL;
    uint64_t earliest = 0, next = 0;
    for (unsigned level = 0; level < ready_level_count(&q->ready); level++) {
        const struct backlog *b = ready_level(&q->ready, level)->backlog;
        for (uint32_t i = 0; b && i < b->count; i++) {
            struct extent *x = backlog_at(b, i);
            uint64_t wake = wake_of(x);
            if (!wake || is_being_read(q, level, x))
                continue;
            if (first && earliest <= wake) {
                next = next && next < wake ? next : wake;
                continue;
            }
            next = first ? earliest : 0;
            earliest = wake;
            first = x;
            *ret_level = level;
            *ret_i = i;
        }
    }
    q->ready.paged->expiry = earliest;
    *ret_next = next;
    return first;
}

static bool is_late(const struct queue *q, uint64_t now)
{
    uint64_t wake = q->ready.paged ? q->ready.paged->expiry : 0;
    return wake && wake <= now;
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Those of a level whose time has come, in the order of their times. */
static void collect_due(struct queue *q, unsigned level, uint64_t now)
{
    struct paging *p = q->paging;
    unsigned at_level;
    uint32_t i;
    uint64_t next;
    p->wanted_count = 0;
    for (struct extent *x; p->wanted_count < DUE_PORTION;) {
        x = first_due(q, &at_level, &i, &next);
        if (!x || !x->due || at_level != level || x->expiry > now)
            break;
        while (x->due && x->expiry <= now && (!next || x->expiry <= next) &&
               p->wanted_count < DUE_PORTION) {
            const struct due_entry *d = due_first(x->due);
            p->seqs[p->wanted_count] = x->due->base + d->offset;
            p->wanted[p->wanted_count] = (struct wanted){*d, p->seqs[p->wanted_count]};
            p->wanted_count++;
            due_pop(x->due);
            extent_look_at_due(x);
        }
    }
    qsort(p->seqs, p->wanted_count, sizeof *p->seqs, compare_seqs);
}

static void request_due(struct queue *q, unsigned level, uint64_t now, struct queue_out *out)
{
    struct paging *p = q->paging;
    if (!p->wanted) {
        p->wanted = mem_alloc(DUE_PORTION * sizeof *p->wanted);
        p->seqs = mem_alloc(DUE_PORTION * sizeof *p->seqs);
    }
    collect_due(q, level, now);
    p->reading = true;
    p->asked_ms = now;
    p->what = READ_DUE;
    p->level = (uint8_t)level;
    p->from = p->seqs[0];
    out->page = (struct page_request){.ticket = ++p->ticket,
                                      .from = p->seqs[0],
                                      .to = p->seqs[p->wanted_count - 1],
                                      .max_bytes = out->pool->limits->portion_bytes,
                                      .max_count = p->wanted_count,
                                      .level = p->level,
                                      .seqs = p->seqs,
                                      .seq_count = p->wanted_count};
}

/* What expires in order is read into memory if it comes next, and expires there. */
static void ask_for_expired(struct queue *q, uint64_t now, struct queue_out *out)
{
    unsigned level;
    uint32_t i;
    uint64_t next;
    if (!is_late(q, now))
        return;
    const struct extent *x = first_due(q, &level, &i, &next);
    if (!x || wake_of(x) > now)
        return;
    if (!x->due)
        request(q, level, x,
                i || !x->ordered || !is_hungry(q, ready_level(&q->ready, level), out->pool), now,
                out);
    else if (queue_looks_at_all(q))
        request_due(q, level, now, out);
}

static void ask(struct queue *q, uint64_t now, struct queue_out *out)
{
    unsigned level = ready_first_level(&q->ready);
    struct sequence *s = ready_level(&q->ready, level);
    if (q->paging->reading || !out->pool->limits)
        return;
    if (s->backlog && is_wanted(q) && is_hungry(q, s, out->pool))
        request(q, level, backlog_at(s->backlog, 0), false, now, out);
    else
        ask_for_expired(q, now, out);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Part of an extent was read, all below next: what is left of it; the counts are put right. True:
 * nothing. */
static bool shrink(struct queue *q, struct backlog *b, uint32_t i, const struct extent *part,
                   uint64_t next, struct queue_out *out)
{
    struct extent *x = backlog_at(b, i);
    account_out(q->ready.paged, x);
    q->ready.count += minus(part->count, x->count);
    q->ready.bytes += minus(part->bytes, x->bytes);
    x->count = minus(x->count, part->count);
    x->bytes = minus(x->bytes, part->bytes);
    x->persistent = minus(x->persistent, part->persistent);
    x->persistent_bytes = minus(x->persistent_bytes, part->persistent_bytes);
    x->first = next;
    if (x->due) {
        due_drop_below(x->due, next);
        extent_look_at_due(x);
    } else if (x->expiry && x->ordered && part->last_expiry > x->expiry) {
        x->expiry = part->last_expiry;
    }
    account_in(q->ready.paged, x);
    if (x->count && next <= x->last)
        return false;
    out->lost += x->count;
    forget(q, b, i);
    return true;
}

static void take_first(struct queue *q, const struct page_answer *a, struct queue_out *out)
{
    struct sequence *s = ready_level(&q->ready, q->paging->level);
    struct extent part = extent_empty();
    for (size_t i = 0; i < a->count; i++) {
        struct ready_entry *e = &a->entries[i];
        e->stored = true;
        e->level = q->paging->level;
        extent_add(&part, e);
        struct ready_chunk *c = sequence_push(s, out->pool, e);
        if (e->expiry)
            ready_note_expiry(&q->ready, c, e->expiry);
    }
    shrink(q, s->backlog, 0, &part, a->next, out);
}

/* Only what has expired leaves the extent, of a delay line not even that: it is to go in the order
 * of its times. Of the rest it is known now when it does. */
static void take_index(struct queue *q, const struct page_answer *a, uint64_t now,
                       struct queue_out *out)
{
    struct backlog *b = ready_level(&q->ready, q->paging->level)->backlog;
    uint32_t at = (uint32_t)(backlog_find(b, q->paging->from) - backlog_at(b, 0));
    struct extent part = extent_empty(), kept = extent_empty();
    uint64_t until = q->rules && q->rules->line ? 0 : now, gone = 0, gone_bytes = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct ready_entry *e = &a->entries[i];
        e->stored = true;
        e->level = q->paging->level;
        extent_add(&part, e);
        if (!e->expiry || e->expiry > until) {
            extent_add(&kept, e);
            extent_add_due(&kept, e);
            msg_unref(e->msg);
            continue;
        }
        gone++;
        gone_bytes += e->msg->body_len;
        bounds_bury(q, e, DEATH_EXPIRED, out);
    }
    shrink(q, b, at, &part, a->next, out);
    out->extents_changed |= gone != 0;
    q->ready.count -= gone;
    q->ready.bytes -= gone_bytes;
    if (kept.count) {
        backlog_insert(b, at, &kept);
        account_in(q->ready.paged, &kept);
    }
}

/* A message of the extent is gone. */
static void leave(struct queue *q, struct extent *x, const struct due_entry *d)
{
    struct paged *p = q->ready.paged;
    uint64_t bytes = due_size(d), persistent = due_is_persistent(d);
    x->count--;
    x->bytes -= bytes;
    x->persistent -= persistent;
    x->persistent_bytes -= persistent ? bytes : 0;
    p->count--;
    p->bytes -= bytes;
    p->persistent -= persistent;
    p->persistent_bytes -= persistent ? bytes : 0;
    q->ready.count--;
    q->ready.bytes -= bytes;
}

static void drop_empty(struct queue *q, struct backlog *b)
{
    for (uint32_t i = b->count; i-- > 0;) {
        if (!backlog_at(b, i)->count)
            forget(q, b, i);
    }
}

static struct ready_entry *find_entry(const struct page_answer *a, uint64_t seq)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->entries[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->count && a->entries[low].seq == seq ? &a->entries[low] : NULL;
}

/* It was not read yet. Meanwhile the extent may have got others, of which less is known. */
static void want_later(struct queue *q, struct extent *x, const struct wanted *w)
{
    struct paged *p = q->ready.paged;
    if (x->due && x->last - w->seq > UINT32_MAX)
        due_free(&x->due);
    if (x->expiry && !x->due) {
        x->ordered = false;
        x->expiry = w->due.expiry < x->expiry ? w->due.expiry : x->expiry;
    } else {
        if (!x->due)
            x->due = due_new(x->first);
        due_add(x->due, w->seq, w->due.expiry, due_size(&w->due), due_is_persistent(&w->due));
        extent_look_at_due(x);
    }
    if (!p->expiry || wake_of(x) < p->expiry)
        p->expiry = wake_of(x);
}

static void take_due(struct queue *q, const struct page_answer *a, struct queue_out *out)
{
    struct paging *p = q->paging;
    struct backlog *b = ready_level(&q->ready, p->level)->backlog;
    for (uint32_t i = 0; i < p->wanted_count; i++) {
        const struct wanted *w = &p->wanted[i];
        struct extent *x = w->seq ? backlog_find(b, w->seq) : NULL;
        struct ready_entry *e = x && w->seq < a->next ? find_entry(a, w->seq) : NULL;
        if (!x)
            continue;
        if (w->seq >= a->next) {
            want_later(q, x, w);
            continue;
        }
        leave(q, x, &w->due);
        out->extents_changed = true;
        if (!e) {
            out->lost++;
            continue;
        }
        e->stored = true;
        e->level = p->level;
        bounds_bury(q, e, DEATH_EXPIRED, out);
        e->msg = NULL;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->entries[i].msg)
            msg_unref(a->entries[i].msg);
    }
    if (b)
        drop_empty(q, b);
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
        bug_on(l->level >= ready_level_count(&q->ready));
        struct sequence *s = ready_level(&q->ready, l->level);
        open_backlog(q, s);
        backlog_insert(s->backlog, 0, &x);
        account_in(q->ready.paged, &x);
        q->ready.count += x.count;
        q->ready.bytes += x.bytes;
        ready_note_gain(&q->ready, l->level);
        if (l->expiry && !q->ready.expiry)
            q->ready.expiry = NEW(struct expiry);
    }
}

/* ---- gone ---- */

/* A read of it is of no use any more. */
static void give_up_read(struct queue *q, unsigned level, const struct extent *x)
{
    struct paging *p = q->paging;
    if (is_being_read(q, level, x))
        p->reading = false;
    if (!p->reading || p->what != READ_DUE || p->level != level)
        return;
    for (uint32_t i = 0; i < p->wanted_count; i++) {
        if (p->wanted[i].seq >= x->first && p->wanted[i].seq <= x->last)
            p->wanted[i].seq = 0;
    }
}

static void drop(struct queue *q, unsigned level, uint32_t i, struct queue_out *out)
{
    struct backlog *b = ready_level(&q->ready, level)->backlog;
    const struct extent *x = backlog_at(b, i);
    struct ready_entry first = {.seq = x->first, .level = (uint8_t)level, .stored = true};
    out->own = false; /* reads must not see them, whether a transaction is committed or not */
    queue_effect(out, EFFECT_SETTLE, &first);
    if (out->log)
        out->log->effects[out->log->count - 1].last = x->last;
    out->extents_changed = true; /* its neighbours may become one */
    give_up_read(q, level, x);
    forget(q, b, i);
}

bool paging_drop_first(struct queue *q, struct queue_out *out)
{
    if (!ready_is_blocked(&q->ready) || queue_looks_at_all(q))
        return false;
    unsigned level = ready_first_level(&q->ready);
    const struct extent *x = backlog_at(ready_level(&q->ready, level)->backlog, 0);
    if (q->ready.count - x->count < q->rules->max_length &&
        q->ready.bytes - x->bytes <= q->rules->max_bytes)
        return false;
    drop(q, level, 0, out);
    close_backlog(q, level);
    return true;
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
            .seq = x->due->base + d->offset, .level = (uint8_t)level, .stored = true};
        queue_effect(out, EFFECT_SETTLE, &e);
        leave(q, x, d);
        due_pop(x->due);
        extent_look_at_due(x);
    }
    out->extents_changed |= n != 0;
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
            drop(q, level, i, out);
        else if (n < portion && !is_being_read(q, level, x))
            n += settle_due(q, level, x, now, portion - n, out);
    }
    drop_empty(q, b);
    close_backlog(q, level);
    return n;
}

void paging_expire(struct queue *q, uint64_t now, unsigned portion, struct queue_out *out)
{
    unsigned level, n = 0;
    uint32_t i;
    uint64_t next;
    if (queue_looks_at_all(q) || !q->paging || !is_late(q, now))
        return;
    for (level = 0; q->ready.paged && level < ready_level_count(&q->ready); level++) {
        if (ready_level(&q->ready, level)->backlog)
            n += expire_level(q, level, now, portion - n, out);
    }
    if (q->ready.paged)
        first_due(q, &level, &i, &next);
}

uint64_t paging_deadline(const struct queue *q)
{
    if (!q->ready.paged || (q->paging->reading && queue_looks_at_all(q)))
        return 0;
    return q->ready.paged->expiry;
}

void paging_forget(struct queue *q)
{
    if (q->paging)
        q->paging->reading = false;
}

/* ---- gets ---- */

void paging_keep_get(struct queue *q, const struct op *op)
{
    struct paging *p = paging_of(q);
    MEM_GROW(p->gets, p->get_cap, p->get_count + 1);
    p->gets[p->get_count++] = *op;
}

void paging_free(struct paging **p)
{
    if (*p) {
        free((*p)->gets);
        free((*p)->wanted);
        free((*p)->seqs);
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
            take_index(q, a, now, out);
        else
            take_due(q, a, out);
        if (ready_level(&q->ready, p->level)->backlog)
            close_backlog(q, p->level);
        if (bounds_apply(q)) {
            bounds_expire(q, now, out);
            bounds_enforce(q, now, out);
        }
    }
    queue_finish(q, now, out);
}
