/* Keeps publishers that wait for confirms in step with consumers: where a queue has grown long, and
 * its consumers nearly keep up, confirms of what need not be stored wait for deliveries. Private to
 * this folder. */
#ifndef BROKER_QUEUE_PACE_H
#define BROKER_QUEUE_PACE_H

#include "broker/queue/queue_priv.h"

/* The queue has grown by a chunk: perhaps it is long from now on. */
void pace_look(struct queue *q, uint64_t now_ms, const struct paging_limits *limits);
/* The confirm of the message that comes now, of a queue that has a pace: true if it waits. */
bool pace_keep(struct queue *q, struct addr channel, uint64_t seq,
               const struct paging_limits *limits);
/* At the end of each step of such a queue: what has waited long enough is confirmed. The queue may
 * have no pace after it. */
void pace_step(struct queue *q, uint64_t now_ms, struct queue_out *out);
/* Publishers are held to what consumers take. */
bool pace_holds(const struct queue *q);
/* When to look again, 0: need not. */
uint64_t pace_deadline(const struct queue *q);
/* What waits is forgotten. */
void pace_free(struct queue *q);

#endif
