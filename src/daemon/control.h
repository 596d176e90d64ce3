/* The operator's socket and what it may do with the process. */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "daemon/daemon.h"

/* A boot step. */
int control_start(struct daemon *d, struct failure *why);
void control_stop(struct daemon *d);

#endif
