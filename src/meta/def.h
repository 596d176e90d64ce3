/* Definitions: immutable once published, shared by all shards, counted atomically. */
#ifndef META_DEF_H
#define META_DEF_H

#include "base/list.h"
#include "base/slice.h"
#include "shard/op.h"

#include <stdatomic.h>

enum queue_type { QUEUE_CLASSIC, QUEUE_QUORUM, QUEUE_STREAM, QUEUE_TYPE_COUNT };

/* A line: a queue without a name of its own. It comes and goes with what it belongs to, whose name
 * and arguments it bears; no client can name it. In a delay line messages of an exchange or a queue
 * wait for their time; LINE_OF_VALUES knows which values an exchange has let in, LINE_OF_HISTORY
 * its last messages. */
enum line_of { LINE_NOT, LINE_OF_EXCHANGE, LINE_OF_QUEUE, LINE_OF_VALUES, LINE_OF_HISTORY };

struct queue_def {
    _Atomic uint32_t refs;
    enum queue_type type;
    struct addr addr; /* of the queue's actor */
    struct slice vhost, name;
    struct slice args; /* table bytes as declared, without the length */
    uint64_t owner;    /* connection id of an exclusive queue, else 0 */
    struct list owned; /* the master's: queues of the same owner */
    uint64_t number;   /* the master's: in its roster */
    uint64_t id;       /* names its contents in the store; never another queue's */
    bool durable, auto_delete, exclusive;
    bool single_active_consumer;
    bool type_by_default; /* x-queue-type comes from the vhost, the declaration had none */
    enum line_of line_of; /* LINE_NOT: not a line but a queue */
    /* Of a queue with x-delay that an earlier release made with one: gets what is published to the
     * queue, on the same shard. A reference; NULL: there is none. As stored there is only its id,
     * 0: none. */
    struct queue_def *line;
    uint64_t line_id;
};

struct exchange_def {
    _Atomic uint32_t refs;
    uint64_t number; /* the master's: in its roster */
    struct slice vhost, name, type;
    struct slice args;
    struct slice alternate; /* name, empty if none */
    struct slice user;      /* who declared it */
    bool durable, auto_delete, internal;
    struct queue_def *line; /* of one that has a line: as above */
    uint64_t line_id;
};

/* What a policy is for: all, queues or exchanges, or queues of one type. */
enum apply_to {
    APPLY_TO_ALL,
    APPLY_TO_QUEUES,
    APPLY_TO_EXCHANGES,
    APPLY_TO_CLASSIC_QUEUES,
    APPLY_TO_QUORUM_QUEUES,
    APPLY_TO_STREAMS,
    APPLY_TO_COUNT
};

struct policy_def {
    _Atomic uint32_t refs;
    bool operator_made; /* an operator policy */
    struct slice vhost, name, pattern;
    struct slice args; /* its definition: table bytes without the length */
    int64_t priority;
    enum apply_to apply_to;
};

/* One reference of a copy with bytes of its own. type, single_active_consumer and alternate come
 * from the arguments. */
struct queue_def *queue_def_new(const struct queue_def *like);
struct exchange_def *exchange_def_new(const struct exchange_def *like);

struct queue_def *queue_def_ref(struct queue_def *def);
void queue_def_unref(struct queue_def **def);
struct exchange_def *exchange_def_ref(struct exchange_def *def);
void exchange_def_unref(struct exchange_def **def);
struct policy_def *policy_def_new(const struct policy_def *like);
struct policy_def *policy_def_ref(struct policy_def *def);
void policy_def_unref(struct policy_def **def);

#endif
