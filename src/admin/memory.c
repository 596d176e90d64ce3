/* Resident size from /proc, the rest from the allocator: jemalloc, or libc's. Of these jemalloc can
 * count by use: each heap of base/heap.h is an arena of its own. */
#include "admin/memory.h"

#include "base/digest.h"
#include "base/heap.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if HAVE_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif

/* exception: written before there are threads. It stays open, so that the watermark holds when no
 * more files can be opened. */
static int statm = -1;

void memory_open(void)
{
    statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
}

/* Resident bytes, and of these the pages of files. */
static bool read_resident(uint64_t *ret_resident, uint64_t *ret_files)
{
    char text[128];
    ssize_t n = statm >= 0 ? pread(statm, text, sizeof text - 1, 0) : -1;
    char *second, *third;
    if (n <= 0)
        return false;
    text[n] = '\0';
    strtoull(text, &second, 10);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *ret_resident = strtoull(second, &third, 10) * page;
    *ret_files = strtoull(third, NULL, 10) * page;
    if (*ret_files > *ret_resident)
        *ret_files = *ret_resident;
    return true;
}

uint64_t memory_rss(void)
{
    uint64_t resident, files;
    return read_resident(&resident, &files) ? resident - files : 0;
}

/* ---- what is mapped ---- */

struct mapping {
    uintptr_t from, to;
    char access[5];
    char name[256]; /* "" for memory without a file */
};

static bool read_mapping(FILE *maps, struct mapping *ret_mapping)
{
    char line[512];
    struct mapping m = {0};
    int at = 0;
    if (!fgets(line, sizeof line, maps) ||
        sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &m.from, &m.to, m.access, &at) < 3)
        return false;
    snprintf(m.name, sizeof m.name, "%.*s", (int)strcspn(line + at, "\n"), line + at);
    *ret_mapping = m;
    return true;
}

static uint64_t resident_of(const struct mapping *m)
{
    enum { MOST = 16384 }; /* pages: no stack is larger */
    unsigned char pages[MOST];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n = (m->to - m->from) / page, resident = 0;
    if (n > MOST || mincore((void *)m->from, m->to - m->from, pages) != 0)
        return 0;
    for (uint64_t i = 0; i < n; i++)
        resident += pages[i] & 1;
    return resident * page;
}

/* Memory right behind a small guard that nobody may touch is a thread's stack. */
static bool is_stack(const struct mapping *m, const struct mapping *before)
{
    enum { GUARD_MAX = 64 * 1024 };
    if (!strcmp(m->name, "[stack]"))
        return true;
    return !m->name[0] && !strcmp(m->access, "rw-p") && !before->name[0] &&
           !strcmp(before->access, "---p") && before->to == m->from &&
           before->to - before->from <= GUARD_MAX;
}

static bool is_database(const struct mapping *m)
{
    const char *slash = strrchr(m->name, '/');
    return slash && (!strcmp(slash, "/data.mdb") || !strcmp(slash, "/lock.mdb"));
}

static void read_mappings(struct memory_facts *f)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    struct mapping m, before = {0};
    while (maps && read_mapping(maps, &m)) {
        if (is_stack(&m, &before))
            f->stacks += resident_of(&m);
        else if (m.name[0] == '/' && m.access[1] != 'w' && !is_database(&m))
            f->code += m.to - m.from;
        before = m;
    }
    if (maps)
        fclose(maps);
}

/* ---- the allocator ---- */

#if HAVE_JEMALLOC

static uint64_t read_stat(const char *name)
{
    size_t value = 0, size = sizeof value;
    return mallctl(name, &value, &size, NULL, 0) == 0 ? value : 0;
}

static void refresh_stats(void)
{
    uint64_t epoch = 1;
    size_t size = sizeof epoch;
    mallctl("epoch", &epoch, &size, &epoch, sizeof epoch);
}

static void read_allocator(struct memory_facts *f)
{
    refresh_stats();
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

/* exception: written before there are threads */
static unsigned arenas[HEAP_COUNT];
/* What each thread has at hand of each arena; they are as many as are known by then. */
static _Thread_local unsigned caches[HEAP_COUNT], common_arena;

/* A cache of their own is what makes them as quick as malloc. Frees go to the thread's common one,
 * and from there to the arena that each block is of. */
static int flags_of(enum heap heap)
{
    if (!caches[heap]) {
        unsigned cache;
        size_t size = sizeof cache;
        if (mallctl("tcache.create", &cache, &size, NULL, 0) != 0)
            return MALLOCX_ARENA(arenas[heap]) | MALLOCX_TCACHE_NONE;
        caches[heap] = cache + 1;
    }
    return MALLOCX_ARENA(arenas[heap]) | MALLOCX_TCACHE(caches[heap] - 1);
}

static void *heap_type_alloc(enum heap heap, size_t size)
{
    return mallocx(size, flags_of(heap));
}

static void *heap_type_zalloc(enum heap heap, size_t size)
{
    return mallocx(size, flags_of(heap) | MALLOCX_ZERO);
}

static void *heap_type_realloc(enum heap heap, void *ptr, size_t size)
{
    return ptr ? rallocx(ptr, size, flags_of(heap)) : mallocx(size, flags_of(heap));
}

static void heap_type_adopt(enum heap heap)
{
    unsigned arena = heap == HEAP_COMMON ? common_arena : arenas[heap], before;
    size_t size = sizeof before;
    mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    if (mallctl("thread.arena", &before, &size, &arena, sizeof arena) == 0 && heap != HEAP_COMMON)
        common_arena = before;
}

static uint64_t heap_type_used(enum heap heap)
{
    char small[64], large[64];
    snprintf(small, sizeof small, "stats.arenas.%u.small.allocated", arenas[heap]);
    snprintf(large, sizeof large, "stats.arenas.%u.large.allocated", arenas[heap]);
    refresh_stats();
    return read_stat(small) + read_stat(large);
}

void memory_count_by_use(void)
{
    static const struct heap_type type = {heap_type_alloc, heap_type_zalloc, heap_type_realloc,
                                          heap_type_adopt, heap_type_used};
    for (unsigned i = HEAP_COMMON + 1; i < HEAP_COUNT; i++) {
        size_t size = sizeof arenas[i];
        if (mallctl("arenas.create", &arenas[i], &size, NULL, 0) != 0)
            return;
    }
    heap_install(&type);
    digest_use_heap();
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

void memory_count_by_use(void)
{
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

void memory_count_by_use(void)
{
}

#endif

struct memory_facts memory_read(void)
{
    struct memory_facts f = {0};
    uint64_t resident;
    if (read_resident(&resident, &f.files))
        f.rss = resident - f.files;
    read_mappings(&f);
    read_allocator(&f);
    f.definitions = heap_used(HEAP_DEFINITIONS);
    f.tls = heap_used(HEAP_TLS);
    return f;
}
