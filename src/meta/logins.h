/* The door for those who log in with a password: held back when they failed too often, and counted
 * by where they came from if the configuration says so.
 *
 * What is held back is one address as one user, and one address whoever it says it is; so nobody
 * can keep a user of another address out. The counts of sources are each shard's own. */
#ifndef META_LOGINS_H
#define META_LOGINS_H

#include "meta/access.h"

enum login_front { LOGIN_FRONT_AMQP, LOGIN_FRONT_HTTP, LOGIN_FRONTS };

enum {
    LOGIN_SOURCES_MAX = 1000 /* of a shard; what comes after is counted as one without names */
};

struct login_attempt {
    enum login_front front;
    const char *address; /* of the peer; numeric */
    bool loopback;       /* it is this host */
    struct slice user;
};

/* access_login, unless it is held back: AUTH_HELD_BACK, without a look at the password. */
enum auth_result login_try(struct routing *routing, const struct login_attempt *attempt,
                           struct slice password);

struct login_rules {
    uint32_t of_user, of_address; /* failures a minute; 0: no limit */
    bool track_sources;
};
/* Any thread. */
void login_set_rules(struct node *node, const struct login_rules *rules);

/* Of the rules, that alone. Any thread. */
void login_track_sources(struct node *node, bool on);

/* RabbitMQ's name of what they spoke. */
const char *login_front_name(enum login_front front);

struct login_source {
    enum login_front front;
    struct slice address, user;
    uint64_t right, wrong;
};
/* On the shard. False ends the walk. */
void login_each_source(const struct routing *routing,
                       bool (*fn)(const struct login_source *source, void *arg), void *arg);
void login_reset_sources(struct routing *routing);

#endif
