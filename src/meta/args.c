/* The checks behind args.def. Error terms are printed as Erlang prints them, since clients know
 * RabbitMQ's texts. */
#include "meta/args.h"

#include "base/bug.h"
#include "base/table.h"

#include <inttypes.h>

enum { C = 1 << QUEUE_CLASSIC, Q = 1 << QUEUE_QUORUM, S = 1 << QUEUE_STREAM };
#define EXPIRY_MAX   INT64_C(315360000000) /* ten years of milliseconds */
#define PRIORITY_MAX 255
#define SEGMENT_MAX  INT64_C(3000000000)
#define FILTER_MIN   16
#define FILTER_MAX   255

enum check {
    ANY,
    INTEGER,
    NATURAL,
    POSITIVE,
    EXPIRES,
    TTL,
    PRIORITY,
    QUEUE_VERSION,
    BOOL,
    STRING,
    DEAD_LETTER_KEY,
    WORD,
    MODE,
    QUEUE_TYPE,
    AGE,
    STREAM_OFFSET,
    FILTER_SIZE
};

struct arg {
    struct arg_info info;
    enum check check;
    const char *words, *error;
};

struct queue_type_info {
    const char *name, *module;
    const char *text;
};

static const struct queue_type_info types[QUEUE_TYPE_COUNT] = {
#define QUEUE_TYPE(symbol, name, module, text) [QUEUE_##symbol] = {name, module, text},
#include "meta/args.def"
};

static const struct arg queue_args[] = {
#define QUEUE_ARG(name, check, types, words, error, text) \
    {{name, types, text}, check, words, error},
#include "meta/args.def"
};

static const struct arg exchange_args[] = {
#define EXCHANGE_ARG(name, check, text) {{name, 0, text}, check, NULL, NULL},
#include "meta/args.def"
};

static const struct arg consume_args[] = {
#define CONSUME_ARG(name, check, types, text) {{name, types, text}, check, NULL, NULL},
#include "meta/args.def"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct arg_info *args_info(enum arg_scope scope, size_t index)
{
    switch (scope) {
    case ARG_QUEUE:
        return index < COUNT(queue_args) ? &queue_args[index].info : NULL;
    case ARG_EXCHANGE:
        return index < COUNT(exchange_args) ? &exchange_args[index].info : NULL;
    case ARG_CONSUME:
        return index < COUNT(consume_args) ? &consume_args[index].info : NULL;
    }
    return NULL;
}

const char *args_queue_type_name(enum queue_type type)
{
    return types[type].name;
}

bool args_queue_type_parse(struct slice name, enum queue_type *ret_type)
{
    for (unsigned i = 0; i < QUEUE_TYPE_COUNT; i++) {
        if (slice_eq_str(name, types[i].name)) {
            *ret_type = (enum queue_type)i;
            return true;
        }
    }
    return false;
}

enum queue_type args_queue_type(struct slice args)
{
    struct slice name;
    enum queue_type type = QUEUE_CLASSIC;
    if (table_find_str(args, SLICE("x-queue-type"), &name))
        args_queue_type_parse(name, &type);
    return type;
}

/* --- checks: false with an Erlang term in out --- */

static bool refuse_string(struct buf *out, const char *before, struct slice text, const char *after)
{
    buf_append_str(out, "\"");
    buf_append_str(out, before);
    buf_append_escaped(out, text);
    buf_append_str(out, after);
    buf_append_str(out, "\"");
    return false;
}

static bool refuse_type(struct buf *out, const struct table_value *value)
{
    buf_printf(out, "{unacceptable_type,%s}", table_type_name(value->type));
    return false;
}

static bool refuse_value(struct buf *out, const char *what, int64_t value)
{
    buf_printf(out, "{%s,%" PRId64 "}", what, value);
    return false;
}

bool args_is_word(struct slice word, const char *words)
{
    for (const char *w = words; *w;) {
        size_t n = strcspn(w, " ");
        if (slice_eq(word, slice_of(w, n)))
            return true;
        w += n + (w[n] == ' ');
    }
    return false;
}

static bool check_integer(enum check check, const struct table_value *value, struct buf *out)
{
    if (!table_is_int(value->type))
        return refuse_string(out, "expected integer, got ", slice_str(table_type_name(value->type)),
                             "");
    int64_t n = value->integer;
    if (check == INTEGER)
        return true;
    if (check == EXPIRES && n == 0)
        return refuse_value(out, "value_zero", n);
    if (n < 0)
        return refuse_value(out, "value_negative", n);
    if ((check == EXPIRES || check == TTL) && n > EXPIRY_MAX)
        return refuse_value(out, "value_too_large", n);
    if (check == PRIORITY && n > PRIORITY_MAX)
        return refuse_value(out, "max_value_exceeded", n);
    if (check == POSITIVE && n == 0)
        return refuse_value(out, "value_zero", n);
    if (check == QUEUE_VERSION && n != 1 && n != 2) {
        buf_printf(out, "\"unsupported queue version '%" PRId64 "'\"", n);
        return false;
    }
    return true;
}

bool args_is_age(struct slice age)
{
    size_t digits = 0;
    bool positive = false;
    while (digits < age.len && age.data[digits] >= '0' && age.data[digits] <= '9')
        positive |= age.data[digits++] != '0';
    return positive && age.len == digits + 1 && memchr("YMDhms", age.data[digits], 6);
}

bool args_age_ms(struct slice age, uint64_t *ret_ms)
{
    static const uint64_t seconds[] = {31536000, 2592000, 86400, 3600, 60, 1};
    static const char units[] = "YMDhms";
    uint64_t n = 0;
    if (!args_is_age(age))
        return false;
    for (size_t i = 0; i + 1 < age.len; i++)
        n = n > UINT32_MAX ? n : n * 10 + (uint64_t)(age.data[i] - '0');
    *ret_ms = n * seconds[strchr(units, age.data[age.len - 1]) - units] * 1000;
    return true;
}

static bool check_string(const struct arg *arg, struct slice text, struct slice args,
                         struct buf *out)
{
    struct table_value ignored;
    enum queue_type type;
    switch (arg->check) {
    case DEAD_LETTER_KEY:
        if (table_find(args, SLICE("x-dead-letter-exchange"), &ignored))
            return true;
        buf_append_str(out, "routing_key_but_no_dlx_defined");
        return false;
    case WORD:
        if (args_is_word(text, arg->words))
            return true;
        buf_append_str(out, arg->error);
        return false;
    case MODE:
        return args_is_word(text, arg->words) ||
               refuse_string(out, "unsupported queue mode '", text, "'");
    case QUEUE_TYPE:
        return args_queue_type_parse(text, &type) ||
               refuse_string(out, "unsupported queue type '", text, "'");
    case AGE:
        if (args_is_age(text))
            return true;
        buf_append_str(out, "invalid_max_age");
        return false;
    default:
        return true;
    }
}

static bool check_offset(const struct table_value *value, struct buf *out)
{
    if (table_is_int(value->type) || value->type == TABLE_TIMESTAMP)
        return true;
    if (value->type == TABLE_LONGSTR &&
        (args_is_word(value->bytes, "first last next") || args_is_age(value->bytes)))
        return true;
    buf_append_str(out, "{invalid_stream_offset_arg,{");
    buf_append_str(out, table_type_name(value->type));
    buf_append_str(out, ",");
    table_value_print_quoted(value, out);
    buf_append_str(out, "}}");
    return false;
}

static bool check_value(const struct arg *arg, const struct table_value *value, struct slice args,
                        struct buf *out)
{
    switch (arg->check) {
    case ANY:
        return true;
    case BOOL:
        return value->type == TABLE_BOOL || refuse_type(out, value);
    case INTEGER:
    case NATURAL:
    case POSITIVE:
    case EXPIRES:
    case TTL:
    case PRIORITY:
    case QUEUE_VERSION:
    case FILTER_SIZE:
        return check_integer(arg->check, value, out);
    case STREAM_OFFSET:
        return check_offset(value, out);
    default:
        if (value->type != TABLE_LONGSTR)
            return refuse_type(out, value);
        return check_string(arg, value->bytes, args, out);
    }
}

static enum err check_one(const struct arg *arg, struct slice vhost, struct slice name,
                          struct slice args, struct failure *why)
{
    struct table_value value;
    struct buf term = BUF_INIT;
    enum err err = ERR_NONE;
    if (!table_find(args, slice_str(arg->info.name), &value))
        return ERR_NONE;
    if (!check_value(arg, &value, args, &term))
        err = failure_set(why, ERR_PRECONDITION_FAILED,
                          "invalid arg '%s' for queue '%.*s' in vhost '%.*s': %.*s", arg->info.name,
                          SLICE_ARG(name), SLICE_ARG(vhost), SLICE_ARG(buf_slice(&term)));
    buf_fini(&term);
    return err;
}

/* The values of the rows that the type has, then keys that only other types have. */
static enum err check_all(const struct arg *rows, size_t count, enum queue_type type,
                          struct slice vhost, struct slice name, struct slice args,
                          struct failure *why)
{
    struct slice key;
    struct table_value value;
    for (size_t i = 0; i < count; i++) {
        if (!(rows[i].info.types >> type & 1))
            continue;
        enum err err = check_one(&rows[i], vhost, name, args, why);
        if (err)
            return err;
    }
    for (struct table_iter it = table_iter(args); table_next(&it, &key, &value);) {
        for (size_t i = 0; i < count; i++) {
            if (!(rows[i].info.types >> type & 1) && slice_eq_str(key, rows[i].info.name))
                return failure_set(why, ERR_PRECONDITION_FAILED,
                                   "invalid arg '%s' for queue '%.*s' in vhost '%.*s' of queue "
                                   "type %s",
                                   rows[i].info.name, SLICE_ARG(name), SLICE_ARG(vhost),
                                   types[type].module);
        }
    }
    return ERR_NONE;
}

enum err args_check_queue(struct slice vhost, struct slice name, struct slice args,
                          struct failure *why)
{
    if (!args.len)
        return ERR_NONE;
    for (size_t i = 0; i < COUNT(queue_args); i++) {
        if (queue_args[i].check != QUEUE_TYPE)
            continue;
        enum err err = check_one(&queue_args[i], vhost, name, args, why);
        if (err)
            return err;
    }
    return check_all(queue_args, COUNT(queue_args), args_queue_type(args), vhost, name, args, why);
}

static enum err refuse_property(const struct queue_def *def, const char *property,
                                struct failure *why)
{
    return failure_set(why, ERR_PRECONDITION_FAILED,
                       "invalid property '%s' for queue '%.*s' in vhost '%.*s'", property,
                       SLICE_ARG(def->name), SLICE_ARG(def->vhost));
}

enum err args_check_queue_type(const struct queue_def *def, struct failure *why)
{
    int64_t segment = 0, filter = 0;
    if (def->type == QUEUE_CLASSIC)
        return ERR_NONE;
    if (def->auto_delete)
        return refuse_property(def, "auto-delete", why);
    if (def->exclusive)
        return refuse_property(def, "exclusive-owner", why);
    if (!def->durable)
        return refuse_property(def, "non-durable", why);
    table_find_int(def->args, SLICE("x-stream-max-segment-size-bytes"), &segment);
    if (segment > SEGMENT_MAX)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "Exceeded max value for x-stream-max-segment-size-bytes");
    if (table_find_int(def->args, SLICE("x-stream-filter-size-bytes"), &filter) &&
        (filter < FILTER_MIN || filter > FILTER_MAX))
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "Invalid value for  x-stream-filter-size-bytes");
    return ERR_NONE;
}

enum err args_refuse_type(const struct queue_def *def, struct failure *why)
{
    return failure_set(why, ERR_INTERNAL_ERROR,
                       "Cannot declare a queue 'queue '%.*s' in vhost '%.*s'' of type '%s': "
                       "the corresponding feature flag is disabled",
                       SLICE_ARG(def->name), SLICE_ARG(def->vhost), types[def->type].module);
}

enum err args_check_consume(const struct queue_def *def, struct slice args, struct failure *why)
{
    if (!args.len)
        return ERR_NONE;
    return check_all(consume_args, COUNT(consume_args), def->type, def->vhost, def->name, args,
                     why);
}

/* --- equivalence --- */

static bool is_number(const struct table_value *v)
{
    return table_is_int(v->type) || v->type == TABLE_TIMESTAMP;
}

static int64_t number(const struct table_value *v)
{
    return v->type == TABLE_TIMESTAMP ? (int64_t)v->timestamp : v->integer;
}

static bool is_bytes(const struct table_value *v)
{
    return v->type == TABLE_LONGSTR || v->type == TABLE_BINARY;
}

/* RabbitMQ compares the terms that values decode to, whatever their types were. */
static bool same_term(const struct table_value *a, const struct table_value *b)
{
    if (is_number(a) && is_number(b))
        return number(a) == number(b);
    if (is_bytes(a) && is_bytes(b))
        return slice_eq(a->bytes, b->bytes);
    return table_value_equal(a, b);
}

/* Not giving the type is asking for a classic queue. */
static bool default_type(struct slice key, const struct table_value *value)
{
    return value->type == TABLE_LONGSTR && slice_eq(key, SLICE("x-queue-type")) &&
           slice_eq_str(value->bytes, types[QUEUE_CLASSIC].name);
}

static void print_value(const struct table_value *value, const struct table_value *other,
                        struct buf *out)
{
    if (!value || !other) {
        table_value_describe(value, out);
        return;
    }
    if (value->type == TABLE_VOID) {
        buf_append_str(out, "none");
        return;
    }
    buf_append_str(out, "'");
    table_value_print_term(value, out);
    buf_append_str(out, "'");
}

static enum err check_equal(const char *kind, struct slice vhost, struct slice name,
                            const char *key, struct slice current, struct slice received,
                            struct failure *why)
{
    struct table_value have_value, want_value;
    struct slice k = slice_str(key);
    const struct table_value *have = table_find(current, k, &have_value) ? &have_value : NULL;
    const struct table_value *want = table_find(received, k, &want_value) ? &want_value : NULL;
    if (!have && !want)
        return ERR_NONE;
    if (have && want ? same_term(have, want) : default_type(k, have ? have : want))
        return ERR_NONE;
    struct buf text = BUF_INIT;
    print_value(want, have, &text);
    buf_append_str(&text, " but current is ");
    print_value(have, want, &text);
    failure_set(why, ERR_PRECONDITION_FAILED,
                "inequivalent arg '%s' for %s '%.*s' in vhost '%.*s': received %.*s", key, kind,
                SLICE_ARG(name), SLICE_ARG(vhost), SLICE_ARG(buf_slice(&text)));
    buf_fini(&text);
    return ERR_PRECONDITION_FAILED;
}

enum err args_check_queue_equal(const struct queue_def *def, struct slice args, struct failure *why)
{
    struct table_value ignored;
    if (!def->args.len && !args.len)
        return ERR_NONE;
    for (size_t i = 0; i < COUNT(queue_args); i++) {
        const struct arg *arg = &queue_args[i];
        if (!(arg->info.types >> def->type & 1))
            continue;
        if (arg->check == QUEUE_TYPE && def->type_by_default &&
            !table_find(args, SLICE("x-queue-type"), &ignored))
            continue;
        enum err err =
            check_equal("queue", def->vhost, def->name, arg->info.name, def->args, args, why);
        if (err)
            return err;
    }
    return ERR_NONE;
}

enum err args_check_exchange_equal(const struct exchange_def *def, struct slice args,
                                   struct failure *why)
{
    if (!def->args.len && !args.len)
        return ERR_NONE;
    for (size_t i = 0; i < COUNT(exchange_args); i++) {
        enum err err = check_equal("exchange", def->vhost, def->name, exchange_args[i].info.name,
                                   def->args, args, why);
        if (err)
            return err;
    }
    return ERR_NONE;
}
