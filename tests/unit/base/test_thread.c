#include "base/thread.h"
#include "unit.h"

#include <linux/sched.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's header of it cannot be read beside glibc's <sched.h>. */
struct sched_attr {
    uint32_t size, sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime, sched_deadline, sched_period;
};

static struct sched_attr attr_of_self(void)
{
    struct sched_attr attr = {.size = sizeof attr};
    cr_assert_eq(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0), 0);
    return attr;
}

static void *look(void *arg)
{
    *(struct sched_attr *)arg = attr_of_self();
    return NULL;
}

struct looked {
    sigset_t blocked;
    sem_t end;
};

static void *look_at_start(void *arg)
{
    struct looked *looked = arg;
    pthread_sigmask(SIG_BLOCK, NULL, &looked->blocked);
    sem_wait(&looked->end);
    return arg;
}

UNIT(thread, starts_without_signals)
{
    struct looked looked;
    char name[32];
    sigset_t own;
    pthread_t thread;
    void *ret = NULL;
    sem_init(&looked.end, 0, 0);
    cr_assert(thread_start(&thread, "a name that is too long", look_at_start, &looked));
    cr_expect_eq(pthread_getname_np(thread, name, sizeof name), 0);
    cr_expect_str_eq(name, "a name that is ");
    sem_post(&looked.end);
    cr_assert_eq(pthread_join(thread, &ret), 0);
    cr_expect_eq(ret, &looked);
    cr_expect_eq(sigismember(&looked.blocked, SIGTERM), 1);
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    cr_expect_eq(sigismember(&own, SIGTERM), 0);
}

/* Kernels that do not know slices say 0 before and after. */
UNIT(thread, wakes_soon_and_is_as_nice_as_before)
{
    pthread_t child;
    struct sched_attr of_child;
    uint64_t usual = attr_of_self().sched_runtime;
    cr_assert_eq(setpriority(PRIO_PROCESS, 0, 3), 0);
    thread_wake_soon();
    struct sched_attr attr = attr_of_self();
    cr_assert_eq(attr.sched_runtime, usual ? 100000 : 0, "%llu",
                 (unsigned long long)attr.sched_runtime);
    cr_assert_eq(attr.sched_nice, 3);
    cr_assert_eq(attr.sched_policy, SCHED_NORMAL);
    cr_assert_eq(pthread_create(&child, NULL, look, &of_child), 0);
    pthread_join(child, NULL);
    cr_assert_eq(of_child.sched_runtime, usual, "%llu", (unsigned long long)of_child.sched_runtime);
    cr_assert_eq(of_child.sched_nice, 3);
}

UNIT(thread, leaves_other_policies_alone)
{
    struct sched_attr attr = {.size = sizeof attr, .sched_policy = SCHED_BATCH};
    cr_assert_eq(syscall(SYS_sched_setattr, 0, &attr, 0), 0);
    struct sched_attr before = attr_of_self();
    thread_wake_soon();
    cr_assert_eq(attr_of_self().sched_policy, SCHED_BATCH);
    cr_assert_eq(attr_of_self().sched_runtime, before.sched_runtime);
}
