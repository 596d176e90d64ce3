/* The inside of a shard's replica. Shard 0's is also the master's own table: it alone has the index
 * of bindings by identity and the rosters, by which listings walk. */
#ifndef META_ROUTING_PRIV_H
#define META_ROUTING_PRIV_H

#include "base/hash.h"
#include "meta/change_priv.h"
#include "meta/pattern.h"
#include "meta/roster.h"
#include "meta/routing.h"

enum { ROUTING_MAGIC = 0x524f5554 };

struct routing {
    uint32_t magic;
    uint32_t stamp;
    struct shard *shard;
    unsigned index; /* of the shard */
    struct addr addr;
    uint64_t version;
    uint64_t access_version; /* grows with changes of vhosts, users and rights only */
    struct hash vhosts;
    struct hash users;
    struct hash permissions, topic_permissions;
    uint64_t last_number;           /* given to an object in a roster */
    struct roster vhosts_by_number; /* struct vhost */
    struct roster users_by_number;  /* struct user */
    struct pattern_matcher *matcher;
    const struct meta_options *options; /* the master's copy, never changed */
    struct routing_listener *listeners;
    struct routing_listener **listeners_end;
};

struct vhost {
    struct vhost_def *def; /* owns a reference, like everything below */
    struct routing *routing;
    struct hash exchanges, queues;
    struct hash bindings;    /* shard 0: struct binding_def by identity */
    struct list permissions; /* struct permission.by_vhost */
    uint64_t number;
    struct {
        struct roster exchanges, queues, bindings; /* definitions */
        struct roster permissions;                 /* struct permission, of both kinds */
    } by_number;
};

struct exchange {
    struct exchange_def *def;
    const struct exchange_type *type;
    void *instance;
    struct vhost *vhost;
    struct list out, in; /* struct bound.by_source, .by_destination */
    uint32_t stamp;
};

/* A binding on this shard. */
struct bound {
    struct binding binding;
    struct binding_def *def;
    struct exchange *source;
    struct list by_source, by_destination;
};

struct user {
    struct user_def *def;
    struct list permissions; /* struct permission.by_user */
    uint64_t number;
};

struct permission {
    struct permission_def *def;
    struct vhost *vhost;
    uint64_t number;
    struct slice key; /* vhost, user, exchange of a topic permission; owned */
    struct pattern patterns[ACCESS_RIGHTS];
    struct list by_user, by_vhost;
};

void routing_new(struct shard *shard, const struct meta_options *options);
void routing_free(struct shard *shard);
void routing_apply(struct routing *routing, const struct meta_change *change);

/* Shard 0 keeps a roster, the others do not: 0 there. */
uint64_t routing_enroll(struct routing *routing, struct roster *roster, void *object);
void routing_strike(struct routing *routing, struct roster *roster, uint64_t number);

/* The part of users and rights, in access.c. */
void access_init(struct routing *routing);
void access_fini(struct routing *routing);
void access_apply(struct routing *routing, const struct meta_change *change);
/* Takes the permissions of a vhost away, before it goes. */
void access_drop_vhost(struct routing *routing, struct vhost *vhost);
struct user *access_find_user(const struct routing *routing, struct slice name);
const struct permission *access_find_permission(const struct routing *routing, struct slice user,
                                                struct slice vhost);
const struct permission *access_find_topic_permission(const struct routing *routing,
                                                      struct slice user, struct slice vhost,
                                                      struct slice exchange);

#endif
