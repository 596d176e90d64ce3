/* What listings, explain and policies see of anything that is a queue to clients: every object of
 * LISTING_QUEUES begins with one. */
#ifndef BROKER_QUEUE_FACE_H
#define BROKER_QUEUE_FACE_H

#include "base/value.h"
#include "broker/queue/explain.h"
#include "shard/shard.h"

struct queue_counts; /* queue.h */
struct queue_def;
struct routing;

struct queue_face {
    const struct queue_face_type *type;
};

struct queue_face_type {
    const struct queue_def *(*def)(const struct queue_face *face);
    bool (*is_dead)(const struct queue_face *face);
    struct value (*column)(const struct queue_face *face, const char *column);
    struct queue_counts (*counts)(const struct queue_face *face); /* cheaper than columns */
    /* consumer: for consumer_column */
    void (*each_consumer)(const struct queue_face *face,
                          void (*fn)(const struct queue_face *face, const void *consumer,
                                     void *arg),
                          void *arg);
    struct value (*consumer_column)(const struct queue_face *face, const void *consumer,
                                    const char *column);
    struct queue_standing (*explain)(const struct queue_face *face, uint64_t now_ms);
    /* The consumer of a number below consumer_numbers; false: there is none. */
    bool (*explain_consumer)(const struct queue_face *face, uint32_t number,
                             struct consumer_view *ret_view);
    /* The newest policies are in effect afterwards. */
    void (*keep_policies)(struct queue_face *face);
    void (*free)(struct queue_face *face);
};

/* NULL if no queue of that shard has the address. */
const struct queue_face *queue_face_find(struct shard *shard, struct addr addr);
/* policy, operator_policy and effective_policy_definition, of the newest policies; none for other
 * columns. */
struct value queue_face_policy(const struct routing *routing, const struct queue_def *def,
                               const char *column);
/* Columns that are the definition's. */
struct value queue_face_definition(const struct queue_def *def, const char *column);

struct consume_request;
/* Columns of a consumer that are as it asked for them. */
struct value queue_face_request(const struct consume_request *request, const struct queue_def *def,
                                const char *column);

#endif
