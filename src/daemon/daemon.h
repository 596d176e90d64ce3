/* The process: what the boot steps make and the signals act on. Everything here is shard 0's. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "conf/conf.h"
#include "daemon/cli.h"
#include "net/tls.h"
#include "shard/io.h"
#include "shard/timer.h"

struct front;
struct jackalope_plugin;
struct logins;
struct plugins;
struct watchdog;

struct daemon {
    const struct cli *cli;   /* read again at every reload */
    const struct conf *boot; /* as started with: what only a restart changes is read here */
    const struct conf *conf; /* as of the last reload */
    int lock_fd;             /* of the data directory; -1: not held */
    char *panic_file;        /* for base/bug.h */
    struct node *node;       /* NULL before its step */
    struct store *store;     /* the same */
    struct partitions *partitions;
    const struct jackalope_plugin *const *builtins; /* plug-ins of the program; NULL ends */
    struct plugins *plugins;                        /* NULL before their step */
    struct front *front;                            /* listeners and their TLS contexts */
    struct watchdog *watchdog;
    struct logins *logins; /* see reload.c */
    unsigned signals;      /* TERM and INT received */
    bool stopping;
    bool resetting; /* definitions are put as at a first start, while the loops run */
};

/* A part of the process. start returns 0 or a code of sysexits.h with a text in why; stop undoes
 * it, also when start failed half-way. To add a part: a row in boot.c. */
struct boot_step {
    const char *name;
    int (*start)(struct daemon *d, struct failure *why);
    void (*stop)(struct daemon *d);
};

/* Starts every step, runs the loops until they end, stops the steps in reverse; returns the exit
 * code. Takes the reference of conf. plugins: those linked with the program, NULL behind the last.
 */
int boot_run(const struct cli *cli, const struct conf **conf,
             const struct jackalope_plugin *const *plugins);

/* stop.c: SIGTERM, SIGINT */
void stop_on_signal(void *daemon, int signum);
/* Ends the broker as SIGTERM does. Shard 0. */
void stop_begin(struct daemon *d);

#endif
