/* Since 6.2 Linux says it as the size of /proc/self/fd. Before, its entries are to be counted,
 * which takes some microseconds each: a thread does it, every FRESH_MS at most. */
#include "admin/files.h"

#include "base/mem.h"
#include "base/thread.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { FRESH_MS = 5000 };

#define DIRECTORY "/proc/self/fd"

struct files {
    _Atomic uint64_t count; /* the thread writes it */
    _Atomic bool over;      /* the thread's last word */
    bool running;
    pthread_t thread;
    uint64_t asked_ms; /* when it was started */
};

static uint64_t count_entries(void)
{
    uint64_t n = 0;
    DIR *dir = opendir(DIRECTORY);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one being read */
}

static void *count(void *arg)
{
    struct files *f = arg;
    atomic_store(&f->count, count_entries());
    atomic_store(&f->over, true);
    return NULL;
}

static void start(struct files *f)
{
    atomic_store(&f->over, false);
    f->running = thread_start(&f->thread, "files", count, f);
    if (!f->running)
        atomic_store(&f->over, true);
}

static void end(struct files *f)
{
    if (f->running)
        pthread_join(f->thread, NULL);
    f->running = false;
}

struct files *files_new(void)
{
    struct files *f = NEW(struct files);
    atomic_init(&f->count, count_entries());
    atomic_init(&f->over, true);
    return f;
}

void files_free(struct files **files)
{
    if (!*files)
        return;
    end(*files);
    free(*files);
    *files = NULL;
}

uint64_t files_count(struct files *f, uint64_t now_ms)
{
    struct stat facts;
    if (stat(DIRECTORY, &facts) == 0 && facts.st_size > 0)
        return (uint64_t)facts.st_size;
    if (atomic_load(&f->over) && now_ms >= f->asked_ms + FRESH_MS) {
        f->asked_ms = now_ms;
        end(f);
        start(f);
    }
    return atomic_load(&f->count);
}
