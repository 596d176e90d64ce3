/* How values become JSON, and text as rabbitmqctl prints it. Pure. */
#ifndef ADMIN_CELL_H
#define ADMIN_CELL_H

#include "base/buf.h"
#include "base/value.h"

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void cell_put_string(struct buf *out, struct slice text);
/* A cell of a row: the value as JSON, or (json false) its text as a JSON string. */
void cell_put(struct buf *out, const struct value *value, bool json);
/* The text alone: true, 10, abc, [{"x-max-length",10}], nothing. */
void cell_put_text(struct buf *out, const struct value *value);
/* [["x-max-length","signedint",10]]: key, type, value; nested tables likewise. */
void cell_put_table(struct buf *out, struct slice table);
/* [{"x-max-length",10}] */
void cell_put_table_text(struct buf *out, struct slice table);

#endif
