/* RabbitMQ's feature flags, as far as what they switch on is part of the broker: always enabled. */
#ifndef ADMIN_FEATURES_H
#define ADMIN_FEATURES_H

#include <stddef.h>

struct feature_flag {
    const char *name;
    const char *text;
};
/* In the order of their names; NULL behind the last. */
const struct feature_flag *feature_flag_at(size_t index);
const struct feature_flag *feature_flag_find(const char *name);

#endif
