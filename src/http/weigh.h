/* What the memory of the process is used for: all shards are asked, the parts add up to its
 * resident size. */
#ifndef HTTP_WEIGH_H
#define HTTP_WEIGH_H

#include "admin/breakdown.h"

struct session;

/* on_end answers; parts are borrowed. */
void weigh_start(struct session *session,
                 void (*on_end)(struct session *session, const struct breakdown *parts));

#endif
