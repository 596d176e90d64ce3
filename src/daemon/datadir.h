/* The data directory: made if missing, held by one process at a time. */
#ifndef DAEMON_DATADIR_H
#define DAEMON_DATADIR_H

#include "base/err.h"

/* Returns 0 or a code of sysexits.h. *ret_fd holds the lock until it is closed. */
int datadir_open(const char *path, int *ret_fd, struct failure *why);
/* The same without changing anything, for a directory that no broker uses: it keeps brokers out. */
int datadir_open_for_reading(const char *path, int *ret_fd, struct failure *why);
/* Of sysexits.h: what is wrong with a data directory whose contents could not be opened so. */
int datadir_exit_code(enum err err);
/* Closes *fd and sets it to -1. */
void datadir_close(int *fd);
/* Writes the process id to a file, replacing what is there; 0 or a code of sysexits.h. */
int pidfile_write(const char *path, struct failure *why);

#endif
