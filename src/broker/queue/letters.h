/* Which queues have a dead letter already that has not come to all, by its number in the queue that
 * keeps it (later.h). Not stored: after a start it goes to all of them. Of a shard's queues so many
 * are known as LETTERS_KNOWN says, about; then others that are for several queues are not sent
 * before some of these have come to all. Private to this folder. */
#ifndef BROKER_QUEUE_LETTERS_H
#define BROKER_QUEUE_LETTERS_H

#include "base/hash.h"

struct letter_done {
    uint64_t seq;
    size_t count;
    uint64_t *ids; /* of the queues' definitions; owned */
};

/* One a queue. */
struct letters {
    struct hash done; /* of struct letter_done */
    uint64_t *known;  /* of all queues of the shard */
};

void letters_init(struct letters *l, uint64_t *known);
void letters_fini(struct letters *l);
/* The queue keeps none any more. */
void letters_forget(struct letters *l);
/* Takes the array; there is at least one. */
void letters_note(struct letters *l, uint64_t seq, uint64_t *ids, size_t count);
/* So many are kept by the queue: if most of those known are not among them any more, all are
 * forgotten. */
void letters_look(struct letters *l, uint64_t kept);
/* Takes it out, to be freed by letter_done_free; NULL: no queue has it. */
struct letter_done *letters_take(struct letters *l, uint64_t seq);
/* It has another number from now on. */
void letters_move(struct letters *l, uint64_t from, uint64_t to);
void letter_done_free(struct letter_done **done);

#endif
