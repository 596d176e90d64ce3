/* Resident size from /proc, the rest from the allocator: jemalloc, or libc's. */
#include "admin/memory.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

uint64_t memory_rss(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    char *second, *third;
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    strtoull(text, &second, 10);
    uint64_t resident = strtoull(second, &third, 10), shared = strtoull(third, NULL, 10);
    return (resident > shared ? resident - shared : 0) * (uint64_t)sysconf(_SC_PAGESIZE);
}

#if HAVE_JEMALLOC

static uint64_t read_stat(const char *name)
{
    size_t value = 0, size = sizeof value;
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static void read_allocator(struct memory_facts *f)
{
    uint64_t epoch = 1;
    size_t size = sizeof epoch;
    mallctl("epoch", &epoch, &size, &epoch, sizeof epoch);
    uint64_t resident = read_stat("stats.resident");
    f->allocator = "jemalloc";
    f->allocated = read_stat("stats.allocated");
    f->metadata = read_stat("stats.metadata");
    f->unused = resident > f->allocated + f->metadata ? resident - f->allocated - f->metadata : 0;
}

void memory_give_back(bool all)
{
    char name[64];
    snprintf(name, sizeof name, "arena.%d.%s", MALLCTL_ARENAS_ALL, all ? "purge" : "decay");
    mallctl(name, NULL, NULL, NULL, 0);
}

#elif HAVE_MIMALLOC

#include <mimalloc.h>

static void read_allocator(struct memory_facts *f)
{
    size_t elapsed, user, system, current_rss, peak_rss, commit = 0, peak_commit, faults;
    mi_process_info(&elapsed, &user, &system, &current_rss, &peak_rss, &commit, &peak_commit,
                    &faults);
    f->allocator = "mimalloc";
    f->allocated = commit;
}

void memory_give_back(bool all)
{
    mi_collect(all);
}

#else

/* A sanitizer's allocator stands in for libc's, which then knows nothing. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static void read_allocator(struct memory_facts *f)
{
    struct mallinfo2 info = mallinfo2();
    f->allocator = "libc";
    f->allocated = info.uordblks + info.hblkhd;
    f->unused = info.fordblks;
    if (__sanitizer_get_current_allocated_bytes)
        f->allocated = __sanitizer_get_current_allocated_bytes();
}

void memory_give_back(bool all)
{
    malloc_trim(all ? 0 : 64 * 1024 * 1024);
}

#endif

static uint64_t at_most(uint64_t n, uint64_t *left)
{
    n = n < *left ? n : *left;
    *left -= n;
    return n;
}

struct memory_facts memory_read(void)
{
    struct memory_facts f = {.rss = memory_rss()};
    uint64_t left = f.rss;
    read_allocator(&f);
    f.allocated = at_most(f.allocated, &left);
    f.metadata = at_most(f.metadata, &left);
    f.unused = at_most(f.unused, &left);
    return f;
}
