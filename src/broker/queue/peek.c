/* What is in memory is answered at once. What is not is read from the store, whose view is brought
 * up to what the queue has recorded; since the queue goes on meanwhile, it is asked again then. */
#include "broker/queue/peek.h"

#include "base/mem.h"
#include "broker/queue/extent.h"
#include "broker/queue/later.h"
#include "broker/queue/waiting.h"

#include <stdlib.h>

struct peek {
    struct page_reader reader;
    struct peeks *peeks;
    struct list link;
    struct op op;
    uint64_t seq;    /* of WAITING_CANCEL */
    uint64_t losses; /* of the queue, when the store was asked */
};

/* ---- pages ---- */

void waiting_page_free(struct waiting_page **page)
{
    struct waiting_page *p = *page;
    *page = NULL;
    for (unsigned i = 0; p && i < p->count; i++) {
        slice_free(&p->messages[i].exchange);
        slice_free(&p->messages[i].key);
    }
    free(p);
}

void waiting_release_page(struct op *op)
{
    waiting_page_free(&op_body(op, struct op_waiting)->page);
}

static void add(struct waiting_page *page, const struct ready_entry *e, uint64_t now_ms)
{
    const struct msg *m = e->msg;
    page->messages[page->count++] = (struct waiting_message){
        .id = e->seq,
        .due_ms = e->expiry > now_ms ? e->expiry - now_ms : 0,
        .size = m->body_len,
        .delivery_count = later_is_letter(e) ? later_tries(e) : e->delivery_count,
        .persistent = m->flags & MSG_PERSISTENT,
        .exchange = slice_dup(msg_exchange(m)),
        .key = slice_dup(msg_routing_key(m))};
}

/* False: the page is full, and has where to go on. */
static bool add_sequence(struct waiting_page *page, const struct sequence *s, uint64_t from,
                         uint64_t now_ms)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct ready_chunk *c = sequence_at(s, i);
        for (uint32_t k = c->entries[c->tail - 1].seq < from ? c->tail : c->head; k < c->tail;
             k++) {
            const struct ready_entry *e = &c->entries[k];
            if (!e->msg || e->seq < from)
                continue;
            if (page->count == WAITING_PAGE) {
                page->next = e->seq;
                return false;
            }
            add(page, e, now_ms);
        }
    }
    return true;
}

/* ---- where it is ---- */

static unsigned level_of(const struct queue *q)
{
    return q->def->line_of ? 0 : READY_LATER;
}

static const struct sequence *sequence_of(const struct queue *q)
{
    static const struct sequence none;
    if (!q->def->line_of && !q->ready.later)
        return &none;
    return ready_level(&q->ready, level_of(q));
}

/* The first extent that has numbers from there on. */
static const struct extent *extent_from(const struct sequence *s, uint64_t from)
{
    for (uint32_t i = 0; s->backlog && i < s->backlog->count; i++) {
        if (backlog_at(s->backlog, i)->last >= from)
            return backlog_at(s->backlog, i);
    }
    return NULL;
}

/* ---- answers ---- */

static const struct op_queue_query *query_of(const struct op *op)
{
    return op_body(op, const struct op_queue_query);
}

static void send_page(const struct op *asked, struct waiting_page *page)
{
    struct op op = {.to = query_of(asked)->reply_to, .kind = OP_WAITING_PAGE};
    op_body(&op, struct op_waiting)->page = page;
    post(&op);
}

static void send_answer(const struct op *asked, enum err code)
{
    struct op op = {.to = query_of(asked)->reply_to, .kind = OP_QUERY_REPLY, .n = asked->kind};
    struct op_queue_query *answer = op_body(&op, struct op_queue_query);
    *answer = *query_of(asked);
    answer->code = code;
    answer->why = code ? QUEUE_REFUSED_GONE : QUEUE_REFUSED_NOT;
    post(&op);
}

static void peek_free(struct peek *k)
{
    list_remove(&k->link);
    page_reader_fini(&k->reader);
    free(k);
}

static void on_page(struct page_reader *reader, const struct page_answer *answer);

/* from..to of the level; of one alone, its number is to be in op. */
static void read_page(struct peeks *p, const struct op *op, uint64_t from, uint64_t to)
{
    struct peek *k = NEW(struct peek);
    k->peeks = p;
    k->op = *op;
    k->seq = query_of(op)->cookie;
    k->losses = p->queue->paging ? p->queue->paging->losses : 0;
    list_append(&p->waiting, &k->link);
    page_reader_init(&k->reader, p->pager, p->queue->def->id, on_page);
    recorder_flush(p->recorder);
    page_reader_mark(&k->reader);
    bool one = op->kind == OP_WAITING_CANCEL;
    struct page_request request = {.from = from,
                                   .to = to,
                                   .max_bytes = pager_limits.portion_bytes,
                                   .max_count = one ? 1 : WAITING_PAGE,
                                   .level = (uint8_t)level_of(p->queue),
                                   .seqs = one ? &k->seq : NULL,
                                   .seq_count = one};
    page_reader_ask(&k->reader, &request);
}

/* ---- listing ---- */

static void list_waiting(struct peeks *p, const struct op *op)
{
    const struct sequence *s = sequence_of(p->queue);
    uint64_t from = query_of(op)->cookie, now = shard_now_ms(shard_self());
    const struct extent *x = extent_from(s, from);
    struct waiting_page *page = NEW(struct waiting_page);
    bool all = add_sequence(page, s, from, now);
    if (all && x && page->count) {
        page->next = x->first;
    } else if (all && x) {
        waiting_page_free(&page);
        read_page(p, op, from > x->first ? from : x->first, x->last);
        return;
    } else if (all && s->backlog) {
        add_sequence(page, &s->backlog->tail, from, now);
    }
    send_page(op, page);
}

static void on_listed(struct peek *k, const struct page_answer *a)
{
    struct waiting_page *page = NEW(struct waiting_page);
    uint64_t now = shard_now_ms(shard_self());
    for (size_t i = 0; i < a->count && page->count < WAITING_PAGE; i++)
        add(page, &a->entries[i], now);
    page->next = a->next;
    send_page(&k->op, page);
}

/* ---- cancelling ---- */

static void settle(struct peeks *p, const struct ready_entry *e)
{
    queue_effect(p->out, EFFECT_SETTLE, e);
    queue_leave(p->queue, e->msg, e->seq);
    later_left(p->queue, e);
    msg_unref(e->msg);
}

static bool take(struct peeks *p, uint64_t seq)
{
    struct ready_entry e;
    if (sequence_of(p->queue)->count + (sequence_of(p->queue)->backlog != NULL) == 0 ||
        !ready_take(&p->queue->ready, p->out->pool, level_of(p->queue), seq, &e))
        return false;
    settle(p, &e);
    return true;
}

static void cancel(struct peeks *p, const struct op *op)
{
    uint64_t seq = query_of(op)->cookie;
    const struct sequence *s = sequence_of(p->queue);
    p->out->own = false;
    if (take(p, seq))
        send_answer(op, ERR_NONE);
    else if (s->backlog && backlog_find(s->backlog, seq))
        read_page(p, op, seq, seq);
    else
        send_answer(op, ERR_NOT_FOUND);
}

static bool take_away(struct peek *k, const struct page_answer *a, bool *ret_again)
{
    const struct peeks *p = k->peeks;
    if (!a->count)
        return false;
    struct ready_entry e = a->entries[0];
    e.level = (uint8_t)level_of(p->queue);
    e.stored = true;
    return overdue_cancel(p->queue, &e, k->losses, p->out, ret_again);
}

static void on_cancelled(struct peek *k, const struct page_answer *a)
{
    struct peeks *p = k->peeks;
    bool again = false;
    p->out->own = false;
    if (take(p, k->seq) || take_away(k, a, &again))
        send_answer(&k->op, ERR_NONE);
    else if (again)
        read_page(p, &k->op, k->seq, k->seq);
    else
        send_answer(&k->op, ERR_NOT_FOUND);
}

static void on_page(struct page_reader *reader, const struct page_answer *a)
{
    struct peek *k = list_entry(reader, struct peek, reader);
    struct peeks *p = k->peeks;
    if (k->op.kind == OP_WAITING_LIST)
        on_listed(k, a);
    else
        on_cancelled(k, a);
    for (size_t i = 0; i < a->count; i++)
        msg_unref(a->entries[i].msg);
    peek_free(k);
    queue_finish(p->queue, shard_now_ms(shard_self()), p->out);
    p->on_change(p);
}

void peeks_ask(struct peeks *p, const struct op *op)
{
    if (p->queue->dead)
        send_answer(op, ERR_NOT_FOUND);
    else if (op->kind == OP_WAITING_LIST)
        list_waiting(p, op);
    else
        cancel(p, op);
    queue_finish(p->queue, shard_now_ms(shard_self()), p->out);
    p->on_change(p);
}

void peeks_init(struct peeks *p, struct queue *q, struct pager *pager, struct recorder *recorder,
                struct queue_out *out, void (*on_change)(struct peeks *peeks))
{
    *p = (struct peeks){
        .queue = q, .pager = pager, .recorder = recorder, .out = out, .on_change = on_change};
    list_init(&p->waiting);
}

void peeks_fini(struct peeks *p)
{
    while (!list_empty(&p->waiting)) {
        struct peek *k = list_entry(p->waiting.next, struct peek, link);
        send_answer(&k->op, ERR_NOT_FOUND);
        peek_free(k);
    }
}
