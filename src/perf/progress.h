/* Waiting for time or SIGINT, and the progress line on a terminal. Main thread only. */
#ifndef PERF_PROGRESS_H
#define PERF_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct bench;

/* Blocks SIGINT and SIGTERM so that progress_wait takes them; call before any thread starts. */
void progress_init(void);

/* Sleeps; true at once if SIGINT or SIGTERM came. */
bool progress_wait(uint64_t ns);

void progress_begin(struct bench *b);
/* Shows the rates of the last second, once a second. */
void progress_show(struct bench *b, const char *what, uint64_t now);
void progress_end(struct bench *b);

/* A line that is overwritten by the next; nothing without a terminal. */
__attribute__((format(printf, 1, 2))) void progress_line(const char *fmt, ...);
void progress_clear(void);

#endif
