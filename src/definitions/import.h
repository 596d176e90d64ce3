/* An import of definitions: read, checked, then put, each in portions.
 *
 * What is to be put comes from a file (import_feed) or one by one (import_add), and is kept as
 * field tables, about as large as the file. Nothing is put before all of it is known to be
 * well-formed and to name only virtual hosts and users that are there or come along. What is
 * refused later ends the import; the text then says what was put before. Reading may be done on any
 * shard, the rest is shard 0's; one thread at a time. */
#ifndef DEFINITIONS_IMPORT_H
#define DEFINITIONS_IMPORT_H

#include "definitions/noun.h"

struct import;

enum import_origin {
    IMPORT_FILE,        /* what is there already stays as it is, as in RabbitMQ */
    IMPORT_FIRST_START, /* of a data directory, from the configuration: nothing may be refused */
    IMPORT_LATER_START  /* what does not fit what came to be meanwhile is a warning */
};

enum {
    IMPORT_CHUNK = 64 * 1024,     /* bytes of a file fed at once: its digest counts in them */
    IMPORT_ITEM_MAX = 1024 * 1024 /* bytes of one item */
};

/* vhost: all goes into that one, and what belongs to none is left out; empty: the whole broker. */
struct import *import_new(enum import_origin from, struct slice vhost);
void import_free(struct import **import);

/* The next bytes of a JSON file. A failure ends the import; why has the place. */
enum err import_feed(struct import *import, struct slice bytes, struct failure *why);
/* The file is over. */
enum err import_feed_end(struct import *import, struct failure *why);
/* One item that stands elsewhere, after noun_check's rules. origin is borrowed for the import's
 * life.
 */
enum err import_add(struct import *import, enum definition which, const char *origin,
                    struct slice item, struct failure *why);

/* Checks or puts at most max items. put: meta_put, or meta_apply while no loop runs. */
typedef enum err import_put(struct node *node, struct meta_request *request);
enum err import_step(struct import *import, struct node *node, import_put *put, size_t max,
                     struct failure *why);
bool import_is_done(const struct import *import);

/* Whether what was fed is what was imported last (so that nothing need be done); and that it was
 * imported now. source: of which file or virtual host, in any words that tell it from others. */
bool import_is_unchanged(const struct import *import, const struct node *node, struct slice source);
void import_remember(const struct import *import, struct node *node, struct slice source);

/* Takes the warnings that came up since, a line each. */
struct slice import_take_warnings(struct import *import);
/* "4 users, 2 virtual hosts"; "nothing". */
void import_put_summary(const struct import *import, struct buf *out);

#endif
