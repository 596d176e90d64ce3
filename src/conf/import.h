/* RabbitMQ's configuration as one of ours: rabbitmq.conf and conf.d, advanced.config,
 * rabbitmq-env.conf and environment variables, enabled_plugins. Each setting becomes a key of
 * conf.def, or is named with its place and the reason; none is passed over. */
#ifndef CONF_IMPORT_H
#define CONF_IMPORT_H

#include "base/buf.h"

/* path: a directory such as /etc/rabbitmq with all these files, or one of them. environment: as
 * environ, of which RABBITMQ_... counts; NULL: none. yaml gets the configuration, notes a line for
 * each setting that is not in it as it was. False: RabbitMQ would not have started either, or
 * something has to be written by hand. */
bool import_run(const char *path, const char *const *environment, struct buf *yaml,
                struct buf *notes);
/* The page of what becomes of which setting, Markdown. */
void import_put_docs(struct buf *out);

#endif
