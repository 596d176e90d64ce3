/* The broker as a whole. */
#include "http/gauge.h"
#include "http/handlers.h"
#include "http/http_priv.h"
#include "http/list.h"
#include "http/login.h"
#include "http/node_counters.h"
#include "http/past.h"
#include "http/range.h"
#include "http/sampler.h"
#include "http/session.h"
#include "http/view.h"
#include "http/weigh.h"

#include "admin/facts.h"
#include "admin/features.h"
#include "admin/listeners.h"
#include "admin/memory.h"
#include "base/clock.h"
#include "base/json.h"
#include "conf/conf.h"
#include "meta/access.h"
#include "meta/exchange_type.h"
#include "meta/meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* ---- small things ---- */

static void put_tags(struct buf *out, unsigned tags)
{
    static const struct {
        unsigned tag;
        const char *name;
    } names[] = {{TAG_ADMINISTRATOR, "administrator"}, {TAG_MONITORING, "monitoring"},
                 {TAG_POLICYMAKER, "policymaker"},     {TAG_MANAGEMENT, "management"},
                 {TAG_IMPERSONATOR, "impersonator"},   {TAG_PROTECTED, "protected"}};
    buf_append_byte(out, '[');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (tags & names[i].tag)
            buf_printf(out, "%s\"%s\"", out->data[out->len - 1] == '[' ? "" : ",", names[i].name);
    }
    buf_append_byte(out, ']');
}

void api_whoami(struct session *s)
{
    struct buf json = BUF_INIT, tags = BUF_INIT;
    struct view v = view_of(&json, NULL);
    put_tags(&tags, s->tags);
    view_begin(&v);
    view_text(&v, "name", s->user);
    view_json(&v, "tags", buf_slice(&tags));
    view_end(&v);
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
    buf_fini(&tags);
}

void api_version(struct session *s)
{
    struct buf json = BUF_INIT;
    struct view v = view_of(&json, NULL);
    view_begin(&v);
    view_text(&v, "product_name", SLICE("Jackalope"));
    view_text(&v, "product_version", slice_str(s->http->options.version));
    view_text(&v, "rabbitmq_version", SLICE(FACTS_RABBITMQ_VERSION));
    view_end(&v);
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
}

void api_cluster_name(struct session *s)
{
    struct buf json = BUF_INIT;
    struct view v = view_of(&json, NULL);
    view_begin(&v);
    view_text(&v, "name", routing_cluster_name(session_routing(s)));
    view_end(&v);
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
}

void api_empty_list(struct session *s)
{
    reply_json(s, 200, SLICE("[]"));
}

void api_extensions(struct session *s)
{
    api_empty_list(s);
}

void api_feature_flags(struct session *s)
{
    struct buf json = BUF_INIT;
    const struct feature_flag *flag;
    buf_append_byte(&json, '[');
    for (size_t i = 0; (flag = feature_flag_at(i)); i++) {
        struct view v = view_of(&json, NULL);
        if (i)
            buf_append_byte(&json, ',');
        view_begin(&v);
        view_text(&v, "name", slice_str(flag->name));
        view_text(&v, "desc", slice_str(flag->text));
        view_text(&v, "doc_url", SLICE_EMPTY);
        view_text(&v, "state", SLICE("enabled"));
        view_text(&v, "stability", SLICE("stable"));
        view_text(&v, "provided_by", SLICE("rabbit"));
        view_end(&v);
    }
    buf_append_byte(&json, ']');
    reply_json(s, 200, buf_slice(&json));
    buf_fini(&json);
}

void api_auth(struct session *s)
{
    reply_json(s, 200, SLICE("{\"oauth_enabled\":false}"));
}

void api_rebalance(struct session *s)
{
    reply_empty(s, 204);
}

/* ---- what is shown of a node ---- */

/* Gathered on shard 0. */
struct node_visit {
    struct visit visit;
    struct gauge *gauge; /* owned; NULL: not asked for */
    const struct http *http;
    bool list; /* of one element */
    struct detail detail;
    struct ranges ranges;
    struct slice columns; /* owned */
    struct paths paths;   /* of them */
};

static void node_fini(struct visit *visit)
{
    struct node_visit *v = (struct node_visit *)visit;
    if (v->gauge)
        visit_free(&v->gauge->visit);
    slice_free(&v->columns);
}

static void put_exchange_types(struct view *v)
{
    struct buf json = BUF_INIT;
    const struct exchange_type *type = NULL;
    buf_append_byte(&json, '[');
    while ((type = exchange_type_next(type))) {
        if (type->internal_only)
            continue;
        buf_append_str(&json, json.len > 1 ? ",{\"name\":" : "{\"name\":");
        json_put_string(&json, slice_str(type->name));
        buf_append_str(&json, ",\"description\":");
        json_put_string(&json, slice_str(type->text));
        buf_append_str(&json, ",\"enabled\":true}");
    }
    buf_append_byte(&json, ']');
    view_json(v, "exchange_types", buf_slice(&json));
    buf_fini(&json);
}

static void put_listeners(struct view *v, struct shard *shard, const char *node)
{
    struct buf json = BUF_INIT;
    buf_append_byte(&json, '[');
    for (struct listener *l = NULL; (l = listener_next(shard_node(shard), l));) {
        struct listener_facts facts = listener_facts(l);
        struct view one = view_of(&json, NULL);
        if (json.data[json.len - 1] != '[')
            buf_append_byte(&json, ',');
        view_begin(&one);
        view_text(&one, "node", slice_str(node));
        view_text(&one, "protocol", slice_str(facts.protocol));
        view_text(&one, "ip_address", facts.host);
        view_int(&one, "port", facts.port);
        view_json(&one, "socket_opts", SLICE("{}"));
        view_end(&one);
    }
    buf_append_byte(&json, ']');
    view_json(v, "listeners", buf_slice(&json));
    buf_fini(&json);
}

/* Counters of the node, with how fast they grow and the samples that are asked for. */
struct counted {
    struct view *view;
    const struct trend *trend;
    uint64_t now_ms, wall_offset;
    uint64_t now[NODE_COUNTERS];
};

static struct counted count_node(struct view *v, const struct node_visit *n, struct shard *shard,
                                 const struct facts_now *now)
{
    struct counted c = {
        .view = v, .trend = sampler_trend(n->http->sampler), .now_ms = clock_mono_ns() / 1000000};
    c.wall_offset = clock_wall_ms() - c.now_ms;
    node_counters_read(shard_node(shard), now, n->gauge ? &n->gauge->totals : NULL, c.now);
    return c;
}

static void put_details(const struct counted *c, size_t i, const struct range *range)
{
    const char *name = node_counters[i].details;
    double rate = trend_rate(c->trend, c->now_ms, i);
    struct past past = {c->trend, range, c->wall_offset};
    past_put(&past, i, c->view, name, rate);
}

static void put_section(const struct counted *c, enum node_section section,
                        const struct range *range)
{
    for (size_t i = 0; i < NODE_COUNTERS; i++) {
        if (node_counters[i].section != section)
            continue;
        view_int(c->view, node_counters[i].name, (int64_t)c->now[i]);
        put_details(c, i, range);
    }
}

static void put_object(const struct counted *c, const char *name, enum node_section section,
                       const struct range *range)
{
    if (!view_object(c->view, name))
        return;
    put_section(c, section, range);
    view_object_end(c->view);
}

static void put_rates_mode(struct view *v, const struct node_visit *n)
{
    view_text(v, "rates_mode", n->detail.no_rates ? SLICE("none") : SLICE("basic"));
}

/* Of the whole broker. */
static void put_overview_stats(const struct node_visit *n, struct shard *shard,
                               const struct facts_now *now, struct view *v)
{
    struct counted counted = count_node(v, n, shard, now);
    if (n->detail.no_rates)
        view_json(v, "message_stats", SLICE("{}"));
    else
        put_object(&counted, "message_stats", SECTION_STATS, &n->ranges.msg_rates);
    put_object(&counted, "churn_rates", SECTION_CHURN, &n->ranges.lengths);
    put_object(&counted, "queue_totals", SECTION_DEPTHS, &n->ranges.lengths);
    view_int(v, "statistics_db_event_queue", 0);
    put_listeners(v, shard, now->node_name);
    view_json(v, "contexts", SLICE("[]"));
}

static bool overview_run(struct visit *visit, struct shard *shard)
{
    struct node_visit *n = (struct node_visit *)visit;
    const struct gauge_totals *t = &n->gauge->totals;
    struct node *node = shard_node(shard);
    struct facts_now now = facts_now(shard);
    struct view all = view_of(&visit->out, &n->paths), *v = &all;
    view_begin(v);
    view_text(v, "management_version", SLICE(FACTS_RABBITMQ_VERSION));
    put_rates_mode(v, n);
    view_json(v, "sample_retention_policies",
              SLICE("{\"global\":[600,3600,28800,86400],\"basic\":[600,3600],\"detailed\":[600]}"));
    put_exchange_types(v);
    view_text(v, "product_version", slice_str(n->http->options.version));
    view_text(v, "product_name", SLICE("Jackalope"));
    view_text(v, "rabbitmq_version", SLICE(FACTS_RABBITMQ_VERSION));
    view_text(v, "cluster_name", routing_cluster_name(routing_of(shard)));
    view_json(v, "cluster_tags", SLICE("[]"));
    view_json(v, "node_tags", SLICE("[]"));
    view_text(v, "erlang_version", SLICE(""));
    view_text(v, "erlang_full_version", SLICE(""));
    view_text(v, "release_series_support_status", SLICE("supported"));
    view_bool(v, "disable_stats", n->detail.no_stats);
    view_bool(v, "is_op_policy_updating_enabled", true);
    view_bool(v, "enable_queue_totals", n->detail.queue_totals);
    if (!n->detail.no_stats)
        put_overview_stats(n, shard, &now, v);
    if (view_object(v, "object_totals")) {
        if (!n->detail.no_stats) {
            view_int(v, "channels", (int64_t)t->channels);
            view_int(v, "consumers", (int64_t)t->consumers);
        }
        view_int(v, "connections", (int64_t)t->connections);
        view_int(v, "exchanges", (int64_t)meta_count(node, META_EXCHANGES));
        view_int(v, "queues", (int64_t)t->queues);
        view_object_end(v);
    }
    view_text(v, "node", slice_str(now.node_name));
    view_end(v);
    return true;
}

static void on_shown(struct session *s, struct visit *visit)
{
    if (session_visit_on(s, visit))
        return;
    reply_json(s, 200, buf_slice(&visit->out));
    visit_free(visit);
}

static void show_on_first(struct session *s, struct gauge *gauge, struct node_visit *v)
{
    v->visit.fini = node_fini;
    v->gauge = gauge;
    v->http = s->http;
    v->detail = list_detail(s);
    v->columns = slice_dup(target_param(&s->target, "columns"));
    struct failure why;
    if (!paths_parse(v->columns, &v->paths)) {
        reply_bad(s, "at most %d columns can be chosen", HTTP_COLUMNS_MAX);
    } else if (!ranges_parse(&s->target, clock_wall_ms(), v->list, &v->ranges, &why)) {
        reply_bad(s, "%s", why.text);
    } else {
        session_visit(s, &v->visit, 0, on_shown);
        return;
    }
    visit_free(&v->visit);
}

static void on_gauged(struct session *s, struct gauge *gauge)
{
    show_on_first(s, gauge, session_visit_new(sizeof(struct node_visit), overview_run));
}

void api_overview(struct session *s)
{
    gauge_start(s, on_gauged);
}

/* ---- nodes ---- */

static void put_use(struct view *v, const struct node_visit *n, struct shard *shard,
                    const struct facts_now *now)
{
    struct counted counted = count_node(v, n, shard, now);
    put_section(&counted, SECTION_USE, &n->ranges.node_stats);
    view_int(v, "mem_limit", (int64_t)now->memory_limit);
    view_bool(v, "mem_alarm", now->memory_alarm);
    view_int(v, "disk_free_limit", (int64_t)now->disk_limit);
    view_bool(v, "disk_free_alarm", now->disk_alarm);
    view_int(v, "fd_total", (int64_t)now->files_max);
    view_int(v, "sockets_total", (int64_t)now->files_max);
    view_int(v, "proc_total", 1048576);
    view_int(v, "run_queue", 0);
}

static void put_mechanisms(struct view *v, const struct conf *conf)
{
    struct buf json = BUF_INIT;
    buf_append_byte(&json, '[');
    for (size_t i = 0; i < conf->auth_mechanisms.count; i++) {
        buf_append_str(&json, i ? ",{\"name\":" : "{\"name\":");
        json_put_string(&json, slice_str(conf->auth_mechanisms.items[i]));
        buf_append_str(&json, ",\"description\":\"\",\"enabled\":true}");
    }
    buf_append_byte(&json, ']');
    view_json(v, "auth_mechanisms", buf_slice(&json));
    buf_fini(&json);
}

static void put_log_files(struct view *v, const struct conf *conf)
{
    struct buf json = BUF_INIT;
    buf_append_byte(&json, '[');
    json_put_string(&json, slice_str(conf->log.output == LOG_OUTPUT_FILE       ? conf->log.file
                                     : conf->log.output == LOG_OUTPUT_JOURNALD ? "<journald>"
                                                                               : "<stderr>"));
    buf_append_byte(&json, ']');
    view_json(v, "log_files", buf_slice(&json));
    buf_fini(&json);
}

static void put_node_stats(struct view *v, const struct node_visit *n, struct shard *shard,
                           const struct facts_now *now)
{
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    view_bool(v, "being_drained", now->maintenance);
    view_json(v, "partitions", SLICE("[]"));
    view_text(v, "os_pid", slice_str(pid));
    view_int(v, "uptime", (int64_t)now->uptime_ms);
    view_int(v, "processors", node_shard_count(shard_node(shard)));
    put_rates_mode(v, n);
    put_use(v, n, shard, now);
    put_exchange_types(v);
    put_mechanisms(v, now->conf);
    view_json(v, "applications", SLICE("[]"));
    view_json(v, "contexts", SLICE("[]"));
    put_log_files(v, now->conf);
    view_text(v, "db_dir", slice_str(now->conf->data_dir));
    view_json(v, "config_files", SLICE("[]"));
    view_json(v, "enabled_plugins", SLICE("[\"rabbitmq_management\"]"));
    view_int(v, "net_ticktime", 60);
    view_text(v, "mem_calculation_strategy", SLICE("rss"));
    view_json(v, "cluster_links", SLICE("[]"));
}

static bool show_node_run(struct visit *visit, struct shard *shard)
{
    struct node_visit *n = (struct node_visit *)visit;
    struct facts_now now = facts_now(shard);
    struct view all = view_of(&visit->out, &n->paths), *v = &all;
    if (n->list)
        buf_append_byte(&visit->out, '[');
    view_begin(v);
    view_text(v, "name", slice_str(now.node_name));
    view_text(v, "type", SLICE("disc"));
    view_bool(v, "running", true);
    if (!n->detail.no_stats)
        put_node_stats(v, n, shard, &now);
    view_end(v);
    if (n->list)
        buf_append_byte(&visit->out, ']');
    return true;
}

static void start_node(struct session *s, bool list)
{
    struct node_visit *v = session_visit_new(sizeof *v, show_node_run);
    v->list = list;
    show_on_first(s, NULL, v);
}

void api_nodes(struct session *s)
{
    start_node(s, true);
}

void api_node(struct session *s)
{
    if (session_names_node(s))
        start_node(s, false);
}

/* ---- memory ---- */

static void show_memory(struct session *s, const struct breakdown *b)
{
    struct buf out = BUF_INIT;
    struct view all = view_of(&out, NULL), *v = &all;
    view_begin(v);
    if (view_object(v, "memory")) {
        for (unsigned i = 0; i < PART_COUNT; i++)
            view_int(v, memory_part_name((enum memory_part)i), (int64_t)b->parts[i]);
        view_text(v, "strategy", SLICE("rss"));
        if (view_object(v, "total")) {
            view_int(v, "rss", (int64_t)b->total);
            view_int(v, "allocated", (int64_t)memory_read().allocated);
            view_object_end(v);
        }
        view_object_end(v);
    }
    view_end(v);
    reply_json(s, 200, buf_slice(&out));
    buf_fini(&out);
}

/* total 0: the system did not tell it. */
static int64_t percent(uint64_t part, uint64_t total)
{
    return total ? (int64_t)((100 * part + total / 2) / total) : 0;
}

static void show_shares(struct session *s, const struct breakdown *b)
{
    struct buf out = BUF_INIT;
    struct view all = view_of(&out, NULL), *v = &all;
    view_begin(v);
    if (view_object(v, "memory")) {
        for (unsigned i = 0; i < PART_COUNT; i++)
            view_int(v, memory_part_name((enum memory_part)i), percent(b->parts[i], b->total));
        view_int(v, "total", 100);
        view_object_end(v);
    }
    view_end(v);
    reply_json(s, 200, buf_slice(&out));
    buf_fini(&out);
}

void api_node_memory(struct session *s)
{
    if (session_names_node(s))
        weigh_start(s, show_memory);
}

void api_node_memory_shares(struct session *s)
{
    if (session_names_node(s))
        weigh_start(s, show_shares);
}

static bool config_run(struct visit *visit, struct shard *shard)
{
    conf_put_json(facts_now(shard).conf, &visit->out);
    return true;
}

void api_config(struct session *s)
{
    show_on_first(s, NULL, session_visit_new(sizeof(struct node_visit), config_run));
}

void api_reset(struct session *s)
{
    reply_empty(s, 204);
}

void api_reset_node(struct session *s)
{
    if (session_names_node(s))
        reply_empty(s, 204);
}
