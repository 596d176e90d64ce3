/* Plug-ins, and beside them those of RabbitMQ whose work the broker does itself: named, so that
 * scripts that ask for them or enable them go on. These cannot be disabled. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/handlers.h"
#include "admin/listeners.h"
#include "admin/plugins.h"
#include "admin/report.h"

#include "base/json.h"
#include "base/mem.h"
#include "meta/meta.h"
#include "meta/pattern.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct builtin {
    const char *name;
    const char *text;
    const char *protocol; /* it works where there is a listener for it; NULL: always */
};

static const struct builtin builtins[] = {
    {"rabbitmq_auth_mechanism_ssl", "Logins by certificate", NULL},
    {"rabbitmq_consistent_hash_exchange", "Exchanges of type x-consistent-hash", NULL},
    {"rabbitmq_delayed_message_exchange", "Exchanges of type x-delayed-message", NULL},
    {"rabbitmq_event_exchange", "Events as messages", NULL},
    {"rabbitmq_management", "The HTTP API", "http"},
    {"rabbitmq_management_agent", "Figures for the HTTP API", "http"},
    {"rabbitmq_message_deduplication", "Messages that are there once", NULL},
    {"rabbitmq_prometheus", "Metrics for Prometheus", "http/prometheus"},
    {"rabbitmq_random_exchange", "Exchanges of type x-random", NULL},
};
enum { BUILTINS = sizeof builtins / sizeof *builtins };

static const struct builtin *find(const char *name)
{
    for (size_t i = 0; i < BUILTINS; i++) {
        if (!strcmp(builtins[i].name, name))
            return &builtins[i];
    }
    return NULL;
}

bool plugin_is_builtin(const char *name)
{
    return find(name) != NULL;
}

/* With TLS or without. */
static bool is_running(struct node *node, const struct builtin *b)
{
    struct listener *l = NULL;
    while (b->protocol && (l = listener_next(node, l))) {
        if (!strcmp(listener_get_options(l)->protocol->name, b->protocol))
            return true;
    }
    return !b->protocol;
}

static const char *name_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

/* NULL: this broker has none. */
static const struct plugin_door *door_of(struct shard *shard)
{
    return admin_of(shard_node(shard))->options.plugins;
}

/* ---- listing ---- */

enum style { STYLE_NORMAL, STYLE_MINIMAL, STYLE_VERBOSE };

struct plugins_visit {
    struct visit visit;
    struct pattern pattern;
    struct pattern_matcher *matcher;
    struct buf json;
    enum style style;
    bool only_enabled, as_json, legend;
};

static void plugins_fini(struct visit *visit)
{
    pattern_fini(&((struct plugins_visit *)visit)->pattern);
}

static void put_text(struct buf *json, const char *key, const char *text)
{
    buf_printf(json, ",\"%s\":", key);
    json_put_string(json, slice_str(text));
}

static void put_json(struct buf *json, const struct plugin_fact *fact)
{
    bool enabled = fact->by_conf || fact->by_file;
    buf_append_str(json, json->data[json->len - 1] == '[' ? "{\"name\":" : ",{\"name\":");
    json_put_string(json, slice_str(fact->name));
    put_text(json, "enabled", enabled ? "enabled" : "not_enabled");
    buf_append_str(json, fact->running ? ",\"running\":true" : ",\"running\":false");
    put_text(json, "version", fact->version);
    if (fact->running)
        put_text(json, "running_version", fact->version);
    else
        buf_append_str(json, ",\"running_version\":null");
    put_text(json, "description", fact->text);
    if (*fact->provides)
        put_text(json, "provides", fact->provides);
    if (*fact->problem)
        put_text(json, "problem", fact->problem);
    buf_append_byte(json, '}');
}

static void put_details(struct buf *out, const struct plugin_fact *fact)
{
    if (*fact->provides)
        report_print(out, "     Provides:    \t%s", fact->provides);
    if (*fact->problem)
        report_print(out, "     Problem:     \t%s", fact->problem);
}

static void put_line(const struct plugins_visit *v, struct buf *out, const struct plugin_fact *fact)
{
    char mark = fact->by_file ? 'E' : fact->by_conf ? 'e' : ' ';
    char status = fact->running ? '*' : *fact->problem ? '!' : ' ';
    if (v->style == STYLE_MINIMAL) {
        report_print(out, "%s", fact->name);
    } else if (v->style == STYLE_VERBOSE) {
        report_print(out, "[%c%c] %s\n     Version:     \t%s\n     Description: \t%s", mark, status,
                     fact->name, fact->version, fact->text);
        put_details(out, fact);
    } else {
        report_print(out, "[%c%c] %-33s %s", mark, status, fact->name, fact->version);
    }
}

static void put_plugin(void *visit, const struct plugin_fact *fact)
{
    struct plugins_visit *v = visit;
    if ((v->only_enabled && !fact->by_conf && !fact->by_file) ||
        !pattern_matches(&v->pattern, v->matcher, slice_str(fact->name)))
        return;
    if (v->as_json)
        put_json(&v->json, fact);
    else
        put_line(v, &v->visit.out, fact);
}

static void put_builtins(struct plugins_visit *v, struct node *node)
{
    for (size_t i = 0; i < BUILTINS; i++) {
        const struct builtin *b = &builtins[i];
        bool running = is_running(node, b);
        put_plugin(v, &(struct plugin_fact){.name = b->name,
                                            .version = PACKAGE_VERSION,
                                            .text = b->text,
                                            .provides = "",
                                            .problem = "",
                                            .by_file = running,
                                            .running = running});
    }
}

static bool plugins_run(struct visit *visit, struct shard *shard)
{
    static const char *const formats[] = {"normal", "minimal", "verbose"};
    struct plugins_visit *v = (struct plugins_visit *)visit;
    const struct plugin_door *door = door_of(shard);
    v->matcher = pattern_matcher_new();
    buf_printf(&v->json, "{\"format\":\"%s\",\"plugins\":[", formats[v->style]);
    if (v->legend)
        report_print(&visit->out,
                     " Configured: E = explicitly enabled; e = implicitly enabled\n"
                     " | Status: * = running on %s\n |/",
                     meta_node_name(shard_node(shard)));
    if (door)
        door->each(door->plugins, put_plugin, v);
    put_builtins(v, shard_node(shard));
    buf_append_str(&v->json, "]}");
    if (v->as_json)
        report_value(&visit->out, buf_slice(&v->json));
    buf_fini(&v->json);
    pattern_matcher_free(&v->matcher);
    return true;
}

void run_list_plugins(struct call *call)
{
    const char *text = call->args.count ? call->args.words[0] : ".*";
    bool minimal = call_has(call, OPT_MINIMAL), verbose = call_has(call, OPT_VERBOSE);
    struct failure why;
    if (minimal && verbose) {
        call_refuse(call, EX_USAGE, "Cannot set both verbose and minimal");
        return;
    }
    if (pattern_check(slice_str(text), &why)) {
        call_fail(call, EX_DATAERR, "%s", why.text);
        return;
    }
    struct plugins_visit *v = visit_new(sizeof *v, plugins_run, call_visit_end);
    v->visit.fini = plugins_fini;
    pattern_init(&v->pattern, slice_str(text));
    v->style = minimal ? STYLE_MINIMAL : verbose ? STYLE_VERBOSE : STYLE_NORMAL;
    v->only_enabled = call_has(call, OPT_ENABLED) || call_has(call, OPT_IMPLICIT);
    v->as_json = call->request.typed;
    v->legend = !minimal && !v->as_json;
    call_banner(call, "Listing plugins with pattern \"%s\" ...", text);
    call_visit_first(call, &v->visit);
}

/* ---- asking and switching: a visit of shard 0 with the names ---- */

struct switch_visit {
    struct visit visit;
    char **names; /* owned */
    size_t count;
    enum plugin_change change;
    bool later, listed;
    bool refused;
    struct failure why;
    struct buf report, missing;
};

static void switch_fini(struct visit *visit)
{
    struct switch_visit *v = (struct switch_visit *)visit;
    for (size_t i = 0; i < v->count; i++)
        free(v->names[i]);
    free(v->names);
    buf_fini(&v->report);
    buf_fini(&v->missing);
}

static void add_name(struct switch_visit *v, const char *name)
{
    v->names = mem_realloc(v->names, (v->count + 1) * sizeof *v->names);
    v->names[v->count++] = mem_strdup(name);
}

static struct switch_visit *switch_new(struct call *call,
                                       bool (*run)(struct visit *visit, struct shard *shard),
                                       void (*on_end)(struct call *call, struct visit *visit))
{
    struct switch_visit *v = visit_new(sizeof *v, run, on_end);
    v->visit.fini = switch_fini;
    for (size_t i = 0; i < call->args.count; i++)
        add_name(v, call->args.words[i]);
    return v;
}

static void put_names(const struct switch_visit *v, struct buf *out, const char *separator)
{
    for (size_t i = 0; i < v->count; i++)
        buf_printf(out, "%s%s", i ? separator : "", v->names[i]);
}

/* ---- asking ---- */

struct question {
    const char *name;
    bool enabled;
};

static void look_for(void *question, const struct plugin_fact *fact)
{
    struct question *q = question;
    q->enabled |= !strcmp(fact->name, q->name) && (fact->by_conf || fact->by_file);
}

static bool ask_run(struct visit *visit, struct shard *shard)
{
    struct switch_visit *v = (struct switch_visit *)visit;
    const struct plugin_door *door = door_of(shard);
    for (size_t i = 0; i < v->count; i++) {
        struct question q = {v->names[i], plugin_is_builtin(v->names[i])};
        if (door)
            door->each(door->plugins, look_for, &q);
        if (!q.enabled)
            buf_printf(&v->missing, "%s%s", v->missing.len ? ", " : "", v->names[i]);
    }
    return true;
}

static void on_asked(struct call *call, struct visit *visit)
{
    struct switch_visit *v = (struct switch_visit *)visit;
    bool several = v->count > 1;
    if (v->missing.len) {
        call_fail(call, EX_UNAVAILABLE, "Plugin%s %s %s not enabled on node %s", several ? "s" : "",
                  buf_cstr(&v->missing), several ? "are" : "is", name_of(call));
        return;
    }
    struct buf text = BUF_INIT;
    buf_printf(&text, "Plugin%s ", several ? "s" : "");
    put_names(v, &text, ", ");
    buf_printf(&text, " %s enabled on node %s", several ? "are" : "is", name_of(call));
    call_notice(call, buf_slice(&text));
    buf_fini(&text);
    call_exit(call);
}

void run_is_plugin_enabled(struct call *call)
{
    struct buf all = BUF_INIT;
    struct switch_visit *v = switch_new(call, ask_run, on_asked);
    put_names(v, &all, ", ");
    call_banner(call, "Asking node %s if plugin%s %s %s enabled...", name_of(call),
                v->count > 1 ? "s" : "", buf_cstr(&all), v->count > 1 ? "are" : "is");
    buf_fini(&all);
    call_visit_first(call, &v->visit);
}

/* ---- switching ---- */

static void add_all(void *visit, const struct plugin_fact *fact)
{
    struct switch_visit *v = visit;
    if (v->change != PLUGIN_DISABLE || fact->by_file)
        add_name(v, fact->name);
}

/* Every shard learns what was started, also if something else was refused then. */
static bool attach_run(struct visit *visit, struct shard *shard)
{
    const struct plugin_door *door = door_of(shard);
    (void)visit;
    if (door)
        door->attach(door->plugins, shard);
    return true;
}

/* On shard 0; then on all. */
static bool switch_run(struct visit *visit, struct shard *shard)
{
    struct switch_visit *v = (struct switch_visit *)visit;
    const struct plugin_door *door = door_of(shard);
    if (!door) {
        v->refused = true;
        failure_set(&v->why, ERR_PRECONDITION_FAILED, "this broker takes no plug-ins");
        return true;
    }
    if (v->listed)
        door->each(door->plugins, add_all, v);
    v->refused = !door->change(door->plugins, v->change, (const char *const *)v->names, v->count,
                               v->later, &v->report, &v->why);
    visit->run = attach_run;
    visit->shard = node_shard_count(shard_node(shard));
    visit->alone = false;
    visit->goes_on = true;
    return true;
}

static void on_switched(struct call *call, struct visit *visit)
{
    struct switch_visit *v = (struct switch_visit *)visit;
    const char *text = buf_cstr(&v->report);
    for (size_t n; *text; text += n + (text[n] == '\n')) {
        n = strcspn(text, "\n");
        call_print(call, "%.*s", (int)n, text);
    }
    if (v->refused)
        call_fail(call, EX_SOFTWARE, "%s", v->why.text);
    else
        call_exit(call);
}

static void tell_names(struct call *call, const char *verb)
{
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < call->args.count; i++)
        buf_printf(&names, "\n%s", call->args.words[i]);
    call_banner(call, "%s plugins on node %s:%s", verb, name_of(call), buf_cstr(&names));
    buf_fini(&names);
}

static void switch_plugins(struct call *call, enum plugin_change change, const char *verb)
{
    if (!call->args.count && !call_has(call, OPT_ALL) && change != PLUGIN_SET) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
        return;
    }
    tell_names(call, verb);
    if (call_is_dry(call))
        return;
    struct switch_visit *v = switch_new(call, switch_run, on_switched);
    v->change = change;
    v->listed = call_has(call, OPT_ALL);
    v->later = call_has(call, OPT_OFFLINE);
    call_visit_first(call, &v->visit);
}

void run_enable_plugin(struct call *call)
{
    switch_plugins(call, PLUGIN_ENABLE, "Enabling");
}

void run_set_plugins(struct call *call)
{
    switch_plugins(call, PLUGIN_SET, "Enabling");
}

void run_disable_plugin(struct call *call)
{
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < call->args.count; i++) {
        if (plugin_is_builtin(call->args.words[i]))
            buf_printf(&names, "%s%s", names.len ? ", " : "", call->args.words[i]);
    }
    if (names.len)
        call_fail(call, EX_UNAVAILABLE,
                  "What is part of the broker cannot be disabled: %s; listeners are chosen by the "
                  "configuration",
                  buf_cstr(&names));
    else
        switch_plugins(call, PLUGIN_DISABLE, "Disabling");
    buf_fini(&names);
}

/* ---- places ---- */

struct places_visit {
    struct visit visit;
    bool as_json;
};

static bool places_run(struct visit *visit, struct shard *shard)
{
    const struct places_visit *v = (struct places_visit *)visit;
    const struct plugin_door *door = door_of(shard);
    const char *directory = door ? door->directory(door->plugins) : "(none)";
    const char *file = door ? door->file(door->plugins) : "(none)";
    if (!v->as_json) {
        report_print(&visit->out,
                     "Plugin archives directory: %s\nPlugin expansion directory: (none)\n"
                     "Enabled plugins file: %s",
                     directory, file);
        return true;
    }
    struct buf json = BUF_INIT;
    buf_append_str(&json, "{\"plugins_dir\":");
    json_put_string(&json, slice_str(directory));
    buf_append_str(&json, ",\"plugins_expand_dir\":null");
    put_text(&json, "enabled_plugins_file", file);
    buf_append_byte(&json, '}');
    report_value(&visit->out, buf_slice(&json));
    buf_fini(&json);
    return true;
}

void run_plugin_directories(struct call *call)
{
    struct places_visit *v = visit_new(sizeof *v, places_run, call_visit_end);
    v->as_json = call->request.typed;
    call_banner(call, "Listing plugin directories used by node %s", name_of(call));
    call_visit_first(call, &v->visit);
}
