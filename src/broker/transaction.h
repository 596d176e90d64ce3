/* A tx.commit on its way: the publishes and settlements of a channel become one whole in the log.
 * It lives on the channel's shard and outlives the channel if that goes meanwhile.
 *
 * Queues take their parts at once; the records they make count only with the COMMIT that follows
 * when all have answered. */
#ifndef BROKER_TRANSACTION_H
#define BROKER_TRANSACTION_H

#include "broker/msg.h"
#include "meta/ops.h"
#include "shard/shard.h"

struct transaction;

/* The shard on which a transaction with that id is. */
static inline unsigned transaction_shard(uint64_t id)
{
    return (unsigned)(id % SHARDS_MAX);
}

/* The channel gets TX_COMMITTED. */
struct transaction *transaction_begin(struct shard *shard, struct addr channel);
/* Takes one reference of the message. */
void transaction_enqueue(struct transaction *t, struct msg *msg, struct addr queue);
/* stored: as the delivery said. */
void transaction_settle(struct transaction *t, struct addr queue, uint32_t slot,
                        enum settle_how how, bool stored);
/* Nothing may be added any more; it frees itself. */
void transaction_commit(struct transaction **t);
/* Those that are left when the loops have ended. */
void transactions_fini(struct list *all);

#endif
