/* Messages that consumers hold: a table of slots, the slot number goes out with the delivery. */
#ifndef BROKER_QUEUE_UNACKED_H
#define BROKER_QUEUE_UNACKED_H

#include "broker/queue/ready.h"

enum { UNACKED_NO_CONSUMER = 0xffffffffu };

struct unacked_entry {
    struct ready_entry entry; /* entry.msg NULL: a free slot */
    uint32_t consumer;        /* the queue's number, or UNACKED_NO_CONSUMER (basic.get) */
    uint32_t serial; /* of the consumer, against reuse of its number; free slots: next free + 1 */
};

struct unacked {
    struct unacked_entry *slots;
    size_t cap, used;                      /* slots ever used since it was last empty */
    uint32_t free;                         /* slot + 1, 0 = none */
    uint64_t count, bytes;                 /* of bodies */
    uint64_t persistent, persistent_bytes; /* of these */
};

uint32_t unacked_add(struct unacked *u, const struct ready_entry *entry, uint32_t consumer,
                     uint32_t serial);
/* False if the slot is free (a peer's mistake never gets here: channels name only what they hold).
 */
bool unacked_take(struct unacked *u, uint32_t slot, struct unacked_entry *ret_entry);
void unacked_fini(struct unacked *u);

#endif
