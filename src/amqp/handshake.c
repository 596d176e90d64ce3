/* The methods of class connection: from the protocol header to open, and close. */
#include "amqp/connection_priv.h"
#include "base/mem.h"
#include "base/table.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- header and start ---- */

static void put_capabilities(struct buf *out)
{
    static const char *const names[] = {
        "publisher_confirms",           "exchange_exchange_bindings", "basic.nack",
        "consumer_cancel_notify",       "connection.blocked",         "consumer_priorities",
        "authentication_failure_close", "per_consumer_qos",           "direct_reply_to",
    };
    size_t mark = table_open(out, SLICE("capabilities"), TABLE_TABLE);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        table_put_bool(out, slice_str(names[i]), true);
    table_close(out, mark);
}

static void send_start(struct connection *c)
{
    struct buf props = BUF_INIT, mechanisms = BUF_INIT;
    if (!c->legacy)
        put_capabilities(&props);
    else
        table_put_table(&props, SLICE("capabilities"), SLICE_EMPTY);
    table_put_str(&props, SLICE("cluster_name"), routing_cluster_name(routing_of(c->amqp->shard)));
    table_put_str(&props, SLICE("copyright"), SLICE("Copyright the Jackalope authors"));
    table_put_str(&props, SLICE("information"), SLICE("Licensed under the Apache License 2.0"));
    table_put_str(&props, SLICE("platform"), SLICE("C"));
    table_put_str(&props, SLICE("product"), SLICE("Jackalope"));
    table_put_str(&props, SLICE("version"), slice_str(c->amqp->options.version));
    sasl_list(c, &mechanisms);
    struct amqp_connection_start start = {.version_major = c->legacy ? 8 : 0,
                                          .version_minor = c->legacy ? 0 : 9,
                                          .server_properties = buf_slice(&props),
                                          .mechanisms = buf_slice(&mechanisms),
                                          .locales = SLICE("en_US")};
    connection_send(c, 0, AMQP_CONNECTION_START, &start);
    buf_fini(&props);
    buf_fini(&mechanisms);
    c->state = CONN_START;
}

static const char *guess_protocol(struct slice data)
{
    if (data.len >= 2 && data.data[0] == 0x16 && data.data[1] == 0x03)
        return "it looks like TLS, which this port does not speak";
    if (slice_starts(data, SLICE("GET ")) || slice_starts(data, SLICE("POST")) ||
        slice_starts(data, SLICE("HEAD")))
        return "it looks like HTTP, which this port does not speak";
    if (slice_starts(data, SLICE("AMQP")))
        return "the client speaks another version of AMQP";
    return "the client does not speak AMQP";
}

/* 0-9-1; 0-9 and 0-8 as RabbitMQ takes them. */
static bool version_known(struct connection *c, const uint8_t *p)
{
    static const struct {
        uint8_t version[4];
        bool legacy;
    } known[] = {
        {{0, 0, 9, 1}, false}, {{1, 1, 0, 9}, false}, {{1, 1, 9, 1}, true}, {{1, 1, 8, 0}, true}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (memcmp(p + 4, known[i].version, 4) != 0)
            continue;
        c->legacy = known[i].legacy;
        return true;
    }
    return false;
}

size_t handshake_header(struct connection *c, struct slice data)
{
    size_t n = data.len < 4 ? data.len : 4;
    bool prefix = memcmp(data.data, "AMQP", n) == 0;
    if (prefix && data.len < 8)
        return 0;
    if (prefix && version_known(c, data.data)) {
        send_start(c);
        return 8;
    }
    log_error(CONNECTION, &c->log, "bad protocol header: %s", guess_protocol(data));
    stream_write(c->stream, "AMQP\x00\x00\x09\x01", 8);
    connection_finish(c, 1000);
    return data.len;
}

/* ---- authentication ---- */

static void note_client_properties(struct connection *c, struct slice props)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {
        {"authentication_failure_close", CAP_AUTH_FAILURE_CLOSE},
        {"consumer_cancel_notify", CAP_CONSUMER_CANCEL_NOTIFY},
        {"connection.blocked", CAP_BLOCKED},
        {"basic.nack", CAP_BASIC_NACK},
    };
    struct slice capabilities, name;
    bool on;
    c->client_properties = slice_dup(props);
    if (table_find_str(props, SLICE("connection_name"), &name))
        c->name_given = slice_dup(name);
    if (!table_find_table(props, SLICE("capabilities"), &capabilities))
        return;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (table_find_bool(capabilities, slice_str(known[i].name), &on) && on)
            c->capabilities |= known[i].bit;
    }
}

static void refuse_login(struct connection *c, const struct sasl *s)
{
    log_error(USER, &c->log, "%.*s login refused: %s", SLICE_ARG(c->mechanism), s->why.text);
    event_login(c, s->user, s->why.text);
    c->amqp->totals[TOTAL_LOGINS_REFUSED]++;
    if (c->capabilities & CAP_AUTH_FAILURE_CLOSE)
        connection_failf(
            c, NULL, ERR_ACCESS_REFUSED,
            "Login was refused using authentication mechanism %.*s. For details see the broker "
            "logfile.",
            SLICE_ARG(c->mechanism));
    else
        connection_finish(c, 1000);
}

static void authenticate(struct connection *c, unsigned step, struct slice response)
{
    struct sasl s = {.user = SLICE_EMPTY, .challenge = BUF_INIT};
    const struct amqp_options *o = &c->amqp->options;
    enum sasl_result result = sasl_step(c, step, response, &s);
    switch (result) {
    case SASL_OK: {
        slice_free(&c->user);
        c->user = s.user;
        event_login(c, c->user, NULL);
        c->amqp->totals[TOTAL_LOGINS]++;
        struct amqp_connection_tune tune = {.channel_max = (uint16_t)o->channel_max,
                                            .frame_max = o->frame_max,
                                            .heartbeat = (uint16_t)o->heartbeat_s};
        connection_send(c, 0, AMQP_CONNECTION_TUNE, &tune);
        c->state = CONN_TUNE;
        break;
    }
    case SASL_MORE:
        connection_send(c, 0, AMQP_CONNECTION_SECURE,
                        &(struct amqp_connection_secure){.challenge = buf_slice(&s.challenge)});
        c->state = CONN_SECURE;
        break;
    case SASL_REFUSED:
    case SASL_MALFORMED:
        refuse_login(c, &s);
        break;
    }
    if (result != SASL_OK)
        slice_free(&s.user);
    buf_fini(&s.challenge);
}

static void on_start_ok(struct connection *c, const struct amqp_connection_start_ok *in)
{
    note_client_properties(c, in->client_properties);
    c->mechanism = slice_dup(in->mechanism);
    if (!sasl_offered(c, in->mechanism)) {
        log_error(USER, &c->log, "the client asked for the mechanism '%.*s', which is not offered",
                  SLICE_ARG(in->mechanism));
        connection_finish(c, 1000);
        return;
    }
    authenticate(c, 0, in->response);
}

/* ---- tune and open ---- */

/* RabbitMQ's rule: 0 means no limit, which is more than any limit the server set. */
static bool tuned(struct connection *c, const struct wire_method *m, const char *field,
                  uint32_t offered, uint32_t minimum, uint32_t wanted, const char *suffix)
{
    if (wanted && wanted < minimum) {
        connection_failf(c, m, ERR_NOT_ALLOWED,
                         "negotiated %s = %u is lower than the minimum allowed value (%u)", field,
                         wanted, minimum);
        return false;
    }
    if (!offered || (wanted && wanted <= offered))
        return true;
    if (wanted)
        connection_failf(c, m, ERR_NOT_ALLOWED,
                         "negotiated %s = %u is higher than the maximum allowed value (%u)", field,
                         wanted, offered);
    else
        connection_failf(c, m, ERR_NOT_ALLOWED,
                         "negotiated %s = 0%s is higher than the maximum allowed value (%u)", field,
                         suffix, offered);
    return false;
}

static void on_tune_ok(struct connection *c, const struct wire_method *m,
                       const struct amqp_connection_tune_ok *in)
{
    const struct amqp_options *o = &c->amqp->options;
    if (!tuned(c, m, "channel_max", o->channel_max, 1, in->channel_max, " (no limit)") ||
        !tuned(c, m, "frame_max", o->frame_max, AMQP_FRAME_MIN_SIZE, in->frame_max, ""))
        return;
    c->channel_max = in->channel_max;
    c->frame_max = in->frame_max;
    c->heartbeat_s = in->heartbeat;
    c->state = CONN_OPENING;
}

static void on_open(struct connection *c, const struct wire_method *m,
                    const struct amqp_connection_open *in)
{
    struct slice vhost = in->virtual_host;
    if (!routing_find_vhost(c->amqp->routing, vhost)) {
        connection_failf(c, m, ERR_NOT_ALLOWED, "vhost %.*s not found", SLICE_ARG(vhost));
        return;
    }
    struct failure why;
    if (access_enter(c->amqp->routing, c->user, vhost, &c->tenancy, &why)) {
        connection_fail(c, &why, m);
        return;
    }
    if (!access_vhost(c->amqp->routing, c->user, vhost)) {
        connection_failf(c, m, ERR_NOT_ALLOWED, "access to vhost '%.*s' refused for user '%.*s'",
                         SLICE_ARG(vhost), SLICE_ARG(c->user));
        return;
    }
    c->vhost = slice_dup(vhost);
    connection_send(c, 0, AMQP_CONNECTION_OPEN_OK, &(struct amqp_connection_open_ok){0});
    c->state = CONN_RUNNING;
    connection_arm_heartbeat(c);
    event_connection(c, true);
    log_info(CONNECTION, &c->log, "user '%.*s' authenticated and granted access to vhost '%.*s'",
             SLICE_ARG(c->user), SLICE_ARG(c->vhost));
}

/* ---- running ---- */

/* Users of the internal backend stay logged in whatever their new secret: it is for tokens that
 * expire. */
static void on_update_secret(struct connection *c, const struct amqp_connection_update_secret *in)
{
    log_info(USER, &c->log, "user '%.*s' updated its secret, reason: %.*s", SLICE_ARG(c->user),
             SLICE_ARG(in->reason));
    connection_send(c, 0, AMQP_CONNECTION_UPDATE_SECRET_OK,
                    &(struct amqp_connection_update_secret_ok){0});
}

static bool legal_now(const struct connection *c, unsigned method)
{
    switch (method) {
    case AMQP_CONNECTION_START_OK:
        return c->state == CONN_START;
    case AMQP_CONNECTION_SECURE_OK:
        return c->state == CONN_SECURE;
    case AMQP_CONNECTION_TUNE_OK:
        return c->state == CONN_TUNE;
    case AMQP_CONNECTION_OPEN:
        return c->state == CONN_OPENING;
    case AMQP_CONNECTION_CLOSE:
        return true;
    case AMQP_CONNECTION_CLOSE_OK:
        return c->state == CONN_CLOSING;
    case AMQP_CONNECTION_UPDATE_SECRET:
        return c->state == CONN_RUNNING;
    default:
        return false;
    }
}

union connection_args {
    struct amqp_connection_start_ok start_ok;
    struct amqp_connection_secure_ok secure_ok;
    struct amqp_connection_tune_ok tune_ok;
    struct amqp_connection_open open;
    struct amqp_connection_close close;
    struct amqp_connection_update_secret update_secret;
};

static void handle(struct connection *c, const struct wire_method *m,
                   const union connection_args *args)
{
    switch (m->index) {
    case AMQP_CONNECTION_START_OK:
        on_start_ok(c, &args->start_ok);
        break;
    case AMQP_CONNECTION_SECURE_OK:
        authenticate(c, 1, args->secure_ok.response);
        break;
    case AMQP_CONNECTION_TUNE_OK:
        on_tune_ok(c, m, &args->tune_ok);
        break;
    case AMQP_CONNECTION_OPEN:
        on_open(c, m, &args->open);
        break;
    case AMQP_CONNECTION_CLOSE:
        if (c->state < CONN_CLOSING)
            connection_leave(c);
        else if (c->state == CONN_CLOSING) /* both closed at once */
            connection_send(c, 0, AMQP_CONNECTION_CLOSE_OK, &(struct amqp_connection_close_ok){0});
        break;
    case AMQP_CONNECTION_UPDATE_SECRET:
        on_update_secret(c, &args->update_secret);
        break;
    default: /* close-ok */
        connection_finish(c, 1000);
    }
}

void handshake_method(struct connection *c, const struct wire_method *m, struct slice args)
{
    union connection_args decoded;
    struct failure why;
    if (c->state >= CONN_CLOSING && m->index != AMQP_CONNECTION_CLOSE &&
        m->index != AMQP_CONNECTION_CLOSE_OK)
        return;
    if (!legal_now(c, m->index)) {
        if (c->state == CONN_RUNNING)
            connection_failf(c, m, ERR_CHANNEL_ERROR,
                             "unexpected method in connection state running");
        else
            connection_failf(c, m, ERR_COMMAND_INVALID, "%s is not allowed now", m->name);
        return;
    }
    enum wire_err e = wire_decode(m, args, &decoded);
    if (e) {
        enum err code = wire_failure(e, args, &why);
        (void)code;
        connection_fail(c, &why, m);
        return;
    }
    if (!addr_is_none(c->trace_to))
        connection_trace(c, true, 0, m, &decoded);
    handle(c, m, &decoded);
}
