/* What status says about journal and database. */
#ifndef ADMIN_STORE_REPORT_H
#define ADMIN_STORE_REPORT_H

#include "admin/report.h"
#include "store/store.h"

/* Lines of the report. */
void store_report_put(struct buf *out, const struct store_stats *stats, enum report_unit unit);
/* ,"store":{...} */
void store_report_put_json(struct buf *json, const struct store_stats *stats);

#endif
