/* Writing JSON. Pure. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

struct table_value;

/* A string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void json_put_string(struct buf *out, struct slice text);
/* What stands between them: of a text that is written in parts, none of which ends within a
 * character. */
void json_put_text(struct buf *out, struct slice text);
/* null if it is no finite number; else as short as it reads back equal, with a point or exponent.
 */
void json_put_double(struct buf *out, double v);
/* A field table as an object, as RabbitMQ's definitions have arguments: {"x-max-length":10}. To any
 * depth, without recursion. Of a byte string that is no UTF-8 stands what RabbitMQ writes of it,
 * its base64 behind a few words: false if there was such a one. */
bool json_put_table(struct buf *out, struct slice table);
/* The same of any value. */
bool json_put_value(struct buf *out, const struct table_value *value);
/* A value that is neither table nor array; of those, null. */
void json_put_scalar(struct buf *out, const struct table_value *value);

#endif
