/* Release functions of ops.def's rows that belong to the broker. */
#ifndef BROKER_OPS_H
#define BROKER_OPS_H

#include "meta/ops.h"

void queue_release_create(struct op *op);
void queue_release_enqueue(struct op *op);
void queue_release_barrier(struct op *op);
void queue_release_deliver(struct op *op);
void queue_release_settle(struct op *op);
void queue_release_consume(struct op *op);
void queue_release_consume_reply(struct op *op);
void queue_release_cancel(struct op *op);
void queue_release_query(struct op *op);
void session_release_text(struct op *op);
void session_release_reply(struct op *op);

#endif
