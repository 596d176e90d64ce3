/* Looks after the memory watermark and systemd's watchdog, by timers of shard 0. */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include "daemon/daemon.h"

/* A boot step. */
int monitor_start(struct daemon *d, struct failure *why);
void monitor_stop(struct daemon *d);
/* After d->conf was replaced. */
void monitor_reload(struct daemon *d);

#endif
