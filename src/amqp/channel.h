/* A channel: its methods, its consumers, what it published and what it holds unacknowledged. */
#ifndef AMQP_CHANNEL_H
#define AMQP_CHANNEL_H

#include "amqp/connection.h"

/* Frames of one channel, as the connection reads them. A channel may be gone after each of these.
 */
enum step channel_method(struct connection *c, unsigned number, const struct wire_method *m,
                         struct slice args);
enum step channel_header(struct connection *c, unsigned number, struct slice payload);
/* A body frame of size bytes begins. Returns who gets its bytes, NULL to drop them. */
struct channel *channel_body_begin(struct connection *c, unsigned number, uint32_t size);
void channel_body(struct channel *ch, struct slice part);
void channel_body_end(struct channel *ch);

/* Cancels consumers, returns what is unacknowledged to its queues, frees the channel. */
void channel_free(struct channel *ch);
unsigned channel_number(const struct channel *ch);
/* The stream can take deliveries again. */
void connection_drained(void *connection);

#endif
