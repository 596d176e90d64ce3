/* Lines that a visit adds to its output. */
#ifndef ADMIN_REPORT_H
#define ADMIN_REPORT_H

#include "base/buf.h"

/* {"print": text} */
void report_print(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_print_slice(struct buf *out, struct slice text);
/* {"progress": text} */
void report_progress(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* {"value": json} */
void report_value(struct buf *out, struct slice json);

enum report_unit { UNIT_BYTES, UNIT_KB, UNIT_MB, UNIT_GB };
/* "b", "kb", "mb", "gb"; false for others. */
bool report_unit_parse(const char *name, enum report_unit *ret_unit);
/* "0.199 gb" */
void report_put_size(struct buf *out, uint64_t bytes, enum report_unit unit);
/* "512", "512k", "1.5GiB", "2GB": bytes. k, M, G and kiB, MiB, GiB are powers of 1024, kB, MB, GB
 * of 1000. */
bool report_parse_size(const char *text, uint64_t *ret_bytes);

#endif
