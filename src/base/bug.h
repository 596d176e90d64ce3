/* "We are wrong": a broken invariant ends the process with a panic text (and file, when one is set)
 * rather than going on with a state nobody understands. */
#ifndef BASE_BUG_H
#define BASE_BUG_H

#include <stdint.h>

/* Where the panic text is also written; NULL for stderr only. The string must live for ever. */
void bug_set_file(const char *path);
/* Adds a callback run while panicking (last operations of each shard, versions): it must not
 * allocate. */
void bug_on_panic(void (*dump)(int fd));

_Noreturn void bug_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), cold));

#define bug_on(cond)                                                                 \
    do {                                                                             \
        if (__builtin_expect(!!(cond), 0))                                           \
            bug_panic("bug at %s:%d (%s): %s", __FILE__, __LINE__, __func__, #cond); \
    } while (0)

/* Object magic, the first member of a long-lived struct: `uint32_t magic;`. Checked in debug
 * builds. */
#ifdef JK_DEBUG
#define check_magic(obj, value) bug_on((obj)->magic != (value))
#else
#define check_magic(obj, value) ((void)(obj))
#endif

#endif
