/* Listeners for AMQP and HTTP, and the options of TLS: each is made of several settings. */
#include "conf/import_priv.h"

#include <ctype.h>
#include <stdio.h>

/* ---- addresses ---- */
static bool is_port(const char *text)
{
    uint64_t port;
    return slice_number(slice_str(text), &port) && port > 0 && port <= 65535;
}

static const char *address_of(struct import *im, const char *host, const char *port)
{
    bool bare = strchr(host, ':') && *host != '[';
    return import_text(im, "%s%s%s:%s", bare ? "[" : "", host, bare ? "]" : "", port);
}

/* "5672", "127.0.0.1:5672", "::1:5672", "unix:/path:0"; NULL with a problem. */
static const char *read_address(struct import *im, const struct setting *s)
{
    const char *value = s->value, *colon = strrchr(value, ':');
    if (is_port(value))
        return import_text(im, ":%s", value);
    if (strncmp(value, "unix:/", 6) == 0 || strncmp(value, "local:/", 7) == 0) {
        const char *path = strchr(value, ':') + 1;
        int n = colon > path && strcmp(colon, ":0") == 0 ? (int)(colon - path) : (int)strlen(path);
        return import_text(im, "unix:%.*s", n, path);
    }
    if (colon && colon > value && is_port(colon + 1))
        return address_of(im, import_text(im, "%.*s", (int)(colon - value), value), colon + 1);
    import_refuse(im, s->origin, "%s: '%s' is neither PORT nor ADDRESS:PORT", s->key, value);
    return NULL;
}

/* An item of a list of listeners, a line. */
static void put_item(struct buf *out, const char *address, const char *more, const char *origin)
{
    buf_append_str(out, "\n  - {address: ");
    scalar_quote(slice_str(address), out);
    buf_printf(out, "%s}  # ", more);
    for (const char *p = origin; *p; p++)
        buf_append_byte(out, (uint8_t)*p < 0x20 || (uint8_t)*p > 0x7e ? '?' : (uint8_t)*p);
}

static void put_items(struct import *im, const char *path, struct buf *items,
                      const struct setting *s)
{
    const char *text = items->len ? arena_text(&im->arena, buf_slice(items)) : "[]";
    import_put(im, path, text, s);
    buf_fini(items);
}

/* ---- AMQP ---- */
/* Whether any listener of this kind was set; *ret_last: to say where from. */
static bool take_listeners(struct import *im, const char *kind, const char *more, struct buf *out,
                           struct setting *ret_last)
{
    const char *key = import_text(im, "listeners.%s", kind);
    struct setting *s = import_take_key(im, key);
    bool any = false;
    if (s && !import_is(s, "none"))
        import_refuse(im, s->origin, "%s: is none, or %s.NAME", key, key);
    bool none = s;
    if (s) {
        *ret_last = *s;
        any = true;
    }
    const char *prefix = import_text(im, "%s.", key);
    while ((s = import_take(im, prefix))) {
        if (none) {
            import_leave(im, s, import_text(im, "%s counts", key));
            continue;
        }
        const char *address = read_address(im, s);
        if (address)
            put_item(out, address, more, s->origin);
        *ret_last = *s;
        any = true;
    }
    return any;
}

void import_listeners(struct import *im)
{
    struct setting last = {.key = "listeners", .origin = "RabbitMQ's default"};
    struct setting *proxy = import_take_key(im, "proxy_protocol");
    struct setting *ip = import_take_key(im, "RABBITMQ_NODE_IP_ADDRESS");
    struct setting *port = import_take_key(im, "RABBITMQ_NODE_PORT");
    struct buf items = BUF_INIT;
    if (proxy && !import_is(proxy, "true") && !import_is(proxy, "false"))
        import_refuse(im, proxy->origin, "%s: is neither true nor false", proxy->key);
    const char *more = import_is(proxy, "true") ? ", proxy_protocol: true" : "";
    bool any = take_listeners(im, "tcp", more, &items, &last);
    if (any && ip)
        import_leave(im, ip, "listeners.tcp counts");
    if (any && port)
        import_leave(im, port, "listeners.tcp counts");
    if (!any && port && !is_port(port->value)) {
        import_refuse(im, port->origin, "%s: is not a port", port->key);
        port = NULL;
    }
    if (!any)
        put_item(&items, address_of(im, ip ? ip->value : "", port ? port->value : "5672"), more,
                 port ? port->origin
                 : ip ? ip->origin
                      : last.origin);
    (void)take_listeners(im, "ssl", import_text(im, ", tls: true%s", more), &items, &last);
    put_items(im, "listeners", &items, &last);
}

/* ---- HTTP ---- */
/* The first setting that nobody took of this section, or that sets all of it. */
static const struct setting *first_of(const struct import *im, const char *section)
{
    size_t n = strlen(section);
    for (size_t i = 0; i < im->count; i++) {
        const struct setting *s = &im->settings[i];
        if (!s->taken && strncmp(s->key, section, n) == 0 && (!s->key[n] || s->key[n] == '.'))
            return s;
    }
    return NULL;
}

static void put_web(struct import *im, struct buf *items, const struct setting *ip,
                    const struct setting *port, const char *usual, const char *more)
{
    const struct setting *s = port ? port : ip;
    if (port && !is_port(port->value)) {
        import_refuse(im, port->origin, "%s: is not a port", port->key);
        return;
    }
    put_item(items, address_of(im, ip ? ip->value : "", port ? port->value : usual), more,
             s ? s->origin : "RabbitMQ's default");
}

/* What a listener is made of; a section without a port has the usual one, as in the plug-in. */
struct web {
    const struct setting *any; /* of the section; NULL: there is no such listener */
    struct setting *port, *ip;
};

static struct web take_section(struct import *im, const char *section)
{
    return (struct web){.any = first_of(im, section),
                        .port = import_take_key(im, import_text(im, "%s.port", section)),
                        .ip = import_take_key(im, import_text(im, "%s.ip", section))};
}

/* The plug-in has two listeners at most: the old section counts only beside one of the others. */
static void leave_old(struct import *im, struct web *old, const char *name)
{
    const char *why = import_text(im, "%s.tcp and %s.ssl count", name, name);
    if (old->port)
        import_leave(im, old->port, why);
    if (old->ip)
        import_leave(im, old->ip, why);
    old->any = NULL;
}

/* As the plug-in does it: without any of its own, a listener without TLS. */
static void take_web(struct import *im, const char *name, const char *usual, const char *usual_tls)
{
    struct buf items = BUF_INIT;
    const char *old_section = import_text(im, "%s.listener", name);
    struct web tcp = take_section(im, import_text(im, "%s.tcp", name));
    struct web ssl = take_section(im, import_text(im, "%s.ssl", name));
    struct web old = take_section(im, old_section);
    struct setting *old_tls = import_take_key(im, import_text(im, "%s.ssl", old_section));
    struct setting *plugin =
        import_take_key(im, import_text(im, "enabled_plugins.rabbitmq_%s", name));
    bool own_tls = first_of(im, import_text(im, "%s.ssl", name)) ||
                   first_of(im, import_text(im, "%s.ssl_opts", old_section));
    const char *tls = own_tls ? import_text(im, ", tls: true, tls_set: %s", name) : ", tls: true";
    if (tcp.any && ssl.any && old.any)
        leave_old(im, &old, name);
    if (tcp.any)
        put_web(im, &items, tcp.ip, tcp.port, usual, "");
    if (ssl.any)
        put_web(im, &items, ssl.ip, ssl.port, usual_tls, tls);
    if (old.any)
        put_web(im, &items, old.ip, old.port, usual, import_is(old_tls, "true") ? tls : "");
    if (!tcp.any && !ssl.any && !old.any && plugin)
        put_web(im, &items, NULL, NULL, usual, "");
    const struct setting *s = tcp.any ? tcp.any : ssl.any ? ssl.any : old.any ? old.any : plugin;
    if (s)
        put_items(im, import_text(im, "%s.listeners", name), &items, s);
}

void import_web(struct import *im)
{
    take_web(im, "management", "15672", "15671");
    take_web(im, "prometheus", "15692", "15691");
}

/* ---- TLS ---- */
struct tls {
    const char *path; /* "ssl_options.", or "" for an item of tls_sets */
    struct buf *out;  /* of the item */
    const char *versions, *ciphers, *suites;
    struct setting last;
};

static const char *join(struct import *im, const char *list, const char *between, const char *text)
{
    return list ? import_text(im, "%s%s%s", list, between, text) : text;
}

/* A line of the item, or a key. */
static void put_option(struct import *im, struct tls *tls, const char *option, const char *text,
                       const struct setting *s)
{
    if (*tls->path)
        import_put(im, import_text(im, "%s%s", tls->path, option), text, s);
    else
        buf_printf(tls->out, "\n    %s: %s", option, text);
}

static const char *quoted(struct import *im, const char *text)
{
    struct buf out = BUF_INIT;
    scalar_quote(slice_str(text), &out);
    const char *kept = arena_text(&im->arena, buf_slice(&out));
    buf_fini(&out);
    return kept;
}

/* Why an option is not there; NULL: nobody knows it. */
static const char *option_gone(const char *option)
{
    static const char *const erlang[] = {
        "honor_ecc_order",
        "client_renegotiation",
        "secure_renegotiate",
        "bypass_pem_cache",
        "hibernate_after",
        "log_alert",
        "log_level",
        "psk_identity",
        "dh",
        "dhfile",
        "reuse_session",
        "cert",
        "eccs",
        "signature_algs",
        "sni_hosts",
        "sni_fun",
    };
    static const char *const server[] = {
        "backlog",       "compress",        "idle_timeout",  "inactivity_timeout",
        "max_keepalive", "request_timeout", "num_acceptors", "shutdown_timeout",
    };
    for (size_t i = 0; i < sizeof erlang / sizeof *erlang; i++) {
        if (strcmp(option, erlang[i]) == 0)
            return "an option of Erlang's TLS; OpenSSL's defaults hold";
    }
    for (size_t i = 0; i < sizeof server / sizeof *server; i++) {
        if (strcmp(option, server[i]) == 0)
            return "the HTTP server's own limits are fixed";
    }
    if (strncmp(option, "cacerts.", 8) == 0 || strncmp(option, "key.", 4) == 0 ||
        strncmp(option, "sni_hosts.", 10) == 0 || strncmp(option, "eccs.", 5) == 0)
        return "certificates and keys come from files";
    return NULL;
}

static void take_option(struct import *im, struct tls *tls, const char *option,
                        const struct setting *s)
{
    const struct row *row = row_find(slice_str(import_text(im, "ssl_options.%s", option)));
    const char *gone = option_gone(option);
    tls->last = *s;
    if (strncmp(option, "versions.", 9) == 0) {
        if (import_is(s, "tlsv1.2") || import_is(s, "tlsv1.3"))
            tls->versions = join(im, tls->versions, ", ", s->value);
        else
            import_leave(
                im, s,
                import_text(im, "%s is not spoken: 1.2 is the oldest version of TLS", s->value));
    } else if (strncmp(option, "ciphers.", 8) == 0) {
        bool suite = strncmp(s->value, "TLS_", 4) == 0;
        const char **list = suite ? &tls->suites : &tls->ciphers;
        *list = join(im, *list, ":", s->value);
    } else if (row && row->type != ROW_LIST && row->type != ROW_TEXTS) {
        const char *text = import_value(im, row, SPELLED_PLAIN, slice_str(s->value), s);
        if (text)
            put_option(im, tls, option, text, s);
    } else if (gone) {
        import_leave(im, s, gone);
    } else {
        import_refuse(im, s->origin, "%s: is not known", s->key);
    }
}

static void take_tls(struct import *im, const char *prefix, struct tls *tls)
{
    struct setting *s;
    while ((s = import_take(im, prefix)))
        take_option(im, tls, s->key + strlen(prefix), s);
}

static void put_lists(struct import *im, struct tls *tls)
{
    if (tls->versions)
        put_option(im, tls, "versions", import_text(im, "[%s]", tls->versions), &tls->last);
    if (tls->ciphers)
        put_option(im, tls, "ciphers", quoted(im, tls->ciphers), &tls->last);
    if (tls->suites)
        put_option(im, tls, "ciphersuites", quoted(im, tls->suites), &tls->last);
}

void import_tls(struct import *im)
{
    static const char *const sets[] = {"management", "prometheus"};
    struct buf out = BUF_INIT;
    struct tls main = {.path = "ssl_options."};
    take_tls(im, main.path, &main);
    put_lists(im, &main);
    struct setting last = {.key = "tls_sets"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct tls tls = {.path = "", .out = &out};
        size_t before = out.len;
        buf_printf(&out, "\n  - name: %s", sets[i]);
        take_tls(im, import_text(im, "%s.ssl.", sets[i]), &tls);
        take_tls(im, import_text(im, "%s.listener.ssl_opts.", sets[i]), &tls);
        put_lists(im, &tls);
        if (tls.last.origin)
            last = tls.last;
        else
            out.len = before;
    }
    if (out.len)
        import_put(im, "tls_sets", arena_text(&im->arena, buf_slice(&out)), &last);
    buf_fini(&out);
}
