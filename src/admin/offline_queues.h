/* list_queues where no queue lives: over the data directory of a broker that is stopped. */
#ifndef ADMIN_OFFLINE_QUEUES_H
#define ADMIN_OFFLINE_QUEUES_H

#include "admin/listing.h"

/* The rows are begun; ends the call. */
void offline_queues_list(struct call *call, const struct rows *rows);

#endif
