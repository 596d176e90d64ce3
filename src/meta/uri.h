/* amqp:// and amqps:// URIs of links to other brokers. No state, any thread. */
#ifndef META_URI_H
#define META_URI_H

#include "base/buf.h"

/* What is wrong with it, as an Erlang term in RabbitMQ's words; false: nothing. */
bool uri_find_error(struct slice uri, struct buf *reason);

/* Appends a text, with *** for the user and the password of each URI in it. */
void uri_put_without_users(struct slice text, struct buf *out);

#endif
