/* Who asks, and whether they may: basic authentication against the shard's replica, tags, virtual
 * hosts. */
#ifndef HTTP_LOGIN_H
#define HTTP_LOGIN_H

#include "base/slice.h"

struct session;

/* What a route demands of the user. */
enum right {
    RIGHT_NONE,       /* nobody need log in */
    RIGHT_MANAGEMENT, /* any tag of the management API */
    RIGHT_POLICYMAKER,
    RIGHT_MONITORING,
    RIGHT_ADMINISTRATOR,
    RIGHT_COUNT
};

enum login {
    LOGIN_OK,
    LOGIN_MISSING,
    LOGIN_REFUSED,
    LOGIN_HELD_BACK, /* too many were refused */
    LOGIN_NO_RIGHT,
    LOGIN_NO_VHOST
};

/* Sets user and tags of the session, whose route is known. A :vhost of the route must be there and
 * let the user in, unless the route is for administrators. ret_reason: RabbitMQ's words. */
enum login login_check(struct session *session, const char **ret_reason);
/* The same without the password, of a user who was let in: time has passed, and the user, the
 * rights and the virtual host may have gone. */
enum login login_check_again(struct session *session, const char **ret_reason);
/* For people. */
const char *login_right_name(enum right right);

/* The user may see what is in that virtual host. */
bool login_sees_vhost(const struct session *session, struct slice vhost);
/* The user sees every virtual host, and may end what others do. */
bool login_is_administrator(const struct session *session);
/* The user sees what others do. */
bool login_is_monitor(const struct session *session);

/* The same with a password that came otherwise, of somebody who may use the API. */
enum login login_with(struct session *session, struct slice user, struct slice password,
                      const char **ret_reason);

/* The cookie that a login sets; its value is that of the header without "Basic". */
#define LOGIN_COOKIE "auth"

/* The value of the cookie among those of the header; data NULL: it is not there. Pure. */
struct slice login_cookie(struct slice header);
/* The password of "Basic dXNlcjpwYXNz" and its user; room has as many bytes as text. Pure. */
bool login_parse(struct slice text, uint8_t *room, struct slice *ret_user,
                 struct slice *ret_password);

#endif
