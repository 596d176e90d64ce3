/* What the counters of one object were: samples of the last minutes, and fewer of the hours before,
 * as RabbitMQ keeps them. Bounded by what is kept, and grown as it fills. Times are those of
 * CLOCK_MONOTONIC in ms; who asks names the time of day. Pure. */
#ifndef HTTP_TREND_H
#define HTTP_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TREND_STEP_MS = 5000,    /* between two samples */
    TREND_READ_MAX = 501,    /* samples of an answer */
    TREND_SPANS = 4,         /* of which samples are kept, at most */
    TREND_ROUNDING_MS = 100, /* a sample that much after a time counts for it */
};

/* Samples of that many seconds, one each step. The finest first. */
struct trend_span {
    uint32_t seconds, step;
};
extern const struct trend_span trend_of_node[TREND_SPANS]; /* a day */
extern const struct trend_span trend_of_object[2];         /* an hour */

/* Times of day in ms, first to last; step 0: not asked for. At most TREND_READ_MAX. */
struct range {
    uint64_t first, last, step;
};

struct trend;

/* Of that many counters. whole: they were 0 until now. */
struct trend *trend_new(const struct trend_span *spans, size_t span_count, size_t counters,
                        bool whole);
void trend_free(struct trend **trend);
/* The counters as they are now. wall_offset: from CLOCK_MONOTONIC to the time of day. */
void trend_add(struct trend *trend, uint64_t now_ms, uint64_t wall_offset,
               const uint64_t *counters);
/* How fast a counter grew a second between the last two samples; 0: not known. */
double trend_rate(const struct trend *trend, uint64_t now_ms, size_t counter);
/* The counter at each time of the range, newest first; times of which nothing is known are left
 * out. Returns how many, at most TREND_READ_MAX. */
size_t trend_read(const struct trend *trend, const struct range *range, uint64_t wall_offset,
                  size_t counter, uint64_t *ret_values);

#endif
