/* What queues, publishers and the master of definitions append. */
#include "base/bug.h"
#include "base/mem.h"
#include "store_sim.h"

#include <inttypes.h>

enum { PART_MAX = 3000, ROOM = 400 };

/* ---- units ---- */

static struct sim_unit *unit(struct world *w)
{
    if (!w->unit_count)
        w->unit_count = 1;
    return &w->units[w->unit_count - 1];
}

size_t pending_bytes(const struct world *w)
{
    size_t n = 0;
    for (unsigned i = 0; i < w->unit_count; i++)
        n += w->units[i].bytes.len;
    return n;
}

void end_unit(struct world *w)
{
    if (!w->unit_count || !unit(w)->bytes.len)
        return;
    if (w->unit_count == SIM_FRAME_UNITS)
        write_frame(w);
    else
        w->unit_count++;
}

/* Room for that many bytes in the unit being filled. */
static struct sim_unit *unit_for(struct world *w, size_t bytes)
{
    if (unit(w)->count == SIM_UNIT_OPS)
        end_unit(w);
    if (pending_bytes(w) + bytes + ROOM > w->frame_max)
        write_frame(w);
    return unit(w);
}

void append(struct world *w, const struct op *op)
{
    bool content = (op->kind == RECORD_ENQ && !op->last);
    size_t bytes = content ? model_body_len(op->uid) : op->kind == RECORD_DEFINE ? 9000 : 0;
    struct sim_unit *u = unit_for(w, bytes);
    model_write(op, &u->bytes, &u->base, &w->room);
    sim_trace("step %u: %s %" PRIu64 " level %u %" PRIu64 "-%" PRIu64 " n %u tx %u%s uid %u\n",
              w->step, record_kind_name(op->kind), op->number, op->level, op->first, op->last,
              op->count, op->tx, op->transient ? " transient" : "", op->uid);
    u->ops[u->count++] = *op;
    model_apply(&w->live, op);
    if (op->kind == RECORD_ENQ) {
        MEM_GROW(w->history, w->history_cap, w->history_count + 1);
        w->history[w->history_count++] = *op;
    }
}

/* ---- what happens to queues ---- */

static struct model_queue *some_queue(struct world *w, uint8_t *ret_index)
{
    *ret_index = (uint8_t)rnd(w, MODEL_QUEUES);
    struct model_queue *q = &w->live.queues[*ret_index];
    return q->id ? q : NULL;
}

static uint64_t some_message(struct world *w, const struct model_queue *q, bool waiting_too)
{
    uint64_t from = one_in(w, 2) ? 1 : 1 + rnd(w, q->next_seq);
    for (uint64_t seq = from; seq < q->next_seq; seq++) {
        if (q->messages[seq].state == MODEL_LIVE ||
            (waiting_too && q->messages[seq].state == MODEL_WAITING && !q->messages[seq].settled))
            return seq;
    }
    return 0;
}

static uint32_t some_tx(struct world *w)
{
    if (!one_in(w, 8))
        return 0;
    uint64_t *tx = &w->txs[rnd(w, SIM_TXS)];
    if (!*tx)
        *tx = ++w->last_tx;
    return w->live.pending_count < MODEL_PENDING - 2 ? (uint32_t)*tx : 0;
}

static void forget_held(struct world *w, uint64_t queue)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->held_count; i++) {
        if (w->held[i].number != queue)
            w->held[kept++] = w->held[i];
    }
    w->held_count = kept;
}

static void do_open(struct world *w)
{
    uint8_t i = (uint8_t)rnd(w, MODEL_QUEUES);
    if (w->live.queues[i].id)
        return;
    struct op op = {.kind = RECORD_OPEN, .queue = i, .durable = !one_in(w, 5)};
    op.number = w->live.last_queue_id + 1 + rnd(w, 2);
    append(w, &op);
}

static void do_drop(struct world *w)
{
    struct op op = {.kind = RECORD_DROP};
    struct model_queue *q = some_queue(w, &op.queue);
    if (!q)
        return;
    op.number = q->id;
    forget_held(w, q->id);
    append(w, &op);
}

static uint64_t some_expiry(struct world *w)
{
    return one_in(w, 4) ? 4000000000000ULL + rnd(w, 1000000) : 0; /* the far future */
}

static void enqueue(struct world *w, uint64_t id, uint32_t uid)
{
    struct op op = {.kind = RECORD_ENQ, .uid = uid, .last = id};
    struct model_queue *q = some_queue(w, &op.queue);
    if (!q || q->next_seq > MODEL_SEQS)
        return;
    op.number = q->id;
    op.first = q->next_seq;
    op.level = one_in(w, 3) ? model_levels[rnd(w, MODEL_LEVELS)] : 0;
    op.expiry = some_expiry(w);
    op.transient = !id && (!q->durable || one_in(w, 5));
    if (id && !q->durable)
        return;
    if (op.transient) {
        q->next_seq++; /* it is logged when it is paged out, if ever */
        op.count = one_in(w, 6) ? 1 + (uint32_t)rnd(w, 3) : 0;
        if (w->held_count < SIM_HELD)
            w->held[w->held_count++] = op;
        return;
    }
    op.tx = some_tx(w);
    append(w, &op);
}

static void do_enqueue(struct world *w)
{
    for (uint64_t n = 1 + rnd(w, 6); n-- > 0;)
        enqueue(w, 0, ++w->last_uid);
}

static void do_page_out(struct world *w)
{
    for (uint64_t n = 1 + rnd(w, 4); n-- > 0 && w->held_count;) {
        size_t i = rnd(w, w->held_count);
        struct op op = w->held[i];
        w->held[i] = w->held[--w->held_count];
        append(w, &op);
    }
}

/* A range may run over what is gone, or of another level, not over what is there. */
static void do_settle(struct world *w)
{
    struct op op = {.kind = RECORD_SETTLE};
    struct model_queue *q = some_queue(w, &op.queue);
    uint64_t seq = q ? some_message(w, q, true) : 0;
    if (!seq)
        return;
    op.number = q->id;
    op.level = q->messages[seq].level;
    op.first = op.last = seq;
    uint64_t wanted = one_in(w, 3) ? rnd(w, 40) : 0;
    while (wanted-- && op.last + 1 < q->next_seq)
        op.last++;
    for (size_t i = 0; i < w->held_count; i++) { /* these stay */
        const struct op *h = &w->held[i];
        if (h->number == op.number && h->level == op.level && h->first >= seq &&
            h->first <= op.last)
            op.last = h->first - 1;
    }
    if (op.last < op.first)
        return;
    op.tx = some_tx(w);
    append(w, &op);
}

static void do_return(struct world *w)
{
    struct op op = {.kind = RECORD_RETURN};
    struct model_queue *q = some_queue(w, &op.queue);
    uint64_t seq = q ? some_message(w, q, one_in(w, 4)) : 0;
    if (!seq)
        return;
    op.number = q->id;
    op.level = q->messages[seq].level;
    op.first = seq;
    op.count = q->messages[seq].count + 1 + (uint32_t)rnd(w, 2);
    append(w, &op);
}

/* Given back, to the tail: another entry, then the old one goes. */
static void do_move(struct world *w)
{
    struct op op = {.kind = RECORD_ENQ};
    struct model_queue *q = some_queue(w, &op.queue);
    uint64_t seq = q && q->next_seq <= MODEL_SEQS ? some_message(w, q, false) : 0;
    const struct model_message *m = seq ? &q->messages[seq] : NULL;
    if (!m || m->transient)
        return;
    struct op settle = {.kind = RECORD_SETTLE, .queue = op.queue, .level = m->level};
    settle.number = op.number = q->id;
    settle.first = settle.last = seq;
    op.first = q->next_seq;
    op.last = m->id;
    op.level = m->level;
    op.expiry = m->expiry;
    op.uid = m->uid;
    op.count = m->count + 1;
    append(w, &op);
    append(w, &settle);
}

static void do_purge(struct world *w)
{
    struct op op = {.kind = RECORD_PURGE};
    struct model_queue *q = some_queue(w, &op.queue);
    if (!q)
        return;
    op.number = q->id;
    op.last = q->next_seq;
    for (uint64_t seq = 1; seq < q->next_seq && op.count < MODEL_KEPT; seq++) {
        if (q->messages[seq].state == MODEL_LIVE && one_in(w, 6))
            op.kept[op.count++] = seq;
    }
    forget_held(w, q->id);
    append(w, &op);
}

static void do_attach(struct world *w)
{
    struct op op = {.kind = RECORD_ATTACH};
    struct model_queue *q = some_queue(w, &op.queue);
    if (!q)
        return;
    op.number = q->id;
    append(w, &op);
}

static void do_define(struct world *w)
{
    struct op op = {.queue = (uint8_t)rnd(w, MODEL_NOUNS), .level = (uint8_t)rnd(w, MODEL_KEYS)};
    if (one_in(w, 3)) {
        if (!w->live.definitions[op.queue][op.level])
            return;
        op.kind = RECORD_UNDEFINE;
    } else {
        op.kind = RECORD_DEFINE;
        op.uid = ++w->last_uid;
    }
    append(w, &op);
}

static void do_commit(struct world *w)
{
    uint64_t *tx = &w->txs[rnd(w, SIM_TXS)];
    struct op op = {.kind = RECORD_COMMIT, .number = *tx};
    if (!*tx)
        return;
    *tx = 0;
    append(w, &op);
    end_unit(w);
}

/* ---- messages stored once ---- */

static void do_message(struct world *w)
{
    struct sim_upload *up = &w->uploads[rnd(w, SIM_UPLOADS)];
    if (up->id)
        return;
    *up = (struct sim_upload){.id = w->live.last_message_id + 1 + rnd(w, 2),
                              .uid = ++w->last_uid,
                              .entries = 1 + (unsigned)rnd(w, 4)};
    struct op op = {.kind = RECORD_MESSAGE, .number = up->id, .uid = up->uid};
    op.count = one_in(w, 2) ? up->entries : 0;
    append(w, &op);
}

static void send_part(struct world *w, struct sim_upload *up)
{
    model_content(up->uid, &w->room);
    struct slice body = w->room.content.body;
    size_t n = 1 + rnd(w, PART_MAX);
    n = body.len - up->sent < n ? body.len - up->sent : n;
    struct sim_unit *u = unit_for(w, n);
    model_content(up->uid, &w->room);
    record_put_part(&u->bytes, up->id, up->sent, slice_of(body.data + up->sent, n));
    up->sent += n;
    if (one_in(w, 2))
        end_unit(w);
}

static void do_upload(struct world *w)
{
    struct sim_upload *up = &w->uploads[rnd(w, SIM_UPLOADS)];
    if (!up->id)
        return;
    if (up->sent < model_body_len(up->uid)) {
        send_part(w, up);
        return;
    }
    enqueue(w, up->id, up->uid);
    if (--up->entries == 0)
        up->id = 0;
}

void queue_step(struct world *w)
{
    static void (*const steps[])(struct world * w) = {
        do_open,    do_enqueue, do_enqueue, do_enqueue, do_enqueue,  do_enqueue,
        do_enqueue, do_settle,  do_settle,  do_settle,  do_settle,   do_settle,
        do_return,  do_return,  do_attach,  do_define,  do_commit,   do_message,
        do_upload,  do_upload,  do_upload,  do_upload,  do_page_out, do_move};
    if (one_in(w, 60))
        do_drop(w);
    else if (one_in(w, 60))
        do_purge(w);
    else
        steps[rnd(w, sizeof steps / sizeof *steps)](w);
    if (one_in(w, 3))
        end_unit(w);
}
