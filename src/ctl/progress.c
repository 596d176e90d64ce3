/* The line of progress. */
#include "ctl/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_MS = 300, AGAIN_MS = 100 };

/* JACKALOPE_PROGRESS=1 shows it elsewhere too, =0 never. */
void progress_init(struct progress *p, bool wanted)
{
    const char *forced = getenv("JACKALOPE_PROGRESS");
    bool terminal = forced && *forced ? *forced == '1' : isatty(STDERR_FILENO);
    *p = (struct progress){.on = wanted && terminal};
}

bool progress_is_due(struct progress *p, uint64_t now_ms)
{
    if (!p->on)
        return false;
    if (!p->due)
        p->due = now_ms + FIRST_MS;
    if (now_ms < p->due)
        return false;
    p->due = now_ms + AGAIN_MS;
    return true;
}

void progress_show(struct progress *p, const char *fmt, ...)
{
    va_list ap;
    fputc('\r', stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputs("\033[K", stderr);
    fflush(stderr);
    p->shown = true;
}

void progress_clear(struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->shown = false;
}
