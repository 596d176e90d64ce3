/* The columns of listings: RabbitMQ's names, some of our own behind them. */
#ifndef ADMIN_COLUMNS_H
#define ADMIN_COLUMNS_H

#include "base/buf.h"

/* Each ends with NULL. */
const char *const *columns_vhosts(void);
const char *const *columns_queues(void);
const char *const *columns_exchanges(void);
const char *const *columns_bindings(void);
const char *const *columns_connections(void);
const char *const *columns_channels(void);
const char *const *columns_consumers(void);
const char *const *columns_delayed(void);
const char *const *columns_feature_flags(void);
const char *const *columns_deprecated_features(void);
const char *const *columns_schema(void);
const char *const *columns_unresponsive_queues(void);

enum { COLUMNS_MAX = 64 };

/* Columns that a listing shows, in their order; the names are literals. */
struct columns {
    const char *names[COLUMNS_MAX];
    size_t count;
};

/* What the words ask for, "name" "messages" or "name,messages", each once; defaults (blank
 * separated) if they ask for nothing. False: unknown has the unknown ones, separated by commas. */
bool columns_choose(struct columns *columns, const char *const *known, const char *defaults,
                    const char *const *words, size_t count, struct buf *unknown);

#endif
