/* Texts read as definitions, worlds they are put into, and what comes out again. */
#ifndef TESTS_UNIT_DEFINITIONS_RIG_H
#define TESTS_UNIT_DEFINITIONS_RIG_H

#include "definitions/export.h"
#include "definitions/import_priv.h"
#include "meta/world.h"
#include "unit.h"

/* Reads a text, fed in chunks of that many bytes. NULL: refused, with the reason in why. */
struct import *rig_read(struct slice text, size_t chunk, struct slice vhost, struct failure *why);
/* Its items in the order of import, a line each: queues {"name":"q"}. */
void rig_print(struct import *import, struct buf *out);
/* What a text is read as: the items of rig_print, or one line with the reason. Valid until the next
 * call. */
const char *rig_items(const char *text);
/* The warnings of reading a text that is taken. The same room. */
const char *rig_warnings(const char *text);

/* Checks and puts all of a text, max items at a time; why is empty if all went well. Warnings and
 * the summary are appended to said, unless it is NULL. */
enum err rig_put(struct world *world, struct slice text, struct slice vhost, size_t max,
                 struct buf *said, struct failure *why);
/* All there is, or one virtual host's, in portions of at most max objects. */
void rig_export(struct world *world, struct slice vhost, size_t max, struct buf *out);
/* A file below the sources; the test fails if it is not there. */
void rig_load(const char *path, struct buf *out);

#endif
