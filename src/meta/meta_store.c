/* The form of stored definitions: version u8, crc32c u32 of all the rest, fields. A field that is
 * added makes a new version of its noun's value; the reader then has to know the former ones. */
#include "meta/meta_store.h"

#include "base/bug.h"
#include "base/crc32c.h"
#include "base/digest.h"
#include "base/table.h"
#include "base/wire_cursor.h"
#include "meta/args.h"
#include "meta/meta.h"
#include "meta/policy.h"

enum { HEAD = 5 }; /* version, crc32c */
enum { QUEUE_AUTO_DELETE = 1, QUEUE_TYPE_BY_DEFAULT = 2, QUEUE_DELAYS = 4 };
enum { EXCHANGE_AUTO_DELETE = 1, EXCHANGE_INTERNAL = 2, EXCHANGE_DELAYS = 4 };
enum { BINDING_TO_EXCHANGE = 1 };

/* --- facts of the node: name --- */

static void put_node_key(const void *object, struct wire_writer *wr)
{
    wire_put_shortstr(wr, ((const struct node_def *)object)->name);
}

static void put_node(const void *object, struct wire_writer *wr)
{
    put_node_key(object, wr);
}

static bool get_node(struct wire_reader *rd, union stored *like)
{
    like->node.name = wire_get_shortstr(rd);
    return true;
}

/* --- virtual hosts: name, description, tags, queue type or "" --- */

static void put_vhost_key(const void *object, struct wire_writer *wr)
{
    wire_put_shortstr(wr, ((const struct vhost_def *)object)->name);
}

static void put_vhost(const void *object, struct wire_writer *wr)
{
    const struct vhost_def *def = object;
    const char *type = def->has_queue_type ? args_queue_type_name(def->queue_type) : "";
    wire_put_shortstr(wr, def->name);
    wire_put_longstr(wr, def->description);
    wire_put_longstr(wr, def->tags);
    wire_put_shortstr(wr, slice_str(type));
    if (def->is_protected)
        wire_put_u8(wr, 1);
}

static bool get_vhost(struct wire_reader *rd, union stored *like)
{
    struct vhost_def *def = &like->vhost;
    def->name = wire_get_shortstr(rd);
    def->description = wire_get_longstr(rd);
    def->tags = wire_get_longstr(rd);
    struct slice type = wire_get_shortstr(rd);
    def->has_queue_type = type.len != 0;
    def->is_protected = wire_left(rd);
    if (def->is_protected && wire_get_u8(rd) != 1)
        return false;
    return !type.len || args_queue_type_parse(type, &def->queue_type);
}

/* --- users: name, tags, hash, algorithm --- */

static void put_user_key(const void *object, struct wire_writer *wr)
{
    wire_put_shortstr(wr, ((const struct user_def *)object)->name);
}

static void put_user(const void *object, struct wire_writer *wr)
{
    const struct user_def *def = object;
    wire_put_shortstr(wr, def->name);
    wire_put_longstr(wr, def->tags);
    wire_put_longstr(wr, def->hash);
    wire_put_shortstr(wr, slice_str(digest_kind_name(def->algorithm)));
}

static bool get_user(struct wire_reader *rd, union stored *like)
{
    struct user_def *def = &like->user;
    def->name = wire_get_shortstr(rd);
    def->tags = wire_get_longstr(rd);
    def->tag_bits = meta_parse_tags(def->tags, NULL);
    def->hash = wire_get_longstr(rd);
    return digest_kind_parse(wire_get_shortstr(rd), &def->algorithm) && def->name.len &&
           (!def->hash.len || digest_password_valid(def->algorithm, def->hash));
}

/* --- permissions: vhost, user, exchange of a topic permission, patterns --- */

static void put_permission_key(const void *object, struct wire_writer *wr)
{
    const struct permission_def *def = object;
    wire_put_shortstr(wr, def->vhost);
    wire_put_shortstr(wr, def->user);
    if (def->topic)
        wire_put_shortstr(wr, def->exchange);
}

static void put_permission(const void *object, struct wire_writer *wr)
{
    const struct permission_def *def = object;
    put_permission_key(object, wr);
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        wire_put_longstr(wr, def->patterns[i]);
}

static bool get_permission(struct wire_reader *rd, union stored *like)
{
    struct permission_def *def = &like->permission;
    def->vhost = wire_get_shortstr(rd);
    def->user = wire_get_shortstr(rd);
    if (def->topic)
        def->exchange = wire_get_shortstr(rd);
    for (int i = 0; i < ACCESS_RIGHTS; i++)
        def->patterns[i] = wire_get_longstr(rd);
    return true;
}

static bool get_topic_permission(struct wire_reader *rd, union stored *like)
{
    like->permission.topic = true;
    return get_permission(rd, like);
}

/* --- policies of both kinds: vhost, name, pattern, apply-to, priority, definition --- */

static void put_policy_key(const void *object, struct wire_writer *wr)
{
    const struct policy_def *def = object;
    wire_put_shortstr(wr, def->vhost);
    wire_put_shortstr(wr, def->name);
}

static void put_policy(const void *object, struct wire_writer *wr)
{
    const struct policy_def *def = object;
    put_policy_key(object, wr);
    wire_put_longstr(wr, def->pattern);
    wire_put_shortstr(wr, slice_str(policy_apply_to_name(def->apply_to)));
    wire_put_u64(wr, (uint64_t)def->priority);
    wire_put_longstr(wr, def->args);
}

static bool get_policy(struct wire_reader *rd, union stored *like)
{
    struct policy_def *def = &like->policy;
    def->vhost = wire_get_shortstr(rd);
    def->name = wire_get_shortstr(rd);
    def->pattern = wire_get_longstr(rd);
    bool good = policy_apply_to_parse(wire_get_shortstr(rd), &def->apply_to);
    def->priority = (int64_t)wire_get_u64(rd);
    def->args = wire_get_table(rd);
    return good;
}

static bool get_operator_policy(struct wire_reader *rd, union stored *like)
{
    like->policy.operator_made = true;
    return get_policy(rd, like);
}

/* --- parameters: vhost, component, name, value; of global ones and users' limits: name, value */

static void put_parameter_key(const void *object, struct wire_writer *wr)
{
    const struct parameter_def *def = object;
    if (def->kind == PARAMETER_OF_VHOST) {
        wire_put_shortstr(wr, def->vhost);
        wire_put_shortstr(wr, def->component);
    }
    wire_put_shortstr(wr, def->name);
}

static void put_parameter(const void *object, struct wire_writer *wr)
{
    put_parameter_key(object, wr);
    wire_put_longstr(wr, ((const struct parameter_def *)object)->value);
}

static bool get_parameter_of(struct wire_reader *rd, enum parameter_kind kind,
                             struct parameter_def *def)
{
    struct table_value value;
    def->kind = kind;
    if (kind == PARAMETER_OF_VHOST) {
        def->vhost = wire_get_shortstr(rd);
        def->component = wire_get_shortstr(rd);
    }
    def->name = wire_get_shortstr(rd);
    def->value = wire_get_table(rd);
    return table_find(def->value, SLICE("value"), &value);
}

static bool get_parameter(struct wire_reader *rd, union stored *like)
{
    return get_parameter_of(rd, PARAMETER_OF_VHOST, &like->parameter);
}

static bool get_global_parameter(struct wire_reader *rd, union stored *like)
{
    return get_parameter_of(rd, PARAMETER_GLOBAL, &like->parameter);
}

static bool get_user_limits(struct wire_reader *rd, union stored *like)
{
    return get_parameter_of(rd, PARAMETER_USER_LIMITS, &like->parameter);
}

/* --- exchanges: flags, vhost, name, type, arguments, who declared it, id of the line if there
 * is one that is durable --- */

static void put_exchange_key(const void *object, struct wire_writer *wr)
{
    const struct exchange_def *def = object;
    wire_put_shortstr(wr, def->vhost);
    wire_put_shortstr(wr, def->name);
}

static void put_exchange(const void *object, struct wire_writer *wr)
{
    const struct exchange_def *def = object;
    bool has_line = def->line && def->line->durable;
    wire_put_u8(wr, (uint8_t)((def->auto_delete ? EXCHANGE_AUTO_DELETE : 0) |
                              (def->internal ? EXCHANGE_INTERNAL : 0) |
                              (has_line ? EXCHANGE_DELAYS : 0)));
    put_exchange_key(object, wr);
    wire_put_shortstr(wr, def->type);
    wire_put_longstr(wr, def->args);
    wire_put_longstr(wr, def->user);
    if (has_line)
        wire_put_u64(wr, def->line->id);
}

static bool get_exchange(struct wire_reader *rd, union stored *like)
{
    struct exchange_def *def = &like->exchange;
    uint8_t flags = wire_get_u8(rd);
    def->durable = true;
    def->auto_delete = flags & EXCHANGE_AUTO_DELETE;
    def->internal = flags & EXCHANGE_INTERNAL;
    def->vhost = wire_get_shortstr(rd);
    def->name = wire_get_shortstr(rd);
    def->type = wire_get_shortstr(rd);
    def->args = wire_get_table(rd);
    def->user = wire_get_longstr(rd);
    if (flags & EXCHANGE_DELAYS)
        def->line_id = wire_get_u64(rd);
    return true;
}

/* --- queues: flags, id, vhost, name, arguments, id of the delay line if there is one --- */

static void put_queue_key(const void *object, struct wire_writer *wr)
{
    const struct queue_def *def = object;
    wire_put_shortstr(wr, def->vhost);
    wire_put_shortstr(wr, def->name);
}

static void put_queue(const void *object, struct wire_writer *wr)
{
    const struct queue_def *def = object;
    wire_put_u8(wr, (uint8_t)((def->auto_delete ? QUEUE_AUTO_DELETE : 0) |
                              (def->type_by_default ? QUEUE_TYPE_BY_DEFAULT : 0) |
                              (def->line ? QUEUE_DELAYS : 0)));
    wire_put_u64(wr, def->id);
    put_queue_key(object, wr);
    wire_put_longstr(wr, def->args);
    if (def->line)
        wire_put_u64(wr, def->line->id);
}

static bool get_queue(struct wire_reader *rd, union stored *like)
{
    struct queue_def *def = &like->queue;
    uint8_t flags = wire_get_u8(rd);
    def->durable = true;
    def->auto_delete = flags & QUEUE_AUTO_DELETE;
    def->type_by_default = flags & QUEUE_TYPE_BY_DEFAULT;
    def->id = wire_get_u64(rd);
    def->vhost = wire_get_shortstr(rd);
    def->name = wire_get_shortstr(rd);
    def->args = wire_get_table(rd);
    if (flags & QUEUE_DELAYS)
        def->line_id = wire_get_u64(rd);
    return def->id && def->name.len;
}

/* --- bindings: flags, vhost, source, destination, key, arguments, order (since version 2) --- */

static void put_binding_key(const void *object, struct wire_writer *wr)
{
    const struct binding_def *def = object;
    wire_put_shortstr(wr, def->vhost);
    wire_put_bytes(wr, def->identity);
}

static void put_binding(const void *object, struct wire_writer *wr)
{
    const struct binding_def *def = object;
    wire_put_u8(wr, def->to_exchange ? BINDING_TO_EXCHANGE : 0);
    wire_put_shortstr(wr, def->vhost);
    wire_put_shortstr(wr, def->source);
    wire_put_shortstr(wr, def->destination);
    wire_put_shortstr(wr, def->key);
    wire_put_longstr(wr, def->args);
    wire_put_u64(wr, def->order);
}

static bool get_binding(struct wire_reader *rd, union stored *like)
{
    struct binding_def *def = &like->binding;
    def->to_exchange = wire_get_u8(rd) & BINDING_TO_EXCHANGE;
    def->vhost = wire_get_shortstr(rd);
    def->source = wire_get_shortstr(rd);
    def->destination = wire_get_shortstr(rd);
    def->key = wire_get_shortstr(rd);
    def->args = wire_get_table(rd);
    def->order = wire_left(rd) ? wire_get_u64(rd) : 0; /* never 0 where it is there */
    return true;
}

/* --- all of them --- */

#define put_topic_permission_key put_permission_key
#define put_topic_permission     put_permission
#define put_operator_policy_key  put_policy_key
#define put_operator_policy      put_policy
#define put_global_parameter_key put_parameter_key
#define put_global_parameter     put_parameter
#define put_user_limits_key      put_parameter_key
#define put_user_limits          put_parameter

static const struct form {
    void (*put_key)(const void *object, struct wire_writer *wr);
    void (*put)(const void *object, struct wire_writer *wr);
    /* False: what was read makes no sense. Fields are zero before. */
    bool (*get)(struct wire_reader *rd, union stored *like);
    const char *text;
} forms[NOUN_END] = {
#define NOUN(symbol, name, number, text) \
    [number] = {put_##name##_key, put_##name, get_##name, text},
#include "meta/nouns.def"
#undef NOUN
};

void meta_store_put_key(enum noun noun, const void *def, struct buf *out)
{
    size_t start = out->len;
    struct wire_writer wr = wire_writer_buf(out);
    forms[noun].put_key(def, &wr);
    bug_on(wr.err);
    size_t n = wire_written(&wr), digest = digest_size(DIGEST_SHA256);
    if (n <= STORED_KEY_MAX)
        return;
    struct slice all = slice_of(out->data + start, n);
    uint8_t bytes[DIGEST_SIZE_MAX];
    digest_compute(DIGEST_SHA256, all, SLICE_EMPTY, bytes);
    memcpy(out->data + start + STORED_KEY_MAX - digest, bytes, digest);
    out->len = start + STORED_KEY_MAX;
}

static uint32_t checksum(uint8_t version, struct slice fields)
{
    return crc32c(crc32c(0, &version, 1), fields.data, fields.len);
}

uint8_t meta_store_version(enum noun noun)
{
    return noun == NOUN_BINDING || noun == NOUN_EXCHANGE || noun == NOUN_QUEUE ? 2 : 1;
}

/* An earlier release reads what is not delayed. */
static uint8_t version_of(enum noun noun, const void *def)
{
    if (noun == NOUN_EXCHANGE)
        return ((const struct exchange_def *)def)->line ? 2 : 1;
    if (noun == NOUN_QUEUE)
        return ((const struct queue_def *)def)->line ? 2 : 1;
    return meta_store_version(noun);
}

void meta_store_put_value(enum noun noun, const void *def, struct buf *out)
{
    size_t start = out->len;
    struct wire_writer wr = wire_writer_buf(out);
    wire_put_u8(&wr, version_of(noun, def));
    wire_put_u32(&wr, 0);
    forms[noun].put(def, &wr);
    bug_on(wr.err);
    size_t n = wire_written(&wr);
    uint8_t *head = out->data + start;
    wire_store_u32(head + 1, checksum(head[0], slice_of(head + HEAD, n - HEAD)));
}

enum stored_state meta_store_get(enum noun noun, struct slice value, union stored *ret_like)
{
    struct wire_reader rd = wire_reader(value);
    uint8_t version = wire_get_u8(&rd);
    uint32_t crc = wire_get_u32(&rd);
    struct slice fields = wire_rest(&rd);
    if (rd.err || crc != checksum(version, fields))
        return STORED_DAMAGED;
    if (version > meta_store_version(noun))
        return STORED_NEWER;
    union stored like;
    memset(&like, 0, sizeof like);
    if (version == 0 || !forms[noun].get(&rd, &like) || rd.err || wire_left(&rd))
        return STORED_DAMAGED;
    if (noun == NOUN_BINDING && (version > 1) != (like.binding.order > 0))
        return STORED_DAMAGED;
    *ret_like = like;
    return STORED_FINE;
}

bool meta_store_get_vhost_key(struct slice key, struct slice *ret_name)
{
    struct wire_reader rd = wire_reader(key);
    struct slice name = wire_get_shortstr(&rd);
    if (rd.err || wire_left(&rd))
        return false;
    *ret_name = name;
    return true;
}

/* --- for people --- */

/* One that is not a scalar by its type alone. */
static void describe_value(const struct table_value *v, struct buf *out)
{
    if (v->type == TABLE_LONGSTR)
        buf_printf(out, "'%.*s'", SLICE_ARG(v->bytes));
    else if (v->type == TABLE_BOOL)
        buf_append_str(out, v->boolean ? "true" : "false");
    else if (table_is_int(v->type))
        buf_printf(out, "%lld", (long long)v->integer);
    else
        buf_printf(out, "(%s)", table_type_name(v->type));
}

static void describe_table(const char *what, struct slice table, struct buf *out)
{
    struct slice key;
    struct table_value value;
    const char *before = what;
    for (struct table_iter it = table_iter(table); table_next(&it, &key, &value); before = ", ") {
        buf_printf(out, "%s%.*s ", before, SLICE_ARG(key));
        describe_value(&value, out);
    }
}

static void describe(enum noun noun, const union stored *s, struct buf *out)
{
    switch (noun) {
    case NOUN_NODE:
        buf_printf(out, " %.*s", SLICE_ARG(s->node.name));
        break;
    case NOUN_VHOST:
        buf_printf(out, " '%.*s'", SLICE_ARG(s->vhost.name));
        break;
    case NOUN_USER:
        buf_printf(out, " '%.*s', tags [%.*s]", SLICE_ARG(s->user.name), SLICE_ARG(s->user.tags));
        break;
    case NOUN_TOPIC_PERMISSION:
    case NOUN_PERMISSION:
        buf_printf(out, " of user '%.*s' in vhost '%.*s'", SLICE_ARG(s->permission.user),
                   SLICE_ARG(s->permission.vhost));
        if (s->permission.topic)
            buf_printf(out, " for exchange '%.*s'", SLICE_ARG(s->permission.exchange));
        for (int i = 0; i < ACCESS_RIGHTS; i++)
            buf_printf(out, "%s '%.*s'", i ? "" : ":", SLICE_ARG(s->permission.patterns[i]));
        break;
    case NOUN_POLICY:
    case NOUN_OPERATOR_POLICY:
        buf_printf(out, " '%.*s' in vhost '%.*s', pattern '%.*s', applies to %s, priority %lld",
                   SLICE_ARG(s->policy.name), SLICE_ARG(s->policy.vhost),
                   SLICE_ARG(s->policy.pattern), policy_apply_to_name(s->policy.apply_to),
                   (long long)s->policy.priority);
        describe_table(": ", s->policy.args, out);
        break;
    case NOUN_PARAMETER:
        buf_printf(out, " '%.*s' of component '%.*s' in vhost '%.*s'", SLICE_ARG(s->parameter.name),
                   SLICE_ARG(s->parameter.component), SLICE_ARG(s->parameter.vhost));
        break;
    case NOUN_GLOBAL_PARAMETER:
    case NOUN_USER_LIMITS:
        buf_printf(out, " '%.*s'", SLICE_ARG(s->parameter.name));
        break;
    case NOUN_EXCHANGE:
        buf_printf(out, " '%.*s' in vhost '%.*s', type %.*s", SLICE_ARG(s->exchange.name),
                   SLICE_ARG(s->exchange.vhost), SLICE_ARG(s->exchange.type));
        buf_append_str(out, s->exchange.auto_delete ? ", auto-delete" : "");
        buf_append_str(out, s->exchange.internal ? ", internal" : "");
        describe_table(", arguments ", s->exchange.args, out);
        break;
    case NOUN_QUEUE:
        buf_printf(out, " '%.*s' in vhost '%.*s', id %llu", SLICE_ARG(s->queue.name),
                   SLICE_ARG(s->queue.vhost), (unsigned long long)s->queue.id);
        buf_append_str(out, s->queue.auto_delete ? ", auto-delete" : "");
        describe_table(", arguments ", s->queue.args, out);
        break;
    case NOUN_BINDING:
        buf_printf(out, " from '%.*s' to %s '%.*s' with key '%.*s' in vhost '%.*s'",
                   SLICE_ARG(s->binding.source), s->binding.to_exchange ? "exchange" : "queue",
                   SLICE_ARG(s->binding.destination), SLICE_ARG(s->binding.key),
                   SLICE_ARG(s->binding.vhost));
        describe_table(", arguments ", s->binding.args, out);
        break;
    case NOUN_END:
        break;
    }
}

/* What can be read of a key by eye. */
static void describe_key(struct slice key, struct buf *out)
{
    buf_append_str(out, " with the key ");
    for (size_t i = 0; i < key.len; i++)
        buf_append_byte(out, key.data[i] >= ' ' && key.data[i] < 0x7f ? key.data[i] : '.');
}

void meta_describe_stored(uint8_t noun, struct slice key, struct slice value, struct buf *out)
{
    union stored like;
    bool known = noun < NOUN_END && forms[noun].text;
    enum stored_state state = known ? meta_store_get((enum noun)noun, value, &like) : STORED_NEWER;
    if (known)
        buf_append_str(out, forms[noun].text);
    else
        buf_printf(out, "definition of the unknown kind %u", noun);
    if (state == STORED_FINE)
        describe((enum noun)noun, &like, out);
    else
        describe_key(key, out);
    if (known && state == STORED_DAMAGED)
        buf_append_str(out, " (damaged)");
    else if (known && state == STORED_NEWER)
        buf_printf(out, " (of version %u)", value.data[0]);
}
