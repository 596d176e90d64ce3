/* The processor time of this process's threads. Any thread. */
#ifndef ADMIN_THREADS_H
#define ADMIN_THREADS_H

#include <stddef.h>
#include <stdint.h>

struct thread_times {
    long tid;
    char name[32];
    uint64_t user, system; /* clock ticks */
};

struct threads {
    uint64_t taken_ns;
    struct thread_times *list; /* in the order of their ids */
    size_t count, cap;
};

struct threads *threads_read(void);
void threads_free(struct threads **threads);

/* Percent of the time between two readings. */
struct thread_share {
    double user, system, sleep;
};
struct thread_share threads_share(const struct threads *before, const struct threads *now,
                                  const struct thread_times *thread);

#endif
