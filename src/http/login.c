#include "http/login.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "http/http_priv.h"
#include "http/route.h"
#include "http/session.h"
#include "meta/logins.h"

#include <stdlib.h>
#include <strings.h>

enum {
    TAGS_MONITORING = TAG_ADMINISTRATOR | TAG_MONITORING,
    TAGS_POLICYMAKER = TAG_ADMINISTRATOR | TAG_POLICYMAKER,
    TAGS_ANY = TAG_ADMINISTRATOR | TAG_MONITORING | TAG_POLICYMAKER | TAG_MANAGEMENT
};

static const struct {
    unsigned tags;
    const char *name, *refusal;
} rights[RIGHT_COUNT] = {
    [RIGHT_NONE] = {~0u, "nobody", ""},
    [RIGHT_MANAGEMENT] = {TAGS_ANY, "management", "Not management user"},
    [RIGHT_POLICYMAKER] = {TAGS_POLICYMAKER, "policymaker", "User not authorised to access object"},
    [RIGHT_MONITORING] = {TAGS_MONITORING, "monitoring", "Not monitor user"},
    [RIGHT_ADMINISTRATOR] = {TAG_ADMINISTRATOR, "administrator", "Not administrator user"},
};

const char *login_right_name(enum right right)
{
    return rights[right].name;
}

/* "dXNlcjpwYXNz" */
static bool decode(struct slice text, uint8_t *room, struct slice *ret_user,
                   struct slice *ret_password)
{
    size_t length;
    if (!base64_decode(text, room, &length))
        return false;
    uint8_t *colon = memchr(room, ':', length);
    if (!colon)
        return false;
    *ret_user = slice_of(room, (size_t)(colon - room));
    *ret_password = slice_of(colon + 1, length - (size_t)(colon - room) - 1);
    return true;
}

bool login_parse(struct slice text, uint8_t *room, struct slice *ret_user,
                 struct slice *ret_password)
{
    if (text.len < 6 || strncasecmp((const char *)text.data, "basic ", 6))
        return false;
    text = slice_of(text.data + 6, text.len - 6);
    while (text.len && *text.data == ' ')
        text = slice_of(text.data + 1, text.len - 1);
    return decode(text, room, ret_user, ret_password);
}

struct slice login_cookie(struct slice header)
{
    const struct slice name = SLICE(LOGIN_COOKIE "=");
    while (header.len) {
        const uint8_t *end = memchr(header.data, ';', header.len);
        size_t n = end ? (size_t)(end - header.data) : header.len;
        struct slice cookie = slice_of(header.data, n);
        while (cookie.len && *cookie.data == ' ')
            cookie = slice_of(cookie.data + 1, cookie.len - 1);
        if (slice_starts(cookie, name))
            return slice_of(cookie.data + name.len, cookie.len - name.len);
        n += end != NULL;
        header = slice_of(header.data + n, header.len - n);
    }
    return SLICE_EMPTY;
}

/* The password is looked at by login_try alone. user.data NULL: there was none. */
static enum login try(struct session *s, struct slice user, struct slice password)
{
    enum auth_result result = AUTH_BAD;
    slice_free(&s->user);
    if (user.data) {
        struct login_attempt attempt = {.front = LOGIN_FRONT_HTTP,
                                        .address = stream_get_info(s->stream)->peer_host,
                                        .loopback = stream_get_info(s->stream)->loopback,
                                        .user = user};
        result = login_try(session_routing(s), &attempt, password);
        s->user = slice_dup(user);
    }
    if (result == AUTH_OK) {
        s->tags = access_user_tags(session_routing(s), s->user);
        broker_totals(s->shard)[TOTAL_HTTP_LOGINS]++;
        return LOGIN_OK;
    }
    broker_totals(s->shard)[TOTAL_HTTP_LOGINS_REFUSED]++;
    log_warning(USER, NULL, "HTTP access denied from %s: user '%.*s' - %s",
                stream_get_info(s->stream)->peer_host, SLICE_ARG(s->user),
                result == AUTH_NOT_LOOPBACK ? "can only connect via localhost"
                : result == AUTH_HELD_BACK  ? "too many failed logins"
                                            : "invalid credentials");
    return result == AUTH_HELD_BACK ? LOGIN_HELD_BACK : LOGIN_REFUSED;
}

/* What is decoded is overwritten here. */
static enum login authenticate(struct session *s)
{
    const struct message *m = message_of(s->parser);
    struct slice header = m->headers[HEADER_AUTHORIZATION], user = SLICE_EMPTY, password;
    struct slice cookie = login_cookie(m->headers[HEADER_COOKIE]);
    struct slice text = header.data ? header : cookie;
    if (!text.data)
        return LOGIN_MISSING;
    uint8_t *room = mem_alloc(text.len + 4);
    bool parsed = header.data ? login_parse(text, room, &user, &password)
                              : decode(text, room, &user, &password);
    enum login login = try(s, parsed ? user : SLICE_EMPTY, parsed ? password : SLICE_EMPTY);
    explicit_bzero(room, text.len + 4);
    free(room);
    return login;
}

bool login_sees_vhost(const struct session *s, struct slice vhost)
{
    return login_is_administrator(s) || access_vhost(session_routing(s), s->user, vhost);
}

bool login_is_administrator(const struct session *s)
{
    return (s->tags & TAG_ADMINISTRATOR) != 0;
}

bool login_is_monitor(const struct session *s)
{
    return (s->tags & TAGS_MONITORING) != 0;
}

static enum right right_of(const struct session *s)
{
    bool asked = atomic_load_explicit(&s->http->scrape_login, memory_order_relaxed);
    return s->scrape && asked ? RIGHT_MONITORING : s->route->right;
}

static enum login check_rights(const struct session *s, enum right right, const char **ret_reason)
{
    *ret_reason = rights[RIGHT_MANAGEMENT].refusal;
    if (!(s->tags & TAGS_ANY))
        return LOGIN_NO_RIGHT;
    *ret_reason = rights[right].refusal;
    if (!(s->tags & rights[right].tags))
        return LOGIN_NO_RIGHT;
    if (!s->vhost.data || right == RIGHT_ADMINISTRATOR)
        return LOGIN_OK;
    if (!routing_find_vhost(session_routing(s), s->vhost))
        return LOGIN_NO_VHOST;
    *ret_reason = "User not authorised to access virtual host";
    return login_sees_vhost(s, s->vhost) ? LOGIN_OK : LOGIN_NO_RIGHT;
}

enum login login_check(struct session *s, const char **ret_reason)
{
    *ret_reason = "";
    if (right_of(s) == RIGHT_NONE)
        return LOGIN_OK;
    enum login login = authenticate(s);
    return login == LOGIN_OK ? check_rights(s, right_of(s), ret_reason) : login;
}

enum login login_with(struct session *s, struct slice user, struct slice password,
                      const char **ret_reason)
{
    *ret_reason = "";
    enum login login = try(s, user, password);
    return login == LOGIN_OK ? check_rights(s, RIGHT_MANAGEMENT, ret_reason) : login;
}

enum login login_check_again(struct session *s, const char **ret_reason)
{
    *ret_reason = "";
    if (right_of(s) == RIGHT_NONE)
        return LOGIN_OK;
    s->tags = access_user_tags(session_routing(s), s->user);
    return check_rights(s, right_of(s), ret_reason);
}
