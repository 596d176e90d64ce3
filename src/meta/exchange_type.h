/* The contract of an exchange type; implementations are in broker/exchange/, one file a type.
 *
 * An instance holds the bindings of one exchange on one shard in whatever shape routes fastest.
 * Cost of route must not grow with the number of bindings that do not match. */
#ifndef META_EXCHANGE_TYPE_H
#define META_EXCHANGE_TYPE_H

#include "base/err.h"
#include "base/slice.h"

struct buf;
struct exchange;
struct target_queue;

/* Where a binding leads: exactly one of the two. */
struct destination {
    struct target_queue *queue;
    struct exchange *exchange;
};

/* A binding as the replica keeps it: it stays where it is and unchanged until unbind, so that the
 * type may keep the pointer and slices of it. */
struct binding {
    struct destination to;
    struct slice key;
    struct slice args; /* table bytes without the length */
    uint64_t order;    /* grows with every new binding of the node, and is kept with durable ones */
    void *own;         /* the exchange type's, from bind to unbind: finds its record in O(1) */
};

/* What a type needs of a message. */
struct route_input {
    struct slice key;
    struct slice headers; /* the headers table without its length, empty if the message has none */
    struct slice props;   /* raw, empty if not known; headers come from above */
};

/* Destinations found; duplicates allowed, the caller takes each once. */
struct route_sink {
    void (*found)(struct route_sink *sink, const struct destination *to);
};

struct exchange_type {
    const char *name;   /* "topic" */
    const char *text;   /* manual text */
    bool internal_only; /* may not be declared by clients */
    bool absent;    /* stands for a type that nothing here knows: keeps bindings, routes nothing */
    bool keyless;   /* asked once, with the routing key, however many keys a message has */
    bool by_chance; /* route takes one of the bindings that judge takes */
    bool recalls;   /* an exchange has a line that keeps its last messages for later bindings */
    bool delays;    /* an exchange has a delay line, where messages with x-delay wait */
    /* An exchange lets each value of x-deduplication-header in once: it has a line that knows them.
     * Whether what that knows is durable. NULL: it does not. */
    bool (*sifts)(struct slice args, bool durable);
    /* The type that does the rest of the work for an exchange with these arguments, which were
     * validated: instances, bindings and routes are its. NULL: the type itself. */
    const struct exchange_type *(*acts_as)(struct slice args);
    /* Refuses arguments of an exchange. NULL = all are fine. */
    enum err (*validate)(const struct exchange_type *self, struct slice args, struct failure *why);
    /* Refuses a binding. NULL = all are fine. */
    enum err (*validate_binding)(const struct exchange_type *self, struct slice key,
                                 struct slice args, struct failure *why);
    /* Refuses where a binding leads. NULL = all are fine. */
    enum err (*validate_destination)(const struct destination *to, struct failure *why);
    void *(*new)(const struct exchange_type *self, struct slice args);
    void (*free)(void *instance);
    void (*bind)(void *instance, struct binding *binding);
    void (*unbind)(void *instance, struct binding *binding); /* the same pointer as bind's */
    void (*route)(const void *instance, const struct route_input *input, struct route_sink *sink);
    /* Whether route takes this one binding; if not, why appended for people. NULL: all match. */
    bool (*judge)(const struct binding *binding, const struct route_input *input, struct buf *why);
    /* How it chose, for people; may append nothing. NULL: there is nothing to choose. */
    void (*tell)(const void *instance, const struct route_input *input, struct buf *out);
};

/* Before the node runs, or on shard 0; it stays for good. False: there can be no more. */
bool exchange_type_register(const struct exchange_type *type);
/* How many more there can be. On shard 0. */
size_t exchange_type_room(void);
const struct exchange_type *exchange_type_find(struct slice name);
/* The same, but never NULL: what is not known is absent. */
const struct exchange_type *exchange_type_get(struct slice name);
/* The type that holds bindings and routes for an exchange of that type and these arguments; one
 * that is absent if nothing here knows it. */
const struct exchange_type *exchange_type_acting(struct slice name, struct slice args);
/* Refuses an exchange whose acting type is absent; wanted: what its definition says. */
enum err exchange_type_refuse(const struct exchange_type *type, struct slice name,
                              struct slice vhost, struct slice wanted, struct failure *why);
/* NULL starts, NULL ends. */
const struct exchange_type *exchange_type_next(const struct exchange_type *after);

#endif
