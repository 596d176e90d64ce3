/* Signs of life for systemd, by a timer of shard 0 that asks every shard. */
#ifndef DAEMON_WATCHDOG_H
#define DAEMON_WATCHDOG_H

#include "admin/admin.h"
#include "daemon/daemon.h"

enum {
    WATCHDOG_OP_FIRST = ADMIN_OP_END,
    WATCHDOG_OP_ASK = WATCHDOG_OP_FIRST,
    WATCHDOG_OP_ANSWER,
    WATCHDOG_OP_END
};

/* The rows WATCHDOG_OP_FIRST.. of the node's table. */
const struct op_kind *watchdog_op_kinds(void);

/* A boot step. */
int watchdog_start(struct daemon *d, struct failure *why);
void watchdog_stop(struct daemon *d);

#endif
