/* Acknowledgements, rejects and requeues: from delivery tags to ops for the queues, joined per
 * turn. */
#include "amqp/channel_priv.h"
#include "base/mem.h"

#include <stdlib.h>

enum { BATCH_MAX = 512 };

void settle_flush(struct channel *ch)
{
    struct settle_batch *b = &ch->settles;
    if (!b->count)
        return;
    struct op op = {.to = b->queue, .kind = OP_SETTLE, .flags = (uint16_t)b->how, .n = b->count};
    struct op_settle *out = op_body(&op, struct op_settle);
    out->slots = NULL;
    if (b->count <= SETTLE_INLINE) {
        memcpy(out->inline_slots, b->slots, b->count * sizeof *b->slots);
    } else {
        out->slots = mem_alloc(b->count * sizeof *b->slots);
        memcpy(out->slots, b->slots, b->count * sizeof *b->slots);
    }
    b->count = 0;
    post(&op);
}

void settle_add(struct channel *ch, struct addr queue, uint32_t slot, enum settle_how how)
{
    struct settle_batch *b = &ch->settles;
    if (b->count && (b->count == BATCH_MAX || b->how != how || !addr_eq(b->queue, queue)))
        settle_flush(ch);
    size_t cap = b->cap;
    MEM_GROW(b->slots, cap, (size_t)b->count + 1);
    b->cap = (uint32_t)cap;
    b->queue = queue;
    b->how = how;
    b->slots[b->count++] = slot;
    shard_defer(ch->amqp->shard, DEFER_POST, &ch->turn_end);
}

static void settle_entry(struct channel *ch, struct unacked_tag *e, enum settle_how how)
{
    if (how == SETTLE_ACK)
        channel_count(ch, TOTAL_ACKED, 1);
    if (ch->mode == MODE_TX) {
        struct tx *tx = ch->tx;
        MEM_GROW(tx->settles, tx->settle_cap, tx->settle_count + 1);
        tx->settles[tx->settle_count++] = (struct tx_settle){e->tag, how};
        e->state = TAG_IN_TX;
        return;
    }
    settle_add(ch, e->queue, e->slot, how);
    unacked_tags_remove(&ch->unacked, e);
}

/* Unless the answer to a basic.get is still to come, which may bring it. */
static enum step unknown_tag(struct channel *ch, uint64_t tag)
{
    if (!channel_is_idle(ch))
        return STEP_WAIT;
    return channel_failf(ch, ERR_PRECONDITION_FAILED, "unknown delivery tag %llu",
                         (unsigned long long)tag);
}

enum step channel_settle(struct channel *ch, uint64_t tag, bool multiple, enum settle_how how)
{
    struct unacked_tags *u = &ch->unacked;
    bool all = multiple && tag == 0;
    if (all && !channel_is_idle(ch))
        return STEP_WAIT;
    if (!all && !unacked_tags_find(u, tag))
        return unknown_tag(ch, tag);
    if (!multiple) {
        settle_entry(ch, unacked_tags_find(u, tag), how);
    } else {
        size_t n = all ? u->count : unacked_tags_upto(u, tag);
        for (size_t i = 0; i < n; i++) {
            struct unacked_tag *e = unacked_tags_at(u, i);
            if (e->state == TAG_LIVE)
                settle_entry(ch, e, how);
        }
    }
    unacked_tags_trim(u);
    if (ch->any_paused)
        channel_unpause(ch);
    return STEP_DONE;
}

void settle_all(struct channel *ch, enum settle_how how)
{
    struct unacked_tags *u = &ch->unacked;
    for (size_t i = 0; i < u->count; i++) {
        struct unacked_tag *e = unacked_tags_at(u, i);
        if (e->state != TAG_LIVE)
            continue;
        settle_add(ch, e->queue, e->slot, how);
        unacked_tags_remove(u, e);
    }
    unacked_tags_trim(u);
    if (ch->any_paused)
        channel_unpause(ch);
}
