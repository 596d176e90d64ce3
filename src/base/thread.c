/* Threads are started, and ask the scheduler for what glibc of Debian 12 has no function for. */
#include "base/thread.h"

#include "base/clock.h"

#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NS = 100 * 1000, NAME_ROOM = 16 };

bool thread_start(pthread_t *ret_thread, const char *name, void *(*main)(void *arg), void *arg)
{
    sigset_t all, before;
    char shown[NAME_ROOM];
    pthread_t thread;
    snprintf(shown, sizeof shown, "%s", name);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, main, arg) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!started)
        return false;
    pthread_setname_np(thread, shown);
    *ret_thread = thread;
    return true;
}

void thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct timespec thread_wait_end(unsigned ms)
{
    uint64_t ns = clock_mono_ns() + (uint64_t)ms * 1000000u;
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

/* The kernel's header of it cannot be read beside glibc's <sched.h>. */
struct sched_attr {
    uint32_t size, sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime, sched_deadline, sched_period;
};

void thread_wake_soon(void)
{
    struct sched_attr attr = {.size = sizeof attr};
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0) != 0 ||
        attr.sched_policy != SCHED_NORMAL)
        return;
    attr.sched_runtime = SLICE_NS;
    attr.sched_flags |= SCHED_FLAG_RESET_ON_FORK; /* threads that it starts are usual ones */
    syscall(SYS_sched_setattr, 0, &attr, 0);
}
