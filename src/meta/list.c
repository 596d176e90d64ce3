/* Listings of definitions, from shard 0's rosters, a portion at a time. */
#include "base/buf.h"
#include "base/json.h"
#include "meta/args.h"
#include "meta/meta_priv.h"

#include <inttypes.h>
#include <stdint.h>

struct column {
    const char *name;
    struct value (*get)(const void *object);
};

/* [a, b] of a,b: as rabbitmqctl prints lists */
static struct value list_of(struct slice commas)
{
    struct buf text = BUF_INIT;
    buf_append_str(&text, "[");
    for (size_t i = 0; i < commas.len; i++) {
        buf_append_byte(&text, commas.data[i]);
        if (commas.data[i] == ',')
            buf_append_byte(&text, ' ');
    }
    buf_append_str(&text, "]");
    struct value v = value_text(buf_slice(&text));
    buf_fini(&text);
    return v;
}

/* COLUMN(getter, struct of the object, what it answers with `o` as the object) */
#define COLUMN(getter, type, expression)           \
    static struct value getter(const void *object) \
    {                                              \
        const struct type *o = object;             \
        return expression;                         \
    }

static struct value no_value(const void *object)
{
    (void)object;
    return value_none();
}

COLUMN(vhost_get_name, vhost, value_text(o->def->name))
COLUMN(vhost_description, vhost, value_text(o->def->description))
COLUMN(vhost_tags, vhost, list_of(o->def->tags))
COLUMN(vhost_tracing, vhost, value_bool(o->def->tracing))
COLUMN(vhost_protected, vhost, value_bool(o->def->is_protected))
COLUMN(vhost_queue_type, vhost,
       o->def->has_queue_type ? value_text(slice_str(args_queue_type_name(o->def->queue_type)))
                              : value_none())
/* Its state on every node. */
static struct value cluster_state(const struct vhost *vhost)
{
    const struct meta_options *o = vhost->routing->options;
    struct buf text = BUF_INIT;
    buf_printf(&text, "[{%s, %s}]", o->node_name, o->stopped ? "nodedown" : "running");
    return (struct value){.type = VALUE_TEXT, .bytes = buf_take(&text)};
}

COLUMN(vhost_state, vhost, cluster_state(o))
static const struct column vhost_columns[] = {
    {"name", vhost_get_name},       {"description", vhost_description},
    {"tags", vhost_tags},           {"default_queue_type", vhost_queue_type},
    {"tracing", vhost_tracing},     {"protected_from_deletion", vhost_protected},
    {"cluster_state", vhost_state}, {NULL, NULL}};

COLUMN(user_name, user, value_text(o->def->name))
COLUMN(user_tags, user, list_of(o->def->tags))
static const struct column user_columns[] = {
    {"user", user_name}, {"tags", user_tags}, {NULL, NULL}};

COLUMN(permission_vhost, permission, value_text(o->def->vhost))
COLUMN(permission_user, permission, value_text(o->def->user))
COLUMN(permission_exchange, permission, value_text(o->def->exchange))
COLUMN(permission_configure, permission, value_text(o->def->patterns[ACCESS_CONFIGURE]))
COLUMN(permission_write, permission, value_text(o->def->patterns[ACCESS_WRITE]))
COLUMN(permission_read, permission, value_text(o->def->patterns[ACCESS_READ]))
static const struct column permission_columns[] = {
    {"user", permission_user},   {"vhost", permission_vhost}, {"configure", permission_configure},
    {"write", permission_write}, {"read", permission_read},   {NULL, NULL}};
static const struct column topic_permission_columns[] = {
    {"user", permission_user},   {"vhost", permission_vhost}, {"exchange", permission_exchange},
    {"write", permission_write}, {"read", permission_read},   {NULL, NULL}};

/* As JSON text: so does rabbitmqctl, whatever the formatter. */
static struct value json_of(struct slice table)
{
    struct table_value value = {.type = TABLE_TABLE, .bytes = table};
    struct buf text = BUF_INIT;
    json_put_value(&text, &value);
    return (struct value){.type = VALUE_TEXT, .bytes = buf_take(&text)};
}

static struct value json_of_value(struct slice entry)
{
    struct table_value value;
    struct buf text = BUF_INIT;
    if (!table_find(entry, SLICE("value"), &value))
        return value_none();
    json_put_value(&text, &value);
    return (struct value){.type = VALUE_TEXT, .bytes = buf_take(&text)};
}

COLUMN(policy_vhost, policy, value_text(o->def->vhost))
COLUMN(policy_name, policy, value_text(o->def->name))
COLUMN(policy_pattern, policy, value_text(o->def->pattern))
COLUMN(policy_apply_to, policy, value_text(slice_str(policy_apply_to_name(o->def->apply_to))))
COLUMN(policy_definition, policy, json_of(o->def->args))
COLUMN(policy_priority, policy, value_int(o->def->priority))
static const struct column policy_columns[] = {{"vhost", policy_vhost},
                                               {"name", policy_name},
                                               {"pattern", policy_pattern},
                                               {"apply-to", policy_apply_to},
                                               {"definition", policy_definition},
                                               {"priority", policy_priority},
                                               {NULL, NULL}};

COLUMN(parameter_vhost, parameter, value_text(o->def->vhost))
COLUMN(parameter_component, parameter, value_text(o->def->component))
COLUMN(parameter_name, parameter, value_text(o->def->name))
COLUMN(parameter_value, parameter, json_of_value(o->def->value))
static const struct column parameter_columns[] = {{"component", parameter_component},
                                                  {"name", parameter_name},
                                                  {"value", parameter_value},
                                                  {"vhost", parameter_vhost},
                                                  {NULL, NULL}};
static const struct column global_parameter_columns[] = {
    {"name", parameter_name}, {"value", parameter_value}, {NULL, NULL}};
static const struct column vhost_limit_columns[] = {
    {"vhost", parameter_vhost}, {"limits", parameter_value}, {NULL, NULL}};

COLUMN(user_limits, user, json_of_value(o->limits->value))
static const struct column user_limit_columns[] = {
    {"user", user_name}, {"limits", user_limits}, {NULL, NULL}};

COLUMN(exchange_vhost_name, exchange, value_text(o->def->vhost))
COLUMN(exchange_name, exchange, value_text(o->def->name))
COLUMN(exchange_type_name, exchange, value_text(o->def->type))
COLUMN(exchange_durable, exchange, value_bool(o->def->durable))
COLUMN(exchange_auto_delete, exchange, value_bool(o->def->auto_delete))
COLUMN(exchange_internal, exchange, value_bool(o->def->internal))
COLUMN(exchange_arguments, exchange, value_table(o->def->args))
static struct value name_of(const struct policy_def *def)
{
    return def ? value_text(def->name) : value_none();
}

/* Its exchange's memory of them is brought up to date. */
static const struct applied *policies_of(const void *exchange)
{
    return exchange_get_policies((struct exchange *)(uintptr_t)exchange);
}

static struct value effective_of(const struct applied *applied)
{
    struct buf merged = BUF_INIT;
    policy_put_effective(applied, &merged);
    return (struct value){.type = VALUE_TABLE, .bytes = buf_take(&merged)};
}

COLUMN(exchange_policy, exchange, name_of(policies_of(o)->policy))
COLUMN(exchange_operator_policy, exchange, name_of(policies_of(o)->operator_policy))
COLUMN(exchange_effective, exchange, effective_of(policies_of(o)))
COLUMN(exchange_user, exchange, value_text(o->def->user))
static const struct column exchange_columns[] = {
    {"name", exchange_name},
    {"type", exchange_type_name},
    {"durable", exchange_durable},
    {"auto_delete", exchange_auto_delete},
    {"internal", exchange_internal},
    {"arguments", exchange_arguments},
    {"policy", exchange_policy},
    {"operator_policy", exchange_operator_policy},
    {"effective_policy_definition", exchange_effective},
    {"user_who_performed_action", exchange_user},
    {"vhost", exchange_vhost_name},
    {NULL, NULL}};

COLUMN(queue_vhost, queue_def, value_text(o->vhost))
COLUMN(queue_name, queue_def, value_text(o->name))
COLUMN(queue_durable, queue_def, value_bool(o->durable))
COLUMN(queue_auto_delete, queue_def, value_bool(o->auto_delete))
COLUMN(queue_arguments, queue_def, value_table(o->args))
COLUMN(queue_exclusive, queue_def, value_bool(o->exclusive))
COLUMN(queue_type_name, queue_def, value_text(slice_str(args_queue_type_name(o->type))))
static const struct column queue_columns[] = {
    {"name", queue_name},           {"durable", queue_durable}, {"auto_delete", queue_auto_delete},
    {"arguments", queue_arguments}, {"policy", no_value},       {"exclusive", queue_exclusive},
    {"type", queue_type_name},      {"vhost", queue_vhost},     {NULL, NULL}};

static struct value kind_exchange(const void *object)
{
    (void)object;
    return value_text(SLICE("exchange"));
}

COLUMN(binding_vhost, binding_def, value_text(o->vhost))
COLUMN(binding_source, binding_def, value_text(o->source))
COLUMN(binding_destination, binding_def, value_text(o->destination))
COLUMN(binding_kind, binding_def, value_text(o->to_exchange ? SLICE("exchange") : SLICE("queue")))
COLUMN(binding_routing_key, binding_def, value_text(o->key))
COLUMN(binding_arguments, binding_def, value_table(o->args))
static const struct column binding_columns[] = {{"source_name", binding_source},
                                                {"source_kind", kind_exchange},
                                                {"destination_name", binding_destination},
                                                {"destination_kind", binding_kind},
                                                {"routing_key", binding_routing_key},
                                                {"arguments", binding_arguments},
                                                {"vhost", binding_vhost},
                                                {NULL, NULL}};

/* Every queue is bound to the default exchange by its name. */
static struct value no_text(const void *object)
{
    (void)object;
    return value_text(SLICE_EMPTY);
}

static struct value no_table(const void *object)
{
    (void)object;
    return value_table(SLICE_EMPTY);
}

static struct value kind_queue(const void *object)
{
    (void)object;
    return value_text(SLICE("queue"));
}

static const struct column default_binding_columns[] = {
    {"source_name", no_text},         {"source_kind", kind_exchange},
    {"destination_name", queue_name}, {"destination_kind", kind_queue},
    {"routing_key", queue_name},      {"arguments", no_table},
    {"vhost", queue_vhost},           {NULL, NULL}};

/* --- what rows are ordered by --- */

enum { KEY_PARTS = 4 };

/* KEY(function, struct of the object, what comes first, second, ...) */
#define KEY(function, type, ...)                                            \
    static void function(const void *object, struct slice parts[KEY_PARTS]) \
    {                                                                       \
        const struct type *o = object;                                      \
        const struct slice key[KEY_PARTS] = {__VA_ARGS__};                  \
        memcpy(parts, key, sizeof key);                                     \
    }
KEY(vhost_key, vhost, o->def->name)
KEY(user_key, user, o->def->name)
KEY(policy_key, policy, o->def->vhost, o->def->name)
KEY(parameter_key, parameter, o->def->vhost, o->def->component, o->def->name)
KEY(permission_key, permission, o->def->vhost, o->def->user, o->def->exchange)
KEY(exchange_key, exchange, o->def->vhost, o->def->name)
KEY(queue_key, queue_def, o->vhost, o->name)
KEY(binding_key, binding_def, o->vhost, o->source, o->destination, o->key)
KEY(default_binding_key, queue_def, o->vhost, SLICE_EMPTY, o->name, o->name)

struct meta_row_kind {
    const struct column *columns;
    void (*key)(const void *object, struct slice parts[KEY_PARTS]);
    bool (*definition)(const void *object, struct buf *out); /* NULL: none of its own */
};
static const struct meta_row_kind vhost_rows = {vhost_columns, vhost_key, definition_put_vhost};
static const struct meta_row_kind user_rows = {user_columns, user_key, definition_put_user};
static const struct meta_row_kind permission_rows = {permission_columns, permission_key,
                                                     definition_put_permission};
static const struct meta_row_kind topic_permission_rows = {topic_permission_columns, permission_key,
                                                           definition_put_permission};
static const struct meta_row_kind policy_rows = {policy_columns, policy_key, definition_put_policy};
static const struct meta_row_kind parameter_rows = {parameter_columns, parameter_key,
                                                    definition_put_parameter};
static const struct meta_row_kind global_parameter_rows = {global_parameter_columns, parameter_key,
                                                           definition_put_parameter};
static const struct meta_row_kind vhost_limit_rows = {vhost_limit_columns, parameter_key, NULL};
static const struct meta_row_kind user_limit_rows = {user_limit_columns, user_key, NULL};
static const struct meta_row_kind exchange_rows = {exchange_columns, exchange_key,
                                                   definition_put_exchange};
static const struct meta_row_kind queue_rows = {queue_columns, queue_key, definition_put_queue};
static const struct meta_row_kind binding_rows = {binding_columns, binding_key,
                                                  definition_put_binding};
static const struct meta_row_kind default_binding_rows = {default_binding_columns,
                                                          default_binding_key, NULL};

struct value meta_row_get(const struct meta_row *row, const char *column)
{
    for (const struct column *c = row->kind->columns; c->name; c++) {
        if (strcmp(c->name, column) == 0)
            return c->get(row->object);
    }
    return value_none();
}

const struct vhost *meta_row_vhost(const struct meta_row *row)
{
    return row->kind == &vhost_rows ? row->object : NULL;
}

const struct exchange *meta_row_exchange(const struct meta_row *row)
{
    return row->kind == &exchange_rows ? row->object : NULL;
}

bool meta_row_put_definition(const struct meta_row *row, struct buf *out)
{
    return row->kind->definition && row->kind->definition(row->object, out);
}

void meta_row_put_key(const struct meta_row *row, struct buf *out)
{
    struct slice parts[KEY_PARTS];
    row->kind->key(row->object, parts);
    for (size_t i = 0; i < KEY_PARTS; i++) {
        buf_append_slice(out, parts[i]);
        buf_append_byte(out, 1);
    }
    buf_printf(out, "%020" PRIu64, row->number);
}

/* --- walking --- */

struct portion {
    const struct routing *local;
    struct meta_cursor *cursor;
    size_t room; /* objects it may still look at */
    bool (*fn)(const struct meta_row *row, void *arg);
    void *arg;
};

static bool is_meant(const struct meta_cursor *c, const void *object)
{
    switch (c->noun) {
    case META_PERMISSIONS:
    case META_TOPIC_PERMISSIONS:
        return ((const struct permission *)object)->def->topic ==
               (c->noun == META_TOPIC_PERMISSIONS);
    case META_POLICIES:
    case META_OPERATOR_POLICIES:
        return ((const struct policy *)object)->def->operator_made ==
               (c->noun == META_OPERATOR_POLICIES);
    case META_VHOST_LIMITS:
        return parameter_is_limits(((const struct parameter *)object)->def);
    case META_USER_LIMITS:
        return ((const struct user *)object)->limits != NULL;
    default:
        return true;
    }
}

/* These and the ones below: false if the portion was over first. */
static bool walk_roster(struct portion *p, const struct roster *roster,
                        const struct meta_row_kind *kind)
{
    struct meta_cursor *c = p->cursor;
    for (size_t i = roster_after(roster, c->seen); i < roster->count; i++) {
        struct meta_row row = {kind, roster->entries[i].object, roster->entries[i].number};
        if (row.number > c->last)
            break;
        if (!row.object)
            continue;
        if (!p->room)
            return false;
        p->room--;
        c->seen = row.number;
        if (is_meant(c, row.object) && !p->fn(&row, p->arg))
            p->room = 0;
    }
    return true;
}

static bool walk_bindings(struct portion *p, const struct vhost *vhost)
{
    if (!p->cursor->explicit) {
        if (!walk_roster(p, &vhost->by_number.queues, &default_binding_rows))
            return false;
        p->cursor->explicit = true;
        p->cursor->seen = 0;
    }
    return walk_roster(p, &vhost->by_number.bindings, &binding_rows);
}

static bool walk_vhost(struct portion *p, const struct vhost *vhost)
{
    switch (p->cursor->noun) {
    case META_PERMISSIONS:
        return walk_roster(p, &vhost->by_number.permissions, &permission_rows);
    case META_TOPIC_PERMISSIONS:
        return walk_roster(p, &vhost->by_number.permissions, &topic_permission_rows);
    case META_EXCHANGES:
        return walk_roster(p, &vhost->by_number.exchanges, &exchange_rows);
    case META_QUEUES:
        return walk_roster(p, &vhost->by_number.queues, &queue_rows);
    case META_BINDINGS:
        return walk_bindings(p, vhost);
    case META_POLICIES:
    case META_OPERATOR_POLICIES:
        return walk_roster(p, &vhost->by_number.policies, &policy_rows);
    case META_PARAMETERS:
        return walk_roster(p, &vhost->by_number.parameters, &parameter_rows);
    case META_VHOST_LIMITS:
        return walk_roster(p, &vhost->by_number.parameters, &vhost_limit_rows);
    case META_VHOSTS:
    case META_USERS:
    case META_GLOBAL_PARAMETERS:
    case META_USER_LIMITS:
        break;
    }
    return true;
}

/* The rest of the vhost it is in, if that is still there, then those behind it. */
static bool walk_vhosts(struct portion *p)
{
    struct meta_cursor *c = p->cursor;
    const struct roster *vhosts = &p->local->vhosts_by_number;
    const struct vhost *current = roster_find(vhosts, c->vhost);
    if (current && !walk_vhost(p, current))
        return false;
    for (size_t i = roster_after(vhosts, c->vhost); c->everywhere && i < vhosts->count; i++) {
        const struct roster_entry *next = &vhosts->entries[i];
        if (next->number > c->last)
            break;
        if (!next->object)
            continue;
        if (!p->room)
            return false;
        p->room--;
        c->vhost = next->number;
        c->seen = 0;
        c->explicit = false;
        if (!walk_vhost(p, next->object))
            return false;
    }
    return true;
}

struct meta_cursor meta_cursor_begin(const struct node *node, enum meta_noun noun,
                                     struct slice vhost)
{
    const struct routing *local = meta_of(node)->local;
    const struct vhost *one = vhost.len ? routing_find_vhost(local, vhost) : NULL;
    return (struct meta_cursor){.noun = noun,
                                .everywhere = !vhost.len,
                                .vhost = one ? one->number : 0,
                                .last = local->last_number};
}

bool meta_cursor_next(const struct node *node, struct meta_cursor *cursor, size_t max,
                      bool (*fn)(const struct meta_row *row, void *arg), void *arg)
{
    const struct routing *local = meta_of(node)->local;
    struct portion p = {.local = local, .cursor = cursor, .room = max, .fn = fn, .arg = arg};
    if (cursor->noun == META_USERS)
        return !walk_roster(&p, &local->users_by_number, &user_rows);
    if (cursor->noun == META_VHOSTS)
        return !walk_roster(&p, &local->vhosts_by_number, &vhost_rows);
    if (cursor->noun == META_GLOBAL_PARAMETERS)
        return !walk_roster(&p, &local->globals_by_number, &global_parameter_rows);
    if (cursor->noun == META_USER_LIMITS)
        return !walk_roster(&p, &local->users_by_number, &user_limit_rows);
    return !walk_vhosts(&p);
}

static bool count_row(const struct meta_row *row, void *arg)
{
    (void)row;
    ++*(size_t *)arg;
    return true;
}

/* Of what is few. */
static size_t count_rows(const struct node *node, enum meta_noun noun)
{
    size_t n = 0;
    struct meta_cursor cursor = meta_cursor_begin(node, noun, SLICE_EMPTY);
    while (meta_cursor_next(node, &cursor, SIZE_MAX, count_row, &n))
        ;
    return n;
}

struct meta_churn meta_churn(const struct node *node)
{
    return meta_of(node)->churn;
}

size_t meta_count(struct node *node, enum meta_noun noun)
{
    const struct routing *local = meta_of(node)->local;
    size_t n = 0;
    if (noun >= META_POLICIES)
        return count_rows(node, noun);
    if (noun == META_VHOSTS)
        return local->vhosts.count;
    if (noun == META_USERS)
        return local->users.count;
    if (noun == META_PERMISSIONS)
        return local->permissions.count;
    if (noun == META_TOPIC_PERMISSIONS)
        return local->topic_permissions.count;
    hash_each (i, &local->vhosts) {
        const struct vhost *vhost = hash_at(&local->vhosts, i);
        if (noun == META_EXCHANGES)
            n += vhost->exchanges.count;
        if (noun == META_QUEUES || noun == META_BINDINGS)
            n += vhost->queues.count;
        if (noun == META_BINDINGS)
            n += vhost->bindings.count;
    }
    return n;
}

static const struct column *columns_of(enum meta_noun noun)
{
    switch (noun) {
    case META_VHOSTS:
        return vhost_columns;
    case META_USERS:
        return user_columns;
    case META_PERMISSIONS:
        return permission_columns;
    case META_TOPIC_PERMISSIONS:
        return topic_permission_columns;
    case META_EXCHANGES:
        return exchange_columns;
    case META_QUEUES:
        return queue_columns;
    case META_BINDINGS:
        return binding_columns;
    case META_POLICIES:
    case META_OPERATOR_POLICIES:
        return policy_columns;
    case META_PARAMETERS:
        return parameter_columns;
    case META_GLOBAL_PARAMETERS:
        return global_parameter_columns;
    case META_VHOST_LIMITS:
        return vhost_limit_columns;
    case META_USER_LIMITS:
        return user_limit_columns;
    }
    return NULL;
}

const char *meta_column(enum meta_noun noun, size_t index)
{
    const struct column *columns = columns_of(noun);
    for (size_t i = 0; i < index && columns->name; i++)
        columns++;
    return columns->name;
}
