/* A node of two shards whose loops do not run, with exchange types that only keep accounts. */
#ifndef TESTS_UNIT_META_WORLD_H
#define TESTS_UNIT_META_WORLD_H

#include "base/buf.h"
#include "base/table.h"
#include "meta/access.h"
#include "meta/meta.h"

#include <stdio.h>

enum { WORLD_SHARDS = 2 };

struct world {
    struct node *node;
    struct failure why; /* of the last request */
    bool created;       /* by the last request */
    struct buf name;    /* of the last declared queue */
    struct addr addr;
    const char *user; /* who asks; NULL: trusted */
    uint64_t connection;
};

/* Bindings that the types' instances hold now, over all shards; queues to be made. */
extern int world_bindings, world_queues_made;
extern const struct op_kind world_ops[];

struct world *world_new(void);
/* Below n; the same numbers in every run. */
unsigned world_random(unsigned n);
/* Checks that every binding was given back. */
void world_free(struct world **world);

/* The bytes of a table built by the callback-free little language "key:type=value ...": types I
 * (integer), S, t (true or false), d, T; "" is the empty table. Valid until the next eight calls.
 */
struct slice args_of(const char *text);

enum err do_queue(struct world *w, const char *name, unsigned flags, const char *args);
enum err do_delete_queue(struct world *w, const char *name);
enum err do_exchange(struct world *w, const char *name, const char *type, unsigned flags,
                     const char *args);
enum err do_delete_exchange(struct world *w, const char *name, unsigned flags);
enum err do_bind(struct world *w, const char *source, const char *destination, const char *key,
                 unsigned flags, const char *args);
enum err do_unbind(struct world *w, const char *source, const char *destination, const char *key,
                   unsigned flags, const char *args);
enum err do_vhost(struct world *w, const char *name, unsigned flags);
enum err do_user(struct world *w, const char *name, const char *password, const char *tags,
                 unsigned flags);
enum err do_permission(struct world *w, const char *user, const char *configure, const char *write,
                       const char *read);
enum err do_topic_permission(struct world *w, const char *user, const char *exchange,
                             const char *write, const char *read);
/* Any other request; takes it. */
enum err do_request(struct world *w, struct meta_request *rq);
struct meta_request *request(struct world *w, enum meta_verb verb, unsigned flags);

/* On every shard alike; asserts that they agree. */
bool has_queue(struct world *w, const char *name);
bool has_exchange(struct world *w, const char *name);
size_t count(struct world *w, enum meta_noun noun);

#define must(call) cr_assert_eq((call), ERR_NONE, "%s", w->why.text)
#define wont(call, code, message)                              \
    do {                                                       \
        cr_expect_eq((call), (code), "%s: code", #call);       \
        cr_expect_str_eq(w->why.text, (message), "%s", #call); \
    } while (0)

#endif
