/* A store for one queue in a simulation: fed with the queue's effects, it answers what the queue
 * asks back, late and in portions. */
#ifndef SIM_QUEUE_STORE_H
#define SIM_QUEUE_STORE_H

#include "broker/queue/queue.h"

enum { QUEUE_STORE_MESSAGES = 4096, QUEUE_STORE_READS = 64, QUEUE_STORE_SEQS = 1024 };

struct stored_message {
    struct msg *msg; /* a reference; NULL: it is not there */
    bool redelivered, persistent;
    uint16_t level;
    uint32_t delivery_count;
    uint64_t expiry;
};
struct stored_read {
    struct page_request request;
    struct page_answer answer; /* if it was read at once */
    bool done;
    uint64_t seqs[QUEUE_STORE_SEQS]; /* of the request, if it names some */
};
struct queue_store {
    struct stored_message messages[QUEUE_STORE_MESSAGES]; /* by seq */
    uint64_t last;
    struct stored_read reads[QUEUE_STORE_READS];
    size_t read_count;
    uint64_t pages, asked; /* what was sent there, what was asked back */
};

void queue_store_apply(struct queue_store *s, const struct effect *e);
/* at_once: sees the store as it is now, not as it will be. */
void queue_store_ask(struct queue_store *s, const struct page_request *request, bool at_once);
/* Answers the oldest request, at most max messages; false: there is none. */
bool queue_store_answer(struct queue_store *s, uint32_t max, struct page_answer *ret_answer);
void queue_store_fini(struct queue_store *s);
/* A start: what is not persistent is lost. The levels that have messages. */
size_t queue_store_restart(struct queue_store *s, struct queue_level *ret_levels);

#endif
