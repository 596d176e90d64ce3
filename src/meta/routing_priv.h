/* The inside of a shard's replica. Shard 0's is also the master's own table: it alone has the index
 * of bindings by identity, the rosters and the orders by name, by which listings walk. */
#ifndef META_ROUTING_PRIV_H
#define META_ROUTING_PRIV_H

#include "base/hash.h"
#include "meta/change_priv.h"
#include "meta/logins_priv.h"
#include "meta/order.h"
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
    unsigned traced; /* of these */
    struct hash users;
    struct hash permissions, topic_permissions;
    struct login_sources logins;
    uint64_t last_number;           /* given to an object in a roster */
    struct roster vhosts_by_number; /* struct vhost */
    struct order vhosts_by_name;    /* the same; shard 0 */
    struct roster users_by_number;  /* struct user */
    struct list globals;            /* struct parameter.link */
    struct roster globals_by_number;
    uint64_t policy_version; /* grows with changes of policies only */
    struct pattern_matcher *matcher;
    const struct meta_options *options; /* the master's copy, never changed */
    struct {                            /* shard 0's: see events.h */
        void (*sink)(struct shard *shard, const char *key, struct slice headers);
        struct slice user; /* who acts; borrowed from the request that is handled */
    } events;
    struct list tallies;  /* struct tally.link: what has something to tell */
    uint64_t tally_round; /* shard 0: that is being gathered */
    uint64_t tally_at_ms; /* shard 0: when the last one was complete */
    uint64_t tally_ms;    /* shard 0: how long that one was; 0: not known */
    struct routing_listener *listeners;
    struct routing_listener **listeners_end;
};

/* Policies, then operator policies. */
enum { POLICY_KINDS = 2 };

/* Of a virtual host; highest priority first. */
struct policy {
    struct policy_def *def;
    struct pattern pattern;
    uint64_t number;
    struct list link; /* vhost.policies */
};

struct parameter {
    struct parameter_def *def;
    uint64_t number;
    struct list link;
};

struct vhost {
    struct vhost_def *def; /* owns a reference, like everything below */
    struct routing *routing;
    struct hash exchanges, queues;
    struct hash bindings;    /* shard 0: struct binding_def by identity */
    struct list permissions; /* struct permission.by_vhost */
    struct list policies[POLICY_KINDS];
    struct list parameters;              /* struct parameter.link */
    int64_t max_connections, max_queues; /* -1: no limit */
    struct tally *tally;                 /* NULL: nobody did anything in it */
    uint64_t number;
    struct order queues_by_name; /* definitions; shard 0 */
    struct {
        struct roster policies, parameters;
        struct roster exchanges;        /* struct exchange */
        struct roster queues, bindings; /* definitions */
        struct roster permissions;      /* struct permission, of both kinds */
    } by_number;
};

struct exchange {
    struct exchange_def *def;
    const struct exchange_type *type; /* that acts */
    void *instance;
    struct vhost *vhost;
    struct list out, in; /* struct bound.by_source, .by_destination */
    struct applied applied;
    uint64_t applied_version; /* of the policies, when that was found out */
    uint32_t stamp;
    struct tally *tally;      /* NULL: nobody used it */
    struct target_queue line; /* of delayed messages; def NULL: it does not delay */
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
    struct parameter_def *limits;          /* NULL: none */
    int64_t max_connections, max_channels; /* -1: no limit */
    struct list permissions;               /* struct permission.by_user */
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

/* In tally.c. */
void tally_free(struct tally **tally);

/* Shard 0 keeps a roster, the others do not: 0 there. */
uint64_t routing_enroll(struct routing *routing, struct roster *roster, void *object);
void routing_strike(struct routing *routing, struct roster *roster, uint64_t number);

/* Policies, in policies.c. */
void policies_init(struct vhost *vhost);
void policies_apply(struct routing *routing, const struct meta_change *change);
void policies_drop_vhost(struct routing *routing, struct vhost *vhost);
const struct policy *policies_find(const struct vhost *vhost, bool operator_made,
                                   struct slice name);
/* Brings x->applied up to date. */
void policies_apply_to_exchange(struct exchange *x);

/* Parameters and limits, in parameters.c. */
void parameters_apply(struct routing *routing, const struct meta_change *change);
void parameters_drop_vhost(struct routing *routing, struct vhost *vhost);
void parameters_drop_globals(struct routing *routing);
/* The limits of a virtual host are a parameter, as in RabbitMQ. */
bool parameter_is_limits(const struct parameter_def *def);
/* The one of that kind and name, NULL if there is none. */
const struct parameter_def *parameters_find(const struct routing *routing,
                                            const struct parameter_def *like);

/* Told to the sink, if there is one: events.c. */
void event_binding(const struct routing *routing, const char *key, const struct binding_def *def);
void event_change(const struct routing *routing, const struct meta_change *change);
void event_request(const struct routing *routing, const struct meta_request *request);

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
