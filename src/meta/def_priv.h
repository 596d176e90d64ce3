/* Definitions that only this folder sees. Immutable once published, counted atomically. */
#ifndef META_DEF_PRIV_H
#define META_DEF_PRIV_H

#include "base/buf.h"
#include "base/digest.h"
#include "meta/def.h"
#include "meta/usage.h"

struct bound;

enum { ACCESS_RIGHTS = 3 };

struct vhost_def {
    _Atomic uint32_t refs;
    struct slice name, description;
    struct slice tags;   /* comma separated */
    bool tracing;        /* messages are copied to amq.rabbitmq.trace; not kept */
    struct usage *usage; /* a reference; passed on to the definition that takes its place */
    bool is_protected;   /* from deletion */
    bool has_queue_type;
    enum queue_type queue_type; /* of queues that are declared without x-queue-type */
};

struct user_def {
    _Atomic uint32_t refs;
    struct slice name;
    struct slice tags;   /* comma separated, as given */
    unsigned tag_bits;   /* enum user_tag */
    struct usage *usage; /* as that of a virtual host */
    struct slice hash;   /* empty: no password, cannot log in with one */
    enum digest_kind algorithm;
};

/* Also a topic permission: then exchange is that of the permission and there is no configure. */
struct permission_def {
    _Atomic uint32_t refs;
    bool topic;
    struct slice vhost, user, exchange;
    struct slice patterns[ACCESS_RIGHTS]; /* by enum access_right */
};

/* Runtime parameters, and what is kept in their form. */
enum parameter_kind {
    PARAMETER_OF_VHOST,
    PARAMETER_GLOBAL,
    PARAMETER_USER_LIMITS /* name: the user */
};

struct parameter_def {
    _Atomic uint32_t refs;
    enum parameter_kind kind;
    struct slice vhost, component, name;
    struct slice value; /* a table with the one key "value" */
};

/* What tells two bindings of a vhost apart, in one run of bytes: kind of destination, source,
 * destination and routing key as short strings, the arguments sorted by key. */
struct binding_def {
    _Atomic uint32_t refs;
    bool to_exchange;
    uint64_t number; /* the master's: in its roster */
    uint64_t order;  /* of its making */
    struct slice vhost, identity;
    struct slice source, destination, key, args; /* within identity */
    struct bound *bounds[];                      /* one a shard, touched by that shard alone */
};

struct binding_key {
    struct slice vhost, identity;
    bool to_exchange;
    uint64_t order;
};

#define DEF_COUNTED(type)                    \
    struct type *type##_ref(struct type *d); \
    void type##_unref(struct type **def)

DEF_COUNTED(vhost_def);
DEF_COUNTED(user_def);
DEF_COUNTED(permission_def);
DEF_COUNTED(parameter_def);
DEF_COUNTED(binding_def);

struct vhost_def *vhost_def_new(const struct vhost_def *like);
struct user_def *user_def_new(const struct user_def *like);
struct permission_def *permission_def_new(const struct permission_def *like);
struct parameter_def *parameter_def_new(const struct parameter_def *like);
struct binding_def *binding_def_new(const struct binding_key *key, unsigned shards);

/* Names and key are at most 255 bytes. */
void binding_identity_put(struct buf *out, bool to_exchange, struct slice source,
                          struct slice destination, struct slice key, struct slice args);
void binding_identity_split(struct slice identity, struct slice *ret_source,
                            struct slice *ret_destination, struct slice *ret_key,
                            struct slice *ret_args);

#endif
