/* The naive store. A queue's messages are an array by sequence number. */
#include "store_model.h"

#include "base/bug.h"

#include <stdio.h>

const uint16_t model_levels[MODEL_LEVELS] = {0, 1, 200, RECORD_TOP_LEVEL};

/* ---- contents ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

size_t model_body_len(uint32_t uid)
{
    uint64_t r = mix(uid * 2 + 1);
    switch (r % 16) {
    case 0:
        return 0;
    case 1:
    case 2:
        return r / 16 % 3000;
    case 3:
        return 4000 + r / 16 % 200; /* about a block */
    case 4:
        return r / 16 % 12000;
    default:
        return 1 + r / 16 % 120;
    }
}

static void fill(uint8_t *p, size_t n, uint64_t seed)
{
    uint64_t x = mix(seed);
    for (size_t i = 0; i < n; i += 8) {
        size_t part = n - i < 8 ? n - i : 8;
        memcpy(p + i, &x, part);
        x += seed | 1;
    }
}

static struct slice add(uint8_t **p, size_t n, uint64_t seed)
{
    struct slice s = slice_of(*p, n);
    fill(*p, n, seed);
    *p += n;
    return s;
}

void model_content(uint32_t uid, struct model_bytes *room)
{
    /* many in a row differ in their bodies alone */
    uint64_t r = mix(uid % 8 ? uid / 32 : uid);
    struct content *c = &room->content;
    uint8_t *p = room->bytes;
    size_t exchange = r % 11, key = r / 11 % 21;
    c->names = add(&p, exchange + key + 2, r);
    room->bytes[0] = (uint8_t)exchange;
    room->bytes[1 + exchange] = (uint8_t)key;
    c->properties = add(&p, 2 + r / 256 % 40, r + 1);
    c->hidden = r % 13 ? SLICE_EMPTY : add(&p, 1 + r / 512 % 20, r + 2);
    c->flags = (uint8_t)(r >> 40);
    c->body = add(&p, model_body_len(uid), mix(uid) + 3);
    bug_on(p > room->bytes + sizeof room->bytes);
}

struct slice model_key(unsigned noun, unsigned key, char room[64])
{
    return slice_of(room, (size_t)snprintf(room, 64, "%.*s%u-%u", (int)(key * 3),
                                           "a key that is longer and longer", noun, key));
}

struct slice model_value(uint32_t uid, struct model_bytes *room)
{
    size_t n = mix(uid) % 8 ? mix(uid) / 8 % 60 : mix(uid) / 8 % 9000;
    fill(room->bytes, n, uid);
    return slice_of(room->bytes, n);
}

/* ---- records ---- */

static void write_enq(const struct op *op, struct buf *out, struct record_base *base,
                      struct model_bytes *room)
{
    struct entry e = {.seq = op->first,
                      .expiry = op->expiry,
                      .id = op->last,
                      .count = op->count,
                      .level = op->level,
                      .transient = op->transient};
    e.body_len = model_body_len(op->uid);
    if (!e.id) {
        model_content(op->uid, room);
        e.content = room->content;
    }
    if (op->tx)
        record_put_enq(out, op->number, &e);
    else
        record_put_next(out, base, op->number, &e);
}

void model_write(const struct op *op, struct buf *out, struct record_base *base,
                 struct model_bytes *room)
{
    char key[64];
    if (op->tx)
        record_put_pending(out, op->tx);
    switch (op->kind) {
    case RECORD_OPEN:
        record_put_open(out, op->number, op->durable);
        return;
    case RECORD_DROP:
        record_put_drop(out, op->number);
        return;
    case RECORD_ENQ:
        write_enq(op, out, base, room);
        return;
    case RECORD_SETTLE:
        record_put_settle(out, op->number, op->level, op->first, op->last);
        return;
    case RECORD_RETURN:
        record_put_return(out, op->number, op->level, op->first, op->count);
        return;
    case RECORD_PURGE:
        record_put_purge(out, op->number, op->last, op->kept, op->count);
        return;
    case RECORD_ATTACH:
        record_put_attach(out, op->number);
        return;
    case RECORD_MESSAGE:
        model_content(op->uid, room);
        record_put_message(out, op->number, op->count, &room->content);
        return;
    case RECORD_DEFINE: {
        struct slice value = model_value(op->uid, room);
        record_put_define(out, op->queue, model_key(op->queue, op->level, key), value);
        return;
    }
    case RECORD_UNDEFINE:
        record_put_undefine(out, op->queue, model_key(op->queue, op->level, key));
        return;
    case RECORD_COMMIT:
        record_put_commit(out, op->number);
        return;
    case RECORD_PART:
    case RECORD_PENDING:
    case RECORD_CLEAR:
    case RECORD_NEXT:
    case RECORD_SETTLE_TOP:
    case RECORD_RETURN_TOP:
    case RECORD_KIND_END:
        break;
    }
    bug_panic("no op of kind %d", (int)op->kind);
}

/* ---- the model ---- */

static void settle(struct model_queue *q, uint64_t seq)
{
    struct model_message *m = &q->messages[seq];
    if (m->state == MODEL_WAITING)
        m->settled = true;
    else if (m->state == MODEL_LIVE)
        m->state = MODEL_GONE;
}

static void enqueue(struct model_queue *q, const struct op *op)
{
    struct model_message *m = &q->messages[op->first];
    bool settled = m->state == MODEL_WAITING && m->settled;
    uint32_t count = m->state == MODEL_WAITING ? m->count : 0;
    bug_on(m->state != MODEL_NONE && m->state != MODEL_WAITING);
    *m = (struct model_message){.state = settled ? MODEL_GONE : MODEL_LIVE,
                                .level = op->level,
                                .transient = op->transient,
                                .uid = op->uid,
                                .count = count > op->count ? count : op->count,
                                .id = op->last,
                                .expiry = op->expiry};
    if (op->first >= q->next_seq)
        q->next_seq = op->first + 1;
    if (op->first > q->last_seq)
        q->last_seq = op->first;
}

/* A transaction that is open settles it. */
static bool is_in_doubt(const struct model *m, const struct model_queue *q, uint64_t seq)
{
    for (size_t i = 0; i < m->pending_count; i++) {
        const struct op *op = &m->pending[i];
        if (op->kind == RECORD_SETTLE && op->number == q->id && op->first <= seq &&
            seq <= op->last && op->level == q->messages[seq].level)
            return true;
    }
    return false;
}

static void purge(const struct model *m, struct model_queue *q, const struct op *op)
{
    for (uint64_t seq = 1; seq < op->last && seq <= MODEL_SEQS; seq++) {
        bool kept = is_in_doubt(m, q, seq);
        for (uint32_t i = 0; i < op->count; i++)
            kept |= op->kept[i] == seq;
        if (!kept)
            settle(q, seq);
    }
}

static void act(struct model *m, const struct op *op)
{
    struct model_queue *q = &m->queues[op->queue];
    if (op->kind == RECORD_OPEN) {
        *q = (struct model_queue){.id = op->number, .durable = op->durable, .next_seq = 1};
        m->last_queue_id = op->number > m->last_queue_id ? op->number : m->last_queue_id;
        return;
    }
    if (q->id != op->number)
        return; /* dropped meanwhile */
    switch (op->kind) {
    case RECORD_DROP:
        q->id = 0;
        break;
    case RECORD_ENQ:
        enqueue(q, op);
        break;
    case RECORD_SETTLE:
        for (uint64_t seq = op->first; seq <= op->last; seq++) {
            if (q->messages[seq].level == op->level)
                settle(q, seq);
        }
        break;
    case RECORD_RETURN:
        if (q->messages[op->first].count < op->count) /* else it waited for its COMMIT */
            q->messages[op->first].count = op->count;
        break;
    case RECORD_PURGE:
        purge(m, q, op);
        break;
    case RECORD_ATTACH:
        q->attached = true;
        break;
    default:
        bug_panic("no act of kind %d", (int)op->kind);
    }
}

static void suspend(struct model *m, const struct op *op)
{
    struct model_queue *q = &m->queues[op->queue];
    bug_on(m->pending_count == MODEL_PENDING);
    m->pending[m->pending_count++] = *op;
    if (op->kind != RECORD_ENQ || q->id != op->number)
        return;
    struct model_message *msg = &q->messages[op->first];
    *msg = (struct model_message){.state = MODEL_WAITING,
                                  .level = op->level,
                                  .uid = op->uid,
                                  .id = op->last,
                                  .expiry = op->expiry};
    if (op->first >= q->next_seq)
        q->next_seq = op->first + 1;
}

static void commit(struct model *m, uint64_t tx)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->pending_count; i++) {
        if (m->pending[i].tx == tx)
            act(m, &m->pending[i]);
        else
            m->pending[kept++] = m->pending[i];
    }
    m->pending_count = kept;
}

void model_apply(struct model *m, const struct op *op)
{
    if (op->tx) {
        suspend(m, op);
        return;
    }
    switch (op->kind) {
    case RECORD_COMMIT:
        commit(m, op->number);
        return;
    case RECORD_DEFINE:
        m->definitions[op->queue][op->level] = op->uid;
        return;
    case RECORD_UNDEFINE:
        m->definitions[op->queue][op->level] = 0;
        return;
    case RECORD_MESSAGE:
        m->last_message_id = op->number > m->last_message_id ? op->number : m->last_message_id;
        return;
    default:
        act(m, op);
    }
}

void model_start(struct model *m, bool clean)
{
    m->pending_count = 0;
    for (int i = 0; i < MODEL_QUEUES; i++) {
        struct model_queue *q = &m->queues[i];
        if (!q->durable)
            q->id = 0;
        for (uint64_t seq = 1; seq < q->next_seq; seq++) {
            struct model_message *msg = &q->messages[seq];
            if (msg->state == MODEL_WAITING)
                *msg = (struct model_message){.state = MODEL_NONE};
            else if (msg->state == MODEL_LIVE && msg->transient)
                msg->state = MODEL_GONE;
        }
        if (q->attached && !clean)
            q->redelivered_below = q->next_seq;
        q->attached = false;
    }
}

void model_stop(struct model *m)
{
    for (int i = 0; i < MODEL_QUEUES; i++)
        m->queues[i].attached = false;
}

uint64_t model_oldest(const struct model_queue *q)
{
    for (uint64_t seq = 1; seq < q->next_seq; seq++) {
        if (q->messages[seq].state == MODEL_LIVE)
            return seq;
    }
    return 0;
}
