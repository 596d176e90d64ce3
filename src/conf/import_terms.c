/* advanced.config and enabled_plugins: Erlang terms. What an application is told is flattened to
 * the settings of rabbitmq.conf that say the same: {rabbit, [{ssl_options, [{depth, 2}]}]} is
 * ssl_options.depth = 2. */
#include "conf/import_priv.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum term_kind { TERM_ATOM, TERM_NUMBER, TERM_TEXT, TERM_LIST, TERM_TUPLE, TERM_OTHER };

struct term {
    enum term_kind kind;
    unsigned line;
    const char *text; /* of what is no list and no tuple */
    struct term **kids;
    size_t count, room;
};

struct reader {
    struct import *im;
    const char *file;
    const char *at, *end; /* a NUL at the end */
    unsigned line;
    bool failed;
};

static struct term *fail(struct reader *r, const char *what)
{
    if (!r->failed)
        import_refuse(r->im, import_text(r->im, "%s:%u", r->file, r->line), "%s", what);
    r->failed = true;
    return NULL;
}

static void skip(struct reader *r)
{
    for (; r->at < r->end; r->at++) {
        if (*r->at == '%')
            r->at += strcspn(r->at, "\n");
        if (*r->at == '\n')
            r->line++;
        else if (!isspace((uint8_t)*r->at))
            return;
    }
    r->at = r->end;
}

static bool take(struct reader *r, const char *token)
{
    skip(r);
    size_t n = strlen(token);
    if (strncmp(r->at, token, n) != 0)
        return false;
    r->at += n;
    return true;
}

static struct term *term_new(struct reader *r, enum term_kind kind, struct slice text)
{
    struct term *t = arena_alloc(&r->im->arena, sizeof *t);
    t->kind = kind;
    t->line = r->line;
    t->text = arena_text(&r->im->arena, text);
    return t;
}

/* A character by its code, as UTF-8. */
static void put_code(uint32_t c, struct buf *out)
{
    if (c < 0x80) {
        buf_append_byte(out, (uint8_t)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    buf_append_byte(out, (uint8_t)((0xff00u >> (more + 1)) | c >> (6 * more)));
    while (more--)
        buf_append_byte(out, (uint8_t)(0x80 | (c >> (6 * more) & 0x3f)));
}

/* Digits of the base, at most `most`; false if there is none, or the number is no character. */
static bool read_code(struct reader *r, unsigned base, unsigned most, uint32_t *ret_code)
{
    uint32_t n = 0;
    unsigned count = 0;
    for (; count < most; count++, r->at++) {
        char c = *r->at;
        unsigned digit = isdigit((uint8_t)c)    ? (unsigned)(c - '0')
                         : isxdigit((uint8_t)c) ? (unsigned)((c | 0x20) - 'a') + 10
                                                : base;
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    *ret_code = n;
    return count > 0 && n < 0x110000 && (n < 0xd800 || n > 0xdfff);
}

/* What follows a backslash in a quotation. */
static bool read_escape(struct reader *r, struct buf *out)
{
    static const char letters[] = "b\bd\177e\033f\fn\nr\rs t\tv\v";
    uint32_t code = 0;
    bool ok = true;
    char c = *r->at++;
    if (c >= '0' && c <= '7') {
        r->at--;
        ok = read_code(r, 8, 3, &code);
    } else if (c == 'x' && *r->at == '{') {
        r->at++;
        ok = read_code(r, 16, 6, &code) && *r->at == '}';
        r->at += ok;
    } else if (c == 'x') {
        ok = read_code(r, 16, 2, &code);
    } else if (c == '^') {
        code = r->at < r->end ? *r->at++ & 0x1f : 0;
    } else {
        for (const char *p = letters; *p; p += 2) {
            if (c == *p) {
                buf_append_byte(out, (uint8_t)p[1]);
                return true;
            }
        }
        buf_append_byte(out, (uint8_t)c); /* itself, or the first byte of a character */
        r->line += c == '\n';
        return c != '\0';
    }
    if (ok && code)
        put_code(code, out);
    return ok && code;
}

/* Between quotes, the first of which is at r->at. */
static struct term *read_quoted(struct reader *r, enum term_kind kind)
{
    struct buf text = BUF_INIT;
    char quote = *r->at++;
    unsigned line = r->line;
    bool ok = true;
    while (ok && r->at < r->end && *r->at != quote) {
        char c = *r->at++;
        r->line += c == '\n';
        if (c == '\\' && r->at < r->end)
            ok = read_escape(r, &text);
        else
            buf_append_byte(&text, (uint8_t)c);
        ok = ok && c;
    }
    struct term *t = ok && r->at < r->end ? term_new(r, kind, buf_slice(&text)) : NULL;
    buf_fini(&text);
    if (!ok)
        return fail(r, "a quotation has a character that no setting may have");
    if (!t)
        return fail(r, "a quotation has no end");
    t->line = line;
    r->at++;
    return t;
}

static struct term *read_word(struct reader *r)
{
    const char *start = r->at;
    bool number = isdigit((uint8_t)*start) || *start == '-' || *start == '+';
    while (isalnum((uint8_t)*r->at) || strchr("_@#-+", *r->at) ||
           (*r->at == '.' && number && isdigit((uint8_t)r->at[1]))) {
        if (!*r->at)
            break;
        r->at++;
    }
    struct slice text = slice_of(start, (size_t)(r->at - start));
    if (!text.len || !(number || islower((uint8_t)*start)))
        return fail(r, "is no term that a configuration may have");
    return term_new(r, number ? TERM_NUMBER : TERM_ATOM, text);
}

static struct term *read_term(struct reader *r, unsigned depth);

static struct term *read_kids(struct reader *r, enum term_kind kind, const char *close,
                              unsigned depth)
{
    struct term *t = term_new(r, kind, SLICE_EMPTY);
    struct term **kids = NULL;
    size_t room = 0;
    while (!r->failed && !take(r, close)) {
        struct term *kid = read_term(r, depth + 1);
        if (!kid)
            break;
        MEM_GROW(kids, room, t->count + 1);
        kids[t->count++] = kid;
        bool more = take(r, ",") || take(r, "=>") || take(r, ":=");
        skip(r);
        if (!more && strncmp(r->at, close, strlen(close)) != 0)
            fail(r, "a list, tuple or map has no end, or lacks a comma");
    }
    t->kids = arena_alloc(&r->im->arena, (t->count + 1) * sizeof *t->kids);
    if (t->count)
        memcpy(t->kids, kids, t->count * sizeof *t->kids);
    free(kids);
    return r->failed ? NULL : t;
}

static struct term *read_binary(struct reader *r)
{
    skip(r);
    struct term *t =
        *r->at == '"' ? read_quoted(r, TERM_TEXT) : term_new(r, TERM_TEXT, SLICE_EMPTY);
    if (t)
        (void)take(r, "/utf8");
    return t && !take(r, ">>") ? fail(r, "a binary of something else than a text") : t;
}

static struct term *read_term(struct reader *r, unsigned depth)
{
    skip(r);
    if (depth > IMPORT_TERM_DEPTH_MAX)
        return fail(r, "terms are nested too deeply");
    if (take(r, "["))
        return read_kids(r, TERM_LIST, "]", depth);
    if (take(r, "{"))
        return read_kids(r, TERM_TUPLE, "}", depth);
    if (take(r, "#{"))
        return read_kids(r, TERM_OTHER, "}", depth);
    if (take(r, "<<"))
        return read_binary(r);
    if (*r->at == '"')
        return read_quoted(r, TERM_TEXT);
    if (*r->at == '\'')
        return read_quoted(r, TERM_ATOM);
    return r->at < r->end ? read_word(r) : fail(r, "ends where a term should begin");
}

/* The one term of a file, NULL with a problem. */
static struct term *read_terms(struct import *im, const char *file)
{
    struct buf text = BUF_INIT;
    struct term *t = NULL;
    if (import_read_file(im, file, &text)) {
        const char *start = buf_cstr(&text);
        struct reader r = {.im = im, .file = file, .at = start, .end = start + text.len, .line = 1};
        skip(&r);
        if (r.at < r.end)
            t = read_term(&r, 0);
        if (t && !take(&r, "."))
            t = fail(&r, "the term does not end in a full stop");
        skip(&r);
        if (t && r.at < r.end)
            t = fail(&r, "something follows the one term that such a file has");
        if (t && t->kind != TERM_LIST)
            t = fail(&r, "expected a list");
    }
    buf_fini(&text);
    return t;
}

/* ---- flattening ---- */
static bool is_scalar(const struct term *t)
{
    return t->kind == TERM_ATOM || t->kind == TERM_NUMBER || t->kind == TERM_TEXT;
}

static bool is_pair(const struct term *t)
{
    return t->kind == TERM_TUPLE && t->count == 2 &&
           (t->kids[0]->kind == TERM_ATOM || t->kids[0]->kind == TERM_TEXT);
}

/* Keys whose place in the terms is another than in rabbitmq.conf, by their beginning. */
static const struct {
    const char *there, *here;
} renamed[] = {
    {"rabbit.tcp_listeners", "listeners.tcp"},
    {"rabbit.ssl_listeners", "listeners.ssl"},
    {"rabbit.disk_free_limit.mem_relative", "disk_free_limit.relative"},
    {"rabbit.definitions.ssl_options", "definitions.tls"},
    {"rabbit.definitions.local_path", "definitions.local.path"},
    {"rabbit.definitions.url", "definitions.https.url"},
    {"rabbit.definitions.hashing_algorithm", "definitions.hashing.algorithm"},
    {"rabbit.num_tcp_acceptors", "num_acceptors.tcp"},
    {"rabbit.num_ssl_acceptors", "num_acceptors.ssl"},
    {"rabbit.writer_gc_threshold", "socket_writer.gc_threshold"},
    {"rabbit.classic_queue_default_version", "classic_queue.default_version"},
    {"rabbit.quorum_compute_checksums", "quorum_queue.compute_checksums"},
    {"rabbit.aws_prefer_imdsv2", "aws.prefer_imdsv2"},
    {"rabbit.default_permissions.1", "default_permissions.configure"},
    {"rabbit.default_permissions.2", "default_permissions.write"},
    {"rabbit.default_permissions.3", "default_permissions.read"},
    {"rabbit.log.file.file", "log.file"},
    {"rabbit.log.console.enabled", "log.console"},
    {"rabbit.log.exchange.enabled", "log.exchange"},
    {"rabbit.log.journald.enabled", "log.journald"},
    {"rabbit.log.syslog.enabled", "log.syslog"},
    {"rabbit.log.categories.", "log."},
    {"rabbit.log_root", "log.dir"},
    {"rabbit.product_name", "product.name"},
    {"rabbit.product_version", "product.version"},
    {"rabbit.", ""},
    {"rabbitmq_management.tcp_config.cowboy_opts", "management.tcp"},
    {"rabbitmq_management.ssl_config.cowboy_opts", "management.ssl"},
    {"rabbitmq_management.ssl_config.ssl_opts", "management.ssl"},
    {"rabbitmq_management.tcp_config", "management.tcp"},
    {"rabbitmq_management.ssl_config", "management.ssl"},
    {"rabbitmq_management.", "management."},
    {"rabbitmq_prometheus.tcp_config.cowboy_opts", "prometheus.tcp"},
    {"rabbitmq_prometheus.ssl_config.cowboy_opts", "prometheus.ssl"},
    {"rabbitmq_prometheus.ssl_config.ssl_opts", "prometheus.ssl"},
    {"rabbitmq_prometheus.tcp_config", "prometheus.tcp"},
    {"rabbitmq_prometheus.ssl_config", "prometheus.ssl"},
    {"rabbitmq_prometheus.", "prometheus."},
    {"rabbitmq_event_exchange.", "event_exchange."},
    {"syslog.", "log.syslog."},
};

static const char *rename_key(struct import *im, const char *key)
{
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        size_t n = strlen(renamed[i].there);
        bool whole = renamed[i].there[n - 1] == '.' || !key[n] || key[n] == '.';
        if (strncmp(key, renamed[i].there, n) == 0 && whole)
            return import_text(im, "%s%s", renamed[i].here, key + n);
    }
    return key;
}

static void set(struct import *im, const char *key, const char *value, const char *origin)
{
    const char *name = rename_key(im, key);
    if (strlen(name) >= PATH_ROOM)
        import_refuse(im, origin, "a key is too long");
    else
        import_set(im, name, slice_str(value), origin);
}

/* Lists that rabbitmq.conf writes as NAME = true. */
static bool is_set_of_names(const char *key)
{
    return strcmp(key, "rabbit.loopback_users") == 0 ||
           strcmp(key, "rabbit.default_user_tags") == 0;
}

/* Options, of which an atom alone is one that is true. */
static bool is_options(const char *key, const struct term *t)
{
    bool any = false;
    for (size_t i = 0; i < t->count; i++) {
        bool pair = is_pair(t->kids[i]);
        any = any || pair;
        if (!pair && t->kids[i]->kind != TERM_ATOM)
            return false;
    }
    return any && strcmp(key, "rabbit.auth_backends") != 0;
}

static void flatten(struct import *im, const char *file, const char *key, const struct term *t);

/* A tuple of which each place has a name. */
static void flatten_two(struct import *im, const char *file, const char *key, const struct term *t,
                        const char *first, const char *second)
{
    flatten(im, file, import_text(im, "%s.%s", key, first), t->kids[0]);
    flatten(im, file, import_text(im, "%s.%s", key, second), t->kids[1]);
}

static void flatten_list(struct import *im, const char *file, const char *key, const struct term *t)
{
    const char *origin = import_text(im, "%s:%u", file, t->line);
    bool listeners =
        strcmp(key, "rabbit.tcp_listeners") == 0 || strcmp(key, "rabbit.ssl_listeners") == 0;
    bool options = is_options(key, t), backends = strcmp(key, "rabbit.auth_backends") == 0;
    if (!t->count)
        set(im, key, "none", origin);
    for (size_t i = 0; i < t->count; i++) {
        const struct term *kid = t->kids[i];
        const char *place = import_text(im, "%s.%zu", key, i + 1);
        if (listeners && is_pair(kid) && is_scalar(kid->kids[1]))
            set(im, place, import_text(im, "%s:%s", kid->kids[0]->text, kid->kids[1]->text),
                import_text(im, "%s:%u", file, kid->line));
        else if (is_set_of_names(key) && is_scalar(kid))
            set(im, import_text(im, "%s.%s", key, kid->text), "true", origin);
        else if (options && kid->kind == TERM_ATOM)
            set(im, import_text(im, "%s.%s", key, kid->text), "true", origin);
        else if (options)
            flatten(im, file, key, kid);
        else if (backends && is_pair(kid))
            flatten_two(im, file, place, kid, "authn", "authz");
        else
            flatten(im, file, place, kid);
    }
}

static void flatten(struct import *im, const char *file, const char *key, const struct term *t)
{
    const char *origin = import_text(im, "%s:%u", file, t->line);
    if (is_scalar(t))
        set(im, key, t->text, origin);
    else if (is_pair(t) && strcmp(key, "rabbit.tcp_listen_options.linger") == 0)
        flatten_two(im, file, key, t, "on", "timeout");
    else if (t->kind == TERM_LIST)
        flatten_list(im, file, key, t);
    else if (is_pair(t))
        flatten(im, file, import_text(im, "%s.%s", key, t->kids[0]->text), t->kids[1]);
    else
        import_set_term(im, rename_key(im, key), origin);
}

/* A key of an application replaces all that was said of it before, not only what it names. */
static void flatten_app(struct import *im, const char *file, const struct term *app)
{
    const char *name = app->kids[0]->text;
    const struct term *keys = app->kids[1];
    if (keys->kind != TERM_LIST) {
        flatten(im, file, name, keys);
        return;
    }
    for (size_t i = 0; i < keys->count; i++) {
        const struct term *kid = keys->kids[i];
        const char *origin = import_text(im, "%s:%u", file, kid->line);
        if (!is_pair(kid)) {
            import_refuse(im, origin, "%s: is not {KEY, VALUE}", name);
            continue;
        }
        const char *key = import_text(im, "%s.%s", name, kid->kids[0]->text);
        import_drop(im, rename_key(im, key), origin);
        flatten(im, file, key, kid->kids[1]);
    }
}

void import_read_advanced(struct import *im, const char *file)
{
    const struct term *t = read_terms(im, file);
    for (size_t i = 0; t && i < t->count; i++) {
        const struct term *app = t->kids[i];
        if (is_pair(app) && app->kids[1]->kind == TERM_LIST && !app->kids[1]->count)
            continue;
        if (is_pair(app))
            flatten_app(im, file, app);
        else
            import_refuse(im, import_text(im, "%s:%u", file, app->line),
                          "is not {APPLICATION, [{KEY, VALUE}, ...]}");
    }
}

void import_read_plugins(struct import *im, const char *file)
{
    const struct term *t = read_terms(im, file);
    for (size_t i = 0; t && i < t->count; i++) {
        const char *origin = import_text(im, "%s:%u", file, t->kids[i]->line);
        if (t->kids[i]->kind == TERM_ATOM)
            import_set(im, import_text(im, "enabled_plugins.%s", t->kids[i]->text), SLICE("true"),
                       origin);
        else
            import_refuse(im, origin, "is no name of a plug-in");
    }
}
