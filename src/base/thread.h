#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

/* Starts one that takes no signals: these are for the first shard's loop. name: up to 15 characters
 * of it are what the system shows. False: there can be no more threads. */
bool thread_start(pthread_t *ret_thread, const char *name, void *(*main)(void *arg), void *arg);

/* Asks the kernel to run the calling thread in the shortest slices it has (0.1 ms), so that it runs
 * soon after it was woken, also where a thread with usual slices is running; its share of the time
 * stays the same. Linux takes it since 6.12 (sched_attr.sched_runtime of a thread that is not of
 * real time); older kernels, a policy other than the usual one and a filter of system calls leave
 * things as they are, which is slower and nothing else. */
void thread_wake_soon(void);

/* A condition whose waits end by CLOCK_MONOTONIC, whatever becomes of the time of day. */
void thread_cond_init(pthread_cond_t *cond);
/* When such a wait ends that begins now. */
struct timespec thread_wait_end(unsigned ms);

#endif
