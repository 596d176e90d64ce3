/* A broker inside the test's own process: shards, metadata, queues, AMQP and sockets, without
 * daemon, configuration and control socket. User guest (guest) has all rights in "/". */
#ifndef BROKER_RIG_H
#define BROKER_RIG_H

#include "amqp/amqp.h"

struct node *broker_rig_new(unsigned shards, const struct amqp_options *options);
/* What a test may change; the rest are the daemon's defaults. */
struct amqp_options broker_rig_options(void);
/* Of an AMQP listener on a free port of 127.0.0.1. */
int broker_rig_listen(struct node *node);
/* After node_run returned, or for a node whose loops a test turns itself. */
void broker_rig_free(struct node **node);

#endif
