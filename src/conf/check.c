/* Checks across rows, and the values that follow from others. */
#include "conf/conf_priv.h"

#include "base/hash.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

struct checker {
    struct conf_full *full;
    struct conf *conf;
    struct problems *problems;
};

static const char *origin_of(const struct checker *c, const char *path)
{
    const struct row *row = row_find(slice_str(path));
    const char *origin = row ? c->full->origins[row_index(row)] : NULL;
    return origin ? origin : "default";
}

static bool was_given(const struct checker *c, const char *path)
{
    const struct row *row = row_find(slice_str(path));
    return row && c->full->origins[row_index(row)];
}

__attribute__((format(printf, 2, 3))) static const char *text_of(struct checker *c, const char *fmt,
                                                                 ...)
{
    struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    const char *copy = arena_text(&c->full->arena, buf_slice(&text));
    buf_fini(&text);
    return copy;
}

/* ---- what follows from other values ---- */
static void derive(struct checker *c)
{
    struct conf *conf = c->conf;
    if (!*conf->node_name) {
        char host[256] = "";
        if (gethostname(host, sizeof host - 1) != 0 || !*host)
            memcpy(host, "localhost", sizeof "localhost");
        host[strcspn(host, ".")] = '\0';
        conf->node_name = text_of(c, "jackalope@%s", host);
    }
    if (!*conf->control.path)
        conf->control.path = text_of(c, "%s/control.sock", conf->data_dir);
    if (*conf->log.file && !was_given(c, "log.output"))
        conf->log.output = LOG_OUTPUT_FILE;
    conf->ssl_options.origin = "ssl_options";
    conf->ssl_options.name = "";
}

/* ---- listeners and TLS ---- */
static bool is_port(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n > 0 && n <= 5 && !text[n] && strtol(text, NULL, 10) <= 65535;
}

static bool is_address(const char *text)
{
    enum { UNIX_PATH_MAX = 107 };
    if (strncmp(text, "unix:", 5) == 0)
        return text[5] && strlen(text + 5) <= UNIX_PATH_MAX;
    const char *colon = strrchr(text, ':');
    if (!colon || !is_port(colon + 1))
        return false;
    if (*text == '[')
        return colon > text + 2 && colon[-1] == ']' &&
               strspn(text + 1, "0123456789abcdefABCDEF:.%") >= (size_t)(colon - text - 2);
    return !memchr(text, ':', (size_t)(colon - text));
}

static bool has_certificate(const struct conf_tls *tls)
{
    return *tls->certfile || tls->certificates.count;
}

static void check_listener(struct checker *c, const struct conf_listener *listener)
{
    if (!is_address(listener->address)) {
        problem_add(
            c->problems, listener->origin,
            "'%s' is not an address such as 127.0.0.1:5672, [::1]:5672, :5672 or unix:/path",
            listener->address);
    }
    if (!listener->tls && *listener->tls_set)
        problem_add(c->problems, listener->origin, "tls_set is given, but tls is not true");
    if (!listener->tls)
        return;
    const struct conf_tls *tls = conf_tls_find(c->conf, listener->tls_set);
    if (!tls)
        problem_add(c->problems, listener->origin, "there is no item '%s' in tls_sets",
                    listener->tls_set);
    else if (!has_certificate(tls))
        problem_add(c->problems, listener->origin, "tls needs a certificate in %s%s",
                    *tls->name ? "tls_sets item " : "ssl_options", tls->name);
}

/* Of port 0 every listener gets one of its own. */
static bool same_address(const struct conf_listener *a, const struct conf_listener *b)
{
    size_t n = strlen(a->address);
    bool any_port =
        n >= 2 && strcmp(a->address + n - 2, ":0") == 0 && strncmp(a->address, "unix:", 5) != 0;
    return !any_port && strcmp(a->address, b->address) == 0;
}

static void check_list(struct checker *c, const struct conf_listener *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_listener(c, &items[i]);
        for (size_t j = 0; j < i; j++) {
            if (same_address(&items[j], &items[i]))
                problem_add(c->problems, items[i].origin, "address %s is there twice",
                            items[i].address);
        }
    }
}

static void check_listeners(struct checker *c)
{
    const struct conf *conf = c->conf;
    check_list(c, conf->listeners.items, conf->listeners.count);
    check_list(c, conf->management.listeners.items, conf->management.listeners.count);
    check_list(c, conf->prometheus.listeners.items, conf->prometheus.listeners.count);
}

static void check_tls(struct checker *c, const struct conf_tls *tls)
{
    const char *origin = *tls->name ? tls->origin : origin_of(c, "ssl_options.certfile");
    if (!*tls->certfile != !*tls->keyfile)
        problem_add(c->problems, *tls->certfile ? origin : origin_of(c, "ssl_options.keyfile"),
                    "certfile and keyfile go together");
    origin = *tls->name ? tls->origin : origin_of(c, "ssl_options.verify");
    if (tls->verify_peer && !*tls->cacertfile)
        problem_add(c->problems, origin, "verify_peer needs a cacertfile");
    origin = *tls->name ? tls->origin : origin_of(c, "ssl_options.fail_if_no_peer_cert");
    if (tls->fail_if_no_peer_cert && !tls->verify_peer)
        problem_add(c->problems, origin, "fail_if_no_peer_cert needs verify: verify_peer");
}

static void check_tls_sets(struct checker *c)
{
    const struct conf *conf = c->conf;
    check_tls(c, &conf->ssl_options);
    for (size_t i = 0; i < conf->tls_sets.count; i++) {
        const struct conf_tls *tls = &conf->tls_sets.items[i];
        check_tls(c, tls);
        const struct conf_tls *first = conf_tls_find(conf, tls->name);
        if (first != tls)
            problem_add(c->problems, tls->origin, "tls_sets item '%s' is already at %s", tls->name,
                        first->origin);
    }
}

/* ---- single sections ---- */
static void check_amqp(struct checker *c)
{
    enum { FRAME_MIN = 4096 };
    const struct conf_amqp *amqp = &c->conf->amqp;
    if (amqp->frame_max && amqp->frame_max < FRAME_MIN)
        problem_add(c->problems, origin_of(c, "amqp.frame_max"),
                    "amqp.frame_max: '%u' is out of range, 0 or at least %d", amqp->frame_max,
                    FRAME_MIN);
}

static void check_users(struct checker *c)
{
    const struct conf *conf = c->conf;
    if (*conf->default_user && !*conf->default_pass)
        problem_add(c->problems, origin_of(c, "default_pass"),
                    "default_pass: may not be empty while there is a default_user");
    for (size_t i = 0; i < conf->definitions.users.count; i++) {
        const struct conf_user *user = &conf->definitions.users.items[i];
        if (*user->password && *user->password_hash)
            problem_add(c->problems, user->origin, "user '%s': give password or password_hash",
                        user->name);
        else if (*user->password_hash &&
                 !digest_password_valid(user->hashing_algorithm, slice_str(user->password_hash)))
            problem_add(c->problems, user->origin,
                        "user '%s': password_hash is not base64 of a salt and a digest of %s",
                        user->name, digest_kind_name(user->hashing_algorithm));
    }
}

static void check_log(struct checker *c)
{
    const struct conf_log *log = &c->conf->log;
    if (log->output == LOG_OUTPUT_FILE && !*log->file)
        problem_add(c->problems, origin_of(c, "log.output"), "log.output: file needs log.file");
#ifndef HAVE_SYSTEMD
    if (log->output == LOG_OUTPUT_JOURNALD)
        problem_add(c->problems, origin_of(c, "log.output"),
                    "log.output: this jackaloped was built without libsystemd");
#endif
}

/* ---- definitions that are there twice ---- */
struct seen {
    struct slice key;
    const char *origin;
};

static struct slice seen_key(const void *object)
{
    return ((const struct seen *)object)->key;
}

struct duplicates {
    struct checker *c;
    struct hash table;
    struct buf key;
    const char *noun;
};

static void duplicates_init(struct duplicates *d, struct checker *c, const char *noun)
{
    *d = (struct duplicates){.c = c, .noun = noun};
    hash_init(&d->table, seen_key);
}

static void duplicates_fini(struct duplicates *d)
{
    hash_fini(&d->table);
    buf_fini(&d->key);
}

/* b and e may be NULL. */
static void duplicates_add(struct duplicates *d, const char *origin, const char *a, const char *b,
                           const char *e)
{
    const char *const parts[] = {a, b, e};
    buf_clear(&d->key);
    for (unsigned i = 0; i < 3 && parts[i]; i++)
        buf_append(&d->key, parts[i], strlen(parts[i]) + 1);
    const struct seen *first = hash_find(&d->table, buf_slice(&d->key));
    if (first) {
        problem_add(d->c->problems, origin, "%s '%s'%s%s%s is already at %s", d->noun, a,
                    b ? " of '" : "", b ? b : "", b ? "'" : "", first->origin);
        return;
    }
    struct arena *arena = &d->c->full->arena;
    struct seen *seen = arena_alloc(arena, sizeof *seen);
    seen->key = slice_of(arena_text(arena, buf_slice(&d->key)), d->key.len);
    seen->origin = origin;
    hash_add(&d->table, seen);
}

#define CHECK_DUPLICATES(c, list, noun, ...)                        \
    do {                                                            \
        struct duplicates d;                                        \
        duplicates_init(&d, (c), (noun));                           \
        for (size_t i = 0; i < (c)->conf->list.count; i++)          \
            duplicates_add(&d, ITEM(c, list)->origin, __VA_ARGS__); \
        duplicates_fini(&d);                                        \
    } while (0)
#define ITEM(c, list) (&(c)->conf->list.items[i])

/* Where definitions come from besides this file. */
static void check_sources(struct checker *c)
{
    const struct conf_definitions *d = &c->conf->definitions;
    bool https = d->import_backend == CONF_IMPORT_HTTPS;
    if (https && strncmp(d->https.url, "https://", 8) != 0)
        problem_add(c->problems, origin_of(c, "definitions.import_backend"),
                    "definitions.import_backend is https, but definitions.https.url is no "
                    "https://HOST/PATH");
    if (!https && *d->https.url)
        problem_add(c->problems, origin_of(c, "definitions.https.url"),
                    "definitions.https.url is given, but definitions.import_backend is not https");
}

static void check_definitions(struct checker *c)
{
    check_sources(c);
    CHECK_DUPLICATES(c, definitions.vhosts, "vhost", ITEM(c, definitions.vhosts)->name, NULL, NULL);
    CHECK_DUPLICATES(c, definitions.users, "user", ITEM(c, definitions.users)->name, NULL, NULL);
    CHECK_DUPLICATES(c, definitions.permissions, "the permission of",
                     ITEM(c, definitions.permissions)->user,
                     ITEM(c, definitions.permissions)->vhost, NULL);
    CHECK_DUPLICATES(c, definitions.topic_permissions, "the topic permission of",
                     ITEM(c, definitions.topic_permissions)->user,
                     ITEM(c, definitions.topic_permissions)->vhost,
                     ITEM(c, definitions.topic_permissions)->exchange);
    CHECK_DUPLICATES(c, definitions.exchanges, "exchange", ITEM(c, definitions.exchanges)->name,
                     ITEM(c, definitions.exchanges)->vhost, NULL);
    CHECK_DUPLICATES(c, definitions.queues, "queue", ITEM(c, definitions.queues)->name,
                     ITEM(c, definitions.queues)->vhost, NULL);
}

static void check_vhost_defaults(struct checker *c)
{
    CHECK_DUPLICATES(c, default_users, "default_users", ITEM(c, default_users)->name, NULL, NULL);
    CHECK_DUPLICATES(c, default_limits, "default_limits.vhosts", ITEM(c, default_limits)->name,
                     NULL, NULL);
    CHECK_DUPLICATES(c, default_policies, "default_policies.operator",
                     ITEM(c, default_policies)->name, NULL, NULL);
}

void check_all(struct conf_full *full, struct problems *problems)
{
    struct checker c = {full, &full->conf, problems};
    derive(&c);
    check_listeners(&c);
    check_tls_sets(&c);
    check_amqp(&c);
    check_users(&c);
    check_log(&c);
    check_definitions(&c);
    check_vhost_defaults(&c);
}
