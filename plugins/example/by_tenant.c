/* x-by-tenant: a message goes to the bindings whose key is the value of its header "tenant". */
#include <jackalope/plugin.h>

#include <stdlib.h>
#include <string.h>

static const struct jackalope_api *api;

/* What an exchange has on one shard: its bindings, in a list. */
struct entry {
    struct entry *next;
    const struct jackalope_binding *binding;
};

struct exchange {
    struct entry *first;
};

static void *create(struct jackalope_bytes arguments)
{
    (void)arguments;
    return calloc(1, sizeof(struct exchange));
}

static void destroy(void *instance)
{
    struct exchange *x = instance;
    while (x->first) {
        struct entry *next = x->first->next;
        free(x->first);
        x->first = next;
    }
    free(x);
}

static void bind_key(void *instance, struct jackalope_binding *binding)
{
    struct exchange *x = instance;
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        abort();
    entry->binding = binding;
    entry->next = x->first;
    x->first = entry;
}

static void unbind_key(void *instance, struct jackalope_binding *binding)
{
    struct exchange *x = instance;
    for (struct entry **at = &x->first; *at; at = &(*at)->next) {
        if ((*at)->binding != binding)
            continue;
        struct entry *gone = *at;
        *at = gone->next;
        free(gone);
        return;
    }
}

static int matches(const struct jackalope_binding *binding,
                   const struct jackalope_message_keys *message)
{
    struct jackalope_value tenant;
    return api->table_find(message->headers, "tenant", &tenant) && tenant.type == JACKALOPE_TEXT &&
           tenant.bytes.len == binding->key.len &&
           !memcmp(tenant.bytes.data, binding->key.data, binding->key.len);
}

static void route(const void *instance, const struct jackalope_message_keys *message,
                  struct jackalope_sink *sink)
{
    const struct exchange *x = instance;
    for (const struct entry *entry = x->first; entry; entry = entry->next) {
        if (matches(entry->binding, message))
            api->found(sink, entry->binding);
    }
}

static int check_binding(struct jackalope_bytes key, struct jackalope_bytes arguments,
                         struct jackalope_why *why)
{
    static const char refusal[] = "a binding of x-by-tenant names its tenant by its key";
    (void)arguments;
    if (key.len)
        return 0;
    memcpy(why->text, refusal, sizeof refusal);
    return 1;
}

static const struct jackalope_exchange_type type = {
    .size = sizeof type,
    .name = "x-by-tenant",
    .text = "a message goes to the bindings whose key is the value of its header tenant",
    .keyless = 1,
    .check_binding = check_binding,
    .create = create,
    .destroy = destroy,
    .bind = bind_key,
    .unbind = unbind_key,
    .route = route,
    .matches = matches,
};

static int start(const struct jackalope_api *table, struct jackalope_host *host,
                 struct jackalope_why *why)
{
    (void)why;
    api = table;
    return api->add_exchange_type(host, &type);
}

JACKALOPE_PLUGIN(by_tenant) = {
    JACKALOPE_PLUGIN_HEAD(by_tenant),
    .version = "1.0",
    .text = "Exchanges that route by the header tenant",
    .start = start,
};
