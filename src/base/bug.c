/* Panic text to stderr and to the panic file, then abort so that a core can be had. */
#include "base/bug.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DUMPS_MAX = 8 };

/* exception: a bug is found anywhere, with nothing passed */
static const char *panic_file;
static void (*dumps[DUMPS_MAX])(int fd);
static int dump_count;

void bug_set_file(const char *path)
{
    panic_file = path;
}

void bug_on_panic(void (*dump)(int fd))
{
    if (dump_count < DUMPS_MAX)
        dumps[dump_count++] = dump;
}

static void write_report(int fd, const char *text, size_t len)
{
    if (write(fd, text, len) < 0)
        return;
    for (int i = 0; i < dump_count; i++)
        dumps[i](fd);
}

void bug_panic(const char *fmt, ...)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "panic at %lld: ", (long long)time(NULL));
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    va_end(ap);
    size_t len = (size_t)(n + (m > 0 ? m : 0));
    if (len > sizeof text - 2)
        len = sizeof text - 2;
    text[len++] = '\n';
    write_report(STDERR_FILENO, text, len);
    int fd = panic_file ? open(panic_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        write_report(fd, text, len);
    abort();
}
