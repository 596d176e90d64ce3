/* Policies that ask for mirrors of classic queues: what RabbitMQ had until version 4, and what has
 * no effect here. */
#ifndef ADMIN_MIRRORING_H
#define ADMIN_MIRRORING_H

#include "meta/meta.h"

/* Of a row of META_POLICIES or META_OPERATOR_POLICIES. */
bool mirroring_is_asked(const struct meta_row *row);

#endif
