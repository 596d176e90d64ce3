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
    uint64_t messages_paged_out, bytes_paged_out;
    uint64_t publishers;                         /* channels that have published */
    uint64_t lines, lines_messages, lines_bytes; /* delay lines, and what waits in them */
    uint64_t streams, stream_messages, stream_unacknowledged, stream_segments, stream_bytes,
        stream_readers;
    uint64_t stream_lag;        /* of the reader that is farthest behind */
    uint64_t done[TOTAL_COUNT]; /* by enum broker_total; bytes and frames of open connections too */
};

struct gauge {
    struct visit visit;
    struct gauge_totals totals;
    enum listing at; /* what is being walked */
    bool by_vhost;   /* messages and octets count for their virtual hosts (meta/tally.h) */
    uint64_t begun_ms;
    size_t objects;
};

/* To be sent to all shards, the last one first. */
struct gauge *gauge_new(void);
/* The last totals of very many objects, for whoever asks soon after. Any thread. */
struct gauge_memory;
struct gauge_memory *gauge_memory_new(void);
void gauge_memory_free(struct gauge_memory **memory);
void gauge_remember(struct gauge_memory *memory, const struct gauge *gauge);
/* How long totals of so many objects are remembered; 0: they are counted again. */
uint64_t gauge_memory_ms(size_t objects);

/* Walks all shards, or takes what was found a moment ago if there are very many objects; then
 * on_end gets it, whose it is. */
void gauge_start(struct session *session,
                 void (*on_end)(struct session *session, struct gauge *gauge));

#endif
