/* JSON as clients of the control socket write it, to the values that definitions are made of. */
#ifndef ADMIN_JSON_VALUE_H
#define ADMIN_JSON_VALUE_H

#include "base/buf.h"

struct cJSON;

/* Appends an entry of that key (at most 255 octets) to a table. Objects become tables with their
 * keys in order, of a key that repeats the last one counts; whole numbers become integers. False:
 * a key is too long. */
bool json_value_put(const struct cJSON *json, const char *key, struct buf *table);
/* The entry "value" of a JSON text; false: the text is no JSON. */
bool json_value_parse(const char *text, struct buf *table);

#endif
