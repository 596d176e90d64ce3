/* Why a queue delivers nothing, for people: read from its state, which stays as it is. */
#ifndef BROKER_QUEUE_EXPLAIN_H
#define BROKER_QUEUE_EXPLAIN_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct queue;
struct consumer;

/* VERDICT(symbol, name in JSON, what it means) */
#define QUEUE_VERDICTS(VERDICT)                                                              \
    VERDICT(EMPTY, "empty", "there are no messages")                                         \
    VERDICT(HELD, "unacknowledged",                                                          \
            "every message is held by a client that has not "                                \
            "acknowledged it yet")                                                           \
    VERDICT(WAITING, "delayed",                                                              \
            "no message is ready: those that are there wait for their time, as the "         \
            "queue delays them, or as they were given back")                                 \
    VERDICT(LETTERS, "dead_letters",                                                         \
            "all that is there are dead letters that found no queue, or not every one: "     \
            "they are sent again from time to time")                                         \
    VERDICT(NO_CONSUMER, "no_consumer", "messages are ready, and nobody consumes")           \
    VERDICT(CAUGHT_UP, "caught_up", "every consumer has read to the end of the stream")      \
    VERDICT(OPENING, "opening", "the stream's files are being looked at after a start")      \
    VERDICT(STARTING, "starting", "the first consumer after a start waits for the journal")  \
    VERDICT(EXPIRING, "expiring", "messages whose time is over are being removed first")     \
    VERDICT(HALTED, "halted",                                                                \
            "a queue that its dead letters go to has to catch up: until then messages "      \
            "neither expire here nor are delivered")                                         \
    VERDICT(READING, "reading", "the next messages are being read back from the store")      \
    VERDICT(CONSUMERS, "consumers", "messages are ready, and no consumer may take one now")  \
    VERDICT(DELIVERING, "delivering", "nothing is in the way: messages are being delivered") \
    VERDICT(DELETED, "deleted", "the queue is being deleted")

enum queue_verdict {
#define VERDICT(symbol, name, text) QUEUE_##symbol,
    QUEUE_VERDICTS(VERDICT)
#undef VERDICT
        QUEUE_VERDICT_COUNT
};
const char *queue_verdict_name(enum queue_verdict verdict);
const char *queue_verdict_text(enum queue_verdict verdict);

/* STANDING(symbol, name in JSON, what keeps the consumer from the next message) */
#define CONSUMER_STANDINGS(STANDING)                                                           \
    STANDING(CAN_TAKE, "ready", "can take messages")                                           \
    STANDING(STANDBY, "standby", "stands by: another is the single active consumer")           \
    STANDING(LEAVING, "leaving",                                                               \
             "gets nothing more: one of a higher priority becomes the single active consumer " \
             "as soon as this one has acknowledged what it holds")                             \
    STANDING(PREFETCH, "prefetch_full",                                                        \
             "has as many unacknowledged messages as its prefetch "                            \
             "allows")                                                                         \
    STANDING(CHANNEL, "channel_prefetch_full", "is held by the prefetch of its whole channel") \
    STANDING(SLOW, "connection_slow",                                                          \
             "has a connection that takes no more for now: its client "                        \
             "does not read fast enough")

enum consumer_standing {
#define STANDING(symbol, name, text) CONSUMER_##symbol,
    CONSUMER_STANDINGS(STANDING)
#undef STANDING
        CONSUMER_STANDING_COUNT
};
const char *consumer_standing_name(enum consumer_standing standing);
const char *consumer_standing_text(enum consumer_standing standing);

struct queue_standing {
    enum queue_verdict verdict;
    uint64_t ready, ready_bytes, unacked;
    uint64_t away;               /* of those ready: in the store alone */
    uint64_t later, later_bytes; /* wait for their time */
    uint64_t letters;            /* dead ones that are tried again */
    uint64_t later_ms;           /* until the next of them is ready */
    uint32_t consumers, consumer_numbers;
    bool reading;
    uint64_t reading_ms;            /* for how long */
    uint64_t waiting_gets;          /* basic.get that wait for what is being read */
    bool expires, has_idle;         /* the next two are known */
    uint64_t expires_ms;            /* until the next message may expire */
    uint64_t idle_ms;               /* until the queue goes, unused */
    bool full;                      /* a limit of length is reached */
    const char *overflow;           /* what happens then; NULL: it has no such limit */
    uint64_t max_length, max_bytes; /* UINT64_MAX: none */
};
/* starting: its actor holds what it sends. Does not look at messages or consumers one by one. */
struct queue_standing queue_explain(const struct queue *q, bool starting, uint64_t now_ms);

struct consumer_view {
    enum consumer_standing standing;
    struct slice tag, user; /* borrowed from the queue */
    uint64_t connection;
    uint32_t channel; /* its slot, as list_channels shows it */
    uint32_t prefetch, unacked;
    int64_t priority;
    bool no_ack, active;
    bool has_offset; /* of a stream: the next is known */
    uint64_t offset; /* it looks at next */
};
/* The consumer of a number below consumer_numbers; false: there is none. */
bool queue_explain_consumer(const struct queue *q, uint32_t number, struct consumer_view *ret_view);

#endif
