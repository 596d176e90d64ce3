/* The broker's process, seen from outside. */
#ifndef CTL_PROCESS_H
#define CTL_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* A zombie is gone too: whoever started it may not have looked yet. */
bool process_is_gone(long pid);
/* The number in a pid file; 0: there is none yet. */
long process_read_pid(const char *path);

/* What the words of the command wait name: a pid file or a process. */
struct process_wanted {
    const char *file; /* NULL: none */
    long pid;         /* 0: none */
};
struct process_wanted process_wanted(const char *const *words, size_t count);

#endif
