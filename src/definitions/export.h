/* Definitions as JSON, in portions, with RabbitMQ's keys. Shard 0. */
#ifndef DEFINITIONS_EXPORT_H
#define DEFINITIONS_EXPORT_H

#include "meta/meta.h"

struct export;

/* vhost: of that one alone, in RabbitMQ's form for one virtual host; empty: all there is. */
struct export *export_new(struct slice vhost);
void export_free(struct export **export);
/* Appends a portion, of at most max objects looked at and about 64 KiB. False: it was the last one.
 * What comes and goes meanwhile is in it or not. */
bool export_next(struct export *export, const struct node *node, size_t max, struct buf *out);
/* Texts that JSON cannot hold, because they are no UTF-8. */
size_t export_inexact(const struct export *export);

#endif
