/* The metadata master: on shard 0, the one door through which definitions change.
 *
 * A front fills a request and posts it (meta_post); the master checks rights, names, arguments and
 * equivalence, changes its tables, publishes the change to every shard, then answers: once what it
 * changed of durable things is safe in the store. Requests of one front are handled, and answered,
 * in order. By the order rule of ops a reply is never seen before the change
 * it speaks of is visible to whatever the asker does next, on any shard. */
#ifndef META_META_H
#define META_META_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"
#include "meta/def.h"
#include "meta/ops.h"
#include "shard/shard.h"

struct store;

enum meta_verb {
    META_QUEUE_DECLARE, /* a queue that was not in the asker's replica */
    META_QUEUE_DELETE,  /* unconditionally, by an operator; clients go through the queue's actor */
    META_EXCHANGE_DECLARE,
    META_EXCHANGE_DELETE,
    META_BIND,
    META_UNBIND,
    META_CONNECTION_DOWN, /* drops the connection's exclusive queues, then answers */
    META_VHOST_PUT,       /* create, or change description and tags */
    META_VHOST_DELETE,
    META_USER_PUT, /* create (fails if it exists and create_only), or change what is given */
    META_USER_DELETE,
    META_PERMISSION_SET,
    META_PERMISSION_CLEAR,
    META_TOPIC_PERMISSION_SET,
    META_TOPIC_PERMISSION_CLEAR,
    META_POLICY_SET, /* META_OPERATOR: operator policies */
    META_POLICY_CLEAR,
    META_PARAMETER_SET, /* META_GLOBAL: global parameters */
    META_PARAMETER_CLEAR,
    META_USER_LIMITS_SET, /* what is given joins what is there */
    META_USER_LIMITS_CLEAR,
    META_SYNC, /* answers once all that was changed before is safe */
    META_VERB_COUNT
};

enum { META_REQUEST_MAX = 1 << 20 }; /* bytes of arguments and texts */

enum {
    META_PASSIVE = 1,
    META_DURABLE = 2,
    META_EXCLUSIVE = 4,
    META_AUTO_DELETE = 8,
    META_INTERNAL = 16,
    META_IF_UNUSED = 32,
    META_TO_EXCHANGE = 64,
    META_CREATE_ONLY = 128,
    META_TRUSTED = 256,
    META_MUST_EXIST = 512,
    META_OPERATOR = 1024,
    META_GLOBAL = 2048,
    META_TRACE_ON = 4096, /* VHOST_PUT; tracing ends with the process */
    META_TRACE_OFF = 8192,
    META_PROTECT = 1 << 20, /* VHOST_PUT: from deletion */
    META_UNPROTECT = 1 << 21,
    META_SINGLE = 1 << 22 /* limits of a virtual host: SET joins what is there, CLEAR ends key */
};

/* All slices are owned copies (meta_request_set); freed by meta_request_free. A slice whose data is
 * NULL was not given: PUT then leaves that property as it is. */
struct meta_request {
    enum meta_verb verb;
    unsigned flags;
    struct addr reply_to; /* none: nobody waits */
    uint64_t cookie;      /* comes back as it was */
    uint64_t connection;  /* id of the asking connection, 0 for operators */
    struct slice user;    /* acting user; META_TRUSTED in flags skips the rights */
    struct slice vhost;
    struct slice name;   /* queue, exchange, user, policy, parameter; bind, unbind: destination */
    struct slice source; /* bind, unbind, topic permissions: the exchange; parameters: component */
    struct slice type;   /* exchange type; user, vhost: tags, comma separated */
    struct slice key;    /* routing key; user: password */
    struct slice args;   /* table bytes without the length; policies, parameters, limits: with the
                            one key "value", which has the definition */
    struct slice configure, write, read; /* patterns */
    struct slice hash;        /* user: password hash instead of a password; given but empty: none */
    struct slice algorithm;   /* of hash: rabbit_password_hashing_sha256 (if not given), ... */
    struct slice description; /* vhost */
    struct slice queue_type;  /* vhost: default queue type */
    struct slice pattern;     /* policy */
    struct slice apply_to;    /* policy: "queues", ...; not given: all */
    int64_t priority;         /* policy */
    /* answer */
    enum err code;
    struct failure why;
    struct queue_def *queue; /* declare: one reference */
    bool created;
};

struct meta_request *meta_request_new(enum meta_verb verb, struct addr reply_to);
void meta_request_free(struct meta_request **request);
/* An owned copy for a field. */
void meta_request_set(struct slice *field, struct slice value);
/* For names: without CR and LF, as RabbitMQ takes them. */
void meta_request_set_name(struct slice *field, struct slice value);
/* Takes the request. The answer is OP_META_REPLY to reply_to with the request as its body. */
void meta_post(struct node *node, struct meta_request **request);
/* Before the loops run (seeding from the configuration), on shard 0: handled at once. */
enum err meta_apply(struct node *node, struct meta_request *request);
/* While the loops run, on shard 0: handled at once, as if it had been posted and nobody waited.
 * What it changed is safe after a META_SYNC. */
enum err meta_put(struct node *node, struct meta_request *request);

/* name without CR and LF; room (at least name.len) is used only if there are any. */
struct slice meta_clean_name(struct slice name, void *room);
/* Refuses names of new objects with the reserved prefix; kind: "queue" or "exchange". */
enum err meta_check_name(const char *kind, struct slice name, struct failure *why);
/* "no queue 'q' in vhost '/'". kind: "queue" or "exchange". */
enum err meta_not_found(const char *kind, struct slice name, struct slice vhost,
                        struct failure *why);
/* Checks a redeclaration against what is there: RabbitMQ's texts. Any shard. */
enum err meta_check_queue(const struct queue_def *def, unsigned flags, struct slice args,
                          uint64_t connection, struct failure *why);
enum err meta_check_exchange(const struct exchange_def *def, struct slice type, unsigned flags,
                             struct slice args, struct failure *why);
/* Queue of another connection: RESOURCE_LOCKED with RabbitMQ's text. Any shard. */
enum err meta_check_owner(const struct queue_def *def, uint64_t connection, struct failure *why);

/* Makes the master and every shard's replica. */
struct meta_options {
    const char *default_vhost; /* made at the first start, "/" */
    const char *const *loopback_users;
    size_t loopback_user_count;
    const char *node_name;
    bool stopped; /* the broker does not run: its data is asked */
};
void meta_init(struct node *node, const struct meta_options *options);
void meta_fini(struct node *node);
const char *meta_node_name(const struct node *node);

/* With a store: brings back what was kept; changes are kept from here on. After the queue makers
 * are known, before anything is changed. Refused if a later program wrote it. */
enum err meta_load(struct node *node, struct store *store, struct failure *why);
/* Whether the data directory was given its first definitions; without a store it never was. */
bool meta_is_seeded(const struct node *node);
void meta_set_seeded(struct node *node);
/* Whether parameters of virtual hosts may be of that component. */
bool meta_has_component(struct slice component);
/* Whether the definitions that were imported last from this source had this SHA-256. The source is
 * the name of the virtual host they went into, "" for all; or something else. Kept like a
 * definition, as long as the virtual host. Shard 0. */
bool meta_was_imported(const struct node *node, struct slice source, struct slice digest);
void meta_set_imported(struct node *node, struct slice source, struct slice digest);
/* What a stored definition says, for people: "queue 'q' in vhost '/', id 7". Any thread. */
void meta_describe_stored(uint8_t noun, struct slice key, struct slice value, struct buf *out);

/* The actor of a shard that makes queues there (OP_QUEUE_CREATE). Before the loops run. */
void meta_set_queue_maker(struct node *node, unsigned shard, struct addr maker);
/* Where OP_QUEUE_GONE goes. Any shard. */
struct addr meta_addr(const struct node *node);

/* One published change; listeners read it. */
enum meta_change_kind {
    CHANGE_VHOST_ADDED,
    CHANGE_VHOST_REMOVED,
    CHANGE_EXCHANGE_ADDED,
    CHANGE_EXCHANGE_REMOVED,
    CHANGE_QUEUE_ADDED,
    CHANGE_QUEUE_REMOVED,
    CHANGE_BOUND,
    CHANGE_UNBOUND,
    CHANGE_USER_PUT,
    CHANGE_USER_REMOVED,
    CHANGE_PERMISSION,
    CHANGE_TOPIC_PERMISSION,
    CHANGE_POLICY,
    CHANGE_PARAMETER
};
enum meta_change_kind meta_change_kind(const struct meta_change *change);
struct slice meta_change_vhost(const struct meta_change *change);
struct slice meta_change_name(const struct meta_change *change);
/* Of a binding; its name is the destination's. */
struct slice meta_change_source(const struct meta_change *change);
bool meta_change_to_exchange(const struct meta_change *change);

enum meta_noun {
    META_VHOSTS,
    META_USERS,
    META_PERMISSIONS,
    META_TOPIC_PERMISSIONS,
    META_EXCHANGES,
    META_QUEUES,
    META_BINDINGS,
    META_POLICIES,
    META_OPERATOR_POLICIES,
    META_PARAMETERS,
    META_GLOBAL_PARAMETERS,
    META_VHOST_LIMITS, /* those parameters that are limits */
    META_USER_LIMITS   /* users that have some */
};
size_t meta_count(struct node *node, enum meta_noun noun);
/* Queues since the start, without those that a start brings back. On shard 0. */
struct meta_churn {
    uint64_t queues_created, queues_deleted;
};
struct meta_churn meta_churn(const struct node *node);

/* A walk over what is there when it begins, in the order it came; all on shard 0. Between two
 * portions anything may change: what stays is shown exactly once, as it is by then; what goes
 * before its turn is not shown, nor is what comes later. It owns nothing. */
struct meta_cursor {
    enum meta_noun noun;
    bool everywhere; /* in all vhosts */
    bool explicit;   /* META_BINDINGS: past the implicit ones of the default exchange */
    uint64_t vhost;  /* number of the one being walked, 0: none yet */
    uint64_t seen;   /* number of the last object */
    uint64_t last;   /* number of the youngest object that belongs to the walk */
};
struct meta_row {
    const struct meta_row_kind *kind;
    const void *object;
    uint64_t number;
};
/* vhost empty = all. */
struct meta_cursor meta_cursor_begin(const struct node *node, enum meta_noun noun,
                                     struct slice vhost);
/* A portion of at most max objects, less if fn returns false. False: the walk is over. */
bool meta_cursor_next(const struct node *node, struct meta_cursor *cursor, size_t max,
                      bool (*fn)(const struct meta_row *row, void *arg), void *arg);
/* A column by RabbitMQ's name (list_exchanges: name type durable auto_delete internal arguments
 * policy; ...). */
struct value meta_row_get(const struct meta_row *row, const char *column);
/* Appends the definition of the row's object as a field table with RabbitMQ's keys. False: it is
 * not exported, as exclusive queues and exchanges of the broker's own are not. */
bool meta_row_put_definition(const struct meta_row *row, struct buf *out);
/* Appends what orders the rows of one walk by vhost and name, different for every row. */
void meta_row_put_key(const struct meta_row *row, struct buf *out);
/* The row's object, of META_VHOSTS or META_EXCHANGES; NULL of others. */
const struct vhost *meta_row_vhost(const struct meta_row *row);
const struct exchange *meta_row_exchange(const struct meta_row *row);
/* The n-th column a noun's rows have here; NULL behind the last. */
const char *meta_column(enum meta_noun noun, size_t index);

#endif
