/* Users and rights as this shard's replica knows them: authentication, permissions, topic
 * permissions. Patterns are PCRE2, anchored as RabbitMQ's re:run is not: a pattern matches anywhere
 * unless it says ^ and $; the empty pattern matches only the empty name. */
#ifndef META_ACCESS_H
#define META_ACCESS_H

#include "meta/limits.h"
#include "meta/routing.h"

enum access_right { ACCESS_CONFIGURE, ACCESS_WRITE, ACCESS_READ };

enum user_tag {
    TAG_ADMINISTRATOR = 1,
    TAG_MONITORING = 2,
    TAG_POLICYMAKER = 4,
    TAG_MANAGEMENT = 8,
    TAG_IMPERSONATOR = 16,
    TAG_PROTECTED = 32 /* the HTTP API neither changes nor deletes the user */
};

enum auth_result { AUTH_OK, AUTH_BAD, AUTH_NOT_LOOPBACK, AUTH_HELD_BACK };

/* Checks a password; loopback: the true peer is local (loopback_users). Constant time in the
 * password. Not for the hot path: one hash. */
enum auth_result access_login(const struct routing *routing, struct slice user,
                              struct slice password, bool loopback);
/* For EXTERNAL: the user exists and may come from there. */
enum auth_result access_login_trusted(const struct routing *routing, struct slice user,
                                      bool loopback);
/* A user's limits as JSON, {} if there are none; false: no such user. */
bool access_put_limits(const struct routing *routing, struct slice user, struct buf *out);
bool access_user_exists(const struct routing *routing, struct slice user);
unsigned access_user_tags(const struct routing *routing, struct slice user);
/* The user has a permission entry in the vhost. */
bool access_vhost(const struct routing *routing, struct slice user, struct slice vhost);
/* The same, in any vhost. */
bool access_any_vhost(const struct routing *routing, struct slice user);

/* A connection's place among those of its virtual host and its user: counted, limited. Zero: none.
 */
struct tenancy {
    struct usage *vhost, *user;
    struct limits *node; /* where it counts, too; NULL: nowhere */
};
/* Refused with RabbitMQ's texts if one of them has as many as it may have. The virtual host is
 * there. */
enum err access_enter(const struct routing *routing, struct slice user, struct slice vhost,
                      struct tenancy *ret_tenancy, struct failure *why);
/* After its channels were given back. */
void access_leave(struct tenancy *tenancy);
enum err access_open_channel(const struct routing *routing, const struct tenancy *tenancy,
                             struct slice user, struct failure *why);
void access_close_channel(const struct tenancy *tenancy);

/* Small cache, one a channel; holds answers of one routing_version. */
struct access_cache;
struct access_cache *access_cache_new(void);
void access_cache_free(struct access_cache **cache);

/* resource: "exchange" or "queue"; name "" of an exchange is checked as amq.default. Text as
 * RabbitMQ's: "access to queue 'q' in vhost '/' refused for user 'u'". cache may be NULL. */
enum err access_check(const struct routing *routing, struct access_cache *cache, struct slice user,
                      struct slice vhost, enum access_right right, const char *resource,
                      struct slice name, struct failure *why);
/* Topic permission of a routing key on a topic exchange; {username} and {vhost} expand. Text as
 * RabbitMQ's: "access to topic 'k' in exchange 'x' in vhost '/' refused for user 'u'". */
enum err access_check_topic(const struct routing *routing, struct access_cache *cache,
                            struct slice user, struct slice vhost, enum access_right right,
                            struct slice exchange, struct slice key, struct failure *why);

#endif
