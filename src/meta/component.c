/* The fields of each kind of value are a table, in RabbitMQ's order; it tells of them from the last
 * to the first. */
#include "meta/component.h"

#include "base/bug.h"
#include "meta/args.h"
#include "meta/term.h"
#include "meta/uri.h"

enum check {
    BINARY,
    QUEUE_NAME,
    NUMBER,
    BOOLEAN,
    WORD,
    URI,
    DELETE_AFTER,
    QUEUE_ARGS,
    ANY_ARGS,
    TEXTS,
    PROPERTIES,
};

enum kind {
    UPSTREAM = 1,
    SET = 2, /* an item of a set of upstreams */
    SHOVEL = 4,
    SRC_091 = 8,
    SRC_10 = 16,
    SRC_LOCAL = 32,
    DEST_091 = 64,
    DEST_10 = 128,
    DEST_LOCAL = 256,
    PROPERTY = 512, /* of messages */
    SRC = SRC_091 | SRC_10 | SRC_LOCAL,
    DEST = DEST_091 | DEST_10 | DEST_LOCAL,
    LINK = UPSTREAM | SET,
};

static const struct field {
    unsigned kinds, needed_in;
    const char *name;
    enum check check;
    const char *words; /* of a WORD */
} fields[] = {
    {UPSTREAM, UPSTREAM, "uri", URI, NULL},
    {SET, SET, "upstream", BINARY, NULL},
    {LINK, 0, "exchange", BINARY, NULL},
    {LINK, 0, "queue", BINARY, NULL},
    {LINK, 0, "consumer-tag", BINARY, NULL},
    {LINK, 0, "prefetch-count", NUMBER, NULL},
    {LINK | SHOVEL, 0, "reconnect-delay", NUMBER, NULL},
    {LINK, 0, "max-hops", NUMBER, NULL},
    {LINK, 0, "expires", NUMBER, NULL},
    {LINK, 0, "message-ttl", NUMBER, NULL},
    {LINK, 0, "trust-user-id", BOOLEAN, NULL},
    {LINK | SHOVEL, 0, "ack-mode", WORD, "no-ack on-publish on-confirm"},
    {LINK, 0, "queue-type", WORD, "classic quorum"},
    {LINK, 0, "resource-cleanup-mode", WORD, "default never"},
    {LINK, 0, "ha-policy", BINARY, NULL},
    {LINK, 0, "bind-nowait", BOOLEAN, NULL},
    {LINK, 0, "channel-use-mode", WORD, "multiple single"},

    {SHOVEL, 0, "src-protocol", WORD, "amqp10 amqp091 local"},
    {SHOVEL, 0, "dest-protocol", WORD, "amqp10 amqp091 local"},
    {SRC, SRC, "src-uri", URI, NULL},
    {SRC_10, SRC_10, "src-address", BINARY, NULL},
    {SRC_091 | SRC_LOCAL, 0, "src-exchange", BINARY, NULL},
    {SRC_091 | SRC_LOCAL, 0, "src-exchange-key", BINARY, NULL},
    {SRC_091 | SRC_LOCAL, 0, "src-queue", BINARY, NULL},
    {SRC_091 | SRC_LOCAL, 0, "src-queue-args", QUEUE_ARGS, NULL},
    {SRC_091 | SRC_LOCAL, 0, "src-consumer-args", ANY_ARGS, NULL},
    {SRC_091 | SRC_LOCAL, 0, "src-predeclared", BOOLEAN, NULL},
    {SRC_091, 0, "prefetch-count", NUMBER, NULL},
    {SRC, 0, "src-prefetch-count", NUMBER, NULL},
    {SRC_091, 0, "delete-after", DELETE_AFTER, NULL},
    {SRC, 0, "src-delete-after", DELETE_AFTER, NULL},
    {DEST, DEST, "dest-uri", URI, NULL},
    {DEST_10, DEST_10, "dest-address", BINARY, NULL},
    {DEST_091 | DEST_LOCAL, 0, "dest-exchange", BINARY, NULL},
    {DEST_091 | DEST_LOCAL, 0, "dest-exchange-key", BINARY, NULL},
    {DEST_091 | DEST_LOCAL, 0, "dest-queue", QUEUE_NAME, NULL},
    {DEST_091 | DEST_LOCAL, 0, "dest-queue-args", QUEUE_ARGS, NULL},
    {DEST_091 | DEST_LOCAL, 0, "dest-predeclared", BOOLEAN, NULL},
    {DEST_091, 0, "add-forward-headers", BOOLEAN, NULL},
    {DEST_091, 0, "add-timestamp-header", BOOLEAN, NULL},
    {DEST, 0, "dest-add-forward-headers", BOOLEAN, NULL},
    {DEST, 0, "dest-add-timestamp-header", BOOLEAN, NULL},
    {DEST_091, 0, "publish-properties", PROPERTIES, NULL},
    {DEST_091, 0, "dest-publish-properties", PROPERTIES, NULL},
    {DEST_10, 0, "dest-application-properties", TEXTS, NULL},
    {DEST_10, 0, "dest-message-annotations", TEXTS, NULL},
    {DEST_10, 0, "dest-properties", TEXTS, NULL},

    {PROPERTY, 0, "content_type", BINARY, NULL},
    {PROPERTY, 0, "content_encoding", BINARY, NULL},
    {PROPERTY, 0, "delivery_mode", NUMBER, NULL},
    {PROPERTY, 0, "priority", NUMBER, NULL},
    {PROPERTY, 0, "correlation_id", BINARY, NULL},
    {PROPERTY, 0, "reply_to", BINARY, NULL},
    {PROPERTY, 0, "expiration", BINARY, NULL},
    {PROPERTY, 0, "message_id", BINARY, NULL},
    {PROPERTY, 0, "timestamp", NUMBER, NULL},
    {PROPERTY, 0, "type", BINARY, NULL},
    {PROPERTY, 0, "user_id", BINARY, NULL},
    {PROPERTY, 0, "app_id", BINARY, NULL},
    {PROPERTY, 0, "cluster_id", BINARY, NULL},
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* ---- one value ---- */

static void is_not(struct buf *errors, struct slice name, const char *what,
                   const struct table_value *value)
{
    buf_printf(errors, "%.*s %s", SLICE_ARG(name), what);
    term_print(value, errors);
    buf_append_byte(errors, '\n');
}

static bool is_text(const struct table_value *value)
{
    return value->type == TABLE_LONGSTR;
}

static void check_uri(struct slice name, const struct table_value *value, struct buf *errors)
{
    struct buf reason = BUF_INIT;
    if (!is_text(value)) {
        is_not(errors, name, "should be list, actually was ", value);
    } else if (uri_find_error(value->bytes, &reason)) {
        buf_printf(errors, "\"%.*s\" not a valid URI: {%.*s,\"%.*s\"}\n", SLICE_ARG(value->bytes),
                   SLICE_ARG(buf_slice(&reason)), SLICE_ARG(value->bytes));
    }
    buf_fini(&reason);
}

/* One or a list of them; of a list the first that is wrong. */
static void check_uris(struct slice name, const struct table_value *value, struct buf *errors)
{
    struct table_value item;
    size_t before = errors->len;
    if (value->type != TABLE_ARRAY) {
        check_uri(name, value, errors);
        return;
    }
    for (struct table_iter it = table_iter(value->bytes);
         errors->len == before && array_next(&it, &item);)
        check_uri(name, &item, errors);
}

static void check_word(const struct field *f, const struct table_value *value, struct buf *errors)
{
    struct slice name = slice_str(f->name);
    if (!is_text(value)) {
        is_not(errors, name, "should be binary, actually was ", value);
        return;
    }
    if (args_is_word(value->bytes, f->words))
        return;
    buf_printf(errors, "%s should be one of [<<\"", f->name);
    for (const char *c = f->words; *c; c++) {
        if (*c == ' ')
            buf_append_str(errors, "\">>,<<\"");
        else
            buf_append_byte(errors, (uint8_t)*c);
    }
    buf_append_str(errors, "\">>], actually was ");
    term_print(value, errors);
    buf_append_byte(errors, '\n');
}

static void check_delete_after(struct slice name, const struct table_value *value,
                               struct buf *errors)
{
    bool word = is_text(value) && args_is_word(value->bytes, "never queue-length");
    if (!word && !(table_is_int(value->type) && value->integer >= 0))
        is_not(errors, name,
               "should be a number greater than or equal to 0, \"never\" or \"queue-length\", "
               "actually was ",
               value);
}

static void check_queue_name(struct slice name, const struct table_value *value, struct buf *errors)
{
    if (!is_text(value))
        is_not(errors, name, "should be binary, actually was ", value);
    else if (value->bytes.len > UINT8_MAX)
        buf_printf(errors, "%.*s should be less than 255 bytes, actually was %zu\n",
                   SLICE_ARG(name), value->bytes.len);
}

/* ---- tables ---- */

static bool is_table(struct slice name, const struct table_value *value, struct buf *errors)
{
    if (value->type == TABLE_TABLE || (value->type == TABLE_ARRAY && !value->bytes.len))
        return true;
    if (value->type != TABLE_ARRAY) {
        is_not(errors, name, "not a list ", value);
        return false;
    }
    buf_append_str(errors, "Unrecognised terms ");
    term_print(value, errors);
    buf_printf(errors, " in %.*s\n", SLICE_ARG(name));
    return false;
}

static void put_unrecognised(const struct buf *unknown, struct slice name, struct buf *errors)
{
    if (!unknown->len)
        return;
    buf_append_str(errors, "Unrecognised terms ");
    term_print_pairs(buf_slice(unknown), errors);
    buf_printf(errors, " in %.*s\n", SLICE_ARG(name));
}

static bool is_queue_argument(struct slice key)
{
    const struct arg_info *info;
    for (size_t i = 0; (info = args_info(ARG_QUEUE, i)); i++) {
        if (slice_eq_str(key, info->name))
            return true;
    }
    return false;
}

/* Arguments of a queue, whose values count when it is declared; or texts. */
static void check_flat(const struct field *f, const struct table_value *value, struct buf *errors)
{
    struct slice name = slice_str(f->name), key;
    struct buf unknown = BUF_INIT;
    struct table_value v;
    if (!is_table(name, value, errors))
        return;
    for (struct table_iter it = table_iter(value->bytes); table_next(&it, &key, &v);) {
        if (f->check == QUEUE_ARGS && !is_queue_argument(key))
            table_put(&unknown, key, &v);
    }
    put_unrecognised(&unknown, name, errors);
    for (struct table_iter it = table_iter(value->bytes); table_next(&it, &key, &v);) {
        if (f->check == TEXTS && !is_text(&v))
            is_not(errors, key, "should be binary, actually was ", &v);
    }
    buf_fini(&unknown);
}

static void check_table(struct slice name, unsigned kinds, const struct table_value *value,
                        struct buf *errors);

static void check_field(const struct field *f, const struct table_value *value, struct buf *errors)
{
    struct slice name = slice_str(f->name);
    switch (f->check) {
    case BINARY:
        if (!is_text(value))
            is_not(errors, name, "should be binary, actually was ", value);
        break;
    case QUEUE_NAME:
        check_queue_name(name, value, errors);
        break;
    case NUMBER:
        if (!table_is_int(value->type) && value->type != TABLE_DOUBLE)
            is_not(errors, name, "should be a number, actually was ", value);
        break;
    case BOOLEAN:
        if (value->type != TABLE_BOOL)
            is_not(errors, name, "should be boolean, actually was ", value);
        break;
    case WORD:
        check_word(f, value, errors);
        break;
    case URI:
        check_uris(name, value, errors);
        break;
    case DELETE_AFTER:
        check_delete_after(name, value, errors);
        break;
    case QUEUE_ARGS:
    case ANY_ARGS:
    case TEXTS:
        check_flat(f, value, errors);
        break;
    case PROPERTIES:
        check_table(name, PROPERTY, value, errors);
        break;
    }
}

static const struct field *find_field(unsigned kinds, struct slice key)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if ((fields[i].kinds & kinds) && slice_eq_str(key, fields[i].name))
            return &fields[i];
    }
    return NULL;
}

static void check_table(struct slice name, unsigned kinds, const struct table_value *value,
                        struct buf *errors)
{
    struct slice key, table = SLICE_EMPTY;
    struct buf unknown = BUF_INIT;
    struct table_value v;
    if (is_table(name, value, errors))
        table = value->bytes;
    else if (value->type != TABLE_ARRAY)
        return;
    for (struct table_iter it = table_iter(table); table_next(&it, &key, &v);) {
        if (!find_field(kinds, key))
            table_put(&unknown, key, &v);
    }
    put_unrecognised(&unknown, name, errors);
    for (size_t i = FIELDS; i-- > 0;) {
        const struct field *f = &fields[i];
        if (!(f->kinds & kinds))
            continue;
        if (table_find(table, slice_str(f->name), &v))
            check_field(f, &v, errors);
        else if (f->needed_in & kinds)
            buf_printf(errors, "Key \"%s\" not found in %.*s\n", f->name, SLICE_ARG(name));
    }
    buf_fini(&unknown);
}

/* ---- components ---- */

static void check_set(struct slice name, const struct table_value *value, struct buf *errors)
{
    struct table_value item;
    if (value->type != TABLE_ARRAY) {
        is_not(errors, name, "not a list ", value);
        return;
    }
    for (struct table_iter it = table_iter(value->bytes); array_next(&it, &item);)
        check_table(name, SET, &item, errors);
}

/* amqp091 is the first of three. */
static unsigned protocol_of(struct slice shovel, const char *key, unsigned first)
{
    struct slice text;
    if (!table_find_str(shovel, slice_str(key), &text))
        return first;
    return slice_eq_str(text, "amqp10")  ? first << 1
           : slice_eq_str(text, "local") ? first << 2
                                         : first;
}

static bool has(struct slice table, const char *key)
{
    struct table_value value;
    return table_find(table, slice_str(key), &value);
}

static void check_ends(struct slice shovel, unsigned kinds, struct buf *errors)
{
    struct table_value after;
    struct slice mode;
    bool by_queue = has(shovel, "src-queue"), by_exchange = has(shovel, "src-exchange");
    if (!(kinds & SRC_10) && !by_queue && !by_exchange)
        buf_append_str(errors, "Must specify 'src-exchange' or 'src-queue'\n");
    if (!(kinds & SRC_10) && by_queue && by_exchange)
        buf_append_str(errors, "Cannot specify 'src-exchange' and 'src-queue'\n");
    bool limited = table_find(shovel, SLICE("src-delete-after"), &after) ||
                   table_find(shovel, SLICE("delete-after"), &after);
    if (!(kinds & SRC_10) && limited && table_is_int(after.type) &&
        table_find_str(shovel, SLICE("ack-mode"), &mode) && slice_eq_str(mode, "no-ack"))
        buf_append_str(errors, "Cannot specify 'no-ack' and numerical 'delete-after'\n");
    if (!(kinds & DEST_10) && has(shovel, "dest-queue") && has(shovel, "dest-exchange"))
        buf_append_str(errors, "Cannot specify 'dest-exchange' and 'dest-queue'\n");
}

static void check_shovel(struct slice name, const struct table_value *value, struct buf *errors)
{
    struct slice shovel = value->type == TABLE_TABLE ? value->bytes : SLICE_EMPTY;
    unsigned kinds = SHOVEL | protocol_of(shovel, "src-protocol", SRC_091) |
                     protocol_of(shovel, "dest-protocol", DEST_091);
    if (value->type == TABLE_TABLE || value->type == TABLE_ARRAY)
        check_ends(shovel, kinds, errors);
    check_table(name, kinds, value, errors);
}

static void check_upstream(struct slice name, const struct table_value *value, struct buf *errors)
{
    check_table(name, UPSTREAM, value, errors);
}

static const struct component {
    const char *name;
    void (*check)(struct slice name, const struct table_value *value, struct buf *errors);
    enum limit limit;
} components[] = {{"federation-upstream", check_upstream, LIMIT_UPSTREAMS},
                  {"federation-upstream-set", check_set, LIMIT_UPSTREAM_SETS},
                  {"shovel", check_shovel, LIMIT_SHOVELS}};

static const struct component *find(struct slice name)
{
    for (size_t i = 0; i < sizeof components / sizeof *components; i++) {
        if (slice_eq_str(name, components[i].name))
            return &components[i];
    }
    return NULL;
}

bool component_exists(struct slice name)
{
    return find(name) != NULL;
}

enum limit component_limit(struct slice name)
{
    const struct component *c = find(name);
    return c ? c->limit : LIMIT_COUNT;
}

void component_check(struct slice component, struct slice name, const struct table_value *value,
                     struct buf *errors)
{
    const struct component *c = find(component);
    bug_on(!c);
    c->check(name, value, errors);
}
