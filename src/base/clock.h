/* Time, in one unit per function name. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC: for intervals. */
static inline uint64_t clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Milliseconds since the epoch: for timestamps that others read. */
static inline uint64_t clock_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

/* From CLOCK_MONOTONIC, in ms, to the time of day: one and the same offset until somebody sets the
 * clock, so that what is converted there and back is what it was. */
struct clock_wall {
    uint64_t at, offset;
};

/* mono_ms: about now. It is looked at once for each of these. */
static inline uint64_t clock_wall_offset(struct clock_wall *w, uint64_t mono_ms)
{
    enum { ROUNDING = 1 };
    if (w->at != mono_ms) {
        uint64_t offset = clock_wall_ms() - clock_mono_ns() / 1000000u;
        if (offset - w->offset + ROUNDING > 2 * ROUNDING)
            w->offset = offset;
        w->at = mono_ms;
    }
    return w->offset;
}

#endif
