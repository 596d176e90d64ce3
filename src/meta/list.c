/* Listings of definitions from shard 0's replica, sorted. */
#include "base/buf.h"
#include "base/mem.h"
#include "meta/args.h"
#include "meta/meta_priv.h"

#include <stdlib.h>

struct column {
    const char *name;
    struct value (*get)(const void *object);
};

static struct value get_column(const struct column *columns, const struct meta_row *row,
                               const char *name)
{
    for (; columns->name; columns++) {
        if (strcmp(columns->name, name) == 0)
            return columns->get(row->object);
    }
    return value_none();
}

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

static struct value no(const void *object)
{
    (void)object;
    return value_bool(false);
}

COLUMN(vhost_get_name, vhost, value_text(o->def->name))
COLUMN(vhost_description, vhost, value_text(o->def->description))
COLUMN(vhost_tags, vhost, list_of(o->def->tags))
COLUMN(vhost_queue_type, vhost,
       o->def->has_queue_type ? value_text(slice_str(args_queue_type_name(o->def->queue_type)))
                              : value_none())
static const struct column vhost_columns[] = {
    {"name", vhost_get_name}, {"description", vhost_description},
    {"tags", vhost_tags},     {"default_queue_type", vhost_queue_type},
    {"tracing", no},          {NULL, NULL}};

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

COLUMN(exchange_vhost_name, exchange, value_text(o->def->vhost))
COLUMN(exchange_name, exchange, value_text(o->def->name))
COLUMN(exchange_type_name, exchange, value_text(o->def->type))
COLUMN(exchange_durable, exchange, value_bool(o->def->durable))
COLUMN(exchange_auto_delete, exchange, value_bool(o->def->auto_delete))
COLUMN(exchange_internal, exchange, value_bool(o->def->internal))
COLUMN(exchange_arguments, exchange, value_table(o->def->args))
COLUMN(exchange_user, exchange, value_text(o->def->user))
static const struct column exchange_columns[] = {{"name", exchange_name},
                                                 {"type", exchange_type_name},
                                                 {"durable", exchange_durable},
                                                 {"auto_delete", exchange_auto_delete},
                                                 {"internal", exchange_internal},
                                                 {"arguments", exchange_arguments},
                                                 {"policy", no_value},
                                                 {"user_who_performed_action", exchange_user},
                                                 {"vhost", exchange_vhost_name},
                                                 {NULL, NULL}};

COLUMN(queue_vhost, target_queue, value_text(o->def->vhost))
COLUMN(queue_name, target_queue, value_text(o->def->name))
COLUMN(queue_durable, target_queue, value_bool(o->def->durable))
COLUMN(queue_auto_delete, target_queue, value_bool(o->def->auto_delete))
COLUMN(queue_arguments, target_queue, value_table(o->def->args))
COLUMN(queue_exclusive, target_queue, value_bool(o->def->exclusive))
COLUMN(queue_type_name, target_queue, value_text(slice_str(args_queue_type_name(o->def->type))))
static const struct column queue_columns[] = {
    {"name", queue_name},           {"durable", queue_durable}, {"auto_delete", queue_auto_delete},
    {"arguments", queue_arguments}, {"policy", no_value},       {"exclusive", queue_exclusive},
    {"type", queue_type_name},      {"vhost", queue_vhost},     {NULL, NULL}};

static struct value kind_exchange(const void *object)
{
    (void)object;
    return value_text(SLICE("exchange"));
}

COLUMN(binding_vhost, bound, value_text(o->def->vhost))
COLUMN(binding_source, bound, value_text(o->def->source))
COLUMN(binding_destination, bound, value_text(o->def->destination))
COLUMN(binding_kind, bound, value_text(o->def->to_exchange ? SLICE("exchange") : SLICE("queue")))
COLUMN(binding_routing_key, bound, value_text(o->def->key))
COLUMN(binding_arguments, bound, value_table(o->def->args))
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

/* GETTER(function, columns) */
#define GETTER(function, columns)                                                \
    static struct value function(const struct meta_row *row, const char *column) \
    {                                                                            \
        return get_column(columns, row, column);                                 \
    }
GETTER(get_vhost, vhost_columns)
GETTER(get_user, user_columns)
GETTER(get_permission, permission_columns)
GETTER(get_topic_permission, topic_permission_columns)
GETTER(get_exchange, exchange_columns)
GETTER(get_queue, queue_columns)
GETTER(get_binding, binding_columns)
GETTER(get_default_binding, default_binding_columns)

/* --- order --- */

static int compare_vhosts(const void *a, const void *b)
{
    const struct vhost *const *x = a, *const *y = b;
    return slice_cmp((*x)->def->name, (*y)->def->name);
}

static int compare_users(const void *a, const void *b)
{
    const struct user *const *x = a, *const *y = b;
    return slice_cmp((*x)->def->name, (*y)->def->name);
}

static int compare_permissions(const void *a, const void *b)
{
    const struct permission *const *x = a, *const *y = b;
    int c = slice_cmp((*x)->def->user, (*y)->def->user);
    return c ? c : slice_cmp((*x)->def->exchange, (*y)->def->exchange);
}

static int compare_exchanges(const void *a, const void *b)
{
    const struct exchange *const *x = a, *const *y = b;
    return slice_cmp((*x)->def->name, (*y)->def->name);
}

static int compare_queues(const void *a, const void *b)
{
    const struct target_queue *const *x = a, *const *y = b;
    return slice_cmp((*x)->def->name, (*y)->def->name);
}

static int compare_bounds(const void *a, const void *b)
{
    const struct bound *const *x = a, *const *y = b;
    int c = slice_cmp((*x)->def->source, (*y)->def->source);
    if (!c)
        c = slice_cmp((*x)->def->destination, (*y)->def->destination);
    return c ? c : slice_cmp((*x)->def->key, (*y)->def->key);
}

/* --- walking --- */

struct walk {
    bool (*fn)(const struct meta_row *row, void *arg);
    void *arg;
    bool stopped;
};

struct rows {
    const void **at;
    size_t count, cap;
};

static void add_row(struct rows *rows, const void *object)
{
    MEM_GROW(rows->at, rows->cap, rows->count + 1);
    rows->at[rows->count++] = object;
}

/* Sorts, shows and frees them. */
static void show(struct walk *w, struct rows *rows, int (*compare)(const void *, const void *),
                 struct value (*get)(const struct meta_row *row, const char *column))
{
    if (rows->count)
        qsort(rows->at, rows->count, sizeof *rows->at, compare);
    for (size_t i = 0; i < rows->count && !w->stopped; i++) {
        struct meta_row row = {get, rows->at[i]};
        w->stopped = !w->fn(&row, w->arg);
    }
    free(rows->at);
    *rows = (struct rows){0};
}

static void show_table(struct walk *w, const struct hash *table,
                       int (*compare)(const void *, const void *),
                       struct value (*get)(const struct meta_row *row, const char *column))
{
    struct rows rows = {0};
    hash_each (i, table)
        add_row(&rows, hash_at(table, i));
    show(w, &rows, compare, get);
}

static void show_permissions(struct walk *w, const struct vhost *vhost, bool topic)
{
    struct rows rows = {0};
    list_each (it, &vhost->permissions) {
        const struct permission *p = list_entry(it, struct permission, by_vhost);
        if (p->def->topic == topic)
            add_row(&rows, p);
    }
    show(w, &rows, compare_permissions, topic ? get_topic_permission : get_permission);
}

static void show_bindings(struct walk *w, const struct vhost *vhost)
{
    struct rows rows = {0};
    show_table(w, &vhost->queues, compare_queues, get_default_binding);
    hash_each (i, &vhost->bindings)
        add_row(&rows, ((const struct binding_def *)hash_at(&vhost->bindings, i))->bounds[0]);
    show(w, &rows, compare_bounds, get_binding);
}

static void show_vhost(struct walk *w, enum meta_noun noun, const struct vhost *vhost)
{
    switch (noun) {
    case META_PERMISSIONS:
    case META_TOPIC_PERMISSIONS:
        show_permissions(w, vhost, noun == META_TOPIC_PERMISSIONS);
        break;
    case META_EXCHANGES:
        show_table(w, &vhost->exchanges, compare_exchanges, get_exchange);
        break;
    case META_QUEUES:
        show_table(w, &vhost->queues, compare_queues, get_queue);
        break;
    case META_BINDINGS:
        show_bindings(w, vhost);
        break;
    case META_VHOSTS:
    case META_USERS:
        break;
    }
}

struct vhost_walk {
    struct walk *w;
    enum meta_noun noun;
};

static bool into_vhost(const struct meta_row *row, void *arg)
{
    const struct vhost_walk *v = arg;
    show_vhost(v->w, v->noun, row->object);
    return !v->w->stopped;
}

void meta_each(struct node *node, enum meta_noun noun, struct slice vhost,
               bool (*fn)(const struct meta_row *row, void *arg), void *arg)
{
    const struct routing *local = meta_of(node)->local;
    struct walk w = {.fn = fn, .arg = arg};
    struct vhost_walk v = {&w, noun};
    struct walk vhosts = {.fn = into_vhost, .arg = &v};
    if (noun == META_USERS) {
        show_table(&w, &local->users, compare_users, get_user);
    } else if (noun == META_VHOSTS) {
        show_table(&w, &local->vhosts, compare_vhosts, get_vhost);
    } else if (vhost.len) {
        const struct vhost *one = routing_find_vhost(local, vhost);
        if (one)
            show_vhost(&w, noun, one);
    } else {
        show_table(&vhosts, &local->vhosts, compare_vhosts, get_vhost);
    }
}

size_t meta_count(struct node *node, enum meta_noun noun)
{
    const struct routing *local = meta_of(node)->local;
    size_t n = 0;
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

struct queue_def *meta_row_queue(const struct meta_row *row)
{
    return row->get == get_queue ? ((const struct target_queue *)row->object)->def : NULL;
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
