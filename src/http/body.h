/* What a request says in its JSON body. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "base/buf.h"

struct session;
struct meta_request;

/* A large body is parsed where it holds up no shard; on_read goes on with the request. False: it is
 * small. */
bool body_parse_aside(struct session *session, void (*on_read)(struct session *session));
/* The body and what was read of it go. */
void body_forget(struct session *session);
/* The body as a field table; an empty one is an empty object. False: it was answered, as no JSON.
 */
bool body_parse(struct session *session, struct buf *ret_table);
/* All of the keys (blank separated) are there. False: it was answered. */
bool body_has(struct session *session, struct slice table, const char *keys);
/* The text of that key, borrowed, if there is one. False: it is no text, and it was answered. */
bool body_find_text(struct session *session, struct slice table, const char *key,
                    struct slice *ret_text, bool *ret_there);
/* It goes to the field, if there is one. False: it was answered. */
bool body_text(struct session *session, struct slice table, const char *key, struct slice *field);
/* An object of that key likewise; an empty list counts as one. False: it was answered. */
bool body_table(struct session *session, struct slice table, const char *key, struct slice *field);
/* Sets *flags by a boolean, which may be a text; absent: leaves them. False: it was answered. */
bool body_flag(struct session *session, struct slice table, const char *key, unsigned flag,
               unsigned *flags);
/* A whole number, which may be a text; absent: leaves it. False: it was answered. */
bool body_int(struct session *session, struct slice table, const char *key, int64_t *number);
/* A list of texts, or a text with commas: with commas, to the field. False: it was answered. */
bool body_tags(struct session *session, struct slice table, const char *key, struct slice *field);
/* The entry of that key as "value", for requests about policies and parameters. */
void body_value(struct slice table, const char *key, struct slice *field);

#endif
