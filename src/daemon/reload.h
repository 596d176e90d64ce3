/* What a configuration becomes in the parts of the process, at the start and at SIGHUP. */
#ifndef DAEMON_RELOAD_H
#define DAEMON_RELOAD_H

#include "amqp/amqp.h"
#include "daemon/daemon.h"

void reload_on_signal(void *daemon, int signum);
/* The same, asked for otherwise. False: refused, problems has a line each. Shard 0. */
bool reload_now(struct daemon *d, struct buf *problems);
/* Levels of all categories, and the output; before is NULL at the start. False: the output cannot
 * be opened. */
bool reload_log(const struct conf *before, const struct conf *after, const char **ret_error);
/* Options of AMQP connections; the texts they point to live until reload_fini. */
struct amqp_options reload_amqp_options(struct daemon *d);
/* Flags of enum http_stats. */
unsigned reload_http_stats(const struct conf *conf);
/* What the node allows. */
void reload_limits(struct daemon *d);
/* What virtual hosts that are made from then on are born with. */
void reload_vhost_defaults(struct daemon *d);
/* What passwords must be like. */
void reload_credentials(struct daemon *d);
/* So that who guesses passwords is held back. */
void reload_logins(struct daemon *d);
void reload_fini(struct daemon *d);

#endif
