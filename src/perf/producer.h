/* A publishing connection. Its messages lie ready encoded in a ring of slots; publishing stamps the
 * next ones in place and writes them in one go. */
#ifndef PERF_PRODUCER_H
#define PERF_PRODUCER_H

#include "perf/bench.h"

struct message_traits {
    uint64_t size;
    uint32_t life;  /* ms until it expires, 0: never */
    uint32_t delay; /* ms until it is in its queue */
    uint8_t priority;
};

struct producer {
    struct actor actor;
    uint16_t id;
    uint64_t seq;   /* of the next message; how many were stamped */
    uint64_t limit; /* stop there; UINT64_MAX: none */

    uint8_t *ring;
    size_t *slot;    /* nslots + 1 offsets into ring */
    uint32_t *stamp; /* nslots offsets of the stamp in its slot */
    uint32_t *life;  /* nslots: ms from which on the latency counts */
    uint32_t nslots;
    uint32_t next;    /* slot of message seq */
    size_t write_off; /* stamped and not yet written: [write_off, write_end) */
    size_t write_end;

    double interval; /* ns between messages; 0: flat out */
    double offset;   /* ns from the common start to message 0 */

    uint64_t window; /* of confirms, 0: none */
    uint64_t mask;   /* of the rings below */
    uint64_t low;    /* first tag not confirmed; tags begin at 1 */
    uint64_t *sent_at;
    uint8_t *settled;

    uint64_t tx_left; /* publishes until the next commit */
    uint64_t tx_sent_at;
    bool tx_waiting;
    bool fence_sent; /* a basic.qos whose reply says that all before it was taken */
    bool fence_back;
    uint64_t done_at;
};

bool producer_open(struct producer *p, struct worker *w, uint16_t id);
void producer_fini(struct producer *p);

/* Appends the frames of one message; returns where in `out` the stamp goes. */
size_t producer_put_message(const struct bench *b, struct octets *out, uint64_t producer,
                            uint64_t key, const struct message_traits *m, uint32_t frame_max);

#endif
