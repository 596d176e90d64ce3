/* Transactions: publishes and settlements kept until commit; commit-ok once every queue has them.
 */
#include "amqp/channel_priv.h"
#include "base/mem.h"
#include "broker/durable.h"
#include "broker/transaction.h"

#include <stdlib.h>

void tx_keep(struct channel *ch, struct msg *msg, const struct route *route, bool mandatory)
{
    struct tx *tx = ch->tx;
    MEM_GROW(tx->publishes, tx->publish_cap, tx->publish_count + 1);
    struct tx_publish *p = &tx->publishes[tx->publish_count++];
    *p = (struct tx_publish){.msg = msg, .count = (uint32_t)route->count, .mandatory = mandatory};
    p->heard = route->count > route->unheard;
    p->targets = mem_alloc(route->count * sizeof *p->targets);
    for (size_t i = 0; i < route->count; i++)
        p->targets[i] = queue_def_ref(route->targets[i]->def);
}

static void publish_fini(struct tx_publish *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        queue_def_unref(&p->targets[i]);
    free(p->targets);
    msg_unref(p->msg);
}

static void drop_publishes(struct tx *tx)
{
    for (size_t i = 0; i < tx->publish_count; i++)
        publish_fini(&tx->publishes[i]);
    tx->publish_count = 0;
}

/* Settled in the transaction, but it did not happen: the message is unacknowledged still. */
static void restore_settles(struct channel *ch)
{
    struct tx *tx = ch->tx;
    for (size_t i = 0; i < tx->settle_count; i++)
        unacked_tags_get(&ch->unacked, tx->settles[i].tag)->state = TAG_LIVE;
    tx->settle_count = 0;
}

void tx_fini(struct channel *ch)
{
    if (!ch->tx)
        return;
    restore_settles(ch);
    drop_publishes(ch->tx);
    free(ch->tx->publishes);
    free(ch->tx->settles);
    free(ch->tx);
    ch->tx = NULL;
    ch->mode = MODE_PLAIN;
}

enum step on_tx_select(struct channel *ch, const void *args)
{
    (void)args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (ch->mode == MODE_CONFIRM)
        return channel_failf(ch, ERR_PRECONDITION_FAILED, "cannot switch from confirm to tx mode");
    if (ch->mode != MODE_TX) {
        ch->mode = MODE_TX;
        ch->tx = NEW(struct tx);
    }
    channel_send(ch, AMQP_TX_SELECT_OK, &(struct amqp_tx_select_ok){0});
    return STEP_DONE;
}

static void commit_publish(struct channel *ch, struct transaction *t, struct tx_publish *p)
{
    if (!p->heard && !publish_reply(ch, p->msg) && p->mandatory)
        publish_return(ch, p->msg);
    durable_prepare(ch->amqp->shard, p->msg, p->targets, p->count);
    for (uint32_t i = 0; i < p->count; i++)
        transaction_enqueue(t, msg_ref_n(p->msg, 1), p->targets[i]->addr);
}

static void commit_settles(struct channel *ch, struct transaction *t)
{
    struct tx *tx = ch->tx;
    for (size_t i = 0; i < tx->settle_count; i++) {
        struct unacked_tag *e = unacked_tags_get(&ch->unacked, tx->settles[i].tag);
        transaction_settle(t, e->queue, e->slot, tx->settles[i].how, e->stored);
        unacked_tags_remove(&ch->unacked, e);
    }
    tx->settle_count = 0;
    unacked_tags_trim(&ch->unacked);
}

enum step on_tx_commit(struct channel *ch, const void *args)
{
    (void)args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (ch->mode != MODE_TX)
        return channel_failf(ch, ERR_PRECONDITION_FAILED, "channel is not transactional");
    struct transaction *t = transaction_begin(ch->amqp->shard, ch->addr);
    for (size_t i = 0; i < ch->tx->publish_count; i++)
        commit_publish(ch, t, &ch->tx->publishes[i]);
    drop_publishes(ch->tx);
    commit_settles(ch, t);
    channel_asked(ch, ADDR_NONE);
    transaction_commit(&t);
    if (ch->any_paused)
        channel_unpause(ch);
    return STEP_DONE;
}

void tx_committed(struct channel *ch, const struct op *op)
{
    if (op->flags & OP_CONFIRM_NACK) {
        ch->outstanding--;
        ch->method = &amqp_methods[AMQP_TX_COMMIT];
        channel_failf(ch, ERR_PRECONDITION_FAILED, "partial tx completion");
        return;
    }
    channel_send(ch, AMQP_TX_COMMIT_OK, &(struct amqp_tx_commit_ok){0});
    channel_answered(ch);
}

enum step on_tx_rollback(struct channel *ch, const void *args)
{
    (void)args;
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    if (ch->mode != MODE_TX)
        return channel_failf(ch, ERR_PRECONDITION_FAILED, "channel is not transactional");
    drop_publishes(ch->tx);
    restore_settles(ch);
    channel_send(ch, AMQP_TX_ROLLBACK_OK, &(struct amqp_tx_rollback_ok){0});
    return STEP_DONE;
}
