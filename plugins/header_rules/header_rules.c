/* header_rules: headers that published messages get, lose or must have.
 *
 * Rules are read once, in start, and do not change: on_publish reads them on all shards. */
#include <jackalope/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_MOST = 32, NAME_MOST = 127, VALUE_ROOM = 1024 };

/* A text of several lines in YAML has newlines. */
#define BLANKS " \t\r\n"

enum kind { REQUIRE, REMOVE, SET, DEFAULT };

struct rule {
    enum kind kind;
    char name[NAME_MOST + 1];
    const char *value; /* of SET and DEFAULT; up to the next blank */
    size_t len;
};

static const struct jackalope_api *api;

static struct {
    struct rule rules[RULES_MOST];
    unsigned count;
    const char *exchanges; /* names they count for, parted by blanks; "": all */
} all;

/* ---- settings ---- */

static int add_rule(enum kind kind, const char *word, size_t len, struct jackalope_why *why)
{
    const char *equals = memchr(word, '=', len);
    int valued = kind == SET || kind == DEFAULT;
    size_t name = equals ? (size_t)(equals - word) : len;
    if (valued != (equals != NULL) || !name || name > NAME_MOST) {
        snprintf(why->text, sizeof why->text, "header_rules: '%.*s' is not %s", (int)len, word,
                 valued ? "NAME=VALUE" : "the name of a header");
        return 1;
    }
    if (all.count == RULES_MOST) {
        snprintf(why->text, sizeof why->text, "header_rules: more than %d rules", RULES_MOST);
        return 1;
    }
    struct rule *rule = &all.rules[all.count++];
    rule->kind = kind;
    memcpy(rule->name, word, name);
    if (valued) {
        rule->value = equals + 1;
        rule->len = len - name - 1;
    }
    return 0;
}

static int add_rules(enum kind kind, const char *words, struct jackalope_why *why)
{
    for (words += strspn(words, BLANKS); *words; words += strspn(words, BLANKS)) {
        size_t len = strcspn(words, BLANKS);
        if (add_rule(kind, words, len, why))
            return 1;
        words += len;
    }
    return 0;
}

/* ---- messages ---- */

static int is_named(const char *words, struct jackalope_bytes name)
{
    for (words += strspn(words, BLANKS); *words; words += strspn(words, BLANKS)) {
        size_t len = strcspn(words, BLANKS);
        if (len == name.len && !memcmp(words, name.data, len))
            return 1;
        words += len;
    }
    return 0;
}

/* The field that a place in a value stands for, and how long it is; 0: it is no such place. */
static size_t place(const char *text, size_t left, enum jackalope_field *ret_field)
{
    static const struct {
        const char *text;
        enum jackalope_field field;
    } places[] = {{"{user}", JACKALOPE_USER},
                  {"{vhost}", JACKALOPE_VHOST},
                  {"{exchange}", JACKALOPE_EXCHANGE},
                  {"{key}", JACKALOPE_ROUTING_KEY}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t len = strlen(places[i].text);
        if (len <= left && !memcmp(text, places[i].text, len)) {
            *ret_field = places[i].field;
            return len;
        }
    }
    return 0;
}

/* The value with what its places stand for, cut at the room. */
static size_t expand(const struct jackalope_message *message, const struct rule *rule,
                     char room[VALUE_ROOM])
{
    size_t n = 0;
    for (size_t i = 0; i < rule->len && n < VALUE_ROOM;) {
        enum jackalope_field field;
        size_t skip = place(rule->value + i, rule->len - i, &field);
        struct jackalope_bytes part = {rule->value + i, 1};
        if (skip)
            part = api->message_get(message, field);
        size_t len = part.len < VALUE_ROOM - n ? part.len : VALUE_ROOM - n;
        if (len)
            memcpy(room + n, part.data, len);
        n += len;
        i += skip ? skip : 1;
    }
    return n;
}

static int put(struct jackalope_message *message, const struct rule *rule)
{
    char room[VALUE_ROOM];
    struct jackalope_value value = {.type = JACKALOPE_TEXT};
    value.bytes = (struct jackalope_bytes){room, expand(message, rule, room)};
    return api->message_set_header(message, rule->name, &value);
}

static int on_publish(struct jackalope_message *message, struct jackalope_why *why)
{
    struct jackalope_value there;
    if (*all.exchanges && !is_named(all.exchanges, api->message_get(message, JACKALOPE_EXCHANGE)))
        return 0;
    for (unsigned i = 0; i < all.count; i++) {
        const struct rule *rule = &all.rules[i];
        int has = api->table_find(api->message_get(message, JACKALOPE_HEADERS), rule->name, &there);
        if (rule->kind == REQUIRE && !has) {
            snprintf(why->text, sizeof why->text, "message lacks the header '%s'", rule->name);
            return 1;
        }
        int bad = 0;
        if (rule->kind == REMOVE && has)
            bad = api->message_set_header(message, rule->name, NULL);
        else if (rule->kind == SET || (rule->kind == DEFAULT && !has))
            bad = put(message, rule);
        if (bad) {
            snprintf(why->text, sizeof why->text, "header '%s' cannot be set", rule->name);
            return 1;
        }
    }
    return 0;
}

static const struct jackalope_interceptor interceptor = {
    .size = sizeof interceptor,
    .on_publish = on_publish,
};

static int start(const struct jackalope_api *table, struct jackalope_host *host,
                 struct jackalope_why *why)
{
    static const char *const keys[] = {
        [REQUIRE] = "require", [REMOVE] = "remove", [SET] = "set", [DEFAULT] = "default"};
    api = table;
    all.exchanges = api->setting(host, "exchanges", "");
    for (unsigned kind = REQUIRE; kind <= DEFAULT; kind++) {
        if (add_rules((enum kind)kind, api->setting(host, keys[kind], ""), why))
            return 1;
    }
    if (!all.count) {
        snprintf(why->text, sizeof why->text,
                 "header_rules: plugins.settings has no rule, of require, remove, set and default");
        return 1;
    }
    return api->add_interceptor(host, &interceptor);
}

static const struct jackalope_setting settings[] = {
    {"require", "names of headers that a message has to have"},
    {"remove", "names of headers that are taken off"},
    {"set", "NAME=VALUE: headers that are put on, in place of what is there"},
    {"default", "NAME=VALUE: headers that are put on where they are missing"},
    {"exchanges", "names of the exchanges that the rules count for; not set: all"},
    {0},
};

JACKALOPE_PLUGIN(header_rules) = {
    JACKALOPE_PLUGIN_HEAD(header_rules),
    .version = "1.0",
    .text = "Headers that published messages get, lose or must have",
    .settings = settings,
    .start = start,
};
