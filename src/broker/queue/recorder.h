/* From the effects of steps to records of the store: one a shard, shared by its queues. */
#ifndef BROKER_QUEUE_RECORDER_H
#define BROKER_QUEUE_RECORDER_H

#include "base/clock.h"
#include "broker/queue/queue.h"
#include "store/store.h"

struct recorder {
    struct store_log *log; /* NULL: nothing is stored */
    struct effect_log effects;
    struct list settling; /* queues with settlements to be written at the end of the turn */
    struct clock_wall wall;
};

/* What the recorder keeps of a queue. */
struct recorded {
    struct list link; /* in recorder.settling */
    uint64_t id;
    uint64_t first, last; /* settled in a row, first 0 = none */
    uint16_t level;
    bool opened;      /* the id is known in the log */
    uint32_t letters; /* on their way (transfer.h), whose ends are not recorded yet */
    uint32_t sendings;
};

void recorder_init(struct recorder *r, struct store_log *log);
void recorder_fini(struct recorder *r);
void recorded_init(struct recorded *q, const struct queue_def *def);
/* Forgets what was not written. */
void recorded_fini(struct recorded *q);

/* Turns the effects of a step into records and clears them; transaction: 0, or what the step's own
 * belong to. The ends of dead letters are left to recorder_settle, but for those of a transaction.
 * What it writes is handed over before it is called again at the earliest, but for parts that mean
 * something by themselves: a settlement that follows is in one unit with it. */
void recorder_take(struct recorder *r, struct recorded *q, uint64_t transaction, uint64_t now_ms);
/* One message is gone for good. */
void recorder_settle(struct recorder *r, struct recorded *q, uint16_t level, uint64_t seq);
/* Its messages may be delivered from now on: ATTACH. */
void recorder_attach(struct recorder *r, struct recorded *q);
/* The queue is deleted; contents of one that is not durable end here. */
void recorder_forget(struct recorder *r, struct recorded *q, const struct queue_def *def);
/* Writes the settlements that wait. */
void recorder_flush(struct recorder *r);

#endif
