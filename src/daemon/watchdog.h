/* Signs of life for systemd, by a timer of shard 0. */
#ifndef DAEMON_WATCHDOG_H
#define DAEMON_WATCHDOG_H

#include "daemon/daemon.h"

/* A boot step. */
int watchdog_start(struct daemon *d, struct failure *why);
void watchdog_stop(struct daemon *d);

#endif
