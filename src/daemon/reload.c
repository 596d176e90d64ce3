/* SIGHUP: the configuration is read again and compared with the former one; what can change while
 * the broker runs does. A configuration with a problem changes nothing. */
#include "daemon/reload.h"

#include "admin/admin.h"
#include "amqp/amqp.h"
#include "base/mem.h"
#include "daemon/defaults.h"
#include "daemon/front.h"
#include "daemon/notify.h"
#include "http/http.h"
#include "meta/args.h"
#include "meta/credentials.h"
#include "meta/limits.h"
#include "meta/logins.h"
#include "meta/vhost_defaults.h"

#include <stdlib.h>
#include <string.h>

/* Connections keep the list of mechanisms they were opened with, and who is anonymous, so they live
 * as long as the process; each of the few there can be is kept once. */
struct logins {
    struct logins *next;
    const char *user, *pass; /* of ANONYMOUS */
    size_t count;
    const char *names[];
};

static bool same_logins(const struct logins *l, const char *user, const struct conf *conf)
{
    const struct conf_texts *names = &conf->auth_mechanisms;
    bool same = l->count == names->count && !strcmp(l->user, user) &&
                !strcmp(l->pass, conf->anonymous_login_pass);
    for (size_t i = 0; same && i < l->count; i++)
        same = strcmp(l->names[i], names->items[i]) == 0;
    return same;
}

static const struct logins *intern_logins(struct daemon *d, const struct conf *conf)
{
    const struct conf_texts *names = &conf->auth_mechanisms;
    bool none = !strcmp(conf->anonymous_login_user, "none");
    const char *user = none ? "" : conf->anonymous_login_user;
    for (const struct logins *l = d->logins; l; l = l->next) {
        if (same_logins(l, user, conf))
            return l;
    }
    struct logins *l = mem_zalloc(sizeof *l + names->count * sizeof *l->names);
    l->user = mem_strdup(user);
    l->pass = mem_strdup(conf->anonymous_login_pass);
    l->count = names->count;
    for (size_t i = 0; i < l->count; i++)
        l->names[i] = mem_strdup(names->items[i]);
    l->next = d->logins;
    return d->logins = l;
}

static void drop_text(const char *text)
{
    free((void *)(uintptr_t)text);
}

void reload_fini(struct daemon *d)
{
    while (d->logins) {
        struct logins *l = d->logins;
        d->logins = l->next;
        for (size_t i = 0; i < l->count; i++)
            drop_text(l->names[i]);
        drop_text(l->user);
        drop_text(l->pass);
        free(l);
    }
}

struct amqp_options reload_amqp_options(struct daemon *d)
{
    const struct conf *conf = d->conf;
    const struct logins *logins = intern_logins(d, conf);
    return (struct amqp_options){
        .channel_max = conf->amqp.channel_max,
        .frame_max = conf->amqp.frame_max,
        .initial_frame_max = conf->amqp.initial_frame_max,
        .heartbeat_s = conf->amqp.heartbeat_s,
        .handshake_timeout_ms = conf->amqp.handshake_timeout_ms,
        .max_message_size = conf->amqp.max_message_size,
        .consumer_timeout_ms = conf->consumer_timeout_ms,
        .intercept = {.timestamp = (enum intercept)conf->message_interceptors.timestamp,
                      .routing_node = (enum intercept)conf->message_interceptors.routing_node,
                      .sent_time = conf->message_interceptors.sent_time},
        .mechanisms = logins->names,
        .mechanism_count = logins->count,
        .anonymous_user = logins->user,
        .anonymous_pass = logins->pass,
        .cert_login_from = conf->ssl_cert_login_from == CONF_CERT_LOGIN_COMMON_NAME ? LOGIN_BY_CN
                           : conf->ssl_cert_login_from == CONF_CERT_LOGIN_SUBJECT_ALTERNATIVE_NAME
                               ? LOGIN_BY_SAN
                               : LOGIN_BY_DN,
        .cert_login_san = conf->ssl_cert_login_san_type,
        .cert_login_san_index = conf->ssl_cert_login_san_index,
        .default_vhost = d->boot->default_vhost,
        .node_name = d->boot->node_name,
        .version = PACKAGE_VERSION,
    };
}

void reload_vhost_defaults(struct daemon *d)
{
    struct vhost_defaults *defaults = defaults_new(d->conf, NULL);
    meta_set_vhost_defaults(d->node, &defaults);
}

void reload_credentials(struct daemon *d)
{
    const struct conf *conf = d->conf;
    bool by_length = conf->credential_validator.backend == CONF_MIN_PASSWORD_LENGTH;
    bool by_form = conf->credential_validator.backend == CONF_PASSWORD_REGEXP;
    meta_set_credential_rules(d->node, by_length ? conf->credential_validator.min_length : 0,
                              by_form ? slice_str(conf->credential_validator.regexp) : SLICE_EMPTY);
}

void reload_logins(struct daemon *d)
{
    struct login_rules rules = {.of_user = d->conf->failed_logins.of_user,
                                .of_address = d->conf->failed_logins.of_address,
                                .track_sources = d->conf->track_auth_attempt_source};
    login_set_rules(d->node, &rules);
}

void reload_limits(struct daemon *d)
{
    const struct conf_limits *c = &d->conf->limits;
    const struct {
        enum limit limit;
        uint32_t max;
    } limits[] = {
        {LIMIT_CONNECTIONS, c->connections},
        {LIMIT_CHANNELS, c->channels},
        {LIMIT_CONSUMERS, c->consumers},
        {LIMIT_VHOSTS, c->vhosts},
        {LIMIT_QUEUES, c->queues},
        {LIMIT_EXCHANGES, c->exchanges},
        {LIMIT_SHOVELS, d->conf->parameter_limits.shovel},
        {LIMIT_UPSTREAMS, d->conf->parameter_limits.upstream},
        {LIMIT_UPSTREAM_SETS, d->conf->parameter_limits.upstream_set},
    };
    enum queue_type type;
    bool has_type = args_queue_type_parse(slice_str(c->default_queue_type), &type);
    limits_set_queue_types(d->node,
                           (c->classic ? 0u : 1u << QUEUE_CLASSIC) |
                               (c->quorum ? 0u : 1u << QUEUE_QUORUM) |
                               (c->stream ? 0u : 1u << QUEUE_STREAM),
                           has_type ? (int)type : -1);
    limits_relax(d->node, c->relaxed_redeclaration);
    limits_set_hashing(d->node, d->conf->password_hashing);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        limits_set(d->node, limits[i].limit,
                   limits[i].max == CONF_INFINITE ? -1 : (int64_t)limits[i].max);
}

static bool same_levels(const struct conf *a, const struct conf *b)
{
    for (int i = 0; i < LOG_CATEGORY_COUNT; i++) {
        enum log_category category = (enum log_category)i;
        if (conf_log_level(a, category) != conf_log_level(b, category))
            return false;
    }
    return true;
}

/* Levels that an operator changed meanwhile stay unless the configuration's changed too. */
bool reload_log(const struct conf *before, const struct conf *after, const char **ret_error)
{
    if (!before || !same_levels(before, after)) {
        for (int i = 0; i < LOG_CATEGORY_COUNT; i++)
            log_set_level((enum log_category)i, conf_log_level(after, (enum log_category)i));
    }
    return log_open(after->log.output, after->log.format, after->log.file, ret_error);
}

static void on_change(void *arg, const struct conf_change *change)
{
    static const char *const effects[] = {
        [CONF_RELOAD_RESTART] = "applies at the next start",
        [CONF_RELOAD_LIVE] = "applies now",
        [CONF_RELOAD_CONNECTION] = "applies to new connections",
    };
    unsigned *count = arg;
    ++*count;
    if (change->reload == CONF_RELOAD_RESTART)
        log_warning(CONFIG, NULL, "%s: %.500s, was %.500s; %s", change->key, change->after,
                    change->before, effects[change->reload]);
    else
        log_info(CONFIG, NULL, "%s: %.500s, was %.500s; %s", change->key, change->after,
                 change->before, effects[change->reload]);
}

static void log_problems(struct buf *problems)
{
    for (const char *line = buf_cstr(problems); *line;) {
        size_t n = strcspn(line, "\n");
        log_error(CONFIG, NULL, "%.*s", (int)n, line);
        line += n + (line[n] == '\n');
    }
    log_error(CONFIG, NULL, "the configuration was not reloaded, the former one stays");
}

/* Metrics of exchanges are sums that samples are taken of, too. */
unsigned reload_http_stats(const struct conf *conf)
{
    bool hidden =
        conf->management.disable_stats || conf->management_agent.disable_metrics_collector;
    bool sampling =
        conf->prometheus.listeners.count || (conf->management.listeners.count && !hidden);
    return (sampling ? HTTP_SAMPLING : 0) | (hidden ? HTTP_STATS_HIDDEN : 0) |
           (conf->management.enable_queue_totals ? HTTP_QUEUE_TOTALS : 0) |
           (conf->management.rates_mode == CONF_RATES_NONE ? HTTP_RATES_HIDDEN : 0);
}

static void apply(struct daemon *d, const struct conf **fresh)
{
    const struct conf *before = d->conf;
    const char *error = "";
    d->conf = *fresh;
    *fresh = NULL;
    if (!reload_log(before, d->conf, &error))
        log_error(CONFIG, NULL, "the log stays where it was: %s", error);
    unsigned count = 0;
    conf_diff(before, d->conf, on_change, &count);
    conf_keep(d->conf, d->boot); /* so that it is the configuration in effect */
    struct amqp_options options = reload_amqp_options(d);
    amqp_set_options(d->node, &options);
    http_set_message_max(d->node, d->conf->amqp.max_message_size);
    http_set_scrape_login(d->node, d->conf->prometheus.authentication);
    http_set_stats(d->node, reload_http_stats(d->conf));
    reload_limits(d);
    reload_vhost_defaults(d);
    reload_credentials(d);
    reload_logins(d);
    front_reload(d);
    front_notify(d);
    admin_reload(d->node);
    conf_unref(&before);
    log_info(CONFIG, NULL, "configuration reloaded, %u keys changed", count);
}

bool reload_now(struct daemon *d, struct buf *problems)
{
    const struct conf *fresh = NULL;
    notify_reloading();
    bool ok = !cli_load(d->cli, &fresh, problems);
    if (ok) {
        apply(d, &fresh);
    } else {
        const char *error = "";
        if (!log_reopen(&error))
            log_error(CONFIG, NULL, "the log file cannot be opened again: %s", error);
        log_problems(problems);
    }
    notify_ready();
    return ok;
}

void reload_on_signal(void *daemon, int signum)
{
    struct daemon *d = daemon;
    struct buf problems = BUF_INIT;
    (void)signum;
    if (!d->stopping)
        reload_now(d, &problems);
    buf_fini(&problems);
}
