/* plugins.settings: NAME.key and its value, a text whatever YAML takes it for. */
#include "base/log.h"
#include "base/mem.h"
#include "plugin/plugin_priv.h"

#include <stdlib.h>
#include <string.h>

struct text {
    struct list link;
    char *text;
};

/* What follows the plug-in's name and a dot; NULL: it is another's. */
static const char *key_of(const struct conf_arg *arg, const char *plugin)
{
    size_t n = strlen(plugin);
    return strncmp(arg->name, plugin, n) == 0 && arg->name[n] == '.' ? arg->name + n + 1 : NULL;
}

static const char *keep(struct jackalope_host *plugin, char *text)
{
    struct text *t = NEW(struct text);
    t->text = text;
    list_append(&plugin->texts, &t->link);
    return text;
}

static const char *text_of(struct jackalope_host *plugin, const struct conf_arg *arg)
{
    switch (arg->type) {
    case CONF_ARG_BOOL:
        return arg->boolean ? "true" : "false";
    case CONF_ARG_INT:
        return keep(plugin, mem_printf("%lld", (long long)arg->integer));
    case CONF_ARG_DOUBLE:
        return keep(plugin, mem_printf("%g", arg->real));
    case CONF_ARG_TEXT:
        return arg->text;
    case CONF_ARG_VOID:
        break;
    }
    return "";
}

const char *settings_get(struct jackalope_host *plugin, const char *key, const char *otherwise)
{
    const struct conf_args *all = &plugin->plugins->conf->plugins.settings;
    for (size_t i = 0; i < all->count; i++) {
        const char *found = key_of(&all->items[i], plugin->name);
        if (found && !strcmp(found, key))
            return text_of(plugin, &all->items[i]);
    }
    return otherwise;
}

static bool takes(const struct jackalope_host *plugin, const char *key)
{
    const struct jackalope_setting *s = plugin->is->settings;
    for (; s && s->key; s++) {
        if (!strcmp(s->key, key))
            return true;
    }
    return false;
}

enum err settings_check(const struct jackalope_host *plugin, struct failure *why)
{
    const struct conf_args *all = &plugin->plugins->conf->plugins.settings;
    for (size_t i = 0; i < all->count; i++) {
        const char *key = key_of(&all->items[i], plugin->name);
        if (key && !takes(plugin, key))
            return failure_set(why, ERR_PRECONDITION_FAILED,
                               "plugins.settings: plug-in '%s' has no setting '%.80s'",
                               plugin->name, key);
    }
    return ERR_NONE;
}

void settings_warn(struct plugins *plugins)
{
    const struct conf_args *all = &plugins->conf->plugins.settings;
    for (size_t i = 0; i < all->count; i++) {
        bool known = false;
        list_each (it, &plugins->all) {
            const struct jackalope_host *plugin = list_entry(it, struct jackalope_host, link);
            known |= (plugin->by_conf || plugin->by_file) &&
                     key_of(&all->items[i], plugin->name) != NULL;
        }
        if (!known)
            log_warning(CONFIG, NULL, "plugins.settings: '%.80s' is of no plug-in that is enabled",
                        all->items[i].name);
    }
}

void settings_fini(struct jackalope_host *plugin)
{
    list_each_safe (it, &plugin->texts) {
        struct text *t = list_entry(it, struct text, link);
        free(t->text);
        free(t);
    }
    list_init(&plugin->texts);
}
