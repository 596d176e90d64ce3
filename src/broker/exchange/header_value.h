/* Values of headers as bytes that are equal exactly where a headers exchange takes the values as
 * equal, so that they can be hashed. The rules are RabbitMQ's, which compares decoded terms and
 * leaves the type out at the top level but not within containers:
 * - integers, floats and timestamps are one kind of number and compare by exact value: I 1, l 1,
 *   d 1.0 and T 1 are equal, 2^53 + 1 is no double; an f is the double it widens to;
 * - S and x are equal by bytes; bools by truth; decimals by scale and digits (1.0 is not 1.00);
 * - tables and arrays are equal entry by entry in order, there with equal types ('L' is 'l');
 *   an empty table equals an empty array. */
#ifndef BROKER_EXCHANGE_HEADER_VALUE_H
#define BROKER_EXCHANGE_HEADER_VALUE_H

#include "base/table.h"

/* An upper bound of what header_value_put appends. */
size_t header_value_size(const struct table_value *value);
void header_value_put(struct buf *out, const struct table_value *value);

#endif
