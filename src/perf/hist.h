/* A log-linear histogram of nanoseconds: exact below 256, then 128 buckets an octave (an error of
 * at most 0.8 %), up to 2^44 ns (4.8 hours). One writer; read it after the writer is done. */
#ifndef PERF_HIST_H
#define PERF_HIST_H

#include <stdint.h>

enum {
    HIST_SUB_BITS = 7,
    HIST_MAX_BITS = 44,
    HIST_BUCKETS = (HIST_MAX_BITS - HIST_SUB_BITS + 1) << HIST_SUB_BITS,
};

struct hist {
    uint64_t count;
    uint64_t sum;
    uint64_t min;
    uint64_t max;
    uint64_t bucket[HIST_BUCKETS];
};

static inline uint32_t hist_index(uint64_t v)
{
    if (v >> (HIST_SUB_BITS + 1) == 0)
        return (uint32_t)v;
    if (v >> HIST_MAX_BITS != 0)
        return HIST_BUCKETS - 1;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(v) - HIST_SUB_BITS;
    return (shift << HIST_SUB_BITS) + (uint32_t)(v >> shift);
}

static inline void hist_add(struct hist *h, uint64_t v)
{
    h->count++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
    h->bucket[hist_index(v)]++;
    if (v < h->min || h->count == 1)
        h->min = v;
}

void hist_merge(struct hist *into, const struct hist *from);

/* The value below or at which a fraction q (0 to 1) of all lie: the upper edge of its bucket, and
 * never above max. 0 if the histogram is empty. */
uint64_t hist_quantile(const struct hist *h, double q);

double hist_mean(const struct hist *h);

#endif
