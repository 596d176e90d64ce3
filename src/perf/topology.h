/* Exchange, queues, bindings and keys of a run, and which sequence numbers each queue must see.
 *
 * A producer's message s uses key s mod nkeys. A queue expects every s with s mod stride equal to
 * its phase; so its messages are numbered densely by s / stride. */
#ifndef PERF_TOPOLOGY_H
#define PERF_TOPOLOGY_H

#include "perf/options.h"
#include "perf/peer.h"

enum { TOPOLOGY_NAME_MAX = 256 };

struct topology {
    const struct options *o;
    uint16_t run;   /* run id in the stamps */
    uint64_t nkeys; /* of one producer */
    uint64_t stride;
    uint64_t groups; /* topic and headers: bindings come in groups of o->match */
    uint64_t reach;  /* deliveries of a message: queues, times the consumers of a stream */
    char prefix[TOPOLOGY_NAME_MAX];
};

void topology_init(struct topology *t, const struct options *o);

void topology_queue_name(const struct topology *t, uint64_t queue, char *name_);
/* The queue that consumers take from. */
void topology_source_name(const struct topology *t, uint64_t queue, char *name_);
const char *topology_exchange_name(const struct topology *t);

/* The routing key of a producer's key number, and whether its messages carry the header
 * TOPOLOGY_HEADER with the value of topology_header. */
void topology_key(const struct topology *t, uint64_t producer, uint64_t key, char *name_);
#define TOPOLOGY_HEADER "perf"
void topology_header(uint64_t key, char *value_);

/* Does the queue expect messages of this producer; with which phase. */
bool topology_feeds(const struct topology *t, uint64_t producer, uint64_t queue);
uint64_t topology_phase(const struct topology *t, uint64_t queue);
/* How many of a producer's first `sent` messages the queue must see. */
uint64_t topology_expected(const struct topology *t, uint64_t producer, uint64_t queue,
                           uint64_t sent);

/* How many of its consumers see each message. */
uint64_t topology_readers(const struct topology *t);

bool topology_declare(const struct topology *t, struct peer *admin);
bool topology_delete(const struct topology *t, struct peer *admin);

void topology_put_declare(const struct options *o, struct octets *out, const char *queue);
void topology_put_delete(struct octets *out, const char *queue);

#endif
