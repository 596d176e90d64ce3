/* Publisher confirms of a channel: which publishes still wait for queues, and what to tell the
 * client. */
#ifndef AMQP_CONFIRMS_H
#define AMQP_CONFIRMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of publishes base.. in a ring: how many queues are still to answer, and whether one refused. */
struct confirms {
    uint32_t *left;
    size_t cap;     /* power of two or 0 */
    uint64_t base;  /* first publish that was not acknowledged to the client; 0 before the first */
    uint64_t next;  /* one behind the last publish */
    uint64_t *done; /* completed this turn, not in order of numbers */
    size_t done_count, done_cap;
};

void confirms_fini(struct confirms *cf);
/* Publish number seq (the next in order) waits for n queues; 0 = done already. */
void confirms_open(struct confirms *cf, uint64_t seq, uint32_t n);
/* One queue answered for first..last: it has them, or refused them. */
void confirms_answer(struct confirms *cf, uint64_t first, uint64_t last, bool refused);
/* Tells what to acknowledge or, if any queue refused it, to reject, once a turn: in order with
 * multiple as far as all are answered, then single ones. */
void confirms_flush(struct confirms *cf,
                    void (*tell)(void *arg, uint64_t seq, bool multiple, bool refused), void *arg);
static inline uint64_t confirms_waiting(const struct confirms *cf)
{
    return cf->next - cf->base;
}

#endif
