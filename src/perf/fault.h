/* The first thing that went wrong, with the exit code it means. Any thread may set it; the first
 * one stays. */
#ifndef PERF_FAULT_H
#define PERF_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>

struct fault {
    atomic_int taken; /* 0 none, 1 being written, 2 readable */
    int code;         /* of sysexits.h */
    char text[600];
};

__attribute__((format(printf, 3, 4))) void fault_set(struct fault *f, int code, const char *fmt,
                                                     ...);

static inline bool fault_is_set(struct fault *f)
{
    return atomic_load_explicit(&f->taken, memory_order_acquire) == 2;
}

#endif
