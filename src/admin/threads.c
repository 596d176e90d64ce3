/* Read from /proc/self/task. */
#include "admin/threads.h"

#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "4711 (name) S ..." with the times as the 12th and 13th word behind the name. */
static bool parse(char *line, struct thread_times *t)
{
    char *open = strchr(line, '('), *close = strrchr(line, ')');
    if (!open || !close || close < open)
        return false;
    *close = '\0';
    snprintf(t->name, sizeof t->name, "%s", open + 1);
    return sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                  &t->user, &t->system) == 2;
}

static bool read_one(const char *tid, struct thread_times *t)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/self/task/%.16s/stat", tid);
    FILE *file = fopen(path, "re");
    bool good = file && fgets(line, sizeof line, file) && parse(line, t);
    if (file)
        fclose(file);
    t->tid = strtol(tid, NULL, 10);
    return good;
}

static int compare(const void *a, const void *b)
{
    const struct thread_times *x = a, *y = b;
    return (x->tid > y->tid) - (x->tid < y->tid);
}

struct threads *threads_read(void)
{
    struct threads *all = NEW(struct threads);
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    all->taken_ns = clock_mono_ns();
    while (dir && (entry = readdir(dir))) {
        struct thread_times t = {.tid = 0};
        if (*entry->d_name == '.' || !read_one(entry->d_name, &t))
            continue;
        MEM_GROW(all->list, all->cap, all->count + 1);
        all->list[all->count++] = t;
    }
    if (dir)
        closedir(dir);
    if (all->count)
        qsort(all->list, all->count, sizeof *all->list, compare);
    return all;
}

void threads_free(struct threads **threads)
{
    if (*threads)
        free((*threads)->list);
    free(*threads);
    *threads = NULL;
}

static double percent(uint64_t ticks, double seconds)
{
    double share = (double)ticks / (double)sysconf(_SC_CLK_TCK) / seconds * 100;
    share = share < 100 ? share : 100;
    return (double)(int)(share * 100 + 0.5) / 100;
}

struct thread_share threads_share(const struct threads *before, const struct threads *now,
                                  const struct thread_times *t)
{
    const struct thread_times *old =
        before->count ? bsearch(t, before->list, before->count, sizeof *before->list, compare)
                      : NULL;
    double seconds = (double)(now->taken_ns - before->taken_ns) / 1e9;
    struct thread_share share = {
        .user = percent(t->user - (old ? old->user : 0), seconds > 0 ? seconds : 1),
        .system = percent(t->system - (old ? old->system : 0), seconds > 0 ? seconds : 1)};
    share.sleep = 100 - share.user - share.system;
    if (share.sleep < 0)
        share.sleep = 0;
    return share;
}
