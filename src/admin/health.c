/* The checks, read from what lives on shard 0: listeners, monitors, the metadata master. */
#include "admin/health.h"

#include "admin/admin_priv.h"
#include "admin/cell.h"
#include "admin/disk_monitor.h"
#include "admin/listeners.h"
#include "admin/monitor.h"
#include "meta/limits.h"
#include "meta/meta.h"
#include "net/tls.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

void health_fini(struct health *h)
{
    buf_fini(&h->text);
    buf_fini(&h->fields);
}

static void begin(struct health *h)
{
    *h = (struct health){.ok = true, .reason = "", .text = BUF_INIT, .fields = BUF_INIT};
}

static void fail(struct health *h, const char *reason)
{
    h->ok = false;
    h->reason = reason;
}

static const char *separator(bool first)
{
    return first ? "" : ", ";
}

void health_running(struct node *node, struct health *h)
{
    const struct admin_options *options = &admin_of(node)->options;
    begin(h);
    if (admin_of(node)->app_stopped) {
        fail(h, "The node is out of service");
        buf_printf(&h->text, "Node %s was taken out of service by stop_app", meta_node_name(node));
    } else if (options->is_stopping(options->arg)) {
        fail(h, "The node is stopping");
        buf_printf(&h->text, "Node %s is stopping", meta_node_name(node));
    } else {
        buf_printf(&h->text, "Jackalope on node %s is fully booted and running",
                   meta_node_name(node));
    }
}

/* ---- alarms ---- */

static void put_alarm(struct health *h, const char *node, const char *resource, const char *text)
{
    bool first = h->ok;
    fail(h, "There are alarms in effect in the cluster");
    buf_printf(&h->fields, "%s{\"node\":", first ? "" : ",");
    cell_put_string(&h->fields, slice_str(node));
    buf_printf(&h->fields, ",\"resource\":\"%s\"}", resource);
    buf_printf(&h->text, "%s%s on node %s", first ? "" : "\n", text, node);
}

void health_alarms(struct node *node, const char *what, struct health *h)
{
    const struct admin *admin = admin_of(node);
    const char *name = meta_node_name(node);
    begin(h);
    buf_append_str(&h->fields, ",\"alarms\":[");
    if (monitor_facts(admin->monitor).alarm)
        put_alarm(h, name, "memory", "Memory alarm");
    if (disk_monitor_facts(admin->disk).alarm)
        put_alarm(h, name, "disk", "Free disk space alarm");
    buf_append_byte(&h->fields, ']');
    if (h->ok)
        buf_printf(&h->text, "Node %s reported no %salarms%s", name, what,
                   *what ? "" : ", local or clusterwide");
}

/* ---- listeners ---- */

static void put_listeners(struct health *h, struct node *node)
{
    buf_append_str(&h->fields, ",\"listeners\":");
    listeners_put_json(&h->fields, node);
}

static void put_node(struct health *h, struct node *node)
{
    buf_append_str(&h->fields, ",\"node\":");
    cell_put_string(&h->fields, slice_str(meta_node_name(node)));
}

void health_port_listener(struct node *node, unsigned port, struct health *h)
{
    struct buf ports = BUF_INIT;
    struct listener *l = NULL;
    bool found = false;
    begin(h);
    while ((l = listener_next(node, l))) {
        struct listener_facts f = listener_facts(l);
        found = found || (f.port && f.port == port);
        if (f.port)
            buf_printf(&ports, "%s%u", separator(!ports.len), f.port);
    }
    put_node(h, node);
    if (found) {
        buf_printf(&h->fields, ",\"port\":%u", port);
        buf_printf(&h->text, "A listener for port %u is running on node %s.", port,
                   meta_node_name(node));
    } else {
        fail(h, "No active listener");
        buf_printf(&h->fields, ",\"missing\":%u,\"ports\":[%s]", port, buf_cstr(&ports));
        put_listeners(h, node);
        buf_printf(&h->text,
                   "No listener for port %u is active on node %s. Found listeners that use the "
                   "following ports: %s",
                   port, meta_node_name(node), buf_cstr(&ports));
    }
    buf_fini(&ports);
}

/* Whether it is among those that were put before. */
static bool is_known(const struct buf *names, const char *name)
{
    struct buf quoted = BUF_INIT;
    buf_printf(&quoted, "\"%s\"", name);
    bool known = names->len && memmem(names->data, names->len, quoted.data, quoted.len);
    buf_fini(&quoted);
    return known;
}

void health_protocol_listener(struct node *node, const char *protocol, struct health *h)
{
    char room[32];
    const char *wanted = listener_protocol_of(protocol, room);
    struct buf names = BUF_INIT, quoted = BUF_INIT;
    struct listener *l = NULL;
    begin(h);
    while ((l = listener_next(node, l))) {
        struct listener_facts f = listener_facts(l);
        if (is_known(&quoted, f.protocol))
            continue;
        buf_printf(&names, "%s%s", separator(!names.len), f.protocol);
        buf_printf(&quoted, "%s\"%s\"", quoted.len ? "," : "", f.protocol);
    }
    put_node(h, node);
    bool found = is_known(&quoted, wanted);
    buf_append_str(&h->fields, found ? ",\"protocol\":" : ",\"missing\":");
    cell_put_string(&h->fields, slice_str(wanted));
    if (found) {
        buf_printf(&h->text, "A listener for protocol %s is running on node %s.", wanted,
                   meta_node_name(node));
    } else {
        fail(h, "No active listener");
        buf_printf(&h->fields, ",\"protocols\":[%s]", buf_cstr(&quoted));
        put_listeners(h, node);
        buf_printf(&h->text,
                   "No listener for protocol %s is active on node %s. Found listeners for the "
                   "following protocols: %s",
                   wanted, meta_node_name(node), buf_cstr(&names));
    }
    buf_fini(&names);
    buf_fini(&quoted);
}

/* A virtual host is there with the node: none is started apart. */
void health_virtual_hosts(struct node *node, struct health *h)
{
    health_running(node, h);
    buf_clear(&h->text);
    buf_printf(&h->text, "Node %s reported %s", meta_node_name(node),
               h->ok ? "all vhosts as running" : "its vhosts as not running");
}

void health_connections(struct node *node, struct health *h)
{
    const struct limits *limits = limits_of_node(node);
    int64_t open = atomic_load_explicit(&limits->connections, memory_order_relaxed);
    bool full = limits_reached(limits, LIMIT_CONNECTIONS, (uint64_t)open);
    *h = (struct health){.ok = !full,
                         .reason = "node connection limit is reached",
                         .text = BUF_INIT,
                         .fields = BUF_INIT};
    buf_printf(&h->text, "Node %s has %lld connections", meta_node_name(node), (long long)open);
    buf_printf(&h->fields, ",\"connections\":%lld", (long long)open);
    if (limits_get(limits, LIMIT_CONNECTIONS) >= 0)
        buf_printf(&h->fields, ",\"limit\":%lld", (long long)limits_get(limits, LIMIT_CONNECTIONS));
    else
        buf_append_str(&h->fields, ",\"limit\":\"infinity\"");
}

/* ---- certificates ---- */

uint64_t health_unit_seconds(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t days;
    } units[] = {{"days", 1}, {"weeks", 7}, {"months", 30}, {"years", 365}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].name);
        if (!strcmp(unit, units[i].name) ||
            (strlen(unit) == n - 1 && !strncmp(unit, units[i].name, n - 1)))
            return units[i].days * 86400;
    }
    return 0;
}

struct expiry {
    struct health *health;
    struct listener_facts listener;
    const char *node;
    int64_t now, limit;
};

void health_format_time(int64_t seconds, char room[32])
{
    struct tm tm;
    time_t t = (time_t)seconds;
    gmtime_r(&t, &tm);
    strftime(room, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

static void put_time(struct buf *out, int64_t seconds)
{
    char text[32];
    health_format_time(seconds, text);
    buf_append_str(out, text);
}

static void on_certificate(const struct tls_certificate_facts *facts, void *arg)
{
    struct expiry *e = arg;
    struct health *h = e->health;
    bool early = facts->begins > e->now;
    if (facts->expires >= e->limit && !early)
        return;
    bool first = h->ok;
    fail(h, "Certificates expiring");
    buf_printf(&h->fields, "%s{\"interface\":", first ? "" : ",");
    cell_put_string(&h->fields, e->listener.host);
    buf_append_str(&h->fields, ",\"node\":");
    cell_put_string(&h->fields, slice_str(e->node));
    buf_printf(
        &h->fields, ",\"port\":%u,\"protocol\":\"%s\",\"purpose\":\"%s\",\"%s\":", e->listener.port,
        e->listener.protocol, e->listener.purpose, facts->authority ? "cacertfile" : "certfile");
    cell_put_string(&h->fields, slice_str(facts->file));
    buf_append_str(&h->fields, ",\"subject\":");
    cell_put_string(&h->fields, slice_str(facts->subject));
    buf_printf(&h->fields, ",\"%s_expires_on\":[\"", facts->authority ? "cacertfile" : "certfile");
    put_time(&h->fields, facts->expires);
    buf_append_str(&h->fields, "\"]}");
    buf_printf(&h->text, "%sInterface: %.*s, port: %u, protocol: %s: certificate '%s' of %s %s ",
               first ? "" : "\n", SLICE_ARG(e->listener.host), e->listener.port,
               e->listener.protocol, facts->subject, facts->file,
               early                     ? "is not valid before"
               : facts->expires < e->now ? "expired on"
                                         : "expires on");
    put_time(&h->text, early ? facts->begins : facts->expires);
}

void health_certificates(struct node *node, uint64_t within, const char *unit, struct health *h)
{
    uint64_t second = health_unit_seconds(unit);
    int64_t now = (int64_t)time(NULL);
    struct expiry e = {.health = h, .node = meta_node_name(node), .now = now};
    struct listener *l = NULL;
    e.limit = within < (uint64_t)1 << 20 ? now + (int64_t)(within * second) : INT64_MAX;
    begin(h);
    buf_append_str(&h->fields, ",\"expired\":[");
    while ((l = listener_next(node, l))) {
        struct tls_context *tls = listener_get_options(l)->tls_context;
        e.listener = listener_facts(l);
        if (tls)
            tls_context_each_certificate(tls, on_certificate, &e);
    }
    buf_append_byte(&h->fields, ']');
    if (h->ok)
        buf_printf(&h->text, "No certificates are expiring within %" PRIu64 " %.*s.", within,
                   (int)strlen(unit) - (within == 1 && unit[strlen(unit) - 1] == 's'), unit);
}

/* ---- definitions ---- */

void health_deprecated_features(struct node *node, struct health *h)
{
    (void)node;
    begin(h);
    buf_append_str(&h->text, "Cluster reported no deprecated features in use");
}

void health_metadata(struct node *node, bool data, struct health *h)
{
    const char *name = meta_node_name(node);
    begin(h);
    if (data && !meta_count(node, META_VHOSTS)) {
        fail(h, "The metadata store has no data");
        buf_printf(&h->text, "Metadata store on node %s has no data", name);
    } else {
        buf_printf(&h->text, "Metadata store on node %s has completed its initialization%s", name,
                   data ? " and has data" : "");
    }
}

void health_single_node(struct node *node, struct health *h)
{
    begin(h);
    buf_printf(&h->text,
               "Node %s seems to be the only one in a single node cluster, the check does not "
               "apply",
               meta_node_name(node));
}
