/* Publishing what the broker itself has to say: copies for a trace, events. Such a message waits
 * for nobody and nobody waits for it. */
#ifndef BROKER_ANNOUNCE_H
#define BROKER_ANNOUNCE_H

#include "base/slice.h"

#include <stddef.h>

struct amqp_basic_properties;
struct buf;
struct msg;
struct route;
struct routing;
struct node;
struct shard;
struct vhost;
struct exchange;

enum { ANNOUNCE_NAMES_MAX = 2 * 256 };

/* The durable, internal topic exchange, unless there is one of that name. Before the loops run. */
void announce_declare(struct node *node, const char *vhost, struct slice exchange);
/* Exchange and routing key as two short strings; either is cut to 255 bytes. How many bytes. */
size_t announce_names(uint8_t room[ANNOUNCE_NAMES_MAX], struct slice exchange, struct slice key);
/* A content header for that body with the properties that flags name, appended. */
void announce_header(struct buf *header, uint64_t body_len,
                     const struct amqp_basic_properties *props);
/* Hands the message to every queue that its key reaches through the exchange: how many. Takes it.
 */
size_t announce(struct shard *shard, struct route *route, const struct vhost *vhost,
                struct exchange *exchange, struct msg *msg);

#endif
