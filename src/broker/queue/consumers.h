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
    bool single_active;
    struct consumer *exclusive;
};

void consumers_init(struct consumers *cs, bool single_active);
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
bool consumers_is_active(const struct consumers *cs, const struct consumer *c);
/* Somebody of the n-th level (highest priority first) can take a message now. */
bool consumers_level_ready(const struct consumers *cs, size_t n);

#endif
