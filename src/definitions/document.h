/* A JSON text as a field table: for what is small and arrives whole. Pure. */
#ifndef DEFINITIONS_DOCUMENT_H
#define DEFINITIONS_DOCUMENT_H

#include "base/buf.h"

enum { DOCUMENT_DEPTH_MAX = 100 };

/* Appends the members of the object that the text is to table. Whole numbers become integers, keys
 * have at most 255 bytes, of one that repeats the first counts. False: it is no object, no JSON, or
 * is nested too deep. */
bool document_parse(struct slice json, struct buf *table);

#endif
