/* What the process is and what it lives in: version, place of the log, environment, TLS, names. */
#include "admin/admin_priv.h"
#include "admin/call.h"
#include "admin/cell.h"
#include "admin/handlers.h"
#include "admin/health.h"
#include "admin/listeners.h"
#include "admin/report.h"

#include "base/mem.h"
#include "conf/conf.h"
#include "meta/meta.h"
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct fact_visit {
    struct visit visit;
    bool json;
    char *problem; /* owned */
};

static void fact_fini(struct visit *visit)
{
    free(((struct fact_visit *)visit)->problem);
}

static void on_told(struct call *call, struct visit *visit)
{
    const struct fact_visit *v = (struct fact_visit *)visit;
    if (v->problem)
        call_fail(call, EX_UNAVAILABLE, "%s", v->problem);
    else
        call_exit(call);
}

static struct fact_visit *fact_new(struct call *call,
                                   bool (*run)(struct visit *visit, struct shard *shard))
{
    struct fact_visit *v = visit_new(sizeof *v, run, on_told);
    v->visit.fini = fact_fini;
    v->json = call->request.typed;
    return v;
}

static void tell(struct call *call, bool (*run)(struct visit *visit, struct shard *shard))
{
    call_visit_first(call, &fact_new(call, run)->visit);
}

static const char *name_of(const struct call *call)
{
    return meta_node_name(call_node(call));
}

/* {"result":"ok","node":"..." and the members */
static void put_value(struct buf *out, struct node *node, struct buf *members)
{
    struct buf json = BUF_INIT;
    buf_append_str(&json, "{\"result\":\"ok\",\"node\":");
    cell_put_string(&json, slice_str(meta_node_name(node)));
    buf_append_slice(&json, buf_slice(members));
    buf_append_byte(&json, '}');
    report_value(out, buf_slice(&json));
    buf_fini(&json);
    buf_fini(members);
}

/* ---- version ---- */

void run_server_version(struct call *call)
{
    call_banner(call, "Asking node %s for its version...", name_of(call));
    if (call->request.json)
        call_value(call, SLICE("{\"result\":\"ok\",\"value\":\"" PACKAGE_VERSION "\"}"));
    else
        call_print(call, "%s", PACKAGE_VERSION);
    call_exit(call);
}

/* ---- listeners ---- */

static bool listeners_run(struct visit *visit, struct shard *shard)
{
    const struct fact_visit *v = (struct fact_visit *)visit;
    struct buf members = BUF_INIT;
    struct listener *l = NULL;
    if (v->json) {
        buf_append_str(&members, ",\"listeners\":");
        listeners_put_json(&members, shard_node(shard));
        put_value(&visit->out, shard_node(shard), &members);
        return true;
    }
    while ((l = listener_next(shard_node(shard), l))) {
        struct listener_facts f = listener_facts(l);
        report_print(&visit->out, "Interface: %.*s, port: %u, protocol: %s, purpose: %s",
                     SLICE_ARG(f.host), f.port, f.protocol, f.purpose);
    }
    return true;
}

void run_listeners(struct call *call)
{
    call_banner(call, "Asking node %s to report its protocol listeners ...", name_of(call));
    tell(call, listeners_run);
}

/* ---- log ---- */

static const char *log_place(const struct conf *conf)
{
    return conf->log.output == LOG_OUTPUT_FILE       ? conf->log.file
           : conf->log.output == LOG_OUTPUT_JOURNALD ? "<journald>"
                                                     : "<stderr>";
}

static bool location_run(struct visit *visit, struct shard *shard)
{
    const struct fact_visit *v = (struct fact_visit *)visit;
    const char *place = log_place(admin_conf(admin_of(shard_node(shard))));
    struct buf members = BUF_INIT;
    if (!v->json) {
        report_print(&visit->out, "%s", place);
        return true;
    }
    buf_append_str(&members, ",\"paths\":[");
    cell_put_string(&members, slice_str(place));
    buf_append_byte(&members, ']');
    put_value(&visit->out, shard_node(shard), &members);
    return true;
}

void run_log_location(struct call *call)
{
    call_banner(call, "Log file location(s) on node %s ...", name_of(call));
    tell(call, location_run);
}

/* ---- the process ---- */

void run_command_line_arguments(struct call *call)
{
    char room[16384];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, room, sizeof room) : -1;
    struct buf json = BUF_INIT;
    if (fd >= 0)
        close(fd);
    call_banner(call, "Command line arguments of node %s ...", name_of(call));
    buf_append_byte(&json, '[');
    for (ssize_t at = 0; at < n;) {
        size_t length = strnlen(room + at, (size_t)(n - at));
        if (call->request.typed) {
            buf_append_str(&json, at ? "," : "");
            cell_put_string(&json, slice_of(room + at, length));
        } else {
            call_print_slice(call, slice_of(room + at, length));
        }
        at += (ssize_t)length + 1;
    }
    buf_append_byte(&json, ']');
    if (call->request.typed)
        call_value(call, buf_slice(&json));
    buf_fini(&json);
    call_exit(call);
}

/* Ours, without what may be secret. */
static bool is_shown(const char *variable)
{
    static const char *const hidden[] = {"PASS", "SECRET", "KEY", "TOKEN"};
    const char *end = strchr(variable, '=');
    if (strncmp(variable, "JACKALOPE_", 10) || !end)
        return false;
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        if (memmem(variable, (size_t)(end - variable), hidden[i], strlen(hidden[i])))
            return false;
    }
    return true;
}

void run_os_env(struct call *call)
{
    struct buf json = BUF_INIT;
    call_banner(call, "Listing environment variables of the broker defined on node %s...",
                name_of(call));
    buf_append_str(&json, "{\"result\":\"ok\",\"node\":");
    cell_put_string(&json, slice_str(name_of(call)));
    buf_append_str(&json, ",\"variables\":{");
    bool first = true;
    for (char **at = environ; *at; at++) {
        const char *value = strchr(*at, '=');
        if (!is_shown(*at))
            continue;
        if (!call->request.typed)
            call_print(call, "%s", *at);
        buf_append_str(&json, first ? "" : ",");
        cell_put_string(&json, slice_of(*at, (size_t)(value - *at)));
        buf_append_byte(&json, ':');
        cell_put_string(&json, slice_str(value + 1));
        first = false;
    }
    buf_append_str(&json, "}}");
    if (call->request.typed)
        call_value(call, buf_slice(&json));
    buf_fini(&json);
    call_exit(call);
}

/* ---- TLS ---- */

void run_tls_versions(struct call *call)
{
    call_banner(call, "Listing all TLS versions supported by the broker...");
    if (call->request.typed)
        call_value(call, SLICE("{\"versions\":[\"tlsv1.3\",\"tlsv1.2\"]}"));
    else
        call_print(call, "tlsv1.3\ntlsv1.2");
    call_exit(call);
}

enum suite_form { FORM_OPENSSL, FORM_IANA, FORM_ERLANG, FORM_MAP, FORMS };

static const struct {
    const char *name, *what;
} suite_forms[] = {[FORM_OPENSSL] = {"openssl", "OpenSSL format"},
                   [FORM_IANA] = {"iana", "IANA format"},
                   [FORM_ERLANG] = {"erlang", "Erlang term format"},
                   [FORM_MAP] = {"map", "map format"}};

struct suites {
    struct call *call;
    enum suite_form form;
    size_t count;
    struct buf json;
};

static void put_suite_json(struct suites *s, const struct tls_suite *suite)
{
    const char *name = s->form == FORM_OPENSSL ? suite->name : suite->iana;
    buf_append_str(&s->json, s->count ? "," : "");
    if (s->form == FORM_OPENSSL || s->form == FORM_IANA)
        buf_printf(&s->json, "\"%s\"", name);
    else
        buf_printf(&s->json,
                   "{\"cipher\":\"%s\",\"key_exchange\":\"%s\",\"mac\":\"%s\",\"prf\":\"%s\"}",
                   suite->cipher, suite->key_exchange, suite->mac,
                   suite->prf ? suite->prf : "default_prf");
}

static void print_suite(const struct suites *s, const struct tls_suite *suite)
{
    const char *comma = s->count ? "," : "";
    if (s->form == FORM_ERLANG)
        call_print(s->call, "%s{%s,%s,%s%s%s}", comma, suite->key_exchange, suite->cipher,
                   suite->mac, suite->prf ? "," : "", suite->prf ? suite->prf : "");
    else if (s->form == FORM_MAP)
        call_print(s->call, "%s#{cipher => %s,key_exchange => %s,mac => %s,prf => %s}", comma,
                   suite->cipher, suite->key_exchange, suite->mac,
                   suite->prf ? suite->prf : "default_prf");
    else
        call_print(s->call, "%s", s->form == FORM_OPENSSL ? suite->name : suite->iana);
}

static void on_suite(const struct tls_suite *suite, void *arg)
{
    struct suites *s = arg;
    if (s->form == FORM_IANA && !suite->iana)
        return;
    if (s->call->request.typed)
        put_suite_json(s, suite);
    else
        print_suite(s, suite);
    s->count++;
}

void run_cipher_suites(struct call *call)
{
    const char *format = call_option(call, OPT_FORMAT, "openssl");
    struct suites s = {.call = call};
    while (s.form < FORMS && strcasecmp(suite_forms[s.form].name, format) != 0)
        s.form++;
    if (s.form == FORMS) {
        call_refuse(call, EX_DATAERR,
                    "Bad argument: Format should be either openssl, iana, erlang or map");
        return;
    }
    bool terms = s.form >= FORM_ERLANG && !call->request.typed;
    call_banner(call, "Listing available cipher suites in %s", suite_forms[s.form].what);
    buf_append_byte(&s.json, '[');
    if (terms)
        call_print(call, "[");
    tls_each_cipher_suite(call_has(call, OPT_ALL), on_suite, &s);
    buf_append_byte(&s.json, ']');
    if (terms)
        call_print(call, "]");
    else if (call->request.typed)
        call_value(call, buf_slice(&s.json));
    buf_fini(&s.json);
    call_exit(call);
}

static void on_certificate(const struct tls_certificate_facts *facts, void *out)
{
    char begins[32], expires[32];
    health_format_time(facts->begins, begins);
    health_format_time(facts->expires, expires);
    report_print(out, "%s: %s\n  subject: %s\n  valid from %s to %s",
                 facts->authority ? "Authority of clients" : "Certificate", facts->file,
                 facts->subject, begins, expires);
}

static bool certificates_run(struct visit *visit, struct shard *shard)
{
    struct listener *l = NULL;
    bool first = true;
    while ((l = listener_next(shard_node(shard), l))) {
        struct tls_context *tls = listener_get_options(l)->tls_context;
        struct listener_facts f = listener_facts(l);
        if (!tls)
            continue;
        report_print(&visit->out, "%sInterface: %.*s, port: %u, protocol: %s", first ? "" : "\n",
                     SLICE_ARG(f.host), f.port, f.protocol);
        tls_context_each_certificate(tls, on_certificate, &visit->out);
        first = false;
    }
    return true;
}

void run_certificates(struct call *call)
{
    call_banner(call, "Certificates of node %s ...", name_of(call));
    tell(call, certificates_run);
}
