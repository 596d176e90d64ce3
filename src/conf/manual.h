/* What the manual says about the keys of the configuration, printed from their table. */
#ifndef CONF_MANUAL_H
#define CONF_MANUAL_H

#include "base/buf.h"

/* The page of every key, Markdown. */
void manual_put_docs(struct buf *out);
/* The flags of conf.def for --help. */
void manual_put_flags(struct buf *out);
/* The same for programs, a row a line, fields parted by tabs:
 *   flag NAME ARGUMENT TEXT
 *   key LIST NAME VALUE DEFAULT CHANGE FLAG TEXT    LIST: of the items of this list, or empty */
void manual_put_tables(struct buf *out);

#endif
