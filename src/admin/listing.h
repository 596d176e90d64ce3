/* Tables of objects: a visit that writes a row an object. */
#ifndef ADMIN_LISTING_H
#define ADMIN_LISTING_H

#include "admin/call.h"
#include "admin/columns.h"

/* Rows of a table, written into a visit's output. */
struct rows {
    struct columns columns;
    bool json;
};

/* Chooses the columns by the words of the call, says the banner and the columns. False: refused. */
bool rows_begin(struct call *call, struct rows *rows, const char *defaults, bool keyed,
                const char *banner, ...) __attribute__((format(printf, 5, 6)));
/* The same for a table with fixed columns (blank separated). */
void rows_begin_fixed(struct call *call, struct rows *rows, const char *columns, bool keyed);

/* Columns by any names, in boxes if nobody asked for another form. */
void rows_begin_boxed(struct call *call, struct rows *rows, const char *const *names, size_t count);

/* A table of the members of what RabbitMQ has a Raft log for: this node alone, without a log. */
void rows_put_member(struct call *call);

/* A row is begun, gets its cells and is ended. */
void row_begin(struct buf *out);
/* The hidden first cell of a keyed table. */
void row_put_key(struct buf *out, struct slice key);
/* Takes the value. */
void row_put(struct buf *out, const struct rows *rows, const char *column, struct value value);
void row_end(struct buf *out);

/* ---- facts that are no listing ---- */
void row_put_text(struct buf *out, const struct rows *rows, const char *text);
void row_put_int(struct buf *out, const struct rows *rows, uint64_t n);

#endif
