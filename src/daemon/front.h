/* The listeners of the configuration and the TLS contexts they use. Shard 0. */
#ifndef DAEMON_FRONT_H
#define DAEMON_FRONT_H

#include "daemon/daemon.h"

/* A boot step. */
int front_start(struct daemon *d, struct failure *why);
void front_stop(struct daemon *d);
/* Nobody is taken in any more; open connections live on. */
void front_close_listeners(struct daemon *d);
/* After d->conf was replaced: new certificates, closes and opens what differs. What fails is
 * logged, the rest goes on. */
void front_reload(struct daemon *d);
/* "127.0.0.1:5672, [::1]:5671 (tls)" */
void front_describe(const struct daemon *d, struct buf *out);
/* The same to systemd, as the status of the service. */
void front_notify(const struct daemon *d);
/* Reads the certificates that the listeners need; a line per problem. */
void front_check(const struct conf *conf, struct buf *problems);

#endif
