/* The log exchange: lines of the log as messages of amq.rabbitmq.log, by level. Lines of all
 * threads wait in one buffer, which shard 0 empties some times a second; when it is full they are
 * dropped, counted, and the log says so. */
#ifndef BROKER_LOG_EXCHANGE_H
#define BROKER_LOG_EXCHANGE_H

#include "base/log.h"

struct node;

enum { LOG_EXCHANGE_WAITING_MAX = 1024, LOG_EXCHANGE_MS = 100 };

/* Declares the exchange and listens to the log; before the loops run. */
void log_exchange_init(struct node *node, const char *vhost, const char *node_name,
                       enum log_level level);
/* After the loops ended; harmless without init. */
void log_exchange_fini(struct node *node);

#endif
