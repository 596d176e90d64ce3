/* The consumers of a queue and who is next: by priority, then round robin over those with credit.
 */
#ifndef BROKER_QUEUE_CONSUMERS_H
#define BROKER_QUEUE_CONSUMERS_H

#include "base/list.h"
#include "base/slice.h"
#include "shard/op.h"

/* What a channel asks for; owned by the op that carries it, kept by the consumer. */
struct consume_request {
    struct addr channel;
    uint32_t number; /* of the consumer on its channel */
    uint64_t connection;
    struct slice tag, queue, user; /* owned */
    struct slice args;             /* owned table bytes */
    int64_t priority;
    uint32_t prefetch; /* 0 = unlimited */
    uint32_t window;   /* CONSUMER_WINDOW or CONSUMER_WINDOW_GLOBAL */
    bool no_ack, exclusive, no_wait;
};

void consume_request_free(struct consume_request **request);

struct consumer {
    struct consume_request *request;
    struct list link; /* all, in order of arrival */
    struct list turn; /* in its level's round robin, or alone */
    struct consumer_level *level;
    uint32_t number, serial;
    uint32_t unacked, window;
    bool paused; /* its channel may not take more for now */
    uint64_t delivered, acked;
};

struct consumer_level;
struct consumer_number;

struct consumers {
    struct list all;
    struct consumer_number *by_number;
    size_t cap, used;
    uint32_t free;                  /* number + 1, 0 = none */
    struct consumer_level **levels; /* highest priority first */
    size_t level_count, level_cap;
    uint32_t count, next_serial;
    bool single_active, takes_over;
    struct consumer *active; /* of a single active one; NULL: there is none */
    struct consumer *exclusive;
};

/* Of consumers of which a single one is active the others get nothing until that one goes: then the
 * next is the first of the highest priority. takes_over, as in quorum queues: one of a higher
 * priority does not wait for that, but for what the active one holds, which gets nothing more. */
void consumers_init(struct consumers *cs, bool single_active, bool takes_over);
/* The set must be empty of consumers. */
void consumers_fini(struct consumers *cs);
/* Takes the request. */
struct consumer *consumers_add(struct consumers *cs, struct consume_request *request);
/* Frees the consumer and its request. */
void consumers_remove(struct consumers *cs, struct consumer *c);
/* NULL if the number is free or the serial is another's (serial 0: any). */
struct consumer *consumers_find(const struct consumers *cs, uint32_t number, uint32_t serial);
/* The one that gets the next message, moved to the end of its round; NULL if nobody has credit. */
struct consumer *consumers_next(struct consumers *cs);
/* To be called when credit, unacked, window or paused changed. */
void consumers_update(struct consumers *cs, struct consumer *c);
static inline bool consumers_is_active(const struct consumers *cs, const struct consumer *c)
{
    return !cs->single_active || cs->active == c;
}
/* The active one is to make room for another as soon as it holds nothing. */
bool consumers_is_leaving(const struct consumers *cs, const struct consumer *c);
/* Somebody of the n-th level (highest priority first) can take a message now. */
bool consumers_level_ready(const struct consumers *cs, size_t n);

#endif
