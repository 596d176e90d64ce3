/* The operator's side of the broker: the control socket with its commands, and the memory monitor.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "base/buf.h"
#include "base/err.h"
#include "meta/ops.h"
#include "shard/shard.h"

struct conf;
struct plugin_door;

/* Op kinds of this folder, behind the broker's. */
enum { ADMIN_OP_FIRST = OP_END, ADMIN_OP_VISIT = ADMIN_OP_FIRST, ADMIN_OP_BACK, ADMIN_OP_END };
/* The rows ADMIN_OP_FIRST.. of the node's table. */
const struct op_kind *admin_op_kinds(void);

/* What the process does for its operators; all called on shard 0. */
struct admin_options {
    void *arg;
    /* The configuration as of the last reload, borrowed until the next one. */
    const struct conf *(*conf)(void *arg);
    /* Ends the broker as SIGTERM does. */
    void (*stop)(void *arg);
    /* It was asked to end. */
    bool (*is_stopping)(void *arg);
    /* Puts what a first start puts, when all definitions are gone. False: something was refused. */
    bool (*seed)(void *arg, struct failure *why);
    /* Reads the configuration again as SIGHUP does. False: it was refused; report then has the
     * problems, a line each. */
    bool (*reload)(void *arg, struct buf *report);
    const struct plugin_door *plugins; /* NULL: there are none */
    bool offline; /* the broker is stopped: only what COMMAND_STOPPED says can be asked */
};

/* Opens the control socket of the configuration and starts the memory monitor. On shard 0, when
 * meta, broker and net are there, before or while the node runs. The options are copied. */
enum err admin_init(struct node *node, const struct admin_options *options, struct failure *why);
/* Closes the socket; connections that are open end. After the loops ended, before net_fini, or on
 * shard 0. */
void admin_fini(struct node *node);
/* False: between stop_app and start_app. Any shard. */
bool admin_is_in_service(const struct node *node);
/* The configuration was replaced: the watermark is read again, and new listeners are suspended if
 * all others are. Shard 0. */
void admin_reload(struct node *node);

#endif
