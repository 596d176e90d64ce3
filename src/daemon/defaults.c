/* Items become requests that lack a virtual host. */
#include "daemon/defaults.h"

#include "base/mem.h"
#include "base/table.h"
#include "meta/vhost_defaults.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct making {
    struct vhost_defaults *defaults;
    struct buf *problems;
};

static void set(struct slice *field, const char *text)
{
    meta_request_set(field, slice_str(text));
}

/* A refusal of the master may have several lines, of which the first says that it is one. */
static void put_reason(struct buf *out, const char *text)
{
    static const char head[] = "Validation failed\n\n";
    size_t n = sizeof head - 1;
    text += strncmp(text, head, n) == 0 ? n : 0;
    size_t len = strlen(text);
    while (len && text[len - 1] == '\n')
        len--;
    for (size_t i = 0; i < len; i++)
        buf_append_byte(out, iscntrl((unsigned char)text[i]) ? ' ' : (uint8_t)text[i]);
    buf_append_byte(out, '\n');
}

/* kind: its key in the configuration. */
static void add(struct making *m, const char *kind, const char *name, const char *origin,
                const char *pattern, struct meta_request *rq)
{
    struct failure why;
    char *label = mem_printf("%s.%s", kind, name);
    bool good = !vhost_defaults_add(m->defaults, label, slice_str(pattern), &rq, &why);
    if (!good && m->problems) {
        buf_printf(m->problems, "%s: %s: ", origin, label);
        put_reason(m->problems, why.text);
    }
    free(label);
}

/* ---- limits ---- */

static void put_limit(struct buf *table, const char *key, uint64_t value)
{
    if (value != CONF_UNLIMITED)
        table_put_i64(table, slice_str(key), (int64_t)value);
}

static void set_value(struct meta_request *rq, struct buf *value)
{
    struct buf args = BUF_INIT;
    table_put_table(&args, SLICE("value"), buf_slice(value));
    meta_request_set(&rq->args, buf_slice(&args));
    buf_fini(&args);
    buf_fini(value);
}

static void add_limits(struct making *m, const struct conf_default_limits *limits)
{
    struct meta_request *rq = meta_request_new(META_PARAMETER_SET, ADDR_NONE);
    struct buf value = BUF_INIT;
    set(&rq->source, "vhost-limits");
    set(&rq->name, "limits");
    put_limit(&value, "max-connections", limits->max_connections);
    put_limit(&value, "max-queues", limits->max_queues);
    set_value(rq, &value);
    add(m, "default_limits.vhosts", limits->name, limits->origin, limits->pattern, rq);
}

static int by_name(const void *a, const void *b)
{
    const struct conf_default_limits *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* In the order of their names, whatever that of the sources: the first that matches counts. */
static void add_all_limits(struct making *m, const struct conf *conf)
{
    size_t count = conf->default_limits.count;
    const struct conf_default_limits **sorted = mem_zalloc((count + 1) * sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &conf->default_limits.items[i];
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++)
        add_limits(m, sorted[i]);
    free(sorted);
}

/* ---- operator policies ---- */

static void put_text(struct buf *table, const char *key, const char *text)
{
    if (*text)
        table_put_str(table, slice_str(key), slice_str(text));
}

/* "2", or names. */
static void put_params(struct buf *table, const struct conf_texts *params)
{
    char *end = NULL;
    if (!params->count)
        return;
    long long number = strtoll(params->items[0], &end, 10);
    if (params->count == 1 && *params->items[0] && !*end) {
        table_put_i64(table, SLICE("ha-params"), number);
        return;
    }
    size_t mark = table_open(table, SLICE("ha-params"), TABLE_ARRAY);
    for (size_t i = 0; i < params->count; i++)
        array_put_str(table, slice_str(params->items[i]));
    table_close(table, mark);
}

static void add_policy(struct making *m, const struct conf_default_policy *policy)
{
    struct meta_request *rq = meta_request_new(META_POLICY_SET, ADDR_NONE);
    struct buf definition = BUF_INIT;
    rq->flags = META_OPERATOR;
    set(&rq->name, policy->name);
    set(&rq->pattern, policy->queue_pattern);
    set(&rq->apply_to, policy->apply_to);
    put_limit(&definition, "expires", policy->expires_ms);
    put_limit(&definition, "message-ttl", policy->message_ttl_ms);
    put_limit(&definition, "max-length", policy->max_length);
    put_limit(&definition, "max-length-bytes", policy->max_length_bytes);
    put_limit(&definition, "max-in-memory-length", policy->max_in_memory_length);
    put_limit(&definition, "max-in-memory-bytes", policy->max_in_memory_bytes);
    put_limit(&definition, "delivery-limit", policy->delivery_limit);
    put_text(&definition, "ha-mode", policy->classic.ha_mode);
    put_params(&definition, &policy->classic.ha_params);
    put_text(&definition, "ha-sync-mode", policy->classic.ha_sync_mode);
    if (*policy->classic.queue_version)
        table_put_i64(&definition, SLICE("queue-version"), *policy->classic.queue_version - '0');
    set_value(rq, &definition);
    add(m, "default_policies.operator", policy->name, policy->origin, policy->vhost_pattern, rq);
}

/* ---- users ---- */

static void add_user(struct making *m, const struct conf_default_user *user)
{
    struct meta_request *rq = meta_request_new(META_USER_PUT, ADDR_NONE);
    struct buf tags = BUF_INIT;
    for (size_t i = 0; i < user->tags.count; i++)
        buf_printf(&tags, "%s%s", i ? "," : "", user->tags.items[i]);
    set(&rq->name, user->name);
    meta_request_set(&rq->type, buf_slice(&tags));
    if (*user->password)
        set(&rq->key, user->password);
    buf_fini(&tags);
    add(m, "default_users", user->name, user->origin, user->vhost_pattern, rq);
    rq = meta_request_new(META_PERMISSION_SET, ADDR_NONE);
    set(&rq->name, user->name);
    set(&rq->configure, user->configure);
    set(&rq->write, user->write);
    set(&rq->read, user->read);
    add(m, "default_users", user->name, user->origin, user->vhost_pattern, rq);
}

struct vhost_defaults *defaults_new(const struct conf *conf, struct buf *problems)
{
    struct making m = {.defaults = vhost_defaults_new(), .problems = problems};
    add_all_limits(&m, conf);
    for (size_t i = 0; i < conf->default_policies.count; i++)
        add_policy(&m, &conf->default_policies.items[i]);
    for (size_t i = 0; i < conf->default_users.count; i++)
        add_user(&m, &conf->default_users.items[i]);
    return m.defaults;
}
