/* What the configuration says that new virtual hosts are born with, as requests to the metadata
 * master. */
#ifndef DAEMON_DEFAULTS_H
#define DAEMON_DEFAULTS_H

#include "conf/conf.h"

struct vhost_defaults;

/* What cannot be is left out; each is a line of problems, with its place, unless that is NULL. */
struct vhost_defaults *defaults_new(const struct conf *conf, struct buf *problems);

#endif
