/* Components of runtime parameters besides vhost-limits: what their values may be, with RabbitMQ's
 * texts, in which a value is printed as an Erlang term. Federation and shovels alone; their
 * parameters are kept and shown, no link is run. No state, any thread. */
#ifndef META_COMPONENT_H
#define META_COMPONENT_H

#include "base/buf.h"
#include "base/table.h"
#include "meta/limits.h"

bool component_exists(struct slice name);
/* LIMIT_COUNT: none. */
enum limit component_limit(struct slice name);
/* A line for each thing that is wrong with the value. The component exists. */
void component_check(struct slice component, struct slice name, const struct table_value *value,
                     struct buf *errors);

#endif
