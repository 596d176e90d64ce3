#include "broker/queue/recall.h"

#include "base/mem.h"
#include "broker/ops.h"
#include "broker/queue/later.h"

#include <stdlib.h>

static void ask(struct recall *r)
{
    const struct queue_level *l = &r->levels[r->at];
    struct page_request request = {.ticket = ++r->ticket,
                                   .from = l->first,
                                   .to = l->last,
                                   .max_bytes = pager_limits.portion_bytes,
                                   .max_count = pager_limits.portion,
                                   .level = l->level};
    page_reader_ask(&r->reader, &request);
}

static void go_on(struct recall *r)
{
    struct dedup *d = r->queue->dedup;
    while (r->at < r->count && r->levels[r->at].first > r->levels[r->at].last)
        r->at++;
    if (d->recalling && r->at < r->count) {
        ask(r);
        return;
    }
    dedup_recalled(d);
    r->on_done(r->arg);
}

static void on_page(struct page_reader *reader, const struct page_answer *a)
{
    struct recall *r = list_entry(reader, struct recall, reader);
    for (size_t i = 0; i < a->count; i++) {
        const struct ready_entry *e = &a->entries[i];
        if (!later_is_letter(e))
            dedup_recall(r->queue->dedup, e->msg, e->seq);
        msg_unref(e->msg);
    }
    r->levels[r->at].first = a->next;
    go_on(r);
}

struct recall *recall_new(struct queue *q, struct pager *pager, const struct queue_level *levels,
                          size_t count, void (*on_done)(void *arg), void *arg)
{
    if (!q->dedup || !(q->ready.count + ready_later_count(&q->ready)))
        return NULL;
    struct recall *r = NEW(struct recall);
    q->dedup->recalling = true;
    r->queue = q;
    r->levels = mem_alloc(count * sizeof *levels);
    for (size_t i = 0; i < count; i++) {
        if (levels[i].count)
            r->levels[r->count++] = levels[i];
    }
    r->on_done = on_done;
    r->arg = arg;
    page_reader_init(&r->reader, pager, q->def->id, on_page);
    return r;
}

static void release(struct op *op)
{
    if (op->kind == OP_ENQUEUE)
        queue_release_enqueue(op);
    else
        queue_release_barrier(op);
}

void recall_free(struct recall **recall)
{
    struct recall *r = *recall;
    *recall = NULL;
    if (!r)
        return;
    for (size_t i = 0; i < r->kept_count; i++)
        release(&r->kept[i]);
    r->reader.pager->kept_bytes -= r->kept_bytes;
    brake_release(&r->brake);
    page_reader_fini(&r->reader);
    free(r->kept);
    free(r->levels);
    free(r);
}

static void count(struct recall *r, const struct op *op)
{
    struct pager *p = r->reader.pager;
    uint64_t bytes = sizeof *op;
    if (op->kind == OP_ENQUEUE)
        bytes += msg_size(op_body(op, const struct op_enqueue)->msg);
    r->kept_bytes += bytes;
    p->kept_bytes += bytes;
    if (op->kind == OP_ENQUEUE && p->kept_bytes > pager_limits.recall_bytes)
        brake_hold(&r->brake, op);
}

bool recall_keep(struct recall *r, const struct op *op)
{
    if (!r->begun) {
        r->begun = true;
        ask(r);
    }
    if (op->kind != OP_ENQUEUE && !(op->kind == OP_TX_BARRIER && r->kept_count))
        return false;
    MEM_GROW(r->kept, r->kept_cap, r->kept_count + 1);
    r->kept[r->kept_count++] = *op;
    count(r, op);
    return true;
}
