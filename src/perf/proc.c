/* See proc.h. Main thread only. */
#include "perf/proc.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static bool read_file(int pid, const char *name, char *buf, size_t cap)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    size_t n = fread(buf, 1, cap - 1, f);
    fclose(f);
    buf[n] = '\0';
    return n > 0;
}

static bool sample_one(int pid, struct proc_sample *sample_)
{
    char buf[1024];
    unsigned long long utime;
    unsigned long long stime;
    unsigned long long pages;
    unsigned long long shared;

    if (!read_file(pid, "stat", buf, sizeof buf))
        return false;
    /* The second field is a name in parentheses that may hold anything. */
    const char *rest = strrchr(buf, ')');
    if (rest == NULL || sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                               &utime, &stime) != 2)
        return false;
    if (!read_file(pid, "statm", buf, sizeof buf) ||
        sscanf(buf, "%*u %llu %llu", &pages, &shared) != 2)
        return false;
    sample_->cpu_ns += (utime + stime) * (1000000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK));
    sample_->rss += pages * (unsigned long long)sysconf(_SC_PAGESIZE);
    sample_->anon += (pages - shared) * (unsigned long long)sysconf(_SC_PAGESIZE);
    return true;
}

bool proc_sample(const int *pids, uint32_t npids, struct proc_sample *sample_)
{
    bool any = false;

    *sample_ = (struct proc_sample){0};
    for (uint32_t i = 0; i < npids; i++)
        any |= sample_one(pids[i], sample_);
    return any;
}

void proc_peak(struct proc_sample *peak, const struct proc_sample *sample)
{
    if (sample->rss > peak->rss)
        peak->rss = sample->rss;
    if (sample->anon > peak->anon)
        peak->anon = sample->anon;
}

uint64_t proc_own_cpu(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t proc_raise_files(void)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
        return 0;
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    getrlimit(RLIMIT_NOFILE, &lim);
    return lim.rlim_cur;
}
