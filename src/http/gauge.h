/* Totals over all shards: what lives there, and the messages of all queues. */
#ifndef HTTP_GAUGE_H
#define HTTP_GAUGE_H

#include "admin/visit.h"
#include "broker/broker.h"

struct session;

struct gauge_totals {
    uint64_t connections, channels, queues, consumers;
    uint64_t messages_ready, messages_unacknowledged, messages_delayed;
    uint64_t messages_unconfirmed; /* of channels */
    uint64_t bytes_ready, bytes_unacknowledged, bytes_delayed;
    uint64_t done[TOTAL_COUNT]; /* by enum broker_total */
};

struct gauge {
    struct visit visit;
    struct gauge_totals totals;
    bool at_channels;
};

/* Walks all shards; then on_end gets it, whose it is. */
void gauge_start(struct session *session,
                 void (*on_end)(struct session *session, struct gauge *gauge));

#endif
