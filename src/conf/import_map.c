/* Settings to keys: first those that only say something together, then the rules of import.def,
 * then the keys of conf.def that have the same name. */
#include "base/mem.h"
#include "conf/import_priv.h"

#include <stdio.h>
#include <stdlib.h>

typedef void import_rule(struct import *im, struct setting *s, const char *to, const char *text);
static import_rule import_none, import_group, import_node, import_level, import_log,
    import_arguments;

static const struct {
    const char *pattern;
    import_rule *rule;
    const char *to, *text;
} rules[] = {
#define RULE(pattern, rule, to, text) {pattern, rule, to, text},
#include "conf/import.def"
#undef RULE
};
enum { RULES = sizeof rules / sizeof *rules };

/* ---- helpers ---- */
static bool is_family(const char *pattern)
{
    size_t n = strlen(pattern);
    return n && (pattern[n - 1] == '.' || pattern[n - 1] == '_');
}

static bool matches(const char *pattern, const char *key)
{
    const char *p = pattern;
    while (*p && *key) {
        if (*p == '*') {
            key += strcspn(key, ".");
            p++;
        } else if (*p++ != *key++) {
            return false;
        }
    }
    return !*p && (!*key || is_family(pattern));
}

struct setting *import_take(struct import *im, const char *prefix)
{
    for (size_t i = 0; i < im->count; i++) {
        struct setting *s = &im->settings[i];
        if (!s->taken && strncmp(s->key, prefix, strlen(prefix)) == 0) {
            s->taken = true;
            return s;
        }
    }
    return NULL;
}

struct setting *import_take_key(struct import *im, const char *key)
{
    for (size_t i = 0; i < im->count; i++) {
        struct setting *s = &im->settings[i];
        if (!s->taken && strcmp(s->key, key) == 0) {
            s->taken = true;
            return s;
        }
    }
    return NULL;
}

bool import_is(const struct setting *s, const char *value)
{
    return s && strcmp(s->value, value) == 0;
}

static bool is_true(struct import *im, const struct setting *s)
{
    if (!import_is(s, "true") && !import_is(s, "false"))
        import_refuse(im, s->origin, "%s: is neither true nor false", s->key);
    return import_is(s, "true");
}

/* ---- lists ---- */
struct item {
    const struct setting *setting;
    const char *place; /* what follows the list's name and a dot */
};

static int by_place(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    uint64_t m, n;
    if (slice_number(slice_str(x->place), &m) && slice_number(slice_str(y->place), &n))
        return (m > n) - (m < n);
    return strcmp(x->place, y->place);
}

/* The text of an item of the list, NULL if it is not in it. */
static const char *list_item(struct import *im, const char *list, const struct item *item)
{
    const struct setting *s = item->setting;
    if (strcmp(list, "loopback_users") == 0 || strcmp(list, "default_user_tags") == 0)
        return is_true(im, s) ? item->place : NULL;
    bool split = strchr(item->place, '.') && strcmp(strrchr(s->key, '.'), ".authn") != 0 &&
                 strcmp(strrchr(s->key, '.'), ".authz") != 0;
    if (split) /* {rabbit_auth_backend_http, rabbit_auth_backend_internal} */
        import_leave(im, s, "users come from the broker alone: the other one is not there");
    bool internal = import_is(s, "internal") || import_is(s, "rabbit_auth_backend_internal");
    if (strcmp(list, "auth_backends") == 0 && !internal) {
        import_leave(
            im, s, import_text(im, "users come from the broker alone: %s is not there", s->value));
        return NULL;
    }
    return internal ? "internal" : s->value;
}

/* "a, b" of the items of one list, in the order of their places, each once. */
static void put_list(struct import *im, const struct row *row, struct item *items, size_t count,
                     const struct setting *s)
{
    const char *text = "";
    if (count)
        qsort(items, count, sizeof *items, by_place);
    for (size_t i = 0; i < count; i++) {
        const char *value = list_item(im, row->path, &items[i]);
        value =
            value ? import_value(im, row, SPELLED_PLAIN, slice_str(value), items[i].setting) : NULL;
        if (value && !strstr(text, value))
            text = import_text(im, "%s%s%s", text, *text ? ", " : "", value);
    }
    if (*text || !row->min)
        import_put(im, row->path, import_text(im, "[%s]", text), s);
    else if (!count)
        import_refuse(im, s->origin, "%s: may not be empty", s->key);
}

/* All settings of the list that s is one of. */
static void take_list(struct import *im, const struct row *row, struct setting *s)
{
    const char *prefix = import_text(im, "%s.", row->path);
    struct item *items = NULL;
    size_t count = 0, room = 0;
    bool none = strcmp(s->key, row->path) == 0;
    if (none && !import_is(s, "none"))
        import_refuse(im, s->origin, "%s: is none, or %s.1 and so on", s->key, s->key);
    for (struct setting *next = none ? import_take(im, prefix) : s; next;
         next = import_take(im, prefix)) {
        if (none) {
            import_leave(im, next, import_text(im, "%s counts", s->key));
            continue;
        }
        MEM_GROW(items, room, count + 1);
        items[count++] = (struct item){next, next->key + strlen(prefix)};
    }
    put_list(im, row, items, count, s);
    free(items);
}

/* ---- rules ---- */
static void import_none(struct import *im, struct setting *s, const char *to, const char *text)
{
    if (!to)
        import_leave(im, s, text);
    else if (*to == '!')
        import_refuse(im, s->origin, "%s: %s", s->key, text);
}

/* What the group did not take is no setting of it. */
static void import_group(struct import *im, struct setting *s, const char *to, const char *text)
{
    (void)to, (void)text;
    import_refuse(im, s->origin, "%s: is not known", s->key);
}

static void import_node(struct import *im, struct setting *s, const char *to, const char *text)
{
    (void)text;
    enum spelling spelling = SPELLED_PLAIN;
    const struct row *row = row_find(slice_str(to));
    if (row->type == ROW_MEMORY) {
        spelling = SPELLED_RELATIVE;
        struct setting *absolute = import_take_key(im, import_text(im, "%s.absolute", to));
        if (absolute)
            import_leave(im, absolute, import_text(im, "%s counts", s->key));
    }
    if (strcmp(to, "plugins.enabled") == 0)
        import_put(im, row->path, "[\"rtopic\"]", s);
    else if (row->type == ROW_TEXTS)
        take_list(im, row, s);
    else
        import_put_value(im, row, spelling, slice_str(s->value), s);
}

const char *import_level_name(struct import *im, const struct setting *s, struct slice value)
{
    static const char *const levels[][2] = {
        {"debug", "debug"},     {"info", "info"},          {"notice", "info"},
        {"warning", "warning"}, {"error", "error"},        {"critical", "critical"},
        {"alert", "critical"},  {"emergency", "critical"}, {"none", "none"},
    };
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (slice_eq_str(value, levels[i][0]))
            return levels[i][1];
    }
    import_refuse(im, s->origin, "%s: '%.*s' is not a level", s->key, SLICE_ARG(value));
    return NULL;
}

static void import_level(struct import *im, struct setting *s, const char *to, const char *text)
{
    (void)text;
    const char *level = import_level_name(im, s, slice_str(s->value));
    if (level)
        import_put(im, to, level, s);
}

/* "debug", "connection=debug,queue=info", "+color". */
static void import_log(struct import *im, struct setting *s, const char *to, const char *text)
{
    (void)to, (void)text;
    for (const char *p = s->value; *p;) {
        size_t n = strcspn(p, ",");
        const char *equals = memchr(p, '=', n);
        struct slice word = slice_of(p, equals ? (size_t)(equals - p) : n);
        const char *key = equals ? import_text(im, "log.%.*s.level", SLICE_ARG(word)) : "log.level";
        const struct row *row = row_find(slice_str(key));
        if (*p == '+' || *p == '-' || !row)
            import_leave(im, s, import_text(im, "nothing corresponds to '%.*s'", (int)n, p));
        else {
            struct slice level = equals ? slice_of(equals + 1, n - word.len - 1) : word;
            const char *name = import_level_name(im, s, level);
            if (name)
                import_put(im, row->path, name, s);
        }
        p += n + (p[n] == ',');
    }
}

/* Arguments for Erlang's runtime, which may set keys: -rabbit consumer_timeout 36000000. */
static void import_arguments(struct import *im, struct setting *s, const char *to, const char *text)
{
    (void)to, (void)text;
    if (strstr(s->value, "-rabbit"))
        import_refuse(im, s->origin,
                      "%s: sets keys with -rabbit..., which have to be written by hand", s->key);
    else
        import_leave(im, s, "it is about the Erlang runtime");
}

/* ---- keys of the same name ---- */
/* default_users.NAME.configure; false: it is no such key. */
static bool put_named(struct import *im, struct setting *s)
{
    struct slice rest;
    char path[2 * PATH_ROOM];
    const struct row *list = row_find_named(slice_str(s->key), &rest);
    const uint8_t *dot = list ? memchr(rest.data, '.', rest.len) : NULL;
    if (!dot)
        return false;
    size_t name = (size_t)(dot - rest.data);
    snprintf(path, sizeof path, "%s[].%.*s", list->path, (int)(rest.len - name - 1),
             (const char *)dot + 1);
    const struct row *row = row_find(slice_str(path));
    if (!row)
        return false;
    const char *text = NULL;
    if (row->type != ROW_TEXTS) {
        text = import_value(im, row, SPELLED_PLAIN, slice_str(s->value), s);
    } else {
        text = "";
        for (const char *p = s->value; *p;) {
            size_t n = strcspn(p, ",");
            const char *one = p + strspn(p, " "), *end = p + n;
            struct buf quoted = BUF_INIT;
            while (end > one && end[-1] == ' ')
                end--;
            scalar_quote(slice_of(one, (size_t)(end - one)), &quoted);
            text = import_text(im, "%s%s%s", text, *text ? ", " : "", buf_cstr(&quoted));
            buf_fini(&quoted);
            p += n + (p[n] == ',');
        }
        text = import_text(im, "[%s]", text);
    }
    if (text)
        import_put(im, s->key, text, s);
    return true;
}

/* Words that RabbitMQ has more of than we. */
static const char *in_our_words(const struct setting *s)
{
    static const char *const words[][3] = {
        {"consumer_timeout", "undefined", "0"},
        {"ssl_cert_login_from", "subject_alt_name", "subject_alternative_name"},
        {"definitions.import_backend", "local", "local_filesystem"},
        {"definitions.import_backend", "rabbit_definitions_import_local_filesystem",
         "local_filesystem"},
        {"definitions.import_backend", "rabbitmq_definitions_import_local_filesystem",
         "local_filesystem"},
        {"definitions.import_backend", "http", "https"},
        {"definitions.import_backend", "rabbit_definitions_import_https", "https"},
        {"definitions.import_backend", "rabbitmq_definitions_import_http", "https"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcmp(s->key, words[i][0]) == 0 && strcmp(s->value, words[i][1]) == 0)
            return words[i][2];
    }
    return s->value;
}

static bool put_same(struct import *im, struct setting *s)
{
    enum spelling spelling;
    if (strcmp(s->key, "management.rates_mode") == 0 && import_is(s, "detailed")) {
        import_leave(im, s, "detailed rates are not there; they are basic");
        return true;
    }
    const struct row *row = row_find_spelled(slice_str(s->key), &spelling);
    if (!row) {
        const char *dot = strrchr(s->key, '.');
        row = dot ? row_find(slice_of(s->key, (size_t)(dot - s->key))) : NULL;
        if (!row || row->type != ROW_TEXTS)
            return put_named(im, s);
    }
    if (row->type == ROW_LIST || row->type == ROW_ARGS || strchr(row->path, '['))
        return false;
    if (row->type == ROW_TEXTS)
        take_list(im, row, s);
    else
        import_put_value(im, row, spelling, slice_str(in_our_words(s)), s);
    return true;
}

static unsigned find_rule(const char *key)
{
    unsigned i = 0;
    while (i < RULES && !matches(rules[i].pattern, key))
        i++;
    return i;
}

static bool has_no_counterpart(const char *key)
{
    unsigned i = find_rule(key);
    return i < RULES && rules[i].rule == import_none;
}

/* What only cuttlefish or a decoder could turn into a value. */
static bool is_beyond(struct import *im, const struct setting *s)
{
    if (s->term && !has_no_counterpart(s->key)) {
        import_refuse(im, s->origin, "%s: is a term that rabbitmq.conf has no form for", s->key);
        return true;
    }
    const char *reference = strstr(s->value, "$(");
    if (strncmp(s->value, "encrypted:", 10) == 0)
        import_refuse(im, s->origin,
                      "%s: is encrypted; `rabbitmqctl decode` shows the value, which has to be "
                      "written by hand",
                      s->key);
    else if (reference && strchr(reference, ')'))
        import_refuse(im, s->origin, "%s: refers to another value with $(...); write the value",
                      s->key);
    else
        return false;
    return true;
}

static void map(struct import *im, struct setting *s)
{
    s->taken = true;
    unsigned i = find_rule(s->key);
    bool own = row_find(slice_str(s->key)); /* of a family of which others have no counterpart */
    if (i < RULES && !(own && rules[i].rule == import_none)) {
        rules[i].rule(im, s, rules[i].to, rules[i].text);
        return;
    }
    if (put_same(im, s))
        return;
    struct slice near = row_nearest("", "", s->key);
    import_refuse(im, s->origin, "%s: is not known%s%.*s%s", s->key,
                  near.len ? "; did you mean '" : "", SLICE_ARG(near), near.len ? "'?" : "");
}

void import_map(struct import *im)
{
    for (size_t i = 0; i < im->count; i++) {
        struct setting *s = &im->settings[i];
        size_t n = strlen(s->value);
        if (!s->taken && is_beyond(im, s))
            s->taken = true;
        else if (n > 1 && s->value[0] == '"' && s->value[n - 1] == '"')
            import_leave(im, s, "the quotation marks are part of the value, as in RabbitMQ");
    }
    import_listeners(im);
    import_web(im);
    import_tls(im);
    import_logs(im);
    for (size_t i = 0; i < im->count; i++) {
        if (!im->settings[i].taken)
            map(im, &im->settings[i]);
    }
}

void import_put_docs(struct buf *out)
{
    buf_append_str(
        out, "# RabbitMQ's settings\n\n"
             "Printed by `jackaloped --dump-docs`. What `jackaloped --import-rabbitmq-conf` "
             "makes of RabbitMQ's settings. A key that [config.md](config.md) has too, by its "
             "name or an alias, is taken as it is and is not listed here; `.*` stands for one "
             "name, `.…` for all that begins so.\n\n"
             "| Setting | What becomes of it |\n|---|---|\n");
    for (size_t i = 0; i < RULES; i++) {
        if (rules[i].rule == import_none && row_find(slice_str(rules[i].pattern)))
            continue;
        bool none = rules[i].rule == import_none && (!rules[i].to || *rules[i].to == '!');
        buf_printf(out, "| `%s%s` | %s%s |\n", rules[i].pattern,
                   is_family(rules[i].pattern) ? "…" : "", none ? "No counterpart: " : "",
                   rules[i].text);
    }
}
