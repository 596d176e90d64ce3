/* Definitions: immutable once published, shared by all shards, counted atomically. */
#ifndef META_DEF_H
#define META_DEF_H

#include "base/slice.h"
#include "shard/op.h"

#include <stdatomic.h>

struct queue_def {
    _Atomic uint32_t refs;
    struct addr addr; /* of the queue's actor */
    struct slice vhost, name;
    struct slice args; /* table bytes as declared, without the length */
    uint64_t owner;    /* connection id of an exclusive queue, else 0 */
    bool durable, auto_delete, exclusive;
    bool single_active_consumer;
};

struct exchange_def {
    _Atomic uint32_t refs;
    struct slice vhost, name, type;
    struct slice args;
    struct slice alternate; /* name, empty if none */
    bool durable, auto_delete, internal;
};

struct queue_def *queue_def_ref(struct queue_def *def);
void queue_def_unref(struct queue_def **def);
struct exchange_def *exchange_def_ref(struct exchange_def *def);
void exchange_def_unref(struct exchange_def **def);

#endif
