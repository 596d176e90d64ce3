#include "plugin/plugins.h"

#include "base/log.h"
#include "base/mem.h"
#include "plugin/module.h"
#include "plugin/plugin_priv.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

static struct jackalope_host *find(const struct plugins *plugins, const char *name)
{
    list_each (it, &plugins->all) {
        struct jackalope_host *plugin = list_entry(it, struct jackalope_host, link);
        if (!strcmp(plugin->name, name))
            return plugin;
    }
    return NULL;
}

static struct jackalope_host *get(struct plugins *plugins, const char *name)
{
    struct jackalope_host *plugin = find(plugins, name);
    if (plugin)
        return plugin;
    plugin = NEW(struct jackalope_host);
    plugin->plugins = plugins;
    plugin->name = mem_strdup(name);
    list_init(&plugin->texts);
    list_init(&plugin->types);
    struct list *at = &plugins->all;
    list_each (it, &plugins->all) {
        if (strcmp(list_entry(it, struct jackalope_host, link)->name, name) > 0) {
            at = it;
            break;
        }
    }
    list_insert_before(at, &plugin->link);
    return plugin;
}

static void add_by_file(void *plugins, const char *name)
{
    get(plugins, name)->by_file = true;
}

static void set_problem(struct jackalope_host *plugin, const char *text)
{
    free(plugin->problem);
    plugin->problem = text ? mem_strdup(text) : NULL;
}

static bool is_enabled(const struct jackalope_host *plugin)
{
    return plugin->by_conf || plugin->by_file;
}

/* ---- starting ---- */

static const struct jackalope_plugin *find_builtin(const struct plugins *plugins, const char *name)
{
    for (const struct jackalope_plugin *const *p = plugins->builtins; *p; p++) {
        if (!strcmp((*p)->name, name))
            return *p;
    }
    return NULL;
}

static enum err load(struct jackalope_host *plugin, struct failure *why)
{
    enum err err = ERR_NONE;
    if (plugin->is)
        return ERR_NONE;
    const struct jackalope_plugin *is = find_builtin(plugin->plugins, plugin->name);
    if (is)
        err = module_check(is, plugin->name, "", why);
    else
        err = module_open(plugin->plugins->directory, plugin->name, &is, why);
    if (!err)
        plugin->is = is;
    return err;
}

/* What it brought: all of it, or nothing. */
static enum err commit(struct jackalope_host *plugin, struct failure *why)
{
    enum err err = sink_commit(plugin, why);
    if (err)
        return err;
    exchange_commit(plugin);
    intercept_commit(plugin);
    return ERR_NONE;
}

static bool end(struct jackalope_host *plugin)
{
    intercept_end(plugin);
    return sink_end(plugin);
}

static enum err call_start(struct jackalope_host *plugin, struct failure *why)
{
    struct jackalope_why said = {""};
    plugin->started = plugin->starting = true;
    int rc = plugin->is->start(plugin_api(), plugin, &said);
    plugin->starting = false;
    said.text[sizeof said.text - 1] = 0;
    enum err err = rc ? failure_set(why, ERR_PRECONDITION_FAILED, "plug-in '%s': %s", plugin->name,
                                    *said.text ? said.text : "its start failed")
                      : commit(plugin, why);
    exchange_drop(plugin);
    if (err)
        (void)end(plugin);
    plugin->failed = err != ERR_NONE;
    return err;
}

static enum err start(struct jackalope_host *plugin, struct failure *why)
{
    if (plugin->running)
        return ERR_NONE;
    enum err err = load(plugin, why);
    if (!err)
        err = settings_check(plugin, why);
    if (!err && plugin->failed)
        err = failure_set(why, ERR_PRECONDITION_FAILED,
                          "plug-in '%s' failed before: it is tried again at the next start of the "
                          "broker",
                          plugin->name);
    if (!err)
        err = plugin->started ? commit(plugin, why) : call_start(plugin, why);
    set_problem(plugin, err ? why->text : NULL);
    if (err) {
        log_error(DEFAULT, NULL, "%s", why->text);
        return err;
    }
    plugin->running = true;
    log_info(DEFAULT, NULL, "plug-in '%s' %s runs%s%s", plugin->name, plugin->is->version,
             plugin->provides.len ? ": " : "", buf_cstr(&plugin->provides));
    return ERR_NONE;
}

static enum err start_all(struct plugins *plugins, struct failure *why)
{
    list_each (it, &plugins->all) {
        struct jackalope_host *plugin = list_entry(it, struct jackalope_host, link);
        if (!is_enabled(plugin) || plugin_is_builtin(plugin->name))
            continue;
        enum err err = start(plugin, why);
        if (err && plugins->conf->plugins.required)
            return err;
    }
    return ERR_NONE;
}

/* ---- for operators ---- */

static void look_at(struct plugins *plugins, const char *file)
{
    size_t len = strlen(file);
    if (len <= 3 || strcmp(file + len - 3, ".so"))
        return;
    char *name = slice_cstr(slice_of(file, len - 3));
    if (module_name_is_good(name))
        get(plugins, name)->found = true;
    free(name);
}

/* What there is now. */
static void look(struct plugins *plugins)
{
    list_each (it, &plugins->all)
        list_entry(it, struct jackalope_host, link)->found = false;
    for (const struct jackalope_plugin *const *p = plugins->builtins; *p; p++)
        get(plugins, (*p)->name)->found = true;
    DIR *directory = opendir(plugins->directory);
    const struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        look_at(plugins, entry->d_name);
    if (directory)
        closedir(directory);
}

static void each(struct plugins *plugins, void (*fn)(void *arg, const struct plugin_fact *fact),
                 void *arg)
{
    look(plugins);
    list_each (it, &plugins->all) {
        struct jackalope_host *plugin = list_entry(it, struct jackalope_host, link);
        if (plugin_is_builtin(plugin->name) ||
            !(plugin->found || plugin->running || is_enabled(plugin)))
            continue;
        struct plugin_fact fact = {
            .name = plugin->name,
            .version = plugin->is ? plugin->is->version : "",
            .text = plugin->is ? plugin->is->text : "",
            .provides = buf_cstr(&plugin->provides),
            .problem = plugin->problem ? plugin->problem : "",
            .by_conf = plugin->by_conf,
            .by_file = plugin->by_file,
            .running = plugin->running,
        };
        fn(arg, &fact);
    }
}

static enum err save(const struct plugins *plugins, struct failure *why)
{
    const char **names = NULL;
    size_t cap = 0, count = 0;
    list_each (it, &plugins->all) {
        const struct jackalope_host *plugin = list_entry(it, struct jackalope_host, link);
        if (!plugin->by_file)
            continue;
        MEM_GROW(names, cap, count + 1);
        names[count++] = plugin->name;
    }
    enum err err = enabled_write(plugins->file, names, count, why);
    free(names);
    return err;
}

/* Those that a change is about. */
struct change {
    struct plugins *plugins;
    bool later;
    bool changed; /* what is in the file */
    unsigned started, ended;
    struct buf *report;
};

static bool is_there(const struct plugins *plugins, const char *name)
{
    const struct jackalope_host *plugin = find(plugins, name);
    return plugin_is_builtin(name) || (plugin && (plugin->found || plugin->running));
}

/* All, before anything is changed. */
static enum err check_names(const struct plugins *plugins, const char *const *names, size_t count,
                            struct failure *why)
{
    struct buf missing = BUF_INIT;
    enum err err = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        if (!is_there(plugins, names[i]))
            buf_printf(&missing, "%s%s", missing.len ? ", " : "", names[i]);
    }
    if (missing.len)
        err = failure_set(why, ERR_NOT_FOUND,
                          "These plugins are not part of the broker: %s; they are not in %s either",
                          buf_cstr(&missing), plugins->directory);
    buf_fini(&missing);
    return err;
}

static enum err enable(struct change *c, struct jackalope_host *plugin, struct failure *why)
{
    bool ran = plugin->running;
    enum err err = c->later ? load(plugin, why) : start(plugin, why);
    if (err)
        return err;
    c->changed |= !plugin->by_file;
    c->started += plugin->running && !ran;
    plugin->by_file = true;
    return ERR_NONE;
}

static void rest(struct change *c, struct jackalope_host *plugin)
{
    if (c->later)
        return;
    sink_rest(plugin);
    intercept_rest(plugin);
    plugin->running = false;
    c->ended++;
    log_info(DEFAULT, NULL, "plug-in '%s' was disabled", plugin->name);
}

static void disable(struct change *c, struct jackalope_host *plugin)
{
    if (!plugin->by_file)
        return;
    plugin->by_file = false;
    c->changed = true;
    if (plugin->by_conf)
        buf_printf(c->report, "%s stays enabled, as the configuration says so (plugins.enabled).\n",
                   plugin->name);
    else if (plugin->running && !plugin->permanent)
        rest(c, plugin);
    else if (plugin->running)
        buf_printf(c->report, "%s goes at the next start of the broker: %s\n", plugin->name,
                   buf_cstr(&plugin->provides));
}

static bool is_named(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(names[i], name))
            return true;
    }
    return false;
}

static void disable_some(struct change *c, enum plugin_change change, const char *const *names,
                         size_t count)
{
    list_each (it, &c->plugins->all) {
        struct jackalope_host *plugin = list_entry(it, struct jackalope_host, link);
        if (!plugin_is_builtin(plugin->name) &&
            is_named(plugin->name, names, count) == (change == PLUGIN_DISABLE))
            disable(c, plugin);
    }
}

static bool change(struct plugins *plugins, enum plugin_change change, const char *const *names,
                   size_t count, bool later, struct buf *report, struct failure *why)
{
    struct change c = {.plugins = plugins, .later = later, .report = report};
    struct failure save_why;
    look(plugins);
    enum err err = change == PLUGIN_DISABLE ? ERR_NONE : check_names(plugins, names, count, why);
    if (err)
        return false;
    if (change != PLUGIN_ENABLE)
        disable_some(&c, change, names, count);
    for (size_t i = 0; i < count && change != PLUGIN_DISABLE && !err; i++) {
        if (!plugin_is_builtin(names[i]))
            err = enable(&c, find(plugins, names[i]), why);
    }
    c.changed |= plugins->unsaved;
    plugins->unsaved = c.changed && save(plugins, &save_why);
    if (plugins->unsaved) {
        *why = save_why;
        return false;
    }
    if (err)
        return false;
    if (c.ended)
        buf_printf(report, "stopped %u plugins.\n", c.ended);
    if (!c.changed && !c.started)
        buf_append_str(report, "Plugin configuration unchanged.\n");
    else if (later)
        buf_append_str(report, "Offline change; changes will take effect at broker restart.\n");
    else if (c.started)
        buf_printf(report, "started %u plugins.\n", c.started);
    return true;
}

static const char *directory(const struct plugins *plugins)
{
    return plugins->directory;
}

static const char *file(const struct plugins *plugins)
{
    return plugins->file;
}

const struct plugin_door *plugins_get_door(const struct plugins *plugins)
{
    return plugins ? &plugins->door : NULL;
}

/* ---- life ---- */

enum err plugins_open(struct node *node, const struct conf *conf,
                      const struct jackalope_plugin *const *builtins, struct plugins **ret_plugins,
                      struct failure *why)
{
    struct plugins *p = NEW(struct plugins);
    p->node = node;
    p->conf = conf;
    p->builtins = builtins;
    list_init(&p->all);
    list_init(&p->sinks);
    list_init(&p->interceptors);
    pthread_mutex_init(&p->lock, NULL);
    p->door = (struct plugin_door){p, each, change, plugins_attach, directory, file};
    p->directory =
        mem_strdup(*conf->plugins.directory ? conf->plugins.directory : PLUGIN_DIRECTORY);
    p->file = *conf->plugins.enabled_file ? mem_strdup(conf->plugins.enabled_file)
                                          : mem_printf("%s/" PLUGINS_ENABLED_FILE, conf->data_dir);
    *ret_plugins = p;
    for (size_t i = 0; i < conf->plugins.enabled.count; i++)
        get(p, conf->plugins.enabled.items[i])->by_conf = true;
    enum err err = enabled_read(p->file, add_by_file, p, why);
    if (err)
        return err;
    settings_warn(p);
    return start_all(p, why);
}

void plugins_attach(struct plugins *plugins, struct shard *shard)
{
    sinks_attach(plugins, shard);
    intercept_attach(plugins, shard);
}

/* False: it stays, as something of it still runs. */
static bool free_plugin(struct jackalope_host *plugin)
{
    if (!end(plugin))
        return false;
    list_remove(&plugin->link);
    if (plugin->started && plugin->is->stop)
        plugin->is->stop();
    settings_fini(plugin);
    buf_fini(&plugin->provides);
    free(plugin->problem);
    free(plugin->name);
    free(plugin);
    return true;
}

void plugins_close(struct plugins **plugins)
{
    struct plugins *p = *plugins;
    if (!p)
        return;
    *plugins = NULL;
    bool all = true;
    list_each_safe (it, &p->all)
        all &= free_plugin(list_entry(it, struct jackalope_host, link));
    intercept_fini(p);
    if (!all) {
        conf_ref(p->conf);
        return;
    }
    pthread_mutex_destroy(&p->lock);
    free(p->directory);
    free(p->file);
    free(p);
}
