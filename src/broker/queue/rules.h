/* What the arguments of a queue and its policies ask for, ready for use. Of numbers the lower one
 * holds, of anything else what was declared. */
#ifndef BROKER_QUEUE_RULES_H
#define BROKER_QUEUE_RULES_H

#include "meta/policy.h"

enum overflow { OVERFLOW_DROP_HEAD, OVERFLOW_REJECT, OVERFLOW_REJECT_DEAD_LETTER };

#define RULES_NONE UINT64_MAX /* no such limit */

/* What waits of all that clients give back: that of failed attempts (basic.reject, and what a lost
 * channel held), or that of others (basic.nack, basic.recover). */
enum retry_type { RETRY_DISABLED, RETRY_ALL, RETRY_FAILED, RETRY_RETURNED };
struct retry {
    enum retry_type type;
    bool exponential; /* doubles each time; else min more each time */
    uint64_t min, max;
};

struct rules {
    uint64_t ttl;     /* ms a message may wait */
    uint64_t expires; /* ms the queue may be unused */
    uint64_t max_length, max_bytes;
    uint64_t delivery_limit; /* returns of a message */
    enum overflow overflow;
    unsigned max_priority; /* 0: not a priority queue */
    bool line;             /* a delay line: messages leave it when their delay is over */
    uint64_t delay;        /* of what comes, ms; 0: none, in a line: as a message's headers say */
    struct retry retry;
    bool deduplicates; /* declared, for ever */
    bool dead_letters, has_key;
    bool keeps_letters; /* which no queue takes, or not all that are to: tried again and again */
    struct slice exchange, key; /* of dead letters; borrowed from the definitions */
};

/* NULL if nothing is asked for. */
struct rules *rules_new(const struct queue_def *def, const struct applied *applied);

#endif
