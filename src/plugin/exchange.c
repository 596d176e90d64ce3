/* Exchange types of plug-ins as those of the core. An instance wraps the plug-in's on one shard and
 * owns what the plug-in knows of bindings; types stay in the registry to the end of the process. */
#include "base/bug.h"
#include "base/log.h"
#include "base/mem.h"
#include "meta/exchange_type.h"
#include "plugin/plugin_priv.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 127 };

/* Of the first header. */
#define LEAST_SIZE (offsetof(struct jackalope_exchange_type, matches) + sizeof(int (*)(void)))

struct type {
    struct exchange_type is; /* first */
    struct jackalope_exchange_type theirs;
    struct list link;
    char *name, *text;
};

struct instance {
    const struct jackalope_exchange_type *theirs;
    void *own;
    struct list bindings;
};

struct known_binding {
    struct jackalope_binding is; /* first */
    const struct binding *binding;
    const struct jackalope_exchange_type *theirs;
    struct list link;
};

static const struct type *type_of(const struct exchange_type *type)
{
    return (const struct type *)type;
}

static enum err refuse(const struct type *type, struct jackalope_why *said, struct failure *why)
{
    said->text[sizeof said->text - 1] = 0;
    return failure_set(why, ERR_PRECONDITION_FAILED, "%s",
                       *said->text ? said->text : type->is.name);
}

static enum err validate(const struct exchange_type *self, struct slice args, struct failure *why)
{
    const struct type *type = type_of(self);
    struct jackalope_why said = {""};
    if (!type->theirs.check || !type->theirs.check(bytes_of(args), &said))
        return ERR_NONE;
    return refuse(type, &said, why);
}

static enum err validate_binding(const struct exchange_type *self, struct slice key,
                                 struct slice args, struct failure *why)
{
    const struct type *type = type_of(self);
    struct jackalope_why said = {""};
    if (!type->theirs.check_binding ||
        !type->theirs.check_binding(bytes_of(key), bytes_of(args), &said))
        return ERR_NONE;
    return refuse(type, &said, why);
}

static void *instance_new(const struct exchange_type *self, struct slice args)
{
    struct instance *x = NEW(struct instance);
    x->theirs = &type_of(self)->theirs;
    list_init(&x->bindings);
    x->own = x->theirs->create(bytes_of(args));
    return x;
}

static void forget(struct known_binding *known)
{
    list_remove(&known->link);
    free(known);
}

static void instance_free(void *instance)
{
    struct instance *x = instance;
    x->theirs->destroy(x->own);
    list_each_safe (it, &x->bindings)
        forget(list_entry(it, struct known_binding, link));
    free(x);
}

static void bind(void *instance, struct binding *binding)
{
    struct instance *x = instance;
    struct known_binding *known = NEW(struct known_binding);
    known->is = (struct jackalope_binding){.key = bytes_of(binding->key),
                                           .arguments = bytes_of(binding->args),
                                           .order = binding->order};
    known->binding = binding;
    known->theirs = x->theirs;
    list_append(&x->bindings, &known->link);
    binding->own = known;
    x->theirs->bind(x->own, &known->is);
}

static void unbind(void *instance, struct binding *binding)
{
    struct instance *x = instance;
    struct known_binding *known = binding->own;
    x->theirs->unbind(x->own, &known->is);
    forget(known);
}

static struct jackalope_message_keys keys_of(const struct route_input *input)
{
    return (struct jackalope_message_keys){.routing_key = bytes_of(input->key),
                                           .headers = bytes_of(input->headers)};
}

static void route(const void *instance, const struct route_input *input, struct route_sink *sink)
{
    const struct instance *x = instance;
    struct jackalope_message_keys keys = keys_of(input);
    x->theirs->route(x->own, &keys, (struct jackalope_sink *)sink);
}

void exchange_found(struct jackalope_sink *sink, const struct jackalope_binding *binding)
{
    struct route_sink *to = (struct route_sink *)sink;
    to->found(to, &((const struct known_binding *)binding)->binding->to);
}

static bool judge(const struct binding *binding, const struct route_input *input, struct buf *why)
{
    const struct known_binding *known = binding->own;
    struct jackalope_message_keys keys = keys_of(input);
    if (known->theirs->matches(&known->is, &keys))
        return true;
    buf_append_str(why, "the exchange's plug-in does not take it");
    return false;
}

/* ---- in start ---- */

static int refuse_type(const struct jackalope_host *plugin, const char *name, const char *text)
{
    log_error(DEFAULT, NULL, "plug-in '%s': exchange type '%.80s' %s", plugin->name, name, text);
    return 1;
}

/* It can be registered once those before it are. */
static bool has_place(const struct jackalope_host *plugin, const char *name)
{
    size_t before = 0;
    list_each (it, &plugin->types) {
        if (!strcmp(list_entry(it, struct type, link)->name, name))
            return false;
        before++;
    }
    return before < exchange_type_room() && !exchange_type_find(slice_str(name));
}

int exchange_add(struct jackalope_host *plugin, const struct jackalope_exchange_type *theirs)
{
    if (!plugin->starting || theirs->size < LEAST_SIZE || !theirs->name || !theirs->text ||
        !theirs->create || !theirs->destroy || !theirs->bind || !theirs->unbind || !theirs->route)
        return refuse_type(plugin, theirs->name ? theirs->name : "",
                           "does not say all that it has to, or comes after the start");
    size_t len = strlen(theirs->name);
    if (!len || len > NAME_MOST || !has_place(plugin, theirs->name))
        return refuse_type(plugin, theirs->name,
                           "is there already, has no proper name, or is one too many");
    struct type *type = NEW(struct type);
    take_struct(&type->theirs, sizeof type->theirs, theirs, theirs->size);
    type->name = mem_strdup(theirs->name);
    type->text = mem_strdup(theirs->text);
    type->is = (struct exchange_type){.name = type->name,
                                      .text = type->text,
                                      .keyless = theirs->keyless,
                                      .validate = validate,
                                      .validate_binding = validate_binding,
                                      .new = instance_new,
                                      .free = instance_free,
                                      .bind = bind,
                                      .unbind = unbind,
                                      .route = route,
                                      .judge = theirs->matches ? judge : NULL};
    list_append(&plugin->types, &type->link);
    return 0;
}

static void drop(struct type *type)
{
    list_remove(&type->link);
    free(type->name);
    free(type->text);
    free(type);
}

void exchange_drop(struct jackalope_host *plugin)
{
    list_each_safe (it, &plugin->types)
        drop(list_entry(it, struct type, link));
}

void exchange_commit(struct jackalope_host *plugin)
{
    list_each_safe (it, &plugin->types) {
        struct type *type = list_entry(it, struct type, link);
        bool registered = exchange_type_register(&type->is);
        bug_on(!registered);
        list_remove(&type->link);
        plugin_note(plugin, "exchange type", type->name);
        plugin->permanent = true;
    }
}
