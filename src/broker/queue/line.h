/* Delay lines: queues without a name in which messages of an exchange, or of a queue with x-delay,
 * wait for their time; they leave as a dead letter leaves its queue, but unchanged. */
#ifndef BROKER_QUEUE_LINE_H
#define BROKER_QUEUE_LINE_H

#include "broker/queue/deadletter.h"

/* Takes the message, whose time has come; posts it to the queue that it waited for, or to those
 * that the exchange routes it to now: how many. Answers as deadletters_publish. */
size_t line_publish(struct deadletters *d, const struct queue_def *line, struct dead_letter *letter,
                    struct addr answers, uint64_t number);

/* Finds the queues that a message which waited reaches through the exchange: how many. Keys of a
 * BCC header count as when it was published. exchange NULL: none. */
size_t line_route(struct deadletters *d, struct vhost *vhost, struct exchange *exchange,
                  const struct msg *m);
/* Posts the op, an ENQUEUE, to all of them; there is one at least. Takes its reference. */
void line_post(struct op *op, const struct route *found);

#endif
