/* RabbitMQ's plug-ins whose work the broker does itself: named, so that scripts that ask for them
 * or enable them go on. They cannot be disabled. */
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/listeners.h"
#include "admin/listing.h"
#include "admin/report.h"

#include "meta/meta.h"
#include "meta/pattern.h"

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

/* ---- listing ---- */

enum style { STYLE_NORMAL, STYLE_MINIMAL, STYLE_VERBOSE };

struct plugins_visit {
    struct visit visit;
    struct pattern pattern;
    enum style style;
    bool only_enabled, json, legend;
};

static void plugins_fini(struct visit *visit)
{
    pattern_fini(&((struct plugins_visit *)visit)->pattern);
}

static void put_json(struct buf *json, const struct builtin *b, bool running)
{
    const char *version = running ? "\"" PACKAGE_VERSION "\"" : "null";
    buf_printf(json,
               "%s{\"name\":\"%s\",\"enabled\":\"%s\",\"running\":%s,\"version\":\"%s\","
               "\"running_version\":%s,\"description\":\"%s\"}",
               json->data[json->len - 1] == '[' ? "" : ",", b->name,
               running ? "enabled" : "not_enabled", running ? "true" : "false", PACKAGE_VERSION,
               version, b->text);
}

static void put_line(const struct plugins_visit *v, struct buf *out, const struct builtin *b,
                     bool running)
{
    if (v->style == STYLE_MINIMAL)
        report_print(out, "%s", b->name);
    else if (v->style == STYLE_VERBOSE)
        report_print(out, "[%s] %s\n     Version:     \t%s\n     Description: \t%s",
                     running ? "E*" : "  ", b->name, PACKAGE_VERSION, b->text);
    else
        report_print(out, "[%s] %-33s %s", running ? "E*" : "  ", b->name, PACKAGE_VERSION);
}

static bool plugins_run(struct visit *visit, struct shard *shard)
{
    static const char *const formats[] = {"normal", "minimal", "verbose"};
    const struct plugins_visit *v = (struct plugins_visit *)visit;
    struct pattern_matcher *matcher = pattern_matcher_new();
    struct buf json = BUF_INIT;
    buf_printf(&json, "{\"format\":\"%s\",\"plugins\":[", formats[v->style]);
    if (v->legend)
        report_print(&visit->out,
                     " Configured: E = explicitly enabled; e = implicitly enabled\n"
                     " | Status: * = running on %s\n |/",
                     meta_node_name(shard_node(shard)));
    for (size_t i = 0; i < BUILTINS; i++) {
        bool running = is_running(shard_node(shard), &builtins[i]);
        if ((v->only_enabled && !running) ||
            !pattern_matches(&v->pattern, matcher, slice_str(builtins[i].name)))
            continue;
        if (v->json)
            put_json(&json, &builtins[i], running);
        else
            put_line(v, &visit->out, &builtins[i], running);
    }
    buf_append_str(&json, "]}");
    if (v->json)
        report_value(&visit->out, buf_slice(&json));
    buf_fini(&json);
    pattern_matcher_free(&matcher);
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
    v->json = call->request.typed;
    v->legend = !minimal && !v->json;
    call_banner(call, "Listing plugins with pattern \"%s\" ...", text);
    call_visit_first(call, &v->visit);
}

/* ---- asking and switching ---- */

/* "a, b" of the words that is_one tells, in words. */
static void put_names(const struct call *call, struct buf *out, bool known, const char *separator)
{
    for (size_t i = 0; i < call->args.count; i++) {
        if ((find(call->args.words[i]) != NULL) == known)
            buf_printf(out, "%s%s", out->len ? separator : "", call->args.words[i]);
    }
}

void run_is_plugin_enabled(struct call *call)
{
    struct buf missing = BUF_INIT, all = BUF_INIT;
    bool several = call->args.count > 1;
    for (size_t i = 0; i < call->args.count; i++)
        buf_printf(&all, "%s%s", all.len ? ", " : "", call->args.words[i]);
    call_banner(call, "Asking node %s if plugin%s %s %s enabled...", name_of(call),
                several ? "s" : "", buf_cstr(&all), several ? "are" : "is");
    put_names(call, &missing, false, ", ");
    if (missing.len) {
        call_fail(call, EX_UNAVAILABLE,
                  "Plugin%s %s %s not enabled on node %s: no such thing is part of the broker",
                  several ? "s" : "", buf_cstr(&missing), several ? "are" : "is", name_of(call));
    } else {
        struct buf text = BUF_INIT;
        buf_printf(&text, "Plugin%s %s %s enabled on node %s", several ? "s" : "", buf_cstr(&all),
                   several ? "are" : "is", name_of(call));
        call_notice(call, buf_slice(&text));
        buf_fini(&text);
        call_exit(call);
    }
    buf_fini(&missing);
    buf_fini(&all);
}

/* What is asked for is there, or is refused by name. */
static void enable(struct call *call)
{
    struct buf names = BUF_INIT;
    put_names(call, &names, false, ", ");
    if (names.len) {
        call_fail(call, EX_SOFTWARE, "These plugins are not part of the broker: %s",
                  buf_cstr(&names));
    } else if (!call_is_dry(call)) {
        call_print(call, "Plugin configuration unchanged.");
        call_exit(call);
    }
    buf_fini(&names);
}

static void tell_names(struct call *call, const char *verb)
{
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < call->args.count; i++)
        buf_printf(&names, "\n%s", call->args.words[i]);
    call_banner(call, "%s plugins on node %s:%s", verb, name_of(call), buf_cstr(&names));
    buf_fini(&names);
}

void run_enable_plugin(struct call *call)
{
    if (!call->args.count && !call_has(call, OPT_ALL)) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
        return;
    }
    tell_names(call, "Enabling");
    enable(call);
}

void run_disable_plugin(struct call *call)
{
    struct buf names = BUF_INIT;
    if (!call->args.count && !call_has(call, OPT_ALL)) {
        call_refuse(call, EX_USAGE, "not enough arguments.");
        return;
    }
    tell_names(call, "Disabling");
    put_names(call, &names, true, ", ");
    if (names.len || call_has(call, OPT_ALL)) {
        call_fail(call, EX_UNAVAILABLE,
                  "What is part of the broker cannot be disabled%s%s; listeners are chosen by the "
                  "configuration",
                  names.len ? ": " : "", buf_cstr(&names));
    } else if (!call_is_dry(call)) {
        call_print(call, "Plugin configuration unchanged.");
        call_exit(call);
    }
    buf_fini(&names);
}

/* ---- places ---- */

void run_plugin_directories(struct call *call)
{
    call_banner(call, "Listing plugin directories used by node %s", name_of(call));
    if (call->request.typed)
        call_value(call, SLICE("{\"plugins_dir\":null,\"plugins_expand_dir\":null,"
                               "\"enabled_plugins_file\":null}"));
    else
        call_print(call, "Plugin archives directory: (none)\nPlugin expansion directory: (none)\n"
                         "Enabled plugins file: (none)");
    call_exit(call);
}
