/* The definitions that the configuration brings along, given to the metadata master. */
#ifndef DAEMON_SEED_H
#define DAEMON_SEED_H

#include "daemon/daemon.h"

/* A boot step: the default user, then definitions; the first that is refused ends the start. */
int seed_start(struct daemon *d, struct failure *why);

#endif
