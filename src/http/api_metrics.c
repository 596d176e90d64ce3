/* Metrics in the text form of Prometheus, with RabbitMQ's names: totals of the node, and series of
 * single objects, a family at a time, so that what is kept is one portion however many objects
 * there are. */
#include "http/bounds.h"
#include "http/gauge.h"
#include "http/handlers.h"
#include "http/http_priv.h"
#include "http/session.h"
#include "http/target.h"

#include "admin/facts.h"
#include "base/clock.h"
#include "broker/queue/face.h"
#include "meta/def.h"
#include "meta/meta.h"

#include <inttypes.h>
#include <string.h>

static const char content_type[] = "text/plain; version=0.0.4; charset=utf-8";

/* ---- forms ---- */

static void put_head(struct buf *out, const char *prefix, const char *name, const char *type,
                     const char *help)
{
    buf_printf(out, "# TYPE %s%s %s\n# HELP %s%s %s\n", prefix, name, type, prefix, name, help);
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t n)
{
    put_head(out, "rabbitmq_", name, type, help);
    buf_printf(out, "rabbitmq_%s %" PRIu64 "\n", name, n);
}

static void put_label(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buf_append_byte(out, '\\');
        if (text.data[i] == '\n')
            buf_append_str(out, "\\n");
        else
            buf_append_byte(out, text.data[i]);
    }
}

/* ---- the node ---- */

struct node_metrics {
    struct visit visit;
    struct gauge *gauge; /* owned */
    const struct http *http;
};

static void node_fini(struct visit *visit)
{
    struct node_metrics *n = (struct node_metrics *)visit;
    if (n->gauge)
        visit_free(&n->gauge->visit);
}

static void put_facts(struct buf *out, const struct facts_now *now, const struct http *http)
{
    put_head(out, "rabbitmq_", "build_info", "untyped", "Versions of the broker");
    buf_printf(out,
               "rabbitmq_build_info{rabbitmq_version=\"%s\",product_name=\"Jackalope\","
               "product_version=\"%s\"} 1\n",
               HTTP_RABBITMQ_VERSION, http->options.version);
    put_head(out, "rabbitmq_", "identity_info", "untyped", "Names of the node and the cluster");
    buf_append_str(out, "rabbitmq_identity_info{rabbitmq_node=\"");
    put_label(out, slice_str(now->node_name));
    buf_append_str(out, "\",rabbitmq_cluster=\"");
    put_label(out, slice_str(now->node_name));
    buf_append_str(out, "\"} 1\n");
    put_one(out, "alarms_memory_used_watermark", "untyped", "1 while the memory alarm is on",
            now->memory_alarm);
    put_one(out, "alarms_free_disk_space_watermark", "untyped", "1 while the disk alarm is on",
            now->disk_alarm);
    put_one(out, "alarms_file_descriptor_limit", "untyped", "1 while there are none left",
            now->files >= now->files_max);
    put_one(out, "process_open_fds", "gauge", "Open file descriptors", now->files);
    put_one(out, "process_max_fds", "gauge", "Open file descriptors limit", now->files_max);
    put_one(out, "process_max_tcp_sockets", "gauge", "Open TCP sockets limit", now->files_max);
    put_one(out, "process_resident_memory_bytes", "gauge", "Memory used in bytes", now->memory);
    put_one(out, "resident_memory_limit_bytes", "gauge", "Memory high watermark in bytes",
            now->memory_limit);
    put_one(out, "disk_space_available_bytes", "gauge", "Disk space available in bytes",
            now->disk_free);
    put_one(out, "disk_space_available_limit_bytes", "gauge", "Free disk space low watermark",
            now->disk_limit);
    put_head(out, "rabbitmq_", "erlang_uptime_seconds", "gauge", "Node uptime");
    buf_printf(out, "rabbitmq_erlang_uptime_seconds %" PRIu64 ".%03u\n", now->uptime_ms / 1000,
               (unsigned)(now->uptime_ms % 1000));
}

static void put_objects(struct buf *out, const struct gauge_totals *t, size_t exchanges)
{
    put_one(out, "connections", "gauge", "Connections currently open", t->connections);
    put_one(out, "process_open_tcp_sockets", "gauge", "Connections of clients", t->connections);
    put_one(out, "channels", "gauge", "Channels currently open", t->channels);
    put_one(out, "consumers", "gauge", "Consumers currently connected", t->consumers);
    put_one(out, "queues", "gauge", "Queues available", t->queues);
    put_one(out, "exchanges", "gauge", "Exchanges declared", exchanges);
    put_one(out, "connections_opened_total", "counter", "Total number of connections opened",
            t->done[TOTAL_CONNECTIONS_OPENED]);
    put_one(out, "connections_closed_total", "counter",
            "Total number of connections closed or terminated", t->done[TOTAL_CONNECTIONS_CLOSED]);
    put_one(out, "channels_opened_total", "counter", "Total number of channels opened",
            t->done[TOTAL_CHANNELS_OPENED]);
    put_one(out, "channels_closed_total", "counter", "Total number of channels closed",
            t->done[TOTAL_CHANNELS_CLOSED]);
}

static void put_global(struct buf *out, const char *name, const char *help, uint64_t n)
{
    put_head(out, "rabbitmq_global_", name, "counter", help);
    buf_printf(out, "rabbitmq_global_%s{protocol=\"amqp091\"} %" PRIu64 "\n", name, n);
}

static void put_messages(struct buf *out, const struct gauge_totals *t)
{
    static const struct {
        const char *name, *help;
        enum broker_total total;
    } counters[] = {
        {"messages_received_total", "Messages received from publishers", TOTAL_PUBLISHED},
        {"messages_received_confirm_total", "Messages received on channels with confirms",
         TOTAL_PUBLISHED_CONFIRM},
        {"messages_confirmed_total", "Messages confirmed to publishers", TOTAL_CONFIRMED},
        {"messages_routed_total", "Messages routed to queues", TOTAL_ROUTED},
        {"messages_unroutable_returned_total", "Messages returned to publishers", TOTAL_RETURNED},
        {"messages_unroutable_dropped_total", "Messages that reached no queue", TOTAL_DROPPED},
        {"messages_delivered_consume_manual_ack_total", "Messages delivered to consumers",
         TOTAL_DELIVERED},
        {"messages_delivered_consume_auto_ack_total",
         "Messages delivered to consumers that don't acknowledge", TOTAL_DELIVERED_NO_ACK},
        {"messages_delivered_get_manual_ack_total", "Messages got", TOTAL_GOT},
        {"messages_delivered_get_auto_ack_total", "Messages got without acknowledgement",
         TOTAL_GOT_NO_ACK},
        {"messages_get_empty_total", "Gets that found nothing", TOTAL_GOT_EMPTY},
        {"messages_redelivered_total", "Messages delivered again", TOTAL_REDELIVERED},
        {"messages_acknowledged_total", "Messages acknowledged", TOTAL_ACKED},
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        put_global(out, counters[i].name, counters[i].help, t->done[counters[i].total]);
    put_global(out, "messages_delivered_total", "Messages delivered to consumers",
               t->done[TOTAL_DELIVERED] + t->done[TOTAL_DELIVERED_NO_ACK] + t->done[TOTAL_GOT] +
                   t->done[TOTAL_GOT_NO_ACK]);
}

static void put_queues(struct buf *out, const struct gauge_totals *t)
{
    put_one(out, "queue_messages_ready", "gauge", "Messages ready to be delivered to consumers",
            t->messages_ready);
    put_one(out, "queue_messages_unacked", "gauge",
            "Messages delivered to consumers but not yet acknowledged", t->messages_unacknowledged);
    put_one(out, "queue_messages", "gauge", "Sum of ready and unacknowledged messages",
            t->messages_ready + t->messages_unacknowledged + t->messages_delayed);
    put_one(out, "queue_messages_delayed", "gauge", "Messages that wait for their time",
            t->messages_delayed);
    put_one(out, "queue_messages_ready_bytes", "gauge", "Size in bytes of ready messages",
            t->bytes_ready);
    put_one(out, "queue_messages_unacked_bytes", "gauge",
            "Size in bytes of all unacknowledged messages", t->bytes_unacknowledged);
    put_one(out, "queue_messages_bytes", "gauge",
            "Size in bytes of ready and unacknowledged messages",
            t->bytes_ready + t->bytes_unacknowledged + t->bytes_delayed);
    put_one(out, "queue_consumers", "gauge", "Consumers on queues", t->consumers);
    put_one(out, "channel_messages_unconfirmed", "gauge",
            "Published but not yet confirmed messages", t->messages_unconfirmed);
}

static bool show_node_run(struct visit *visit, struct shard *shard)
{
    struct node_metrics *n = (struct node_metrics *)visit;
    struct facts_now now = facts_now(shard);
    put_facts(&visit->out, &now, n->http);
    put_objects(&visit->out, &n->gauge->totals, meta_count(shard_node(shard), META_EXCHANGES));
    put_messages(&visit->out, &n->gauge->totals);
    return true;
}

/* ---- single objects ---- */

struct family {
    const char *name, *type, *help;
    const char *group; /* of /metrics/detailed */
    enum listing listing;
    const char *column;
};

static const struct family families[] = {
#define QUEUE(group, name, column, help)                                     \
    {                                                                        \
        "queue_" name, "gauge", help, "queue_" group, LISTING_QUEUES, column \
    }
    QUEUE("coarse_metrics", "messages_ready", "messages_ready", "Messages ready to be delivered"),
    QUEUE("coarse_metrics", "messages_unacked", "messages_unacknowledged",
          "Messages delivered to consumers but not yet acknowledged"),
    QUEUE("coarse_metrics", "messages", "messages", "Sum of ready and unacknowledged messages"),
    QUEUE("coarse_metrics", "messages_delayed", "messages_delayed",
          "Messages that wait for their time"),
    QUEUE("consumer_count", "consumers", "consumers", "Consumers on a queue"),
    QUEUE("metrics", "process_memory_bytes", "memory", "Memory in bytes used by the queue"),
    QUEUE("metrics", "messages_ram", "messages_ram", "Messages stored in memory"),
    QUEUE("metrics", "messages_ram_bytes", "message_bytes_ram", "Size of messages in memory"),
    QUEUE("metrics", "messages_persistent", "messages_persistent", "Persistent messages"),
    QUEUE("metrics", "messages_bytes", "message_bytes",
          "Size in bytes of ready and unacknowledged messages"),
    QUEUE("metrics", "messages_ready_bytes", "message_bytes_ready",
          "Size in bytes of ready messages"),
    QUEUE("metrics", "messages_unacked_bytes", "message_bytes_unacknowledged",
          "Size in bytes of all unacknowledged messages"),
    QUEUE("metrics", "messages_paged_out", "messages_paged_out", "Messages paged out to disk"),
    QUEUE("metrics", "messages_paged_out_bytes", "message_bytes_paged_out",
          "Size in bytes of messages paged out to disk"),
#undef QUEUE
    {"queue_messages_published_total", "counter", "Messages published to a queue", "queue_metrics",
     LISTING_QUEUES, "publish"},
    {"channel_consumers", "gauge", "Consumers on a channel", "channel_metrics", LISTING_CHANNELS,
     "consumer_count"},
    {"channel_messages_unacked", "gauge", "Delivered but not yet acknowledged messages",
     "channel_metrics", LISTING_CHANNELS, "messages_unacknowledged"},
    {"channel_messages_unconfirmed", "gauge", "Published but not yet confirmed messages",
     "channel_metrics", LISTING_CHANNELS, "messages_unconfirmed"},
    {"channel_prefetch", "gauge", "Total limit of unacknowledged messages on a channel",
     "channel_metrics", LISTING_CHANNELS, "global_prefetch_count"},
    {"channel_messages_published_total", "counter", "Messages published",
     "channel_exchange_metrics", LISTING_CHANNELS, "published"},
    {"connection_incoming_bytes_total", "counter", "Bytes received on a connection",
     "connection_coarse_metrics", LISTING_CONNECTIONS, "recv_oct"},
    {"connection_outgoing_bytes_total", "counter", "Bytes sent on a connection",
     "connection_coarse_metrics", LISTING_CONNECTIONS, "send_oct"},
    {"connection_incoming_packets_total", "counter", "Packets received on a connection",
     "connection_metrics", LISTING_CONNECTIONS, "recv_cnt"},
    {"connection_outgoing_packets_total", "counter", "Packets sent on a connection",
     "connection_metrics", LISTING_CONNECTIONS, "send_cnt"},
    {"connection_channels", "gauge", "Channels on a connection", "connection_metrics",
     LISTING_CONNECTIONS, "channels"},
};
enum { FAMILY_COUNT = sizeof families / sizeof *families };

struct object_metrics {
    struct visit visit;
    const char *prefix;
    uint64_t wanted;     /* bits of families */
    struct slice vhosts; /* owned: names with a NUL behind each; empty: all */
    unsigned family;
    bool headed;
};
_Static_assert(FAMILY_COUNT <= 64, "a bit each");

static void objects_fini(struct visit *visit)
{
    slice_free(&((struct object_metrics *)visit)->vhosts);
}

static void put_queue_labels(struct buf *out, const struct queue_def *def)
{
    buf_append_str(out, "vhost=\"");
    put_label(out, def->vhost);
    buf_append_str(out, "\",queue=\"");
    put_label(out, def->name);
    buf_append_byte(out, '"');
}

static void put_pid_label(struct buf *out, enum listing what, const void *object)
{
    struct value pid = listing_get(what, object, "pid");
    buf_append_str(out, what == LISTING_CHANNELS ? "channel=\"" : "connection=\"");
    put_label(out, pid.bytes);
    buf_append_byte(out, '"');
    value_fini(&pid);
}

static bool vhost_is_wanted(const struct object_metrics *m, struct slice vhost)
{
    for (size_t at = 0; at < m->vhosts.len;) {
        struct slice name = slice_str((const char *)m->vhosts.data + at);
        if (slice_eq(name, vhost))
            return true;
        at += name.len + 1;
    }
    return !m->vhosts.len;
}

static const struct queue_def *def_of(const void *queue)
{
    const struct queue_face *face = queue;
    return face->type->is_dead(face) ? NULL : face->type->def(face);
}

static void put_object(struct object_metrics *m, const struct family *f, const void *object)
{
    struct buf *out = &m->visit.out;
    const struct queue_def *def = f->listing == LISTING_QUEUES ? def_of(object) : NULL;
    if (f->listing == LISTING_QUEUES && (!def || !vhost_is_wanted(m, def->vhost)))
        return;
    struct value v = listing_get(f->listing, object, f->column);
    buf_printf(out, "%s%s{", m->prefix, f->name);
    if (def)
        put_queue_labels(out, def);
    else
        put_pid_label(out, f->listing, object);
    buf_printf(out, "} %" PRId64 "\n", v.type == VALUE_INT ? v.integer : 0);
    value_fini(&v);
}

/* One family's objects of this shard. */
static bool objects_run(struct visit *visit, struct shard *shard)
{
    struct object_metrics *m = (struct object_metrics *)visit;
    const struct family *f = &families[m->family];
    size_t budget = VISIT_OBJECTS, index;
    if (!m->headed)
        put_head(&visit->out, m->prefix, f->name, f->type, f->help);
    m->headed = true;
    while (visit_next(visit, listing_count(shard, f->listing), &budget, &index))
        put_object(m, f, listing_at(shard, f->listing, index));
    return !visit->left;
}

/* False: it was the last one. */
static bool next_family(struct object_metrics *m)
{
    while (m->family < FAMILY_COUNT && !(m->wanted >> m->family & 1))
        m->family++;
    m->headed = false;
    return m->family < FAMILY_COUNT;
}

static void on_objects(struct session *s, struct visit *visit);

static void start_family(struct session *s, struct object_metrics *m)
{
    if (next_family(m)) {
        session_visit(s, &m->visit, node_shard_count(session_node(s)) - 1, on_objects);
        return;
    }
    visit_free(&m->visit);
    reply_close(s);
}

static void on_objects(struct session *s, struct visit *visit)
{
    struct object_metrics *m = (struct object_metrics *)visit;
    reply_write(s, buf_slice(&visit->out));
    buf_clear(&visit->out);
    if (session_visit_on(s, visit))
        return;
    m->family++;
    start_family(s, m);
}

static void start_objects(struct session *s, const char *prefix, uint64_t wanted,
                          struct slice vhosts)
{
    struct object_metrics *m = session_visit_new(sizeof *m, objects_run);
    m->visit.fini = objects_fini;
    m->prefix = prefix;
    m->wanted = wanted;
    m->vhosts = vhosts;
    start_family(s, m);
}

/* ---- what is asked ---- */

static void write_node(struct session *s, struct visit *visit, bool with_queues)
{
    const struct node_metrics *n = (const struct node_metrics *)visit;
    if (with_queues)
        put_queues(&visit->out, &n->gauge->totals);
    reply_open(s, 200, content_type);
    reply_write(s, buf_slice(&visit->out));
    visit_free(visit);
}

static void on_node(struct session *s, struct visit *visit)
{
    write_node(s, visit, true);
    reply_close(s);
}

static void on_node_before_objects(struct session *s, struct visit *visit)
{
    write_node(s, visit, false);
    start_objects(s, "rabbitmq_", ~0ull, SLICE_EMPTY);
}

static void visit_node(struct session *s, struct gauge *gauge,
                       void (*then)(struct session *s, struct visit *visit))
{
    struct node_metrics *n = session_visit_new(sizeof *n, show_node_run);
    n->visit.fini = node_fini;
    n->gauge = gauge;
    n->http = s->http;
    session_visit(s, &n->visit, 0, then);
}

static void on_gauge(struct session *s, struct gauge *gauge)
{
    visit_node(s, gauge, on_node);
}

static void on_gauge_before_objects(struct session *s, struct gauge *gauge)
{
    visit_node(s, gauge, on_node_before_objects);
}

void api_metrics(struct session *s)
{
    gauge_start(s, on_gauge);
}

void api_metrics_per_object(struct session *s)
{
    gauge_start(s, on_gauge_before_objects);
}

/* Families of the groups that the query names. */
void api_metrics_detailed(struct session *s)
{
    uint64_t wanted = 0;
    struct buf vhosts = BUF_INIT;
    for (size_t i = 0; i < s->target.param_count; i++) {
        struct param p = s->target.params[i];
        if (slice_eq_str(p.name, "vhost") && !memchr(p.value.data, 0, p.value.len)) {
            buf_append_slice(&vhosts, p.value);
            buf_append_byte(&vhosts, 0);
        }
        for (unsigned f = 0; f < FAMILY_COUNT && slice_eq_str(p.name, "family"); f++)
            wanted |= (uint64_t)slice_eq_str(p.value, families[f].group) << f;
    }
    reply_open(s, 200, content_type);
    start_objects(s, "rabbitmq_detailed_", wanted, buf_take(&vhosts));
}
