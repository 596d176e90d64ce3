/* Dead letters: what left a queue by rejection, time or length goes through the queue's dead-letter
 * exchange with its story in its headers. */
#ifndef BROKER_QUEUE_DEADLETTER_H
#define BROKER_QUEUE_DEADLETTER_H

#include "base/buf.h"
#include "broker/queue/queue.h"
#include "broker/route.h"
#include "shard/shard.h"

struct rules;

/* What a shard's dead letters are made with. */
struct deadletters {
    struct shard *shard;
    struct route route;
    struct buf headers, props, routed;
};

void deadletters_init(struct deadletters *d, struct shard *shard);
void deadletters_fini(struct deadletters *d);

/* Of a letter that must come to all: each queue answers for a number of its own, from the given one
 * on, and one that has the letter already is left out. Queues are known by the ids of their
 * definitions. */
struct letter_way {
    const uint64_t *done; /* have it; borrowed */
    size_t done_count;
    bool one_alone; /* if it is for several it goes to none */
    uint64_t *sent; /* those it was posted to, in the order of their numbers; the caller's */
};

/* Takes the message, which left a queue with a dead-letter exchange; posts it to the queues that it
 * reaches, how many. Without such an exchange, or a queue behind it, it is gone. Each queue answers
 * there with CONFIRM for that number; no address: none does. way NULL: it need not come to all. */
size_t deadletters_publish(struct deadletters *d, const struct queue_def *def,
                           const struct rules *rules, struct dead_letter *letter,
                           struct addr answers, uint64_t number, struct letter_way *way);

/* The queue is there, as far as this shard knows. */
bool deadletters_can_move(const struct queue_def *to);
/* Posts a message that moves to another queue, unchanged. That answers with CONFIRM for the number,
 * refused if it goes. */
void deadletters_move(struct deadletters *d, const struct dead_letter *moved, struct addr answers,
                      uint64_t number);

/* The entry of x-death that is new. */
struct death_record {
    enum death death;
    struct slice queue, exchange; /* where it died; the exchange it had been published to */
    struct slice key;             /* its own; those of a CC header come from the headers */
    uint64_t time_s;              /* since the epoch */
    bool had_expiration;
    struct slice expiration;
    bool drop_cc; /* dead letters of the queue have a key of their own */
};
/* Appends the headers of a dead letter: those it had (without the length) and the new record. */
void death_headers(struct slice headers, const struct death_record *record, struct buf *out);
/* By the headers of a dead letter: it was in that queue before, and came back without ever being
 * rejected on its way. */
bool death_is_cycle(struct slice headers, struct slice queue);

#endif
