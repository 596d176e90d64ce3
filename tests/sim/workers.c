#include "tests/sim/workers.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 8 };

static time_t until; /* 0: there is no end but that of the seeds */

static int work(uint64_t first, uint64_t end, uint64_t stride, void (*run)(uint64_t seed))
{
    for (uint64_t seed = first; seed < end && (!until || time(NULL) < until); seed += stride)
        run(seed);
    return 0;
}

/* Seeds that nobody ran before, for some seconds. Returns the first. */
static uint64_t begin_at_random(const char *seconds)
{
    enum { SEEDS_A_SECOND = 100000 };
    time_t now = time(NULL);
    until = now + strtol(seconds, NULL, 10);
    return (uint64_t)now * SEEDS_A_SECOND;
}

static uint64_t core_count(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > WORKERS_MAX ? WORKERS_MAX : cores < 1 ? 1 : (uint64_t)cores;
}

/* One failure is enough. */
static int wait_for(const pid_t *pids, uint64_t n)
{
    int failed = 0;
    for (uint64_t i = 0; i < n; i++) {
        int status;
        if (wait(&status) >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        for (uint64_t k = 0; k < n && !failed; k++)
            kill(pids[k], SIGTERM);
        failed = 1;
    }
    return failed;
}

int workers_main(int argc, char **argv, uint64_t seeds, void (*run)(uint64_t seed))
{
    seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : seeds;
    uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const char *seconds = getenv("SIM_SECONDS");
    if (seconds && argc < 2) {
        first = begin_at_random(seconds);
        seeds = UINT64_MAX - first;
    }
    uint64_t workers = core_count();
    pid_t pids[WORKERS_MAX];
    if (seeds < workers || getenv("SIM_ALONE"))
        return work(first, first + seeds, 1, run);
    for (uint64_t i = 0; i < workers; i++) {
        pids[i] = fork();
        if (pids[i] < 0) {
            perror("fork");
            return 1;
        }
        if (pids[i] == 0)
            exit(work(first + i, first + seeds, workers, run));
    }
    if (wait_for(pids, workers))
        return 1;
    if (until)
        printf("%s seconds of seeds from %" PRIu64 "\n", seconds, first);
    else
        printf("%" PRIu64 " seeds from %" PRIu64 "\n", seeds, first);
    return 0;
}
