/* The command line: one table gives parsing, limits and help. */
#ifndef PERF_OPTIONS_H
#define PERF_OPTIONS_H

#include "perf/uri.h"

#include <stdbool.h>
#include <stdint.h>

enum command {
    COMMAND_RUN,
    COMMAND_LATENCY,
    COMMAND_TX,
    COMMAND_BACKLOG,
    COMMAND_GET,
    COMMAND_CHURN,
    COMMAND_IDLE,
    COMMAND_QUEUES,
    COMMAND_SINK,
    COMMAND_COUNT,
};

enum exchange_type {
    EXCHANGE_DEFAULT,
    EXCHANGE_DIRECT,
    EXCHANGE_FANOUT,
    EXCHANGE_TOPIC,
    EXCHANGE_HEADERS,
};

enum { OPTION_PIDS_MAX = 16, OPTION_ARGS_MAX = 16 };

/* Milliseconds of a message; max 0: none is set. */
struct ms_range {
    uint64_t min;
    uint64_t max;
};

struct options {
    enum command command;
    struct uri uri;
    uint64_t producers;
    uint64_t consumers;
    uint64_t queues;
    uint64_t connections;
    uint64_t parallel;
    uint64_t threads;
    uint64_t size_min;
    uint64_t size_max;
    uint64_t count; /* 0: run for `duration` */
    uint64_t rate;  /* messages a second over all producers; 0: flat out */
    double duration;
    double warmup;
    double drain;
    double hold;
    uint64_t confirm;
    uint64_t prefetch;
    uint64_t ack; /* acknowledge every so many; 0: auto-ack */
    uint64_t tx;
    uint64_t inflight;
    uint64_t pipeline;
    uint64_t bindings;
    uint64_t match;
    uint64_t priorities; /* 0 to N - 1 in turn; 0: none is set */
    struct ms_range expiration;
    struct ms_range delay;
    enum exchange_type type;
    bool pin;
    bool persistent;
    bool durable;
    bool mandatory;
    bool dead_letters; /* consumers take those of the queues */
    bool stream;       /* the queues are streams: each of their consumers gets everything */
    bool keep;
    bool no_declare;
    bool json;
    bool quiet;
    bool duration_set;
    const char *prefix;
    const char *listen;
    const char *sync;
    const char *queue_args[OPTION_ARGS_MAX]; /* KEY=VALUE */
    uint32_t nqueue_args;
    int pids[OPTION_PIDS_MAX];
    uint32_t npids;
};

/* Fills *o. Returns -1 to go on, or an exit code (help was printed, or what is wrong was said). */
int options_parse(struct options *o, int argc, char **argv);

/* Messages may overtake each other. */
static inline bool options_unordered(const struct options *o)
{
    return o->priorities > 0 || o->expiration.min != o->expiration.max ||
           o->delay.min != o->delay.max;
}

const char *options_command_name(enum command command);
const char *options_type_name(enum exchange_type type);

#endif
