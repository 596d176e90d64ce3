/* Screens that take the place of each other on a terminal, and keys that are pressed meanwhile.
 * Where there is no terminal they are printed one after the other. */
#ifndef CTL_SCREEN_H
#define CTL_SCREEN_H

#include "ctl/link.h"

/* Shows one and waits for a key, until the time is over or the link has news. Returns what the
 * daemon is to know: "rows columns key"; NULL: q, or the end of the input. */
const char *screen_show(const char *text, long wait_ms, const struct link *link);
/* The terminal is as it was before the first one. */
void screen_end(void);

#endif
