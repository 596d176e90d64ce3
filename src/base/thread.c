/* What a thread asks of the scheduler. glibc of Debian 12 has no function for it. */
#include "base/thread.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NS = 100 * 1000 };

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
