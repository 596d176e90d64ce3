/* Of the simulation of the broker: a stream, its publisher and its readers (broker_stream.c). */
#ifndef SIM_BROKER_STREAM_H
#define SIM_BROKER_STREAM_H

#include "shard/shard.h"

enum { STREAM_CLIENTS = 3, STREAM_VALUES = 4 };
struct stream_entry {
    uint32_t uid;
    uint8_t value; /* of the filter */
};
struct stream_client {
    struct addr addr;                        /* of the stream */
    bool asked, there, anywhere, unfiltered; /* anywhere: it begins where it is not known */
    unsigned filter;                         /* 0: none */
    uint32_t number, serial, slot, held;
    uint64_t next;
};
struct stream_world {
    bool on;
    uint64_t segment_bytes, max_bytes; /* 0: no limit */
    const char *max_age;               /* NULL: none */
    struct shard *shard;               /* of who publishes and reads */
    struct addr addr;
    bool known;                   /* in this life it was looked at what is there */
    struct stream_entry *entries; /* by offset */
    uint64_t count, base, safe;   /* sent; before this life; what must be there */
    size_t cap;
    uint32_t uids;
    struct stream_client readers[STREAM_CLIENTS + 1]; /* the last: of the end */
};

void stream_choose(void); /* what it is to be, for all lives */
void stream_begin(void);
void stream_fini(void);
void stream_declare(void);
/* Publishes, reads; the first time in a life looks at what a start found. */
void stream_act(void);
bool stream_drain(void); /* a step of reading all; true: nothing is left to be read */
void stream_delete(void);
void stream_check_gone(void);

#endif
