/* Connections of clients as a command finds and closes them. */
#ifndef ADMIN_CONNECTIONS_H
#define ADMIN_CONNECTIONS_H

#include "admin/call.h"

/* Closes all there are; on_end as of a visit. */
struct visit *connections_close_all(const char *explanation,
                                    void (*on_end)(struct call *call, struct visit *visit));
/* How many it was. */
size_t connections_closed(const struct visit *visit);

#endif
