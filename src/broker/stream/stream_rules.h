/* What the arguments of streams and of their consumers ask for. Pure functions. */
#ifndef BROKER_STREAM_STREAM_RULES_H
#define BROKER_STREAM_STREAM_RULES_H

#include "meta/policy.h"
#include "partition/partition.h"

/* A policy goes before the argument, as in RabbitMQ. */
struct partition_options stream_options(const struct queue_def *def, const struct applied *applied);

/* x-stream-offset, as it passed args_check_consume. */
enum stream_start { START_FIRST, START_LAST, START_NEXT, START_OFFSET, START_TIME };
enum stream_start stream_start(struct slice args, uint64_t now_ms, uint64_t *ret_number);

/* x-stream-filter and x-stream-match-unfiltered. */
struct stream_filter {
    struct slice values; /* an array's bytes; borrowed from the arguments */
    struct slice value;  /* or one */
    bool on, unfiltered;
};
struct stream_filter stream_filter(struct slice args);
/* value: x-stream-filter-value of a message. */
bool stream_filter_takes(const struct stream_filter *filter, bool has_value, struct slice value);
/* Of a batch's filter: whether there may be something in it. */
bool stream_filter_may_take(const struct stream_filter *filter, struct slice bloom,
                            bool unfiltered);

struct msg;
bool stream_filter_value(const struct msg *msg, struct slice *ret_value);

#endif
