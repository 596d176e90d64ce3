/* What lives on the shards: queues, connections, channels, consumers. */
#include "http/kind.h"

#include "base/json.h"
#include "base/table.h"
#include "broker/queue/face.h"
#include "http/http_priv.h"
#include "http/past.h"
#include "http/range.h"
#include "http/rates.h"
#include "http/samples.h"
#include "meta/access.h"
#include "meta/def.h"
#include "meta/meta.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *node_of(const struct item *item)
{
    return meta_node_name(item->http->node);
}

static struct value column(const struct item *item, enum listing what, const char *name)
{
    return listing_get(what, item->object, name);
}

/* 2026-11-22T10:11:12.345+00:00; nothing of an object that is at work. */
static void put_idle_since(const struct item *item, enum listing what, struct view *v)
{
    struct value value = column(item, what, "idle_since");
    char date[32], text[64];
    struct tm tm;
    if (value.type != VALUE_INT)
        return;
    time_t seconds = (time_t)(value.integer / 1000);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(text, sizeof text, "%s.%03d+00:00", date, (int)(value.integer % 1000));
    view_text(v, "idle_since", slice_str(text));
}

static bool is_text(const struct item *item, enum listing what, const char *name,
                    struct slice wanted)
{
    struct value v = column(item, what, name);
    bool same = v.type == VALUE_TEXT && slice_eq(v.bytes, wanted);
    value_fini(&v);
    return same;
}

static uint64_t number(const struct item *item, enum listing what, const char *name)
{
    struct value v = column(item, what, name);
    uint64_t n = v.type == VALUE_INT && v.integer > 0 ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return n;
}

static void put_key(struct buf *key, struct value text)
{
    view_put_key_text(key, text.type == VALUE_TEXT ? text.bytes : SLICE_EMPTY);
    value_fini(&text);
}

/* Members that are a column each. */
struct member {
    const char *name, *column; /* column NULL: the same */
};

static void put_members(const struct item *item, enum listing what, const struct member *members,
                        size_t count, struct view *v)
{
    for (size_t i = 0; i < count; i++) {
        if (view_wants(v, members[i].name))
            view_value(v, members[i].name,
                       column(item, what, members[i].column ? members[i].column : members[i].name));
    }
}
#define PUT_MEMBERS(item, what, members, v) \
    put_members((item), (what), (members), sizeof(members) / sizeof *(members), (v))

/* Counters with how fast they grow. */
struct counted {
    const char *name, *rate; /* "messages", "messages_details" */
    uint64_t now;
    double growth;
};

/* id: for whoever looks. A list is sorted by what is known already. */
static void look(const struct item *item, const struct view *v, enum rates_kind kind, uint64_t id,
                 struct addr addr, struct counted *list, size_t count)
{
    struct rates *rates = item->http->rates[shard_index(item->shard)];
    const struct trend *trend = NULL;
    uint64_t now = shard_now_ms(item->shard), counters[RATES_COUNTERS];
    double growth[RATES_COUNTERS];
    for (size_t i = 0; i < count; i++)
        counters[i] = list[i].now;
    if (v->sort.data) {
        trend = samples_recall(item->http->samples[shard_index(item->shard)],
                               (struct sample_id){kind, 0, addr_u64(addr)});
        rates_recall(rates, kind, id, now, count, growth);
    } else {
        rates_look(rates, kind, id, now, counters, count, growth);
    }
    for (size_t i = 0; i < count; i++)
        list[i].growth = trend ? trend_rate(trend, now, i) : growth[i];
}

/* Counters of one object: the samples are those of samples.c, in the same order. */
struct counters {
    const struct item *item;
    enum rates_kind kind;
    struct addr addr;
    const struct counted *list;
};

static void put_counted(struct view *v, const struct counters *c, size_t from, size_t to,
                        const struct range *range)
{
    struct past past =
        past_of(c->item, v, range, (struct sample_id){c->kind, 0, addr_u64(c->addr)});
    for (size_t i = from; i < to; i++) {
        view_int(v, c->list[i].name, (int64_t)c->list[i].now);
        past_put(&past, i, v, c->list[i].rate, c->list[i].growth);
    }
}

#define COUNTED(name)               \
    {                               \
        name, name "_details", 0, 0 \
    }
#define COUNTED_DELIVERIES                                                                 \
    COUNTED("deliver_get"), COUNTED("deliver"), COUNTED("deliver_no_ack"), COUNTED("get"), \
        COUNTED("get_no_ack"), COUNTED("get_empty"), COUNTED("redeliver"), COUNTED("ack")

static bool are_zero(const struct counters *c, size_t from, size_t to)
{
    while (from < to && !c->list[from].now)
        from++;
    return from == to;
}

/* Those of publishing, then from middle on those of deliveries: what never happened is left out, as
 * RabbitMQ does, but for what a list is sorted by. */
static void put_message_stats(struct view *v, const struct counters *c, size_t from, size_t middle,
                              size_t to)
{
    const struct range *range = &c->item->ranges->msg_rates;
    bool published = v->sort.data || !are_zero(c, from, middle);
    bool delivered = v->sort.data || !are_zero(c, middle, to);
    if (c->item->detail.no_rates || !(published || delivered) || !view_object(v, "message_stats"))
        return;
    if (published)
        put_counted(v, c, from, middle, range);
    if (delivered)
        put_counted(v, c, middle, to, range);
    view_object_end(v);
}

/* ---- queues ---- */

static const struct queue_def *def_of(const struct item *item)
{
    const struct queue_face *face = item->object;
    return face->type->def(face);
}

static bool queue_belongs(const struct item *item, const struct asker *asker)
{
    const struct queue_face *face = item->object;
    const struct queue_def *def = def_of(item);
    if (face->type->is_dead(face))
        return false;
    if (asker->text.data && !slice_eq(def->name, asker->text))
        return false;
    if (asker->text2.data && !is_text(item, LISTING_QUEUES, "type", asker->text2))
        return false;
    if (asker->vhost.len)
        return slice_eq(def->vhost, asker->vhost);
    return asker->everywhere || access_vhost(routing_of(item->shard), asker->user, def->vhost);
}

static struct value queue_name(const struct item *item)
{
    return value_text(def_of(item)->name);
}

static void queue_key(const struct item *item, struct buf *key)
{
    view_put_key_text(key, def_of(item)->vhost);
    view_put_key_text(key, def_of(item)->name);
}

enum { QUEUE_DEPTHS = 3 };

static void put_queue_counters(const struct item *item, struct view *v)
{
    static const char *const wanted[] = {
        "messages_details", "messages_ready_details", "messages_unacknowledged_details",
        "messages",         "messages_ready",         "messages_unacknowledged",
        "message_stats"};
    bool any = false;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        any = any || view_wants(v, wanted[i]);
    if (!any)
        return;
    struct counted list[] = {
        COUNTED("messages"), COUNTED("messages_ready"), COUNTED("messages_unacknowledged"),
        COUNTED("publish"),  COUNTED_DELIVERIES,
    };
    enum { COUNT = sizeof list / sizeof *list };
    for (size_t i = 0; i < COUNT; i++)
        list[i].now = number(item, LISTING_QUEUES, list[i].name);
    struct addr addr = def_of(item)->addr;
    look(item, v, RATES_QUEUE, addr_u64(addr), addr, list, COUNT);
    struct counters counters = {item, RATES_QUEUE, addr, list};
    put_counted(v, &counters, 0, QUEUE_DEPTHS, &item->ranges->lengths);
    put_message_stats(v, &counters, QUEUE_DEPTHS, QUEUE_DEPTHS + 1, COUNT);
}

static const struct member queue_members[] = {{"arguments", NULL},
                                              {"auto_delete", NULL},
                                              {"consumer_capacity", NULL},
                                              {"consumer_utilisation", NULL},
                                              {"consumers", NULL},
                                              {"durable", NULL},
                                              {"effective_policy_definition", NULL},
                                              {"exclusive", NULL},
                                              {"exclusive_consumer_tag", NULL},
                                              {"head_message_timestamp", NULL},
                                              {"memory", NULL},
                                              {"message_bytes", NULL},
                                              {"message_bytes_dlx", NULL},
                                              {"message_bytes_paged_out", NULL},
                                              {"message_bytes_persistent", NULL},
                                              {"message_bytes_ram", NULL},
                                              {"message_bytes_ready", NULL},
                                              {"message_bytes_unacknowledged", NULL},
                                              {"messages_delayed", NULL},
                                              {"messages_dlx", NULL},
                                              {"messages_paged_out", NULL},
                                              {"messages_persistent", NULL},
                                              {"messages_ram", NULL},
                                              {"messages_ready_ram", NULL},
                                              {"messages_unacknowledged_ram", NULL},
                                              {"name", NULL},
                                              {"operator_policy", NULL},
                                              {"policy", NULL},
                                              {"single_active_consumer_tag", NULL},
                                              {"state", NULL},
                                              {"type", NULL},
                                              {"vhost", NULL}};

/* As a view of all members would have it. */
static const char *queue_sort_member(struct slice path)
{
    static const char *const depths[] = {"messages", "messages_ready", "messages_unacknowledged"};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        if (slice_eq_str(path, depths[i]))
            return depths[i];
    }
    for (size_t i = 0; i < sizeof queue_members / sizeof *queue_members; i++) {
        if (slice_eq_str(path, queue_members[i].name))
            return queue_members[i].name;
    }
    return NULL;
}

static struct value queue_member(const struct item *item, const char *name)
{
    return column(item, LISTING_QUEUES, name);
}

static void put_replicas(const struct item *item, struct view *v)
{
    struct buf nodes = BUF_INIT;
    if (def_of(item)->type == QUEUE_CLASSIC)
        return;
    buf_append_byte(&nodes, '[');
    json_put_string(&nodes, slice_str(node_of(item)));
    buf_append_byte(&nodes, ']');
    view_text(v, "leader", slice_str(node_of(item)));
    view_json(v, "members", buf_slice(&nodes));
    view_json(v, "online", buf_slice(&nodes));
    buf_fini(&nodes);
}

/* What it is, and if that is wanted how many messages it has. */
static void queue_basic_view(const struct item *item, struct view *v)
{
    static const struct member members[] = {
        {"arguments", NULL}, {"auto_delete", NULL}, {"durable", NULL},
        {"exclusive", NULL}, {"name", NULL},        {"policy", NULL},
        {"state", NULL},     {"type", NULL},        {"vhost", NULL}};
    static const struct member totals[] = {
        {"messages", NULL}, {"messages_ready", NULL}, {"messages_unacknowledged", NULL}};
    PUT_MEMBERS(item, LISTING_QUEUES, members, v);
    view_text(v, "node", slice_str(node_of(item)));
    if (!item->detail.queue_totals)
        return;
    PUT_MEMBERS(item, LISTING_QUEUES, totals, v);
    put_replicas(item, v);
}

static void queue_view(const struct item *item, struct view *v)
{
    if (item->detail.no_stats) {
        queue_basic_view(item, v);
        return;
    }
    PUT_MEMBERS(item, LISTING_QUEUES, queue_members, v);
    view_text(v, "node", slice_str(node_of(item)));
    put_replicas(item, v);
    put_idle_since(item, LISTING_QUEUES, v);
    put_queue_counters(item, v);
}

const struct list_kind kind_queues = {.is_listing = true,
                                      .listing = LISTING_QUEUES,
                                      .belongs = queue_belongs,
                                      .name = queue_name,
                                      .key = queue_key,
                                      .view = queue_view,
                                      .sort_member = queue_sort_member,
                                      .member = queue_member,
                                      .is_paged = true,
                                      .is_queues = true};

/* ---- consumers ---- */

static struct addr addr_from(struct value v)
{
    uint64_t n = v.type == VALUE_INT ? (uint64_t)v.integer : 0;
    value_fini(&v);
    return addr_from_u64(n);
}

static void put_consumer(const struct queue_face *face, const void *consumer, void *arg)
{
    static const struct member members[] = {{"arguments", NULL},     {"ack_required", NULL},
                                            {"active", NULL},        {"activity_status", NULL},
                                            {"consumer_tag", NULL},  {"exclusive", NULL},
                                            {"prefetch_count", NULL}};
    struct view *v = arg;
    const struct queue_def *def = face->type->def(face);
    if (v->out->len && v->out->data[v->out->len - 1] == '}')
        buf_append_byte(v->out, ',');
    size_t from = v->out->len;
    view_begin(v);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (view_wants(v, members[i].name))
            view_value(v, members[i].name,
                       face->type->consumer_column(face, consumer, members[i].name));
    }
    view_channel(v, "channel_details",
                 addr_from(face->type->consumer_column(face, consumer, "channel_addr")));
    if (view_object(v, "queue")) {
        view_text(v, "name", def->name);
        view_text(v, "vhost", def->vhost);
        view_object_end(v);
    }
    view_end(v);
    view_enclose_channel(v, from);
}

static void consumers_view(const struct item *item, struct view *v)
{
    const struct queue_face *face = item->object;
    face->type->each_consumer(face, put_consumer, v);
}

static bool has_consumers(const struct item *item, const struct asker *asker)
{
    return queue_belongs(item, asker) && number(item, LISTING_QUEUES, "consumers");
}

const struct list_kind kind_consumers = {.is_listing = true,
                                         .listing = LISTING_QUEUES,
                                         .belongs = has_consumers,
                                         .name = queue_name,
                                         .key = queue_key,
                                         .view = consumers_view,
                                         .is_many = true};

/* ---- one queue ---- */

static void queue_details_view(const struct item *item, struct view *v)
{
    const struct queue_face *face = item->object;
    queue_view(item, v);
    if (item->detail.no_stats)
        return;
    if (view_list(v, "consumer_details")) {
        face->type->each_consumer(face, put_consumer, v);
        view_list_end(v);
    }
    view_json(v, "incoming", SLICE("[]"));
    view_json(v, "deliveries", SLICE("[]"));
}

const struct list_kind kind_queue_details = {.is_listing = true,
                                             .listing = LISTING_QUEUES,
                                             .belongs = queue_belongs,
                                             .name = queue_name,
                                             .key = queue_key,
                                             .view = queue_details_view};

/* ---- connections ---- */

/* Who sees a connection, or a channel. */
static bool is_visible(const struct item *item, enum listing what, const struct asker *asker)
{
    if (!asker->monitor && !is_text(item, what, "user", asker->user))
        return false;
    return !asker->vhost.len || is_text(item, what, "vhost", asker->vhost);
}

static bool connection_belongs(const struct item *item, const struct asker *asker)
{
    if (asker->text.data && !is_text(item, LISTING_CONNECTIONS, "name", asker->text))
        return false;
    if (asker->text2.data && !is_text(item, LISTING_CONNECTIONS, "user", asker->text2))
        return false;
    return is_visible(item, LISTING_CONNECTIONS, asker);
}

static struct value connection_name(const struct item *item)
{
    return column(item, LISTING_CONNECTIONS, "name");
}

static void connection_key(const struct item *item, struct buf *key)
{
    put_key(key, column(item, LISTING_CONNECTIONS, "vhost"));
    put_key(key, connection_name(item));
}

static void connection_view(const struct item *item, struct view *v)
{
    static const struct member basic[] = {{"name", NULL}, {"user", NULL}, {"vhost", NULL}};
    static const struct member members[] = {{"auth_mechanism", NULL},
                                            {"channel_max", NULL},
                                            {"channels", NULL},
                                            {"client_properties", NULL},
                                            {"connected_at", NULL},
                                            {"frame_max", NULL},
                                            {"host", NULL},
                                            {"name", NULL},
                                            {"peer_cert_issuer", NULL},
                                            {"peer_cert_subject", NULL},
                                            {"peer_cert_validity", NULL},
                                            {"peer_host", NULL},
                                            {"peer_port", NULL},
                                            {"port", NULL},
                                            {"recv_cnt", NULL},
                                            {"send_cnt", NULL},
                                            {"send_pend", NULL},
                                            {"ssl", NULL},
                                            {"ssl_cipher", NULL},
                                            {"ssl_hash", NULL},
                                            {"ssl_key_exchange", NULL},
                                            {"ssl_protocol", NULL},
                                            {"state", NULL},
                                            {"timeout", NULL},
                                            {"user", NULL},
                                            {"user_provided_name", NULL},
                                            {"user_who_performed_action", "user"},
                                            {"vhost", NULL}};
    struct counted list[] = {COUNTED("recv_oct"), COUNTED("send_oct")};
    view_text(v, "node", slice_str(node_of(item)));
    if (item->detail.no_stats) {
        PUT_MEMBERS(item, LISTING_CONNECTIONS, basic, v);
        return;
    }
    PUT_MEMBERS(item, LISTING_CONNECTIONS, members, v);
    view_text(v, "protocol", SLICE("AMQP 0-9-1"));
    view_text(v, "type", SLICE("network"));
    for (size_t i = 0; i < 2; i++)
        list[i].now = number(item, LISTING_CONNECTIONS, list[i].name);
    struct addr addr = addr_from(column(item, LISTING_CONNECTIONS, "addr"));
    look(item, v, RATES_CONNECTION, number(item, LISTING_CONNECTIONS, "id"), addr, list, 2);
    struct counters counters = {item, RATES_CONNECTION, addr, list};
    put_counted(v, &counters, 0, 2, &item->ranges->data_rates);
}

const struct list_kind kind_connections = {.is_listing = true,
                                           .listing = LISTING_CONNECTIONS,
                                           .belongs = connection_belongs,
                                           .name = connection_name,
                                           .key = connection_key,
                                           .view = connection_view,
                                           .is_paged = true};

/* ---- channels ---- */

static struct value channel_name(const struct item *item)
{
    return column(item, LISTING_CHANNELS, "name");
}

static bool channel_belongs(const struct item *item, const struct asker *asker)
{
    if (asker->text.data && !is_text(item, LISTING_CHANNELS, "name", asker->text))
        return false;
    if (asker->text2.data && !is_text(item, LISTING_CHANNELS, "connection_name", asker->text2))
        return false;
    return is_visible(item, LISTING_CHANNELS, asker);
}

static void channel_key(const struct item *item, struct buf *key)
{
    put_key(key, column(item, LISTING_CHANNELS, "vhost"));
    put_key(key, column(item, LISTING_CHANNELS, "connection_name"));
    view_put_key_number(key, (double)number(item, LISTING_CHANNELS, "number"));
}

static void put_peer(const struct item *item, const char *name, struct view *v)
{
    static const struct member members[] = {
        {"name", "connection_name"}, {"peer_host", NULL}, {"peer_port", NULL}};
    if (!view_object(v, name))
        return;
    PUT_MEMBERS(item, LISTING_CHANNELS, members, v);
    view_object_end(v);
}

static void put_channel_counters(const struct item *item, struct view *v)
{
    struct counted list[] = {COUNTED("publish"), COUNTED("confirm"), COUNTED("return_unroutable"),
                             COUNTED("drop_unroutable"), COUNTED_DELIVERIES};
    enum { CONFIRM = 1, PUBLISHING = 4, COUNT = sizeof list / sizeof *list };
    for (size_t i = 0; i < COUNT; i++)
        list[i].now = number(item, LISTING_CHANNELS, i == CONFIRM ? "confirmed" : list[i].name);
    struct addr addr = addr_from(column(item, LISTING_CHANNELS, "addr"));
    look(item, v, RATES_CHANNEL, addr_u64(addr), addr, list, COUNT);
    struct counters counters = {item, RATES_CHANNEL, addr, list};
    put_message_stats(v, &counters, 0, PUBLISHING, COUNT);
}

static void channel_view(const struct item *item, struct view *v)
{
    static const struct member members[] = {{"acks_uncommitted", NULL},
                                            {"confirm", NULL},
                                            {"consumer_count", NULL},
                                            {"global_prefetch_count", NULL},
                                            {"messages_unacknowledged", NULL},
                                            {"messages_uncommitted", NULL},
                                            {"messages_unconfirmed", NULL},
                                            {"name", NULL},
                                            {"number", NULL},
                                            {"prefetch_count", NULL},
                                            {"state", NULL},
                                            {"transactional", NULL},
                                            {"user", NULL},
                                            {"user_who_performed_action", "user"},
                                            {"vhost", NULL}};
    PUT_MEMBERS(item, LISTING_CHANNELS, members, v);
    put_idle_since(item, LISTING_CHANNELS, v);
    put_peer(item, "connection_details", v);
    view_text(v, "node", slice_str(node_of(item)));
    if (view_wants(v, "message_stats"))
        put_channel_counters(item, v);
}

const struct list_kind kind_channels = {.is_listing = true,
                                        .listing = LISTING_CHANNELS,
                                        .belongs = channel_belongs,
                                        .name = channel_name,
                                        .key = channel_key,
                                        .view = channel_view,
                                        .is_paged = true};

/* As other objects show it. */
static void put_channel_facts(const struct item *item, struct view *v)
{
    static const struct member members[] = {{"connection_name", NULL}, {"name", NULL},
                                            {"number", NULL},          {"peer_host", NULL},
                                            {"peer_port", NULL},       {"user", NULL}};
    PUT_MEMBERS(item, LISTING_CHANNELS, members, v);
    view_text(v, "node", slice_str(meta_node_name(shard_node(item->shard))));
}

/* One consumer, as its channel knows it. */
static void put_consumer_of(const struct item *item, struct slice tag, struct slice facts,
                            struct slice vhost, struct view *v)
{
    struct slice queue = SLICE_EMPTY;
    struct buf rest = BUF_INIT;
    (void)table_find_str(facts, SLICE("queue"), &queue);
    table_remove(facts, SLICE("queue"), &rest);
    if (v->out->data[v->out->len - 1] == '}')
        buf_append_byte(v->out, ',');
    view_begin(v);
    view_text(v, "consumer_tag", tag);
    view_entries(v, buf_slice(&rest));
    if (view_object(v, "channel_details")) {
        put_channel_facts(item, v);
        view_object_end(v);
    }
    view_value(v, "prefetch_count", column(item, LISTING_CHANNELS, "prefetch_count"));
    if (view_object(v, "queue")) {
        view_text(v, "name", queue);
        view_text(v, "vhost", vhost);
        view_object_end(v);
    }
    view_end(v);
    buf_fini(&rest);
}

static void channel_details_view(const struct item *item, struct view *v)
{
    struct slice tag;
    struct table_value facts;
    channel_view(item, v);
    view_json(v, "publishes", SLICE("[]"));
    view_json(v, "deliveries", SLICE("[]"));
    if (!view_list(v, "consumer_details"))
        return;
    struct value all = column(item, LISTING_CHANNELS, "consumers");
    struct value vhost = column(item, LISTING_CHANNELS, "vhost");
    for (struct table_iter it = table_iter(all.bytes); table_next(&it, &tag, &facts);)
        put_consumer_of(item, tag, facts.bytes, vhost.bytes, v);
    value_fini(&all);
    value_fini(&vhost);
    view_list_end(v);
}

const struct list_kind kind_channel_details = {.is_listing = true,
                                               .listing = LISTING_CHANNELS,
                                               .belongs = channel_belongs,
                                               .name = channel_name,
                                               .key = channel_key,
                                               .view = channel_details_view};

void kind_put_channel(struct buf *out, struct shard *shard, struct addr channel, struct slice user)
{
    struct item item = {.shard = shard};
    item.object = listing_find(shard, LISTING_CHANNELS, channel);
    if (!item.object || (user.data && !is_text(&item, LISTING_CHANNELS, "user", user)))
        return;
    struct view v = view_of(out, NULL);
    view_begin(&v);
    put_channel_facts(&item, &v);
    view_end(&v);
}
