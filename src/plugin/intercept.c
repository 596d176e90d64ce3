/* Interceptors: functions of plug-ins that see what clients publish. Each shard has the list of
 * those that are on, made when it is attached; while there are none it has no hook, and publishing
 * costs nothing more. */
#include "amqp/hook.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "broker/msg.h"
#include "plugin/plugin_priv.h"
#include "shard/shard.h"

#include <stdlib.h>

/* Of the first header. */
#define LEAST_SIZE (offsetof(struct jackalope_interceptor, on_publish) + sizeof(int (*)(void)))

struct interceptor {
    struct list link; /* of struct plugins, under its lock */
    struct jackalope_interceptor theirs;
    bool added, on; /* under the lock */
};

struct shard_hook {
    struct amqp_hook is; /* first */
    struct jackalope_interceptor *items;
    size_t count, cap;
};

/* One that is being looked at. What is changed is put together at the end. */
struct jackalope_message {
    const struct amqp_publisher *by;
    struct msg *msg;
    struct buf headers; /* if changed */
    bool changed;
};

/* ---- what interceptors ask ---- */

static struct slice headers_of(const struct jackalope_message *m)
{
    return m->changed ? buf_slice(&m->headers) : props_headers(msg_properties(m->msg));
}

static struct jackalope_bytes property(const struct jackalope_message *m, enum amqp_property flag)
{
    struct slice value;
    if (!props_find(msg_properties(m->msg), flag, &value))
        return (struct jackalope_bytes){NULL, 0};
    return (struct jackalope_bytes){value.data ? value.data : (const uint8_t *)"", value.len};
}

struct jackalope_bytes intercept_get(const struct jackalope_message *m, enum jackalope_field field)
{
    switch (field) {
    case JACKALOPE_EXCHANGE:
        return bytes_of(msg_exchange(m->msg));
    case JACKALOPE_ROUTING_KEY:
        return bytes_of(msg_routing_key(m->msg));
    case JACKALOPE_HEADERS:
        return bytes_of(headers_of(m));
    case JACKALOPE_USER:
        return bytes_of(m->by->user);
    case JACKALOPE_VHOST:
        return bytes_of(m->by->vhost);
    case JACKALOPE_BODY:
        return bytes_of(msg_body(m->msg));
    case JACKALOPE_CONTENT_TYPE:
        return property(m, AMQP_PROP_CONTENT_TYPE);
    case JACKALOPE_CONTENT_ENCODING:
        return property(m, AMQP_PROP_CONTENT_ENCODING);
    case JACKALOPE_CORRELATION_ID:
        return property(m, AMQP_PROP_CORRELATION_ID);
    case JACKALOPE_MESSAGE_ID:
        return property(m, AMQP_PROP_MESSAGE_ID);
    case JACKALOPE_MESSAGE_TYPE:
        return property(m, AMQP_PROP_TYPE);
    case JACKALOPE_APP_ID:
        return property(m, AMQP_PROP_APP_ID);
    }
    return (struct jackalope_bytes){NULL, 0};
}

static bool take(const struct jackalope_value *v, struct table_value *ret)
{
    switch (v->type) {
    case JACKALOPE_VOID:
        *ret = (struct table_value){.type = TABLE_VOID};
        return true;
    case JACKALOPE_BOOL:
        *ret = (struct table_value){.type = TABLE_BOOL, .boolean = v->integer != 0};
        return true;
    case JACKALOPE_INT:
        *ret = table_value_i64(v->integer);
        return true;
    case JACKALOPE_REAL:
        *ret = (struct table_value){.type = TABLE_DOUBLE, .real = v->real};
        return true;
    case JACKALOPE_TEXT:
        *ret = table_value_str(slice_in(v->bytes));
        return true;
    case JACKALOPE_BINARY:
        *ret = (struct table_value){.type = TABLE_BINARY, .bytes = slice_in(v->bytes)};
        return true;
    case JACKALOPE_TIMESTAMP:
        *ret = (struct table_value){.type = TABLE_TIMESTAMP, .timestamp = (uint64_t)v->integer};
        return true;
    case JACKALOPE_DECIMAL:
    case JACKALOPE_TABLE:
    case JACKALOPE_ARRAY:
        break;
    }
    return false;
}

int intercept_set_header(struct jackalope_message *m, const char *name,
                         const struct jackalope_value *value)
{
    struct slice key = slice_str(name);
    struct table_value taken;
    struct buf next = BUF_INIT;
    if (!key.len || key.len > UINT8_MAX || (value && !take(value, &taken)))
        return 1;
    if (value)
        table_replace(headers_of(m), key, &taken, &next);
    else
        table_remove(headers_of(m), key, &next);
    if (value && !table_check(buf_slice(&next))) { /* a number that is none */
        buf_fini(&next);
        return 1;
    }
    buf_fini(&m->headers);
    m->headers = next;
    m->changed = true;
    return 0;
}

/* ---- on a shard ---- */

static void apply(struct jackalope_message *m)
{
    struct buf header = BUF_INIT;
    buf_append(&header, msg_header(m->msg).data, CONTENT_HEADER_FIXED);
    props_replace(msg_properties(m->msg), AMQP_PROP_HEADERS, buf_slice(&m->headers), &header);
    struct msg *copy = msg_with_header(m->msg, buf_slice(&header));
    buf_fini(&header);
    msg_unref(m->msg);
    m->msg = copy;
}

static enum err on_publish(struct amqp_hook *hook, const struct amqp_publisher *by,
                           struct msg **msg, struct failure *why)
{
    struct shard_hook *h = (struct shard_hook *)hook;
    struct jackalope_message m = {.by = by, .msg = *msg};
    enum err err = ERR_NONE;
    for (size_t i = 0; i < h->count && !err; i++) {
        struct jackalope_why said = {""};
        if (!h->items[i].on_publish(&m, &said))
            continue;
        said.text[sizeof said.text - 1] = 0;
        err = failure_set(why, ERR_PRECONDITION_FAILED, "%s",
                          *said.text ? said.text : "a plug-in refused the message");
    }
    if (!err && m.changed)
        apply(&m);
    *msg = m.msg;
    buf_fini(&m.headers);
    return err;
}

void intercept_attach(struct plugins *plugins, struct shard *shard)
{
    struct shard_hook **at = &plugins->hooks[shard_index(shard)];
    struct shard_hook *h = *at;
    pthread_mutex_lock(&plugins->lock);
    if (!h && !list_empty(&plugins->interceptors)) {
        h = *at = NEW(struct shard_hook);
        h->is.on_publish = on_publish;
    }
    if (h)
        h->count = 0;
    list_each (it, &plugins->interceptors) {
        const struct interceptor *i = list_entry(it, struct interceptor, link);
        if (!i->on)
            continue;
        MEM_GROW(h->items, h->cap, h->count + 1);
        h->items[h->count++] = i->theirs;
    }
    pthread_mutex_unlock(&plugins->lock);
    amqp_set_hook(shard, h && h->count ? &h->is : NULL);
}

void intercept_fini(struct plugins *plugins)
{
    for (unsigned i = 0; i < SHARDS_MAX; i++) {
        if (plugins->hooks[i])
            free(plugins->hooks[i]->items);
        free(plugins->hooks[i]);
    }
}

/* ---- shard 0 ---- */

int intercept_add(struct jackalope_host *plugin, const struct jackalope_interceptor *theirs)
{
    if (!plugin->starting || plugin->interceptor || theirs->size < LEAST_SIZE ||
        !theirs->on_publish) {
        log_error(DEFAULT, NULL,
                  "plug-in '%s': an interceptor that does not say all, comes after the start, or "
                  "is a second one",
                  plugin->name);
        return 1;
    }
    struct interceptor *i = NEW(struct interceptor);
    take_struct(&i->theirs, sizeof i->theirs, theirs, theirs->size);
    plugin->interceptor = i;
    return 0;
}

void intercept_commit(struct jackalope_host *plugin)
{
    struct interceptor *i = plugin->interceptor;
    if (!i)
        return;
    pthread_mutex_lock(&plugin->plugins->lock);
    i->on = true;
    if (!i->added)
        list_append(&plugin->plugins->interceptors, &i->link);
    pthread_mutex_unlock(&plugin->plugins->lock);
    if (!i->added)
        plugin_note(plugin, "interceptor of what is published", "");
    i->added = true;
}

void intercept_rest(struct jackalope_host *plugin)
{
    pthread_mutex_lock(&plugin->plugins->lock);
    if (plugin->interceptor)
        plugin->interceptor->on = false;
    pthread_mutex_unlock(&plugin->plugins->lock);
}

void intercept_end(struct jackalope_host *plugin)
{
    if (plugin->interceptor && plugin->interceptor->added)
        list_remove(&plugin->interceptor->link);
    free(plugin->interceptor);
    plugin->interceptor = NULL;
}
