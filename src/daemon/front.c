/* Listeners and TLS contexts, kept in step with the configuration. */
#include "daemon/front.h"

#include "amqp/amqp.h"
#include "base/mem.h"
#include "daemon/notify.h"
#include "http/http.h"
#include "net/listener.h"
#include "shard/timer.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* A context, and the set of the configuration it was made of (counted through owner). */
struct front_tls {
    struct list link;
    const struct conf *owner;
    const struct conf_tls *set;
    struct tls_context *context;
};

struct front_listener {
    struct list link;
    const struct conf *owner;
    const struct conf_listener *wanted;
    const struct protocol *protocol;
    struct listener *listener;
};

struct front {
    struct timer look; /* at the files of the contexts */
    uint32_t look_s;   /* 0: never */
    struct list contexts;
    struct list listeners;
};

/* ---- TLS ---- */
static const char *or_null(const char *text)
{
    return *text ? text : NULL;
}

static size_t certificates_of(const struct conf_tls *set, struct tls_certificate *list)
{
    size_t count = 0;
    if (*set->certfile)
        list[count++] = (struct tls_certificate){
            set->certfile, set->keyfile, or_null(set->password), or_null(set->password_file)};
    for (size_t i = 0; i < set->certificates.count; i++) {
        const struct conf_certificate *c = &set->certificates.items[i];
        list[count++] = (struct tls_certificate){c->certfile, c->keyfile, or_null(c->password),
                                                 or_null(c->password_file)};
    }
    return count;
}

static const enum tls_crl_check crl_checks[] = {[CONF_CRL_NO] = TLS_CRL_NO,
                                                [CONF_CRL_ALL] = TLS_CRL_ALL,
                                                [CONF_CRL_PEER] = TLS_CRL_PEER,
                                                [CONF_CRL_BEST_EFFORT] = TLS_CRL_BEST_EFFORT};

static bool has_version(const struct conf_tls *set, const char *name)
{
    for (size_t i = 0; i < set->versions.count; i++) {
        if (!strcmp(set->versions.items[i], name))
            return true;
    }
    return false;
}

static void set_versions(const struct conf_tls *set, struct tls_options *options)
{
    options->min_version = set->min_version;
    if (!set->versions.count)
        return;
    options->min_version = has_version(set, "tlsv1.2") ? "1.2" : "1.3";
    options->max_version = has_version(set, "tlsv1.3") ? "1.3" : "1.2";
}

/* *context NULL: a new one is made; else it becomes what the set says, or stays as it was. */
static enum err make_context(const struct conf_tls *set, struct tls_context **context,
                             struct failure *why)
{
    struct tls_certificate *list = mem_zalloc((set->certificates.count + 1) * sizeof *list);
    struct tls_options options = {.certificates = list,
                                  .certificate_count = certificates_of(set, list),
                                  .ca_file = or_null(set->cacertfile),
                                  .verify_peer = set->verify_peer,
                                  .fail_if_no_peer_cert = set->fail_if_no_peer_cert,
                                  .depth = (int)set->depth,
                                  .crl_check = crl_checks[set->crl_check],
                                  .crl_file = or_null(set->crlfile),
                                  .crl_dir = or_null(set->crldir),
                                  .ciphers = or_null(set->ciphers),
                                  .ciphersuites = or_null(set->ciphersuites),
                                  .honor_cipher_order = set->honor_cipher_order,
                                  .no_resumption = !set->reuse_sessions};
    set_versions(set, &options);
    enum err err = *context ? tls_context_change(*context, &options, why)
                            : tls_context_new(&options, context, why);
    free(list);
    return err;
}

static bool same_certificates(const struct conf_tls *a, const struct conf_tls *b)
{
    if (a->certificates.count != b->certificates.count)
        return false;
    for (size_t i = 0; i < a->certificates.count; i++) {
        const struct conf_certificate *x = &a->certificates.items[i];
        const struct conf_certificate *y = &b->certificates.items[i];
        if (strcmp(x->certfile, y->certfile) != 0 || strcmp(x->keyfile, y->keyfile) != 0 ||
            strcmp(x->password, y->password) != 0 ||
            strcmp(x->password_file, y->password_file) != 0)
            return false;
    }
    return true;
}

static bool same_texts(const struct conf_texts *a, const struct conf_texts *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}

static bool same_set(const struct conf_tls *a, const struct conf_tls *b)
{
    const char *const texts[][2] = {
        {a->certfile, b->certfile},         {a->keyfile, b->keyfile},
        {a->password, b->password},         {a->cacertfile, b->cacertfile},
        {a->min_version, b->min_version},   {a->ciphers, b->ciphers},
        {a->ciphersuites, b->ciphersuites}, {a->password_file, b->password_file},
        {a->crlfile, b->crlfile},           {a->crldir, b->crldir},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(texts[i][0], texts[i][1]) != 0)
            return false;
    }
    return a->verify_peer == b->verify_peer && a->depth == b->depth &&
           a->fail_if_no_peer_cert == b->fail_if_no_peer_cert &&
           a->honor_cipher_order == b->honor_cipher_order && a->crl_check == b->crl_check &&
           a->reuse_sessions == b->reuse_sessions && same_texts(&a->versions, &b->versions) &&
           same_certificates(a, b);
}

static struct front_tls *find_tls(struct front *f, const char *name)
{
    list_each (it, &f->contexts) {
        struct front_tls *tls = list_entry(it, struct front_tls, link);
        if (strcmp(tls->set->name, name) == 0)
            return tls;
    }
    return NULL;
}

static void free_tls(struct front_tls *tls)
{
    list_remove(&tls->link);
    tls_context_unref(&tls->context);
    conf_unref(&tls->owner);
    free(tls);
}

/* Makes the context of a set unless it is there. */
static enum err need_tls(struct front *f, const struct conf *conf, const struct conf_tls *set,
                         struct tls_context **ret_context, struct failure *why)
{
    struct front_tls *tls = find_tls(f, set->name);
    if (!tls) {
        struct tls_context *context = NULL;
        enum err err = make_context(set, &context, why);
        if (err)
            return err;
        tls = NEW(struct front_tls);
        *tls = (struct front_tls){.owner = conf_ref(conf), .set = set, .context = context};
        list_append(&f->contexts, &tls->link);
    }
    *ret_context = tls->context;
    return ERR_NONE;
}

static const char *name_of(const struct front_tls *tls)
{
    return *tls->set->name ? tls->set->name : "ssl_options";
}

static void look_later(struct front *f)
{
    if (f->look_s)
        timer_set(&f->look, f->look_s * (uint64_t)1000);
    else
        timer_stop(&f->look);
}

/* Files that somebody changed: one try for each change. */
static void on_look(struct timer *t)
{
    struct front *f = list_entry(t, struct front, look);
    list_each (it, &f->contexts) {
        struct front_tls *tls = list_entry(it, struct front_tls, link);
        struct failure why;
        if (!tls_context_is_outdated(tls->context))
            continue;
        if (tls_context_reload(tls->context, &why))
            log_error(CONFIG, NULL, "TLS of %s stays as it was: %s", name_of(tls), why.text);
        else
            log_info(CONFIG, NULL, "TLS files of %s were changed, and read again", name_of(tls));
    }
    look_later(f);
}

static void start_looking(struct front *f, const struct conf *conf)
{
    bool same = timer_is_set(&f->look) && f->look_s == conf->tls_check_interval_s;
    f->look_s = conf->tls_check_interval_s;
    if (!same)
        look_later(f);
}

/* Sets that changed take their new options, those that did not read their files again, those that
 * are gone go. One that fails stays as it was. Listeners notice nothing. */
static void reload_contexts(struct front *f, const struct conf *conf)
{
    list_each_safe (it, &f->contexts) {
        struct front_tls *tls = list_entry(it, struct front_tls, link);
        const struct conf_tls *set = conf_tls_find(conf, tls->set->name);
        const char *name = name_of(tls);
        struct failure why;
        if (!set) {
            free_tls(tls);
            continue;
        }
        bool same = same_set(set, tls->set);
        if (same ? tls_context_reload(tls->context, &why)
                 : make_context(set, &tls->context, &why)) {
            log_error(CONFIG, NULL, "TLS of %s stays as it was: %s", name, why.text);
            continue;
        }
        if (!same) {
            conf_unref(&tls->owner);
            tls->owner = conf_ref(conf);
            tls->set = set;
        }
        log_info(CONFIG, NULL, "TLS certificates of %s were read again", name);
    }
}

/* ---- listeners ---- */

/* A list of the configuration, and what is spoken there. */
struct group {
    const struct conf_listener *items;
    size_t count;
    const struct protocol *protocol;
};
enum { GROUPS = 3 };

static void groups_of(const struct conf *conf, struct group groups[GROUPS])
{
    const struct group all[GROUPS] = {
        {conf->listeners.items, conf->listeners.count, amqp_protocol()},
        {conf->management.listeners.items, conf->management.listeners.count, http_protocol()},
        {conf->prometheus.listeners.items, conf->prometheus.listeners.count,
         http_scrape_protocol()}};
    memcpy(groups, all, sizeof all);
}

static int backlog_of(const struct conf *conf, const struct conf_listener *wanted)
{
    return (int)(wanted->backlog ? wanted->backlog : conf->tcp_listen_options.backlog);
}

static struct socket_options socket_options_of(const struct conf *conf)
{
    return (struct socket_options){.delay = !conf->tcp_listen_options.nodelay,
                                   .no_keepalive = !conf->tcp_listen_options.keepalive,
                                   .reset_on_close = conf->tcp_listen_options.linger.on &&
                                                     !conf->tcp_listen_options.linger.timeout_s,
                                   .send_timeout_ms = conf->tcp_listen_options.send_timeout_ms,
                                   .sndbuf = (int)conf->tcp_listen_options.sndbuf,
                                   .recbuf = (int)conf->tcp_listen_options.recbuf};
}

static enum err open_one(struct daemon *d, const struct conf *conf, const struct protocol *protocol,
                         const struct conf_listener *wanted, struct failure *why)
{
    struct front *f = d->front;
    struct tls_context *context = NULL;
    enum err err = ERR_NONE;
    if (wanted->tls)
        err = need_tls(f, conf, conf_tls_find(conf, wanted->tls_set), &context, why);
    if (err)
        return err;
    struct listener_options options = {
        .address = wanted->address,
        .tls = wanted->tls,
        .proxy_protocol = wanted->proxy_protocol,
        .backlog = backlog_of(conf, wanted),
        .socket = socket_options_of(conf),
        .lookup = conf->reverse_dns_lookups,
        .max_connections = wanted->max_connections == CONF_INFINITE ? 0 : wanted->max_connections,
        .unix_mode = wanted->mode,
        .handshake_timeout_ms = conf->ssl_handshake_timeout_ms,
        .protocol = protocol,
        .tls_context = context,
    };
    struct listener *listener;
    err = listener_open(d->node, &options, &listener, why);
    if (err)
        return err;
    struct front_listener *l = NEW(struct front_listener);
    *l = (struct front_listener){
        .owner = conf_ref(conf), .wanted = wanted, .protocol = protocol, .listener = listener};
    list_append(&f->listeners, &l->link);
    log_info(CONNECTION, NULL, "listening on %s (%s%s%s)", listener_address(listener),
             protocol->name, wanted->tls ? ", tls" : "",
             wanted->proxy_protocol ? ", proxy protocol" : "");
    return ERR_NONE;
}

static void close_one(struct front_listener *l)
{
    log_info(CONNECTION, NULL, "no longer listening on %s", listener_address(l->listener));
    list_remove(&l->link);
    listener_close(&l->listener);
    conf_unref(&l->owner);
    free(l);
}

static bool same_listener(const struct conf_listener *a, const struct conf_listener *b)
{
    return strcmp(a->address, b->address) == 0 && a->tls == b->tls &&
           strcmp(a->tls_set, b->tls_set) == 0 && a->proxy_protocol == b->proxy_protocol &&
           a->backlog == b->backlog && a->max_connections == b->max_connections &&
           a->mode == b->mode;
}

static bool is_wanted(const struct front_listener *l, const struct conf *conf)
{
    struct group groups[GROUPS];
    groups_of(conf, groups);
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; groups[g].protocol == l->protocol && i < groups[g].count; i++) {
            if (same_listener(&groups[g].items[i], l->wanted))
                return true;
        }
    }
    return false;
}

static bool is_open(struct front *f, const struct protocol *protocol,
                    const struct conf_listener *wanted)
{
    list_each (it, &f->listeners) {
        const struct front_listener *l = list_entry(it, struct front_listener, link);
        if (l->protocol == protocol && same_listener(l->wanted, wanted))
            return true;
    }
    return false;
}

/* Opens what is not open; false: one could not be, why says so. Goes on unless strict. */
static bool open_all(struct daemon *d, bool strict, struct failure *why)
{
    struct group groups[GROUPS];
    bool good = true;
    groups_of(d->conf, groups);
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            const struct conf_listener *wanted = &groups[g].items[i];
            if (is_open(d->front, groups[g].protocol, wanted) ||
                !open_one(d, d->conf, groups[g].protocol, wanted, why))
                continue;
            good = false;
            if (strict)
                return false;
            log_error(CONFIG, NULL, "%s", why->text);
        }
    }
    return good;
}

int front_start(struct daemon *d, struct failure *why)
{
    struct front *f = d->front = NEW(struct front);
    list_init(&f->contexts);
    list_init(&f->listeners);
    timer_init(&f->look, node_shard(d->node, 0), on_look);
    start_looking(f, d->conf);
    return open_all(d, true, why) ? 0 : EX_UNAVAILABLE;
}

void front_close_listeners(struct daemon *d)
{
    if (!d->front)
        return;
    list_each_safe (it, &d->front->listeners)
        close_one(list_entry(it, struct front_listener, link));
}

void front_stop(struct daemon *d)
{
    if (!d->front)
        return;
    front_close_listeners(d);
    timer_stop(&d->front->look);
    list_each_safe (it, &d->front->contexts)
        free_tls(list_entry(it, struct front_tls, link));
    free(d->front);
    d->front = NULL;
}

/* What is wanted at the address of a listener in its place has a TLS set that cannot be made:
 * better the former one than none. Opening says what is wrong. */
static bool cannot_be_replaced(struct daemon *d, const struct front_listener *l)
{
    struct group groups[GROUPS];
    groups_of(d->conf, groups);
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; groups[g].protocol == l->protocol && i < groups[g].count; i++) {
            const struct conf_listener *wanted = &groups[g].items[i];
            struct tls_context *context;
            struct failure why;
            if (wanted->tls && strcmp(wanted->address, l->wanted->address) == 0)
                return need_tls(d->front, d->conf, conf_tls_find(d->conf, wanted->tls_set),
                                &context, &why) != ERR_NONE;
        }
    }
    return false;
}

static void keep_one(struct front_listener *l, const struct conf *conf)
{
    struct socket_options options = socket_options_of(conf);
    listener_set_handshake_timeout(l->listener, conf->ssl_handshake_timeout_ms);
    listener_set_lookup(l->listener, conf->reverse_dns_lookups);
    listener_set_socket_options(l->listener, backlog_of(conf, l->wanted), &options);
}

void front_reload(struct daemon *d)
{
    struct front *f = d->front;
    reload_contexts(f, d->conf);
    start_looking(f, d->conf);
    list_each_safe (it, &f->listeners) {
        struct front_listener *l = list_entry(it, struct front_listener, link);
        if (is_wanted(l, d->conf))
            keep_one(l, d->conf);
        else if (!cannot_be_replaced(d, l))
            close_one(l);
    }
    struct failure why;
    (void)open_all(d, false, &why);
}

void front_describe(const struct daemon *d, struct buf *out)
{
    bool any = false;
    list_each (it, &d->front->listeners) {
        const struct front_listener *l = list_entry(it, struct front_listener, link);
        bool amqp = l->protocol == amqp_protocol();
        buf_printf(out, "%s%s%s%s%s%s", any ? ", " : "", listener_address(l->listener),
                   l->wanted->tls || !amqp ? " (" : "", amqp ? "" : l->protocol->name,
                   l->wanted->tls ? (amqp ? "tls" : ", tls") : "",
                   l->wanted->tls || !amqp ? ")" : "");
        any = true;
    }
    if (!any)
        buf_append_str(out, "nowhere");
}

void front_notify(const struct daemon *d)
{
    struct buf where = BUF_INIT;
    front_describe(d, &where);
    notify_status("listens on %s", buf_cstr(&where));
    buf_fini(&where);
}

static void check_one(const struct conf *conf, const struct conf_listener *wanted,
                      struct buf *problems)
{
    struct tls_context *context = NULL;
    struct failure why;
    if (!wanted->tls)
        return;
    if (make_context(conf_tls_find(conf, wanted->tls_set), &context, &why))
        buf_printf(problems, "%s: %s\n", wanted->origin, why.text);
    else
        tls_context_unref(&context);
}

void front_check(const struct conf *conf, struct buf *problems)
{
    struct group groups[GROUPS];
    groups_of(conf, groups);
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; i < groups[g].count; i++)
            check_one(conf, &groups[g].items[i], problems);
    }
}
