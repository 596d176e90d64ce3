/* The definitions: those that are kept come back, those that the configuration brings along are
 * given to the metadata master. */
#ifndef DAEMON_SEED_H
#define DAEMON_SEED_H

#include "daemon/daemon.h"

/* A boot step. The default user is made at the first start of a data directory. What stands under
 * `definitions` is put at every start: what is missing is made, vhosts, users and rights get the
 * properties of the file, exchanges and queues that are there stay as they are, nothing is deleted.
 * At the first start the first that is refused ends it; later ones cannot know what clients did
 * meanwhile and go on with a warning. */
int seed_start(struct daemon *d, struct failure *why);
/* The same as at a first start, while the loops run, when nothing is defined any more. False:
 * something was refused. */
bool seed_again(struct daemon *d, struct failure *why);

#endif
