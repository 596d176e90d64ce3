#include "definitions/noun.h"

#include "base/digest.h"
#include "base/table.h"
#include "definitions/import_priv.h"
#include "meta/access.h"
#include "meta/args.h"
#include "meta/component.h"
#include "meta/policy.h"
#include "meta/uri.h"

/* ---- fields ---- */

#define AT(member) offsetof(struct meta_request, member)
#define TEXT(key, member)                    \
    {                                        \
        key, FIELD_TEXT, true, AT(member), 0 \
    }
#define MAYBE_TEXT(key, member)               \
    {                                         \
        key, FIELD_TEXT, false, AT(member), 0 \
    }
#define FLAG(key, kind, flag)             \
    {                                     \
        key, FIELD_##kind, false, 0, flag \
    }
#define TABLE(key, member)                     \
    {                                          \
        key, FIELD_TABLE, false, AT(member), 0 \
    }
#define TAGS(key, member)                     \
    {                                         \
        key, FIELD_TAGS, false, AT(member), 0 \
    }
#define KNOWN(key)                    \
    {                                 \
        key, FIELD_KNOWN, false, 0, 0 \
    }
#define KNOWN_TEXT(key)             \
    {                               \
        key, FIELD_TEXT, true, 0, 0 \
    }
#define END                            \
    {                                  \
        NULL, FIELD_KNOWN, false, 0, 0 \
    }

static const struct field vhost_fields[] = {TEXT("name", name),
                                            KNOWN("description"),
                                            KNOWN("tags"),
                                            KNOWN("default_queue_type"),
                                            KNOWN("metadata"),
                                            KNOWN("limits"),
                                            KNOWN("tracing"),
                                            KNOWN("protected_from_deletion"),
                                            END};
static const struct field user_fields[] = {TEXT("name", name),
                                           MAYBE_TEXT("password_hash", hash),
                                           MAYBE_TEXT("hashing_algorithm", algorithm),
                                           MAYBE_TEXT("password", key),
                                           TAGS("tags", type),
                                           KNOWN("limits"),
                                           END};
static const struct field permission_fields[] = {TEXT("user", name),           TEXT("vhost", vhost),
                                                 TEXT("configure", configure), TEXT("write", write),
                                                 TEXT("read", read),           END};
static const struct field topic_permission_fields[] = {
    TEXT("user", name),   TEXT("vhost", vhost), TEXT("exchange", source),
    TEXT("write", write), TEXT("read", read),   END};
static const struct field exchange_fields[] = {TEXT("name", name),
                                               TEXT("vhost", vhost),
                                               TEXT("type", type),
                                               FLAG("durable", ON, META_DURABLE),
                                               FLAG("auto_delete", OFF, META_AUTO_DELETE),
                                               FLAG("internal", OFF, META_INTERNAL),
                                               TABLE("arguments", args),
                                               END};
static const struct field queue_fields[] = {TEXT("name", name),
                                            TEXT("vhost", vhost),
                                            FLAG("durable", ON, META_DURABLE),
                                            FLAG("auto_delete", OFF, META_AUTO_DELETE),
                                            TABLE("arguments", args),
                                            KNOWN("type"),
                                            END};
static const struct field binding_fields[] = {TEXT("source", source),
                                              TEXT("vhost", vhost),
                                              TEXT("destination", name),
                                              KNOWN("destination_type"),
                                              MAYBE_TEXT("routing_key", key),
                                              TABLE("arguments", args),
                                              END};
static const struct field policy_fields[] = {TEXT("name", name),
                                             TEXT("vhost", vhost),
                                             TEXT("pattern", pattern),
                                             MAYBE_TEXT("apply-to", apply_to),
                                             KNOWN("priority"),
                                             KNOWN("definition"),
                                             END};
static const struct field parameter_fields[] = {TEXT("name", name), TEXT("vhost", vhost),
                                                TEXT("component", source), KNOWN("value"), END};
static const struct field global_parameter_fields[] = {
    TEXT("name", name), FLAG("", ON, META_GLOBAL), KNOWN("value"), END};

/* ---- what fields alone do not say ---- */

/* A text that is there and says something; older exports have null and "undefined". */
static bool find_said(struct slice item, const char *key, struct slice *ret)
{
    return table_find_str(item, slice_str(key), ret) && ret->len &&
           !slice_eq_str(*ret, "undefined");
}

/* The texts of a list, or a text, with commas between them. */
static bool put_tags(struct slice item, const char *key, struct slice *field)
{
    struct buf all = BUF_INIT;
    struct slice list, text;
    struct table_value v;
    if (table_find_str(item, slice_str(key), &text)) {
        meta_request_set(field, text);
        return true;
    }
    if (!table_find_array(item, slice_str(key), &list))
        return false;
    for (struct table_iter it = table_iter(list); array_next(&it, &v);) {
        if (v.type != TABLE_LONGSTR)
            continue;
        if (all.len)
            buf_append_byte(&all, ',');
        buf_append_slice(&all, v.bytes);
    }
    meta_request_set(field, buf_slice(&all));
    buf_fini(&all);
    return true;
}

/* The virtual host's own fields, or those that its metadata have. */
static enum verdict finish_vhost(const struct import *import, const struct routing *routing,
                                 struct slice item, struct meta_request *rq, struct failure *why)
{
    struct slice metadata = SLICE_EMPTY, text;
    (void)import;
    (void)routing;
    (void)why;
    (void)table_find_table(item, SLICE("metadata"), &metadata);
    if (table_find_str(item, SLICE("description"), &text) ||
        table_find_str(metadata, SLICE("description"), &text))
        meta_request_set(&rq->description, text);
    if (find_said(item, "default_queue_type", &text) ||
        find_said(metadata, "default_queue_type", &text))
        meta_request_set(&rq->queue_type, text);
    if (!put_tags(item, "tags", &rq->type))
        (void)put_tags(metadata, "tags", &rq->type);
    bool is_protected;
    if (table_find_bool(item, SLICE("protected_from_deletion"), &is_protected) ||
        table_find_bool(metadata, SLICE("protected_from_deletion"), &is_protected))
        rq->flags |= is_protected ? META_PROTECT : META_UNPROTECT;
    return VERDICT_PUT;
}

/* Before 3.6 there was one algorithm, and nobody named it. */
static bool is_of_old(struct slice version)
{
    static const char *const old[] = {"1.", "2.", "3.0.", "3.1.", "3.2.", "3.3.", "3.4.", "3.5."};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        if (slice_starts(version, slice_str(old[i])))
            return true;
    }
    return false;
}

static enum verdict finish_user(const struct import *import, const struct routing *routing,
                                struct slice item, struct meta_request *rq, struct failure *why)
{
    (void)item;
    (void)why;
    if (rq->hash.data && !rq->algorithm.len && is_of_old(import->version))
        meta_request_set(&rq->algorithm, slice_str(digest_kind_name(DIGEST_MD5)));
    if (!rq->key.data)
        return VERDICT_PUT;
    slice_free(&rq->hash);
    if (access_login(routing, rq->name, rq->key, true) == AUTH_OK) /* keeps its hash */
        slice_free(&rq->key);
    return VERDICT_PUT;
}

/* Names of the broker's own. Those of the configuration may be what the operator likes. */
static bool is_reserved(const struct import *import, const char *kind, struct slice name,
                        struct failure *why)
{
    if (import->from != IMPORT_FILE || !slice_starts(name, SLICE("amq.")))
        return false;
    failure_set(why, ERR_ACCESS_REFUSED, "a%s %s whose name begins with 'amq.' is not imported",
                *kind == 'e' ? "n" : "", kind);
    return true;
}

static enum verdict finish_exchange(const struct import *import, const struct routing *routing,
                                    struct slice item, struct meta_request *rq, struct failure *why)
{
    (void)routing;
    (void)item;
    if (is_reserved(import, "exchange", rq->name, why))
        return VERDICT_SKIP;
    if (rq->name.len || import->from != IMPORT_FILE)
        return VERDICT_PUT;
    failure_set(why, ERR_ACCESS_REFUSED, "the default exchange is not imported");
    return VERDICT_SKIP;
}

/* RabbitMQ names the type in the arguments too, unless it is the classic one. */
static enum verdict finish_queue(const struct import *import, const struct routing *routing,
                                 struct slice item, struct meta_request *rq, struct failure *why)
{
    struct slice type = SLICE("classic"), argument;
    struct buf args = BUF_INIT;
    (void)routing;
    if (is_reserved(import, "queue", rq->name, why))
        return VERDICT_SKIP;
    if (!rq->name.len) {
        failure_set(why, ERR_PRECONDITION_FAILED, "a queue without a name");
        return VERDICT_REFUSE;
    }
    (void)find_said(item, "type", &type);
    if (table_find_str(rq->args, SLICE("x-queue-type"), &argument)) {
        type = argument;
    } else if (!slice_eq_str(type, "classic")) {
        buf_append_slice(&args, rq->args);
        table_put_str(&args, SLICE("x-queue-type"), type);
        meta_request_set(&rq->args, buf_slice(&args));
        buf_fini(&args);
    }
    return VERDICT_PUT;
}

static enum verdict finish_binding(const struct import *import, const struct routing *routing,
                                   struct slice item, struct meta_request *rq, struct failure *why)
{
    struct slice type = SLICE("queue");
    (void)import;
    (void)routing;
    (void)table_find_str(item, SLICE("destination_type"), &type);
    if (slice_eq_str(type, "exchange"))
        rq->flags |= META_TO_EXCHANGE;
    else if (!slice_eq_str(type, "queue")) {
        failure_set(why, ERR_PRECONDITION_FAILED,
                    "destination_type is neither queue nor exchange: '%.*s'", SLICE_ARG(type));
        return VERDICT_REFUSE;
    }
    return VERDICT_PUT;
}

/* ---- policies, parameters, limits: values under one key ---- */

/* RabbitMQ writes some objects as lists of pairs: [["max-length", 5]]. */
static bool put_pairs(const struct table_value *list, struct buf *table)
{
    struct table_value pair, key, value, more;
    for (struct table_iter it = table_iter(list->bytes); array_next(&it, &pair);) {
        if (pair.type != TABLE_ARRAY)
            return false;
        struct table_iter in = table_iter(pair.bytes);
        if (!array_next(&in, &key) || key.type != TABLE_LONGSTR || key.bytes.len > UINT8_MAX ||
            !array_next(&in, &value) || array_next(&in, &more))
            return false;
        table_put(table, key.bytes, &value);
    }
    return true;
}

/* A value as the request has it; pairs: it may come as a list of them. */
static void set_value(struct meta_request *rq, const struct table_value *value, bool pairs)
{
    struct buf table = BUF_INIT, object = BUF_INIT;
    if (pairs && value->type == TABLE_ARRAY && put_pairs(value, &object))
        table_put_table(&table, SLICE("value"), buf_slice(&object));
    else
        table_put(&table, SLICE("value"), value);
    meta_request_set(&rq->args, buf_slice(&table));
    buf_fini(&table);
    buf_fini(&object);
}

/* Another release or a plug-in may know keys of policies that this broker does not: no reason to
 * refuse the file. */
static enum verdict trim_definition(struct slice definition, struct meta_request *rq,
                                    struct failure *why)
{
    struct buf known = BUF_INIT, unknown = BUF_INIT;
    struct slice key;
    struct table_value value;
    for (struct table_iter it = table_iter(definition); table_next(&it, &key, &value);) {
        if (policy_has_key(key, rq->flags & META_OPERATOR))
            table_put(&known, key, &value);
        else
            buf_printf(&unknown, "%s%.*s", unknown.len ? ", " : "", SLICE_ARG(key));
    }
    bool is_trimmed = unknown.len, is_empty = !known.len;
    if (is_trimmed) {
        value = (struct table_value){.type = TABLE_TABLE, .bytes = buf_slice(&known)};
        set_value(rq, &value, false);
        failure_set(why, ERR_NOT_FOUND, "no such keys of policies are known: %s; left out%s",
                    buf_cstr(&unknown), is_empty ? ", and the policy, which has no others" : "");
    }
    buf_fini(&known);
    buf_fini(&unknown);
    if (!is_trimmed)
        return VERDICT_PUT;
    return is_empty ? VERDICT_SKIP : VERDICT_TRIMMED;
}

/* Definition and priority, of a policy's item or of the value of a parameter that is one. */
static enum verdict set_rule(const struct import *import, struct slice rule,
                             struct meta_request *rq, struct failure *why)
{
    struct slice definition;
    struct table_value v = {.type = TABLE_VOID};
    if (table_find(rule, SLICE("priority"), &v) && v.type != TABLE_VOID) {
        if (!table_is_int(v.type)) {
            failure_set(why, ERR_PRECONDITION_FAILED, "priority is no whole number");
            return VERDICT_REFUSE;
        }
        rq->priority = v.integer;
    }
    v = (struct table_value){.type = TABLE_VOID};
    (void)table_find(rule, SLICE("definition"), &v);
    set_value(rq, &v, true);
    if (import->from != IMPORT_FILE || !table_find_table(rq->args, SLICE("value"), &definition))
        return VERDICT_PUT;
    return trim_definition(definition, rq, why);
}

static enum verdict finish_policy(const struct import *import, const struct routing *routing,
                                  struct slice item, struct meta_request *rq, struct failure *why)
{
    (void)routing;
    return set_rule(import, item, rq, why);
}

static enum verdict finish_operator_policy(const struct import *import, struct slice item,
                                           struct meta_request *rq, struct failure *why)
{
    struct slice rule, text;
    if (!table_find_table(item, SLICE("value"), &rule)) {
        failure_set(why, ERR_PRECONDITION_FAILED, "the value of an operator policy is no object");
        return VERDICT_REFUSE;
    }
    rq->verb = META_POLICY_SET;
    rq->flags |= META_OPERATOR;
    if (table_find_str(rule, SLICE("pattern"), &text))
        meta_request_set(&rq->pattern, text);
    if (table_find_str(rule, SLICE("apply-to"), &text))
        meta_request_set(&rq->apply_to, text);
    return set_rule(import, rule, rq, why);
}

/* The first line. The log reads it too: of a URI that is wrong neither the user nor the reason is
 * told, which may be a piece of the password. */
static void put_told(struct buf *errors, struct buf *told)
{
    static const char wrong[] = " not a valid URI";
    struct slice line = slice_of(errors->data, strcspn(buf_cstr(errors), "\n"));
    const uint8_t *reason = memmem(line.data, line.len, wrong, sizeof wrong - 1);
    if (reason)
        line.len = (size_t)(reason - line.data) + sizeof wrong - 1;
    uri_put_without_users(line, told);
}

/* A link to another broker with what this one does not know: no reason to refuse the file. */
static bool is_wrong_for(const struct meta_request *rq, const struct table_value *value,
                         struct failure *why)
{
    struct buf errors = BUF_INIT, told = BUF_INIT;
    if (component_exists(rq->source))
        component_check(rq->source, rq->name, value, &errors);
    bool wrong = errors.len != 0;
    if (wrong) {
        put_told(&errors, &told);
        failure_set(why, ERR_PRECONDITION_FAILED, "%.*s: %.*s; left out", SLICE_ARG(rq->source),
                    SLICE_ARG(buf_slice(&told)));
    }
    buf_fini(&errors);
    buf_fini(&told);
    return wrong;
}

static enum verdict finish_parameter(const struct import *import, const struct routing *routing,
                                     struct slice item, struct meta_request *rq,
                                     struct failure *why)
{
    struct table_value v = {.type = TABLE_VOID};
    (void)routing;
    if (slice_eq_str(rq->source, "operator_policy"))
        return finish_operator_policy(import, item, rq, why);
    if (!(rq->flags & META_GLOBAL) && !meta_has_component(rq->source)) {
        failure_set(why, ERR_NOT_FOUND, "component %.*s not found; left out",
                    SLICE_ARG(rq->source));
        return VERDICT_SKIP;
    }
    (void)table_find(item, SLICE("value"), &v);
    if (!(rq->flags & META_GLOBAL) && is_wrong_for(rq, &v, why))
        return VERDICT_SKIP;
    set_value(rq, &v, !(rq->flags & META_GLOBAL));
    return VERDICT_PUT;
}

/* Limits that say something. */
static struct meta_request *limits_request(enum meta_verb verb, struct slice item)
{
    struct table_value limits;
    if (!table_find(item, SLICE("limits"), &limits) || limits.type == TABLE_VOID ||
        ((limits.type == TABLE_TABLE || limits.type == TABLE_ARRAY) && !limits.bytes.len))
        return NULL;
    struct meta_request *rq = meta_request_new(verb, ADDR_NONE);
    rq->flags = META_TRUSTED;
    set_value(rq, &limits, true);
    return rq;
}

static struct meta_request *follow_user(struct slice item, const struct meta_request *user)
{
    struct meta_request *rq = limits_request(META_USER_LIMITS_SET, item);
    if (rq)
        meta_request_set(&rq->name, user->name);
    return rq;
}

static struct meta_request *follow_vhost(struct slice item, const struct meta_request *vhost)
{
    struct meta_request *rq = limits_request(META_PARAMETER_SET, item);
    if (!rq)
        return NULL;
    meta_request_set(&rq->vhost, vhost->name);
    meta_request_set(&rq->source, SLICE("vhost-limits"));
    meta_request_set(&rq->name, SLICE("limits"));
    return rq;
}

static bool exchange_is_there(const struct routing *routing, const struct meta_request *rq)
{
    const struct vhost *vhost = routing_find_vhost(routing, rq->vhost);
    return vhost && vhost_find_exchange(vhost, rq->name);
}

static bool queue_is_there(const struct routing *routing, const struct meta_request *rq)
{
    const struct vhost *vhost = routing_find_vhost(routing, rq->vhost);
    return vhost && vhost_find_queue(vhost, rq->name);
}

/* ---- the table ---- */

static const struct noun nouns[DEFINITION_COUNT] = {
    [DEFINITION_VHOSTS] = {"vhosts",
                           "virtual hosts",
                           false,
                           {META_VHOSTS, META_VHOSTS},
                           META_VHOST_PUT,
                           vhost_fields,
                           finish_vhost,
                           follow_vhost,
                           NULL},
    [DEFINITION_USERS] = {"users",
                          "users",
                          false,
                          {META_USERS, META_USERS},
                          META_USER_PUT,
                          user_fields,
                          finish_user,
                          follow_user,
                          NULL},
    [DEFINITION_PERMISSIONS] = {"permissions",
                                "permissions",
                                true,
                                {META_PERMISSIONS, META_PERMISSIONS},
                                META_PERMISSION_SET,
                                permission_fields,
                                NULL,
                                NULL,
                                NULL},
    [DEFINITION_TOPIC_PERMISSIONS] = {"topic_permissions",
                                      "topic permissions",
                                      true,
                                      {META_TOPIC_PERMISSIONS, META_TOPIC_PERMISSIONS},
                                      META_TOPIC_PERMISSION_SET,
                                      topic_permission_fields,
                                      NULL,
                                      NULL,
                                      NULL},
    [DEFINITION_EXCHANGES] = {"exchanges",
                              "exchanges",
                              true,
                              {META_EXCHANGES, META_EXCHANGES},
                              META_EXCHANGE_DECLARE,
                              exchange_fields,
                              finish_exchange,
                              NULL,
                              exchange_is_there},
    [DEFINITION_GLOBAL_PARAMETERS] = {"global_parameters",
                                      "global parameters",
                                      false,
                                      {META_GLOBAL_PARAMETERS, META_GLOBAL_PARAMETERS},
                                      META_PARAMETER_SET,
                                      global_parameter_fields,
                                      finish_parameter,
                                      NULL,
                                      NULL},
    [DEFINITION_POLICIES] = {"policies",
                             "policies",
                             true,
                             {META_POLICIES, META_POLICIES},
                             META_POLICY_SET,
                             policy_fields,
                             finish_policy,
                             NULL,
                             NULL},
    [DEFINITION_PARAMETERS] = {"parameters",
                               "parameters",
                               true,
                               {META_PARAMETERS, META_OPERATOR_POLICIES},
                               META_PARAMETER_SET,
                               parameter_fields,
                               finish_parameter,
                               NULL,
                               NULL},
    [DEFINITION_QUEUES] = {"queues",
                           "queues",
                           true,
                           {META_QUEUES, META_QUEUES},
                           META_QUEUE_DECLARE,
                           queue_fields,
                           finish_queue,
                           NULL,
                           queue_is_there},
    [DEFINITION_BINDINGS] = {"bindings",
                             "bindings",
                             true,
                             {META_BINDINGS, META_BINDINGS},
                             META_BIND,
                             binding_fields,
                             finish_binding,
                             NULL,
                             NULL},
};

const struct noun *noun_get(enum definition which)
{
    return &nouns[which];
}

bool noun_find(struct slice key, enum definition *ret_which)
{
    for (unsigned i = 0; i < DEFINITION_COUNT; i++) {
        if (slice_eq_str(key, nouns[i].key)) {
            *ret_which = (enum definition)i;
            return true;
        }
    }
    return false;
}

const struct field *noun_find_field(const struct noun *noun, struct slice key)
{
    for (const struct field *f = noun->fields; f->key; f++) {
        if (slice_eq_str(key, f->key))
            return f;
    }
    return NULL;
}

/* ---- checking ---- */

static const char *name_of_type(enum table_type type)
{
    switch (type) {
    case TABLE_BOOL:
        return "a boolean";
    case TABLE_LONGSTR:
        return "a text";
    case TABLE_ARRAY:
        return "a list";
    case TABLE_TABLE:
        return "an object";
    case TABLE_VOID:
        return "null";
    default:
        return "a number";
    }
}

static bool is_empty_list(const struct table_value *v)
{
    return v->type == TABLE_ARRAY && !v->bytes.len;
}

static bool are_texts(const struct table_value *v)
{
    struct table_value tag;
    if (v->type != TABLE_ARRAY)
        return v->type == TABLE_LONGSTR;
    for (struct table_iter it = table_iter(v->bytes); array_next(&it, &tag);) {
        if (tag.type != TABLE_LONGSTR)
            return false;
    }
    return true;
}

/* NULL if it is of the type, else what was wanted. */
static const char *wanted(const struct field *f, const struct table_value *v)
{
    switch (f->kind) {
    case FIELD_TEXT:
        return v->type == TABLE_LONGSTR ? NULL : "a text";
    case FIELD_ON:
    case FIELD_OFF:
        return v->type == TABLE_BOOL ? NULL : "a boolean";
    case FIELD_TABLE:
        return v->type == TABLE_TABLE || is_empty_list(v) ? NULL : "an object";
    case FIELD_TAGS:
        return are_texts(v) ? NULL : "a list of texts or a text";
    case FIELD_KNOWN:
        break;
    }
    return NULL;
}

enum err noun_check(const struct noun *noun, struct slice item, bool in_vhost, struct failure *why)
{
    for (const struct field *f = noun->fields; f->key; f++) {
        struct table_value v;
        bool there = table_find(item, slice_str(f->key), &v);
        if (!there && (!f->required || (in_vhost && !strcmp(f->key, "vhost"))))
            continue;
        if (!there)
            return failure_set(why, ERR_PRECONDITION_FAILED, "%s is missing", f->key);
        if (v.type == TABLE_VOID && !f->required)
            continue;
        const char *type = wanted(f, &v);
        if (type)
            return failure_set(why, ERR_PRECONDITION_FAILED, "%s: wanted %s, got %s", f->key, type,
                               name_of_type(v.type));
    }
    return ERR_NONE;
}

/* ---- requests ---- */

static void set_field(const struct field *f, struct slice item, struct meta_request *rq)
{
    struct slice *slot = (struct slice *)((char *)rq + f->offset);
    struct table_value v;
    bool there = table_find(item, slice_str(f->key), &v) && v.type != TABLE_VOID;
    if (f->kind == FIELD_ON || f->kind == FIELD_OFF) {
        if (there ? v.boolean : f->kind == FIELD_ON)
            rq->flags |= f->flag;
    } else if (!there || !f->offset || f->kind == FIELD_KNOWN) {
        return;
    } else if (f->kind == FIELD_TAGS) {
        (void)put_tags(item, f->key, slot);
    } else {
        meta_request_set(slot, v.bytes);
    }
}

struct meta_request *noun_request(const struct noun *noun, struct slice item, struct slice vhost)
{
    struct meta_request *rq = meta_request_new(noun->verb, ADDR_NONE);
    rq->flags = META_TRUSTED;
    for (const struct field *f = noun->fields; f->key; f++)
        set_field(f, item, rq);
    if (noun->in_vhost && vhost.len)
        meta_request_set(&rq->vhost, vhost);
    return rq;
}
