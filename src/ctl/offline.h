/* A data directory whose broker is stopped: jackaloped --offline answers for it, on a socket of our
 * own, as long as we live. */
#ifndef CTL_OFFLINE_H
#define CTL_OFFLINE_H

#include "ctl/link.h"

#include <sys/types.h>

struct offline {
    pid_t pid; /* 0: none */
};

/* 0, or the exit code; what was wrong was said. */
int offline_start(struct offline *offline, const char *data, struct link *link);
void offline_stop(struct offline *offline);

#endif
