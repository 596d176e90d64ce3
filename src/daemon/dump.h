/* --dump-data: what a data directory holds, without a broker. */
#ifndef DAEMON_DUMP_H
#define DAEMON_DUMP_H

/* Prints it on stdout, changes nothing; 0 or a code of sysexits.h with a line on stderr. A
 * directory that a broker runs on is refused. */
int dump_data(const char *directory);

#endif
