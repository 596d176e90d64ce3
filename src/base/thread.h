#ifndef BASE_THREAD_H
#define BASE_THREAD_H

/* Asks the kernel to run the calling thread in the shortest slices it has (0.1 ms), so that it runs
 * soon after it was woken, also where a thread with usual slices is running; its share of the time
 * stays the same. Linux takes it since 6.12 (sched_attr.sched_runtime of a thread that is not of
 * real time); older kernels, a policy other than the usual one and a filter of system calls leave
 * things as they are, which is slower and nothing else. */
void thread_wake_soon(void);

#endif
