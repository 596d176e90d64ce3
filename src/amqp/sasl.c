/* SASL mechanisms: PLAIN, AMQPLAIN, ANONYMOUS, EXTERNAL, RABBIT-CR-DEMO. */
#include "amqp/connection_priv.h"
#include "base/table.h"
#include "meta/logins.h"

static struct slice external_name(const struct connection *c)
{
    const struct stream_info *info = stream_get_info(c->stream);
    switch (c->amqp->options.cert_login_from) {
    case LOGIN_BY_CN:
        return slice_str(info->peer_cert_cn);
    case LOGIN_BY_SAN:
        return stream_peer_name(c->stream, c->amqp->options.cert_login_san,
                                c->amqp->options.cert_login_san_index);
    default:
        return slice_str(info->peer_cert_subject);
    }
}

/* Some need more than the configuration's word. */
static bool is_usable(const struct connection *c, struct slice mechanism)
{
    if (slice_eq_str(mechanism, "EXTERNAL"))
        return stream_get_info(c->stream)->peer_cert_subject;
    if (slice_eq_str(mechanism, "ANONYMOUS"))
        return *c->amqp->options.anonymous_user;
    return true;
}

bool sasl_offered(const struct connection *c, struct slice mechanism)
{
    const struct amqp_options *o = &c->amqp->options;
    for (size_t i = 0; i < o->mechanism_count; i++) {
        if (slice_eq_str(mechanism, o->mechanisms[i]))
            return is_usable(c, mechanism);
    }
    return false;
}

void sasl_list(const struct connection *c, struct buf *out)
{
    const struct amqp_options *o = &c->amqp->options;
    for (size_t i = 0; i < o->mechanism_count; i++) {
        if (!sasl_offered(c, slice_str(o->mechanisms[i])))
            continue;
        if (out->len)
            buf_append_byte(out, ' ');
        buf_append_str(out, o->mechanisms[i]);
    }
}

static enum sasl_result login(struct connection *c, struct slice user, struct slice password,
                              struct sasl *s)
{
    const struct stream_info *info = stream_get_info(c->stream);
    struct login_attempt attempt = {.front = LOGIN_FRONT_AMQP,
                                    .address = info->peer_host,
                                    .loopback = info->loopback,
                                    .user = user};
    enum err e = ERR_NONE;
    switch (login_try(c->amqp->routing, &attempt, password)) {
    case AUTH_OK:
        s->user = slice_dup(user);
        return SASL_OK;
    case AUTH_NOT_LOOPBACK:
        e = failure_set(&s->why, ERR_ACCESS_REFUSED, "user '%.*s' can only connect via localhost",
                        SLICE_ARG(user));
        break;
    case AUTH_HELD_BACK:
        e = failure_set(&s->why, ERR_ACCESS_REFUSED, "user '%.*s' - too many failed logins",
                        SLICE_ARG(user));
        break;
    case AUTH_BAD:
        e = failure_set(&s->why, ERR_ACCESS_REFUSED, "user '%.*s' - invalid credentials",
                        SLICE_ARG(user));
        break;
    }
    (void)e;
    s->user = slice_dup(user);
    return SASL_REFUSED;
}

static enum sasl_result malformed(struct sasl *s, const char *what)
{
    enum err e = failure_set(&s->why, ERR_ACCESS_REFUSED, "%s", what);
    (void)e;
    return SASL_REFUSED;
}

/* NUL user NUL password; an authorisation identity in front is refused, as RabbitMQ does. */
static enum sasl_result step_plain(struct connection *c, struct slice response, struct sasl *s)
{
    const uint8_t *p = response.data, *end = p + response.len;
    if (!response.len || *p != 0)
        return malformed(s, "response '...' to PLAIN is malformed");
    const uint8_t *user = p + 1;
    const uint8_t *nul = memchr(user, 0, (size_t)(end - user));
    if (!nul || memchr(nul + 1, 0, (size_t)(end - nul - 1)))
        return malformed(s, "response '...' to PLAIN is malformed");
    return login(c, slice_of(user, (size_t)(nul - user)),
                 slice_of(nul + 1, (size_t)(end - nul - 1)), s);
}

static enum sasl_result step_amqplain(struct connection *c, struct slice response, struct sasl *s)
{
    struct slice user, password;
    if (!table_check(response) || !table_find_str(response, SLICE("LOGIN"), &user) ||
        !table_find_str(response, SLICE("PASSWORD"), &password))
        return malformed(s, "AMQPLAIN auth info is missing LOGIN or PASSWORD");
    return login(c, user, password, s);
}

/* Whatever the client sends along, it is the user that the configuration names. */
static enum sasl_result step_anonymous(struct connection *c, struct sasl *s)
{
    const struct amqp_options *o = &c->amqp->options;
    return login(c, slice_str(o->anonymous_user), slice_str(o->anonymous_pass), s);
}

static enum sasl_result step_external(struct connection *c, struct sasl *s)
{
    struct slice name = external_name(c);
    if (!name.len)
        return malformed(s, "no name found in the client's certificate");
    if (access_login_trusted(c->amqp->routing, name, stream_get_info(c->stream)->loopback) ==
        AUTH_OK) {
        s->user = slice_dup(name);
        return SASL_OK;
    }
    enum err e = failure_set(&s->why, ERR_ACCESS_REFUSED,
                             "user '%.*s' of the certificate is unknown", SLICE_ARG(name));
    (void)e;
    return SASL_REFUSED;
}

/* A mechanism with two steps, for the tests of clients. */
static enum sasl_result step_cr_demo(struct connection *c, unsigned step, struct slice response,
                                     struct sasl *s)
{
    static const char prefix[] = "My password is ";
    if (step == 0) {
        c->user = slice_dup(response);
        buf_append_str(&s->challenge, "Please tell me your password");
        return SASL_MORE;
    }
    if (!slice_starts(response, SLICE("My password is ")))
        return malformed(s, "the response is not a password");
    size_t skip = sizeof prefix - 1;
    struct slice user = c->user;
    c->user = SLICE_EMPTY;
    enum sasl_result result =
        login(c, user, slice_of(response.data + skip, response.len - skip), s);
    slice_free(&user);
    return result;
}

enum sasl_result sasl_step(struct connection *c, unsigned step, struct slice response,
                           struct sasl *s)
{
    if (slice_eq_str(c->mechanism, "RABBIT-CR-DEMO"))
        return step_cr_demo(c, step, response, s);
    if (step)
        return SASL_MALFORMED;
    if (slice_eq_str(c->mechanism, "PLAIN"))
        return step_plain(c, response, s);
    if (slice_eq_str(c->mechanism, "AMQPLAIN"))
        return step_amqplain(c, response, s);
    if (slice_eq_str(c->mechanism, "ANONYMOUS"))
        return step_anonymous(c, s);
    return step_external(c, s);
}
