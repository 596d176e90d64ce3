/* How far long work is: one line on stderr that changes in place, if stderr is a terminal and
 * nobody asked for quiet. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on;      /* to be shown at all */
    bool shown;   /* a line stands there */
    uint64_t due; /* ms; before it nothing is shown */
};

void progress_init(struct progress *progress, bool wanted);
/* It is time to show something: a few times a second, first when it has taken a while. */
bool progress_is_due(struct progress *progress, uint64_t now_ms);
void progress_show(struct progress *progress, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes the line away, before other output. */
void progress_clear(struct progress *progress);

#endif
