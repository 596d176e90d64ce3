/* Settlements are joined by queue; each queue that got some is asked by a barrier, those that got
 * publishes answer each. */
#include "broker/transaction.h"

#include "base/bug.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "shard/slot.h"
#include "store/store.h"

#include <stdlib.h>

enum { BATCH_MAX = 512 };

struct transaction {
    struct open_transaction open; /* in the shard's broker */
    struct shard *shard;
    struct store_log *log; /* NULL: nothing is stored */
    struct addr addr, channel;
    uint64_t id, asked, waiting;
    bool refused, logged, committing;
    struct store_wait wait;
    /* settlements not posted yet */
    struct addr queue;
    enum settle_how how;
    bool stored; /* any of them */
    uint32_t *slots;
    size_t count, cap;
};

static void transaction_free(struct transaction *t)
{
    store_wait_cancel(&t->wait);
    slot_free(t->shard, t->addr);
    broker_remove_transaction(t->shard, &t->open);
    free(t->slots);
    free(t);
}

static void tell(struct transaction *t)
{
    struct op op = {
        .to = t->channel, .kind = OP_TX_COMMITTED, .flags = t->refused ? OP_CONFIRM_NACK : 0};
    post(&op);
    transaction_free(t);
}

static void on_safe(struct store_wait *w)
{
    tell(list_entry(w, struct transaction, wait));
}

static void finish(struct transaction *t)
{
    if (!t->logged) {
        tell(t);
        return;
    }
    record_put_commit(store_records(t->log), t->id);
    t->wait.fn = on_safe;
    store_sync(t->log, &t->wait);
}

static void on_op(void *object, struct op *op)
{
    struct transaction *t = object;
    bug_on(op->kind != OP_CONFIRM);
    const struct op_confirm *in = op_body(op, struct op_confirm);
    t->waiting -= in->last - in->first + 1;
    t->refused |= (op->flags & OP_CONFIRM_NACK) != 0;
    t->logged |= (op->flags & OP_CONFIRM_LOGGED) != 0;
    if (t->committing && !t->waiting)
        finish(t);
}

static const struct actor_type transaction_type = {"transaction", on_op};

struct transaction *transaction_begin(struct shard *shard, struct addr channel)
{
    struct transaction *t = NEW(struct transaction);
    t->shard = shard;
    t->log = store_log_of(shard);
    t->channel = channel;
    list_init(&t->wait.link);
    t->id = broker_add_transaction(shard, &t->open);
    t->addr = slot_new(shard, &transaction_type, t);
    return t;
}

static struct op_enqueue question(struct transaction *t)
{
    t->waiting++;
    return (struct op_enqueue){.channel = t->addr, .seq = ++t->asked, .transaction = t->id};
}

void transaction_enqueue(struct transaction *t, struct msg *msg, struct addr queue)
{
    struct op op = {.to = queue,
                    .kind = OP_ENQUEUE,
                    .flags =
                        OP_ENQUEUE_CONFIRM | (msg->flags & MSG_EXPIRES ? OP_ENQUEUE_EXPIRES : 0)};
    struct op_enqueue *in = op_body(&op, struct op_enqueue);
    *in = question(t);
    in->msg = msg;
    post(&op);
}

static void flush(struct transaction *t)
{
    if (!t->count)
        return;
    struct op op = {
        .to = t->queue, .kind = OP_SETTLE, .flags = (uint16_t)t->how, .n = (uint32_t)t->count};
    struct op_settle *out = op_body(&op, struct op_settle);
    *out = (struct op_settle){.transaction = t->stored ? t->id : 0};
    if (t->count <= SETTLE_INLINE) {
        memcpy(out->inline_slots, t->slots, t->count * sizeof *t->slots);
    } else {
        out->slots = mem_alloc(t->count * sizeof *t->slots);
        memcpy(out->slots, t->slots, t->count * sizeof *t->slots);
    }
    t->count = 0;
    post(&op);
    if (!t->stored)
        return;
    t->stored = false;
    t->logged = true; /* also if the queue goes before it answers */
    struct op barrier = {.to = t->queue, .kind = OP_TX_BARRIER, .flags = OP_CONFIRM_LOGGED};
    *op_body(&barrier, struct op_enqueue) = question(t);
    post(&barrier);
}

void transaction_settle(struct transaction *t, struct addr queue, uint32_t slot,
                        enum settle_how how, bool stored)
{
    if (t->count && (t->count == BATCH_MAX || t->how != how || !addr_eq(t->queue, queue)))
        flush(t);
    MEM_GROW(t->slots, t->cap, t->count + 1);
    t->queue = queue;
    t->how = how;
    t->slots[t->count++] = slot;
    t->stored |= stored;
}

void transaction_commit(struct transaction **transaction)
{
    struct transaction *t = *transaction;
    *transaction = NULL;
    flush(t);
    t->committing = true;
    if (!t->waiting)
        finish(t);
}

void transactions_fini(struct list *all)
{
    while (!list_empty(all))
        transaction_free(list_entry(all->next, struct transaction, open.link));
}
