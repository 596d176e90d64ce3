/* See progress.h. The state is the last line's: the main thread has only one terminal. */
#include "perf/progress.h"

#include "perf/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct {
    uint64_t begin;
    uint64_t last;
    struct counters sum;
    bool shown;
} line;

static sigset_t stop_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void progress_init(void)
{
    sigset_t set = stop_signals();

    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool progress_wait(uint64_t ns)
{
    sigset_t set = stop_signals();
    struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000U),
                          .tv_nsec = (long)(ns % 1000000000U)};

    return sigtimedwait(&set, NULL, &ts) > 0;
}

void progress_line(const char *fmt, ...)
{
    char text[160];
    va_list ap;

    if (!isatty(STDERR_FILENO))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\r%s\033[K", text);
    fflush(stderr);
    line.shown = true;
}

void progress_clear(void)
{
    if (line.shown)
        fprintf(stderr, "\r\033[K");
    line.shown = false;
}

void progress_begin(struct bench *b)
{
    line.begin = line.last = now_ns();
    line.sum = bench_sum(b);
}

void progress_show(struct bench *b, const char *what, uint64_t now)
{
    if (b->o->quiet || now - line.last < 1000000000U)
        return;
    struct counters sum = bench_sum(b);
    double s = (double)(now - line.last) / 1e9;
    uint64_t due = sum.published * b->topology.reach;
    progress_line("%-5s %4.0f s  published %.0f/s  delivered %.0f/s  outstanding %llu", what,
                  (double)(now - line.begin) / 1e9,
                  (double)(sum.published - line.sum.published) / s,
                  (double)(sum.delivered - line.sum.delivered) / s,
                  (unsigned long long)(due > sum.fresh ? due - sum.fresh : 0));
    line.last = now;
    line.sum = sum;
}

void progress_end(struct bench *b)
{
    (void)b;
    progress_clear();
}
