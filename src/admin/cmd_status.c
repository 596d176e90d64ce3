/* What the broker is and how it is doing: status, ping, alarms, memory, ops, listeners,
 * environment. */
#include "admin/admin_priv.h"
#include "admin/cell.h"
#include "admin/census.h"
#include "admin/disk_monitor.h"
#include "admin/facts.h"
#include "admin/handlers.h"
#include "admin/health.h"
#include "admin/listeners.h"
#include "admin/monitor.h"
#include "admin/store_report.h"

#include "broker/broker.h"
#include "conf/conf.h"
#include "meta/limits.h"
#include "meta/meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- listeners ---- */

struct listeners_visit {
    struct visit visit;
    struct rows rows;
};

static bool listeners_run(struct visit *visit, struct shard *shard)
{
    struct listeners_visit *v = (struct listeners_visit *)visit;
    struct listener *l = NULL;
    struct buf *out = &visit->out;
    while ((l = listener_next(shard_node(shard), l))) {
        struct listener_facts f = listener_facts(l);
        row_begin(out);
        row_put(out, &v->rows, "interface", value_text(f.host));
        row_put_int(out, &v->rows, f.port);
        row_put_text(out, &v->rows, f.protocol);
        row_end(out);
    }
    return true;
}

void run_list_listeners(struct call *call)
{
    struct listeners_visit *v = visit_new(sizeof *v, listeners_run, call_visit_end);
    call_banner(call, "Listing listeners ...");
    rows_begin_fixed(call, &v->rows, "interface port protocol", false);
    call_visit_first(call, &v->visit);
}

/* ---- memory ---- */

static bool read_unit(struct call *call, enum report_unit otherwise, enum report_unit *ret_unit)
{
    *ret_unit = otherwise;
    bool good =
        !call_has(call, OPT_UNIT) || report_unit_parse(call_option(call, OPT_UNIT, ""), ret_unit);
    if (!good)
        call_refuse(call, EX_USAGE, "unit must be one of b, kb, mb, gb");
    return good;
}

static double percent(uint64_t part, uint64_t total)
{
    return total ? (double)(part * 10000 / total) / 100.0 : 0.0;
}

static void put_part(struct census *c, const char *name, uint64_t bytes, uint64_t total)
{
    struct buf *out = &c->visit.out, size = BUF_INIT;
    row_begin(out);
    row_put_text(out, &c->rows, name);
    if (c->json || c->unit == UNIT_BYTES) {
        row_put_int(out, &c->rows, bytes);
    } else {
        report_put_size(&size, bytes, c->unit);
        row_put(out, &c->rows, "bytes", value_text(buf_slice(&size)));
    }
    row_put(out, &c->rows, "percent", value_double(percent(bytes, total)));
    row_end(out);
    buf_fini(&size);
}

static void report_memory(struct census *c, struct shard *shard)
{
    struct breakdown b = census_breakdown(&c->use, shard);
    for (unsigned i = 0; i < PART_COUNT; i++)
        put_part(c, memory_part_name((enum memory_part)i), b.parts[i], b.total);
    put_part(c, "total", b.total, b.total);
}

/* As RabbitMQ's tool shows it: the largest first, {"queues":{"bytes":1,"percentage":0.5},...} */
static void report_parts(struct census *c, struct shard *shard)
{
    struct breakdown b = census_breakdown(&c->use, shard);
    struct buf json = BUF_INIT, size = BUF_INIT;
    bool shown[PART_COUNT] = {false};
    for (unsigned n = 0; n < PART_COUNT; n++) {
        unsigned best = PART_COUNT;
        for (unsigned i = 0; i < PART_COUNT; i++) {
            if (!shown[i] && (best == PART_COUNT || b.parts[i] > b.parts[best]))
                best = i;
        }
        const char *name = memory_part_name((enum memory_part)best);
        double share = percent(b.parts[best], b.total);
        shown[best] = true;
        buf_printf(&json, "%s\"%s\":{\"bytes\":%" PRIu64 ",\"percentage\":%g}", n ? "," : "{", name,
                   b.parts[best], share);
        buf_clear(&size);
        report_put_size(&size, b.parts[best], c->unit);
        if (!c->json)
            report_print(&c->visit.out, "%s: %s%s (%g%%)", name, buf_cstr(&size),
                         c->unit == UNIT_BYTES ? "ytes" : "", share);
    }
    buf_append_byte(&json, '}');
    if (c->json)
        report_value(&c->visit.out, buf_slice(&json));
    buf_fini(&json);
    buf_fini(&size);
}

void run_memory_breakdown(struct call *call)
{
    enum report_unit unit;
    if (!read_unit(call, UNIT_GB, &unit))
        return;
    struct census *c = census_new(call, true, report_parts);
    c->unit = unit;
    call_banner(call, "Reporting memory breakdown on node %s...", meta_node_name(call_node(call)));
    call_visit(call, &c->visit);
}

void run_memory(struct call *call)
{
    enum report_unit unit;
    if (!read_unit(call, UNIT_BYTES, &unit))
        return;
    struct census *c = census_new(call, true, report_memory);
    c->unit = unit;
    call_banner(call, "Memory of the process by use ...");
    rows_begin_fixed(call, &c->rows, "name bytes percent", false);
    call_visit(call, &c->visit);
}

/* ---- alarms ---- */

struct alarms_visit {
    struct visit visit;
    bool json;
};

static void put_alarms_json(struct buf *out, struct node *node)
{
    struct buf json = BUF_INIT;
    struct health h;
    health_alarms(node, "", &h);
    buf_append_str(&json, "{\"result\":\"ok\",\"node\":");
    cell_put_string(&json, slice_str(meta_node_name(node)));
    buf_append_slice(&json, buf_slice(&h.fields));
    buf_append_byte(&json, '}');
    report_value(out, buf_slice(&json));
    buf_fini(&json);
    health_fini(&h);
}

static bool alarms_run(struct visit *visit, struct shard *shard)
{
    if (((struct alarms_visit *)visit)->json) {
        put_alarms_json(&visit->out, shard_node(shard));
        return true;
    }
    const struct admin *admin = admin_of(shard_node(shard));
    struct monitor_facts memory = monitor_facts(admin->monitor);
    struct disk_facts disk = disk_monitor_facts(admin->disk);
    if (memory.alarm)
        report_print(&visit->out, "Memory alarm: above %" PRIu64 " bytes", memory.watermark);
    if (disk.alarm && disk.free >= disk.limit)
        report_print(&visit->out, "Free disk space alarm: the store has no room");
    else if (disk.alarm)
        report_print(&visit->out, "Free disk space alarm: below %" PRIu64 " bytes", disk.limit);
    if (!memory.alarm && !disk.alarm)
        report_print(&visit->out, "No alarms are in effect");
    return true;
}

void run_alarms(struct call *call)
{
    struct alarms_visit *v = visit_new(sizeof *v, alarms_run, call_visit_end);
    v->json = call->request.typed;
    call_banner(call, "Alarms in effect ...");
    call_visit_first(call, &v->visit);
}

/* ---- status ---- */

struct facts {
    struct breakdown memory;
    struct monitor_facts monitor;
    struct disk_facts disk;
    struct store_stats store;
    bool has_store;
    const struct conf *conf;
    uint64_t uptime_s, files, file_limit;
    int64_t messages, message_bytes;
    size_t vhosts;
};

static struct facts gather(const struct census *c, struct shard *shard)
{
    struct node *node = shard_node(shard);
    const struct admin *admin = admin_of(node);
    struct facts_now now = facts_now(shard);
    struct facts f = {.memory = census_breakdown(&c->use, shard),
                      .monitor = monitor_facts(admin->monitor),
                      .disk = disk_monitor_facts(admin->disk),
                      .has_store = store_of(node),
                      .conf = admin_conf(admin),
                      .uptime_s = now.uptime_ms / 1000,
                      .files = now.files,
                      .file_limit = now.files_max,
                      .vhosts = meta_count(node, META_VHOSTS)};
    if (f.has_store)
        store_read_stats(store_of(node), &f.store);
    broker_message_totals(node, &f.messages, &f.message_bytes);
    return f;
}

static void put_latency(struct buf *out, const struct node *node)
{
    struct awake_facts f = awake_facts(node);
    if (!f.asked)
        report_print(out, "CPU latency: not asked for");
    else if (f.error)
        report_print(out, "CPU latency: cannot be asked for: %s", strerror(f.error));
    else
        report_print(out, "CPU latency: %u us %s, %.1f seconds since the start", f.latency_us,
                     f.held ? "held now" : "not held now", (double)f.held_ns / 1e9);
}

static void put_head(struct buf *out, const struct facts *f, const struct shard *shard)
{
    report_print(out, "Runtime\n");
    report_print(out, "OS PID: %ld", (long)getpid());
    report_print(out, "OS: Linux");
    report_print(out, "Uptime (seconds): %" PRIu64, f->uptime_s);
    report_print(out, "Jackalope version: %s", PACKAGE_VERSION);
    report_print(out, "RabbitMQ version: " FACTS_RABBITMQ_VERSION);
    report_print(out, "Node name: %s", f->conf->node_name);
    report_print(out, "Shards: %u", node_shard_count(shard_node(shard)));
    put_latency(out, shard_node(shard));
    report_print(out, "Is under maintenance?: %s",
                 admin_of(shard_node(shard))->maintenance ? "true" : "false");
    report_print(out, "\nData directory\n");
    report_print(out, "Node data directory: %s", f->conf->data_dir);
    report_print(out, "\nLog file(s)\n");
    report_print(out, " * %s",
                 f->conf->log.output == LOG_OUTPUT_FILE       ? f->conf->log.file
                 : f->conf->log.output == LOG_OUTPUT_JOURNALD ? "<journald>"
                                                              : "<stderr>");
    report_print(out, "\nAlarms\n");
    if (f->monitor.alarm)
        report_print(out, "Memory alarm on node %s", f->conf->node_name);
    if (f->disk.alarm)
        report_print(out, "Free disk space alarm on node %s", f->conf->node_name);
    if (!f->monitor.alarm && !f->disk.alarm)
        report_print(out, "(none)");
}

static void put_memory(struct buf *out, const struct facts *f, enum report_unit unit)
{
    struct buf size = BUF_INIT;
    report_print(out, "\nMemory\n");
    report_put_size(&size, f->memory.total, unit);
    report_print(out, "Total memory used: %s", buf_cstr(&size));
    buf_clear(&size);
    report_put_size(&size, f->memory.own, unit);
    report_print(out, "Of that not pages of files, as the watermark counts: %s", buf_cstr(&size));
    report_print(out, "Calculation strategy: rss");
    buf_clear(&size);
    report_put_size(&size, f->monitor.watermark, unit);
    if (f->monitor.fraction < 0)
        report_print(out, "Memory high watermark setting: %s", buf_cstr(&size));
    else
        report_print(out,
                     "Memory high watermark setting: %.4g of available memory, computed to: %s",
                     f->monitor.fraction, buf_cstr(&size));
    report_print(out, "%s", "");
    for (unsigned i = 0; i < PART_COUNT; i++) {
        buf_clear(&size);
        report_put_size(&size, f->memory.parts[i], unit);
        report_print(out, "%s: %s (%.2f %%)", memory_part_name((enum memory_part)i),
                     buf_cstr(&size), percent(f->memory.parts[i], f->memory.total));
    }
    buf_fini(&size);
}

static void put_disk(struct buf *out, const struct facts *f, enum report_unit unit)
{
    struct buf size = BUF_INIT;
    report_print(out, "\nFree Disk Space\n");
    report_put_size(&size, f->disk.limit, unit);
    report_print(out, "Low free disk space watermark: %s", buf_cstr(&size));
    buf_clear(&size);
    report_put_size(&size, f->disk.free, unit);
    report_print(out, "Free disk space: %s", f->disk.known ? buf_cstr(&size) : "unknown");
    buf_fini(&size);
}

/* ---- limits of the node ---- */

struct limit_row {
    const char *name, *title;
    uint64_t used;
    bool counted; /* used is known: not of every channel's consumers */
    int64_t max;
};
enum { LIMIT_ROWS = LIMIT_COUNT };
#define LIMIT_OF_PARAMETERS(component, title, limit)                   \
    {                                                                  \
        "runtime_parameters.limits." component, title, 0, false, limit \
    }

static void read_limits(struct node *node, struct limit_row rows[LIMIT_ROWS])
{
    struct limits *l = limits_of_node(node);
    const struct limit_row all[] = {
        {"connection_max", "Connections", (uint64_t)l->connections, true, LIMIT_CONNECTIONS},
        {"channel_max_per_node", "Channels", (uint64_t)l->channels, true, LIMIT_CHANNELS},
        {"consumer_max_per_channel", "Consumers of a channel", 0, false, LIMIT_CONSUMERS},
        {"vhost_max", "Virtual hosts", meta_count(node, META_VHOSTS), true, LIMIT_VHOSTS},
        {"cluster_queue_limit", "Queues", meta_count(node, META_QUEUES), true, LIMIT_QUEUES},
        {"cluster_exchange_limit", "Exchanges", meta_count(node, META_EXCHANGES), true,
         LIMIT_EXCHANGES},
        LIMIT_OF_PARAMETERS("shovel", "Shovels", LIMIT_SHOVELS),
        LIMIT_OF_PARAMETERS("federation-upstream", "Federation upstreams", LIMIT_UPSTREAMS),
        LIMIT_OF_PARAMETERS("federation-upstream-set", "Federation upstream sets",
                            LIMIT_UPSTREAM_SETS),
    };
    _Static_assert(sizeof all / sizeof *all == LIMIT_ROWS, "every limit is shown");
    for (unsigned i = 0; i < LIMIT_ROWS; i++) {
        rows[i] = all[i];
        rows[i].max = limits_get(l, (enum limit)all[i].max);
    }
}

static void put_limits(struct buf *out, struct node *node)
{
    struct limit_row rows[LIMIT_ROWS];
    read_limits(node, rows);
    report_print(out, "\nLimits\n");
    for (unsigned i = 0; i < LIMIT_ROWS; i++) {
        char used[32] = "", max[32] = "none";
        if (rows[i].counted)
            snprintf(used, sizeof used, " %" PRIu64 ",", rows[i].used);
        if (rows[i].max >= 0)
            snprintf(max, sizeof max, "%" PRId64, rows[i].max);
        report_print(out, "%s:%s limit: %s", rows[i].title, used, max);
    }
}

static void put_json_limits(struct buf *out, struct node *node)
{
    struct limit_row rows[LIMIT_ROWS];
    read_limits(node, rows);
    for (unsigned i = 0; i < LIMIT_ROWS; i++) {
        buf_printf(out, "%s\"%s\":", i ? "," : ",\"limits\":{", rows[i].name);
        if (rows[i].max < 0)
            buf_append_str(out, "\"infinity\"");
        else
            buf_printf(out, "%" PRId64, rows[i].max);
    }
    buf_append_byte(out, '}');
}

static void put_tail(struct buf *out, const struct facts *f, const struct census *c,
                     struct shard *shard)
{
    report_print(out, "\nFile Descriptors\n");
    report_print(out, "Total: %" PRIu64 ", limit: %" PRIu64, f->files, f->file_limit);
    put_disk(out, f, c->unit);
    if (f->has_store)
        store_report_put(out, &f->store, c->unit);
    report_print(out, "\nTotals\n");
    report_print(out, "Connection count: %zu", c->connections);
    report_print(out, "Channel count: %zu", c->channels);
    report_print(out, "Queue count: %zu", c->queues);
    report_print(out, "Message count: %" PRId64, f->messages);
    report_print(out, "Virtual host count: %zu", f->vhosts);
    put_limits(out, shard_node(shard));
    report_print(out, "\nListeners\n");
    struct listener *l = NULL;
    while ((l = listener_next(shard_node(shard), l))) {
        struct listener_facts facts = listener_facts(l);
        report_print(out, "Interface: %.*s, port: %u, protocol: %s, purpose: %s",
                     SLICE_ARG(facts.host), facts.port, facts.protocol, facts.purpose);
    }
}

static void put_json_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    cell_put_string(out, slice_str(text));
}

static void put_json_latency(struct buf *out, const struct node *node)
{
    struct awake_facts f = awake_facts(node);
    buf_printf(out, ",\"cpu_latency\":{\"asked\":%s,\"held\":%s,\"held_seconds\":%.3f",
               f.asked ? "true" : "false", f.held ? "true" : "false", (double)f.held_ns / 1e9);
    if (f.asked)
        buf_printf(out, ",\"microseconds\":%u", f.latency_us);
    if (f.error)
        put_json_text(out, "error", strerror(f.error));
    buf_append_byte(out, '}');
}

static void put_json_disk(struct buf *out, const struct facts *f)
{
    buf_printf(out, ",\"disk_free_limit\":%" PRIu64 ",\"disk_free\":", f->disk.limit);
    if (f->disk.known)
        buf_printf(out, "%" PRIu64, f->disk.free);
    else
        buf_append_str(out, "null");
    if (f->has_store)
        store_report_put_json(out, &f->store);
}

static void put_status_json(struct census *c, const struct facts *f, struct shard *shard)
{
    struct buf json = BUF_INIT;
    buf_printf(&json, "{\"pid\":%ld,\"os\":\"Linux\",\"uptime\":%" PRIu64, (long)getpid(),
               f->uptime_s);
    put_json_text(&json, "product_name", "Jackalope");
    put_json_text(&json, "product_version", PACKAGE_VERSION);
    put_json_text(&json, "rabbitmq_version", FACTS_RABBITMQ_VERSION);
    put_json_text(&json, "node_name", f->conf->node_name);
    buf_printf(&json, ",\"is_under_maintenance\":%s",
               admin_of(shard_node(shard))->maintenance ? "true" : "false");
    put_json_text(&json, "data_directory", f->conf->data_dir);
    put_json_latency(&json, shard_node(shard));
    buf_printf(&json, ",\"shards\":%u,\"alarms\":[%s%s%s],\"memory\":{\"strategy\":\"rss\"",
               node_shard_count(shard_node(shard)), f->monitor.alarm ? "\"memory\"" : "",
               f->monitor.alarm && f->disk.alarm ? "," : "", f->disk.alarm ? "\"disk\"" : "");
    for (unsigned i = 0; i < PART_COUNT; i++)
        buf_printf(&json, ",\"%s\":%" PRIu64, memory_part_name((enum memory_part)i),
                   f->memory.parts[i]);
    buf_printf(&json, ",\"total\":%" PRIu64 ",\"without_files\":%" PRIu64 "}", f->memory.total,
               f->memory.own);
    if (f->monitor.fraction < 0)
        buf_printf(&json, ",\"vm_memory_high_watermark_setting\":{\"absolute\":%" PRIu64 "}",
                   f->monitor.watermark);
    else
        buf_printf(&json, ",\"vm_memory_high_watermark_setting\":{\"relative\":%.6g}",
                   f->monitor.fraction);
    buf_printf(&json, ",\"vm_memory_high_watermark_limit\":%" PRIu64, f->monitor.watermark);
    buf_printf(&json,
               ",\"file_descriptors\":{\"total_used\":%" PRIu64 ",\"total_limit\":%" PRIu64 "}",
               f->files, f->file_limit);
    buf_printf(&json,
               ",\"totals\":{\"connection_count\":%zu,\"channel_count\":%zu,\"queue_count\":%zu,"
               "\"message_count\":%" PRId64 ",\"virtual_host_count\":%zu}",
               c->connections, c->channels, c->queues, f->messages, f->vhosts);
    put_json_limits(&json, shard_node(shard));
    put_json_disk(&json, f);
    buf_append_str(&json, ",\"listeners\":");
    listeners_put_json(&json, shard_node(shard));
    buf_append_byte(&json, '}');
    report_value(&c->visit.out, buf_slice(&json));
    buf_fini(&json);
}

static void report_status(struct census *c, struct shard *shard)
{
    struct facts f = gather(c, shard);
    struct buf *out = &c->visit.out;
    if (c->json) {
        put_status_json(c, &f, shard);
        return;
    }
    put_head(out, &f, shard);
    put_memory(out, &f, c->unit);
    put_tail(out, &f, c, shard);
}

void run_status(struct call *call)
{
    enum report_unit unit;
    if (!read_unit(call, UNIT_GB, &unit))
        return;
    struct census *c = census_new(call, true, report_status);
    c->unit = unit;
    call_banner(call, "Status of the node ...");
    call_visit(call, &c->visit);
}

/* ---- ping, ops, environment ---- */

static bool nothing_run(struct visit *visit, struct shard *shard)
{
    (void)visit;
    (void)shard;
    return true;
}

static void on_pinged(struct call *call, struct visit *visit)
{
    (void)visit;
    call_print(call, "Ping succeeded");
    call_exit(call);
}

void run_ping(struct call *call)
{
    call_banner(call, "Asking every shard for a sign of life ...");
    call_visit(call, visit_new(sizeof(struct visit), nothing_run, on_pinged));
}

struct ops_visit {
    struct visit visit;
    struct rows rows;
};

/* Each shard tells its own. */
static bool ops_run(struct visit *visit, struct shard *shard)
{
    const struct ops_visit *v = (struct ops_visit *)visit;
    struct buf *out = &visit->out, key = BUF_INIT;
    struct shard_stats s;
    shard_read_stats(shard, &s);
    const uint64_t cells[] = {shard_index(shard), s.turns,     s.ops_local,
                              s.ops_in,           s.ops_out,   s.wakes,
                              s.stale_ops,        s.ring_full, s.longest_turn_ns / 1000,
                              s.gathered};
    buf_printf(&key, "%03u", shard_index(shard));
    row_begin(out);
    row_put_key(out, buf_slice(&key));
    for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
        row_put_int(out, &v->rows, cells[k]);
    row_end(out);
    buf_fini(&key);
    return true;
}

void run_ops(struct call *call)
{
    struct ops_visit *v = visit_new(sizeof *v, ops_run, call_visit_end);
    call_banner(call, "Counters of the shards ...");
    rows_begin_fixed(call, &v->rows,
                     "shard turns ops_local ops_in ops_out wakes stale_ops ring_full "
                     "longest_turn_us gathered",
                     true);
    call_visit(call, &v->visit);
}

static bool environment_run(struct visit *visit, struct shard *shard)
{
    struct buf yaml = BUF_INIT;
    conf_dump(admin_conf(admin_of(shard_node(shard))), &yaml);
    while (yaml.len && yaml.data[yaml.len - 1] == '\n')
        yaml.len--;
    report_print_slice(&visit->out, buf_slice(&yaml));
    buf_fini(&yaml);
    return true;
}

void run_environment(struct call *call)
{
    call_banner(call, "Configuration in effect ...");
    call_visit_first(call, visit_new(sizeof(struct visit), environment_run, call_visit_end));
}
