/* Answers come in the order of the log: who answers has handed over what it recorded, so that the
 * end of the message in its old queue, recorded after that, is behind it in the journal. */
#include "broker/queue/transfer.h"

#include "base/bug.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "meta/ops.h"
#include "shard/slot.h"

#include <stdlib.h>

enum { KEEP = 1024 };

struct transfer {
    struct recorded *from; /* NULL: the queue is gone, or has recorded the end already */
    struct sending
        *sending; /* this is of one queue of those; NULL: of all that the letter goes to */
    uint64_t seq;
    uint32_t waiting; /* answers */
    uint16_t level;
};

static void arrive(struct transfers *t, struct transfer *item)
{
    struct recorded *q = item->from;
    if (!q)
        return;
    item->from = NULL;
    q->letters--;
    recorder_settle(t->recorder, q, item->level, item->seq);
    shard_defer(t->shard, DEFER_POST, t->turn_end);
}

static void sending_free(struct sending *s)
{
    if (s->letter.msg)
        msg_unref(s->letter.msg);
    queue_def_unref(&s->letter.to);
    free(s->sent);
    free(s->done);
    free(s);
}

/* All have answered. */
static void end_sending(struct transfers *t, struct sending *s)
{
    struct recorded *q = s->from;
    uint64_t *totals = broker_totals(t->shard);
    totals[TOTAL_DEAD_REJECTED + s->letter.death] += !s->refused && !s->letter.to;
    totals[TOTAL_DEAD_CONFIRMED] += !s->refused && !s->letter.to;
    if (q) {
        q->sendings--;
        q->letters -= s->settle;
        if (s->refused)
            t->on_refused(q, s);
        if (s->settle)
            recorder_settle(t->recorder, q, s->letter.level, s->letter.seq);
        shard_defer(t->shard, DEFER_POST, t->turn_end);
    }
    sending_free(s);
}

static void answer_sending(struct transfers *t, struct transfer *item, uint64_t number,
                           uint16_t flags)
{
    struct sending *s = item->sending;
    item->sending = NULL;
    item->from = NULL;
    if (flags & OP_CONFIRM_NACK)
        s->refused = true;
    else
        s->done[s->done_count++] = s->sent[number - s->number];
    if (!--s->waiting)
        end_sending(t, s);
}

static void drop_arrived(struct transfers *t)
{
    while (t->at < t->count && !t->items[t->at].waiting) {
        t->at++;
        t->first++;
    }
    if (t->at < t->count)
        return;
    t->at = t->count = 0;
    if (t->cap > KEEP) {
        free(t->items);
        t->items = NULL;
        t->cap = 0;
    }
}

static void on_op(void *object, struct op *op)
{
    struct transfers *t = object;
    const struct op_confirm *in = op_body(op, struct op_confirm);
    bug_on(op->kind != OP_CONFIRM || in->first < t->first || in->last >= transfers_next(t));
    for (uint64_t number = in->first; number <= in->last; number++) {
        struct transfer *item = &t->items[t->at + (number - t->first)];
        bug_on(!item->waiting);
        if (!--item->waiting && item->sending)
            answer_sending(t, item, number, op->flags);
        else if (!item->waiting)
            arrive(t, item);
    }
    drop_arrived(t);
    while (!list_empty(&t->waits)) {
        struct transfer_wait *wait = list_entry(t->waits.next, struct transfer_wait, link);
        if (wait->below > t->first)
            break;
        list_remove(&wait->link);
        wait->fn(wait);
    }
}

static const struct actor_type transfers_type = {"dead letters", on_op};

void transfers_init(struct transfers *t, struct shard *shard, struct recorder *recorder,
                    struct deferred *turn_end)
{
    *t = (struct transfers){.shard = shard, .recorder = recorder, .turn_end = turn_end};
    list_init(&t->waits);
    t->addr = slot_new(shard, &transfers_type, t);
}

void transfers_fini(struct transfers *t)
{
    slot_free(t->shard, t->addr);
    for (size_t i = t->at; i < t->count; i++) {
        struct sending *s = t->items[i].sending;
        if (s && !--s->waiting)
            sending_free(s);
    }
    free(t->items);
}

static void make_room(struct transfers *t)
{
    if (t->count == t->cap && t->at > t->count / 2) {
        t->count -= t->at;
        memmove(t->items, t->items + t->at, t->count * sizeof *t->items);
        t->at = 0;
    }
    MEM_GROW(t->items, t->cap, t->count + 1);
}

void transfers_add(struct transfers *t, struct recorded *from, const struct dead_letter *letter,
                   bool settle, size_t targets)
{
    make_room(t);
    t->items[t->count++] = (struct transfer){.from = settle ? from : NULL,
                                             .seq = letter->seq,
                                             .level = letter->level,
                                             .waiting = (uint32_t)targets};
    from->letters += settle;
}

void transfers_send(struct transfers *t, struct recorded *from, const struct dead_letter *letter,
                    bool settle, struct letter_way *way, size_t targets)
{
    struct sending *s = NEW(struct sending);
    *s = (struct sending){.letter = *letter,
                          .from = from,
                          .settle = settle,
                          .waiting = (uint32_t)targets,
                          .number = transfers_next(t),
                          .sent = way->sent,
                          .done = mem_alloc((way->done_count + targets) * sizeof *s->done),
                          .done_count = way->done_count};
    if (way->done_count)
        memcpy(s->done, way->done, way->done_count * sizeof *s->done);
    for (size_t i = 0; i < targets; i++) {
        make_room(t);
        t->items[t->count++] = (struct transfer){.from = settle ? from : NULL,
                                                 .sending = s,
                                                 .seq = letter->seq,
                                                 .level = letter->level,
                                                 .waiting = 1};
    }
    from->letters += settle;
    from->sendings++;
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A letter may be on its way to several queues. */
static size_t drop_twins(uint64_t *seqs, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!n || seqs[n - 1] != seqs[i])
            seqs[n++] = seqs[i];
    }
    return n;
}

static void keep(const struct transfers *t, const struct recorded *from,
                 const struct queue_out *out, struct effect *purge)
{
    size_t n = purge->kept_count, most = n + out->dead_count;
    for (size_t i = t->at; i < t->count; i++)
        most += t->items[i].from == from;
    uint64_t *kept = mem_alloc(most * sizeof *kept);
    if (n)
        memcpy(kept, purge->kept, n * sizeof *kept);
    for (size_t i = t->at; i < t->count; i++) {
        if (t->items[i].from == from)
            kept[n++] = t->items[i].seq;
    }
    for (size_t i = 0; i < out->dead_count; i++) {
        if (out->dead[i].stored)
            kept[n++] = out->dead[i].seq;
    }
    qsort(kept, n, sizeof *kept, compare_seqs);
    free(purge->kept);
    purge->kept = kept;
    purge->kept_count = drop_twins(kept, n);
}

void transfers_keep(const struct transfers *t, const struct recorded *from,
                    const struct queue_out *out)
{
    struct effect_log *log = out->log;
    for (size_t i = 0; log && i < log->count; i++) {
        if (log->effects[i].kind == EFFECT_PURGE)
            keep(t, from, out, &log->effects[i]);
    }
}

void transfers_forget(struct transfers *t, const struct recorded *from)
{
    for (size_t i = t->at; from->letters + from->sendings && i < t->count; i++) {
        struct transfer *item = &t->items[i];
        if (item->from == from)
            item->from = NULL;
        if (item->sending && item->sending->from == from)
            item->sending->from = NULL;
    }
}

bool transfers_have(const struct transfers *t, const struct recorded *from, uint64_t seq)
{
    for (size_t i = t->at; from->letters && i < t->count; i++) {
        if (t->items[i].from == from && t->items[i].seq == seq)
            return true;
    }
    return false;
}

void transfers_await(struct transfers *t, struct transfer_wait *wait)
{
    wait->below = transfers_next(t);
    list_append(&t->waits, &wait->link);
}
