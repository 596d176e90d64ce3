/* What is in memory is answered at once. What is not is read from the store, whose view is brought
 * up to what the queue has recorded; since the queue goes on meanwhile, it is asked again then. */
#include "broker/queue/peek.h"

#include "base/mem.h"
#include "broker/queue/deadletter.h"
#include "broker/queue/extent.h"
#include "broker/queue/later.h"
#include "broker/queue/waiting.h"

#include <stdlib.h>

/* A question, for as long as it takes. */
struct peek {
    struct page_reader reader;
    struct peeks *peeks;
    struct list link;
    uint16_t kind;
    struct addr reply_to;
    uint64_t cookie;
    unsigned level;
    uint64_t seq;         /* to be listed from, or taken out */
    struct queue_def *to; /* PICK: one reference; NULL: it goes for good */
    uint64_t losses;      /* of the queue, when the store was asked */
};

/* ---- pages ---- */

void waiting_page_free(struct waiting_page **page)
{
    struct waiting_page *p = *page;
    *page = NULL;
    for (unsigned i = 0; p && i < p->count; i++)
        msg_unref(p->messages[i].msg);
    free(p);
}

void waiting_release_page(struct op *op)
{
    waiting_page_free(&op_body(op, struct op_waiting)->page);
}

void waiting_release_pick(struct op *op)
{
    struct op_pick *in = op_body(op, struct op_pick);
    struct op reply = {.to = in->reply_to, .kind = OP_QUERY_REPLY, .n = op->kind};
    *op_body(&reply, struct op_queue_query) = (struct op_queue_query){
        .cookie = in->seq, .code = ERR_NOT_FOUND, .why = QUEUE_REFUSED_GONE};
    post(&reply);
    queue_def_unref(&in->to);
}

static void add(const struct peek *k, struct waiting_page *page, const struct ready_entry *e)
{
    uint64_t now = shard_now_ms(shard_self());
    bool is_letter = ready_is_later(&k->peeks->queue->ready, k->level) && later_is_letter(e);
    page->messages[page->count++] =
        (struct waiting_message){.id = e->seq,
                                 .due_ms = e->expiry > now ? e->expiry - now : 0,
                                 .delivery_count = is_letter ? later_tries(e) : e->delivery_count,
                                 .expires = e->expiry != 0,
                                 .redelivered = e->redelivered,
                                 .msg = msg_ref_n(e->msg, 1)};
}

/* The first chunk that ends at this number or later; count: none. */
static uint32_t chunk_from(const struct sequence *s, uint64_t from)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct ready_chunk *c = sequence_at(s, middle);
        if (c->entries[c->tail - 1].seq < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False: the page is full, and has where to go on. */
static bool add_sequence(const struct peek *k, struct waiting_page *page, const struct sequence *s)
{
    for (uint32_t i = chunk_from(s, k->seq); i < s->count; i++) {
        const struct ready_chunk *c = sequence_at(s, i);
        for (uint32_t at = c->head; at < c->tail; at++) {
            const struct ready_entry *e = &c->entries[at];
            if (!e->msg || e->seq < k->seq)
                continue;
            if (page->count == WAITING_PAGE) {
                page->next = e->seq;
                return false;
            }
            add(k, page, e);
        }
    }
    return true;
}

/* ---- where it is ---- */

static const struct sequence *sequence_of(const struct peek *k)
{
    static const struct sequence none;
    const struct ready *r = &k->peeks->queue->ready;
    if (ready_is_later(r, k->level))
        return ready_level(r, k->level);
    return k->level < ready_level_count(r) ? ready_level(r, k->level) : &none;
}

/* As they are delivered: the highest level first. What waits comes last. */
static unsigned next_level(const struct peek *k)
{
    const struct ready *r = &k->peeks->queue->ready;
    if (ready_is_later(r, k->level))
        return WAITING_LEVELS;
    if (k->level > ready_level_count(r))
        return ready_level_count(r) - 1;
    if (k->level)
        return k->level - 1;
    return r->later ? r->later->level : WAITING_LEVELS;
}

/* ---- answers ---- */

static void peek_free(struct peek *k)
{
    list_remove(&k->link);
    page_reader_fini(&k->reader);
    queue_def_unref(&k->to);
    free(k);
}

static void end_with_page(struct peek *k, struct waiting_page *page)
{
    struct op op = {.to = k->reply_to, .kind = OP_WAITING_PAGE};
    page->asked = k->level;
    page->waits = ready_is_later(&k->peeks->queue->ready, k->level);
    page->level = page->next ? k->level : next_level(k);
    op_body(&op, struct op_waiting)->page = page;
    post(&op);
    peek_free(k);
}

static void end(struct peek *k, enum err code)
{
    struct op op = {.to = k->reply_to, .kind = OP_QUERY_REPLY, .n = k->kind};
    *op_body(&op, struct op_queue_query) =
        (struct op_queue_query){.reply_to = k->reply_to,
                                .cookie = k->cookie,
                                .code = code,
                                .why = code ? QUEUE_REFUSED_GONE : QUEUE_REFUSED_NOT};
    post(&op);
    peek_free(k);
}

static bool lists(const struct peek *k)
{
    return k->kind == OP_WAITING_LIST || k->kind == OP_BROWSE;
}

/* ---- from the store ---- */

/* from..to of the level; one that is to be taken out by its number alone. */
static void read_page(struct peek *k, uint64_t from, uint64_t to)
{
    const struct peeks *p = k->peeks;
    k->losses = p->queue->paging ? p->queue->paging->losses : 0;
    recorder_flush(p->recorder);
    page_reader_mark(&k->reader);
    struct page_request request = {.from = from,
                                   .to = to,
                                   .max_bytes = pager_limits.portion_bytes,
                                   .max_count = lists(k) ? WAITING_PAGE : 1,
                                   .level = (uint16_t)k->level,
                                   .seqs = lists(k) ? NULL : &k->seq,
                                   .seq_count = !lists(k)};
    page_reader_ask(&k->reader, &request);
}

/* ---- listing ---- */

static void list(struct peek *k)
{
    const struct sequence *s = sequence_of(k);
    const struct backlog *b = s->backlog;
    uint32_t at = b ? backlog_from(b, k->seq) : 0;
    const struct extent *x = b && at < b->count ? backlog_at(b, at) : NULL;
    struct waiting_page *page = NEW(struct waiting_page);
    bool all = add_sequence(k, page, s);
    if (all && x && page->count) {
        page->next = x->first;
    } else if (all && x) {
        waiting_page_free(&page);
        read_page(k, k->seq > x->first ? k->seq : x->first, x->last);
        return;
    } else if (all && b) {
        add_sequence(k, page, &b->tail);
    }
    end_with_page(k, page);
}

static void on_listed(struct peek *k, const struct page_answer *a)
{
    struct waiting_page *page = NEW(struct waiting_page);
    for (size_t i = 0; i < a->count && page->count < WAITING_PAGE; i++)
        add(k, page, &a->entries[i]);
    page->next = a->next;
    end_with_page(k, page);
}

/* ---- taking out ---- */

/* One that moves stays where it is if the other queue went meanwhile. */
static bool may_leave(const struct peek *k)
{
    return !k->to || deadletters_can_move(k->to);
}

static bool take(struct peek *k)
{
    const struct peeks *p = k->peeks;
    const struct sequence *s = sequence_of(k);
    struct ready_entry e;
    if ((!s->count && !s->backlog) || !may_leave(k) ||
        !ready_take(&p->queue->ready, p->out->pool, k->level, k->seq, &e))
        return false;
    if (ready_is_later(&p->queue->ready, k->level))
        later_left(p->queue, &e);
    bounds_let_go(p->queue, &e, k->to, p->out);
    k->to = NULL;
    return true;
}

static bool take_away(struct peek *k, const struct page_answer *a, bool *ret_again)
{
    const struct peeks *p = k->peeks;
    if (!a->count || !may_leave(k))
        return false;
    struct ready_entry e = a->entries[0];
    e.level = (uint16_t)k->level;
    e.stored = true;
    if (!overdue_cancel(p->queue, &e, k->losses, k->to, p->out, ret_again))
        return false;
    k->to = NULL;
    return true;
}

/* What left as a letter that has not arrived is still seen in the store. */
static void pick(struct peek *k)
{
    const struct peeks *p = k->peeks;
    const struct sequence *s = sequence_of(k);
    if (take(k))
        end(k, ERR_NONE);
    else if (s->backlog && backlog_find(s->backlog, k->seq) &&
             !transfers_have(p->transfers, p->recorded, k->seq))
        read_page(k, k->seq, k->seq);
    else
        end(k, ERR_NOT_FOUND);
}

static void on_picked(struct peek *k, const struct page_answer *a)
{
    bool again = false;
    if (take(k) || take_away(k, a, &again))
        end(k, ERR_NONE);
    else if (again)
        pick(k);
    else
        end(k, ERR_NOT_FOUND);
}

static void changed(struct peeks *p)
{
    queue_finish(p->queue, shard_now_ms(shard_self()), p->out);
    p->on_change(p);
}

static void on_page(struct page_reader *reader, const struct page_answer *a)
{
    struct peek *k = list_entry(reader, struct peek, reader);
    struct peeks *p = k->peeks;
    p->out->own = false;
    if (lists(k))
        on_listed(k, a);
    else
        on_picked(k, a);
    for (size_t i = 0; i < a->count; i++)
        msg_unref(a->entries[i].msg);
    changed(p);
}

/* ---- asking ---- */

static unsigned level_of(const struct queue *q, const struct op *op)
{
    if (op->kind != OP_BROWSE && !q->def->line_of)
        return q->ready.later ? q->ready.later->level : READY_LEVELS;
    if (op->kind != OP_BROWSE)
        return 0;
    return op->n == WAITING_FIRST ? ready_level_count(&q->ready) - 1 : op->n;
}

static struct peek *peek_new(struct peeks *p, const struct op *op)
{
    struct peek *k = NEW(struct peek);
    k->peeks = p;
    k->kind = op->kind;
    if (op->kind == OP_PICK) {
        const struct op_pick *in = op_body(op, const struct op_pick);
        k->reply_to = in->reply_to;
        k->cookie = k->seq = in->seq;
        k->level = in->level;
        k->to = in->to;
    } else {
        const struct op_queue_query *in = op_body(op, const struct op_queue_query);
        k->reply_to = in->reply_to;
        k->cookie = k->seq = in->cookie;
        k->level = level_of(p->queue, op);
    }
    list_append(&p->waiting, &k->link);
    page_reader_init(&k->reader, p->pager, p->queue->def->id, on_page);
    return k;
}

void peeks_ask(struct peeks *p, const struct op *op)
{
    struct peek *k = peek_new(p, op);
    p->out->own = false;
    if (p->queue->dead)
        end(k, ERR_NOT_FOUND);
    else if (lists(k))
        list(k);
    else
        pick(k);
    changed(p);
}

void peeks_init(struct peeks *p)
{
    list_init(&p->waiting);
}

void peeks_fini(struct peeks *p)
{
    while (!list_empty(&p->waiting))
        end(list_entry(p->waiting.next, struct peek, link), ERR_NOT_FOUND);
}
