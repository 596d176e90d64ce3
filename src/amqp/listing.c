/* What connections and channels answer to list_connections and list_channels. */
#include "amqp/channel_priv.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"

#include <stdio.h>

static struct value text_or_none(const char *text)
{
    return text ? value_text(slice_str(text)) : value_none();
}

static struct value stream_column(const struct connection *c, const char *column)
{
    const struct stream_info *info = stream_get_info(c->stream);
    const struct {
        const char *name;
        struct value value;
    } * row, ints[] = {
                 {"port", value_int(info->local_port)},
                 {"peer_port", value_int(info->peer_port)},
                 {"ssl", value_bool(info->tls)},
                 {"recv_oct", value_int((int64_t)stream_bytes_in(c->stream))},
                 {"send_oct", value_int((int64_t)stream_bytes_out(c->stream))},
                 {"send_pend", value_int((int64_t)stream_pending(c->stream))},
             };
    for (row = ints; row < ints + sizeof ints / sizeof *ints; row++) {
        if (!strcmp(row->name, column))
            return row->value;
    }
    const struct {
        const char *name, *text;
    } texts[] = {
        {"host", info->local_host},
        {"peer_host", info->peer_host},
        {"name", info->name},
        {"ssl_protocol", info->tls_protocol},
        {"ssl_key_exchange", info->tls_key_exchange},
        {"ssl_cipher", info->tls_cipher},
        {"ssl_hash", info->tls_hash},
        {"peer_cert_subject", info->peer_cert_subject},
        {"peer_cert_issuer", info->peer_cert_issuer},
        {"peer_cert_validity", info->peer_cert_validity},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!strcmp(texts[i].name, column))
            return text_or_none(texts[i].text);
    }
    return value_none();
}

/* As RabbitMQ: now, or a moment ago. */
enum { FLOW_MS = 5000, IDLE_MS = 1000 };

static bool in_flow(const struct connection *c)
{
    return c->state == CONN_RUNNING && stream_was_pressed(c->stream, FLOW_MS);
}

static const char *state_name(const struct connection *c)
{
    static const char *const names[] = {"starting", "starting", "securing", "tuning", "opening",
                                        "running",  "closing",  "closing",  "closed"};
    if (c->blocked)
        return "blocked";
    if (c->state == CONN_RUNNING && broker_alarm(c->amqp->shard))
        return "blocking";
    if (in_flow(c))
        return "flow";
    return names[c->state];
}

static struct value identity_column(const struct connection *c, const char *column)
{
    char pid[32];
    if (!strcmp(column, "pid")) {
        int n = snprintf(pid, sizeof pid, "<%llu>", (unsigned long long)c->id);
        return value_text(slice_of(pid, (size_t)n));
    }
    if (!strcmp(column, "user"))
        return value_text(c->user);
    if (!strcmp(column, "vhost"))
        return value_text(c->vhost);
    if (!strcmp(column, "user_provided_name"))
        return value_text(c->name_given);
    if (!strcmp(column, "auth_mechanism"))
        return value_text(c->mechanism);
    if (!strcmp(column, "protocol"))
        return value_text(SLICE("{0,9,1}"));
    if (!strcmp(column, "state"))
        return value_text(slice_str(state_name(c)));
    if (!strcmp(column, "client_properties"))
        return value_table(c->client_properties);
    return value_none();
}

/* Heap of a connection without its channels. */
static int64_t connection_memory(const struct connection *c)
{
    size_t texts = mem_size(c->user.data) + mem_size(c->vhost.data) + mem_size(c->mechanism.data) +
                   mem_size(c->client_properties.data) + mem_size(c->name_given.data);
    return (int64_t)(mem_size(c) + texts + channel_table_memory(&c->channels) +
                     stream_memory(c->stream) + stream_pending(c->stream));
}

static size_t consumers_memory(const struct channel *ch)
{
    size_t n = mem_size(ch->consumers) + mem_size(ch->by_tag.slots);
    for (uint32_t i = 0; i < ch->consumer_cap; i++) {
        const struct channel_consumer *cc = ch->consumers[i];
        if (cc)
            n += mem_size(cc) + mem_size(cc->tag.data) + mem_size(cc->args.data);
    }
    return n;
}

static int64_t channel_memory(const struct channel *ch)
{
    return (int64_t)(mem_size(ch) + mem_size(ch->unacked.entries) + mem_size(ch->confirms.left) +
                     mem_size(ch->content.names.data) + ch->content.body_cap +
                     mem_size(ch->pending.items) + mem_size(ch->settles.slots) +
                     mem_size(ch->last_queue.data) + consumers_memory(ch));
}

struct value connection_column(const void *object, const char *column)
{
    const struct connection *c = object;
    const struct {
        const char *name;
        int64_t value;
    } ints[] = {
        {"id", (int64_t)c->id},
        {"shard", shard_index(c->amqp->shard)},
        {"channels", c->channels.count},
        {"channel_max", c->channel_max},
        {"frame_max", c->frame_max},
        {"timeout", c->heartbeat_s},
        {"recv_cnt", (int64_t)c->frames_in},
        {"send_cnt", (int64_t)c->frames_out},
        {"connected_at", (int64_t)c->connected_at_ms},
        {"addr", (int64_t)addr_u64(c->addr)},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        if (!strcmp(ints[i].name, column))
            return value_int(ints[i].value);
    }
    if (!strcmp(column, "memory"))
        return value_int(connection_memory(c));
    struct value v = identity_column(c, column);
    return v.type == VALUE_NONE ? stream_column(c, column) : v;
}

static const char *channel_state_name(const struct channel *ch)
{
    if (ch->state == CH_CLOSING)
        return "closing";
    return ch->done[TOTAL_PUBLISHED] && in_flow(ch->connection) ? "flow" : "running";
}

static struct value channel_texts(const struct channel *ch, const char *column)
{
    char text[64];
    const struct connection *c = ch->connection;
    int n = 0;
    if (!strcmp(column, "pid"))
        n = snprintf(text, sizeof text, "<%llu.%u>", (unsigned long long)c->id, ch->addr.slot);
    else if (!strcmp(column, "connection"))
        n = snprintf(text, sizeof text, "<%llu>", (unsigned long long)c->id);
    if (n)
        return value_text(slice_of(text, (size_t)n));
    if (!strcmp(column, "name")) {
        struct buf name = BUF_INIT;
        buf_printf(&name, "%s (%u)", stream_get_info(c->stream)->name, ch->number);
        return (struct value){.type = VALUE_TEXT, .bytes = buf_take(&name)};
    }
    if (!strcmp(column, "connection_name"))
        return value_text(slice_str(stream_get_info(c->stream)->name));
    if (!strcmp(column, "peer_host"))
        return value_text(slice_str(stream_get_info(c->stream)->peer_host));
    if (!strcmp(column, "peer_port"))
        return value_int(stream_get_info(c->stream)->peer_port);
    if (!strcmp(column, "user"))
        return value_text(c->user);
    if (!strcmp(column, "vhost"))
        return value_text(c->vhost);
    if (!strcmp(column, "state"))
        return value_text(slice_str(channel_state_name(ch)));
    return value_none();
}

/* A table for each, under its tag. */
static struct value consumers_table(const struct channel *ch)
{
    struct buf all = BUF_INIT;
    for (uint32_t i = 0; i < ch->consumer_cap; i++) {
        const struct channel_consumer *cc = ch->consumers[i];
        if (!cc || !cc->ready || !cc->def)
            continue;
        size_t mark = table_open(&all, cc->tag, TABLE_TABLE);
        table_put_str(&all, SLICE("queue"), cc->def->name);
        table_put_bool(&all, SLICE("ack_required"), !cc->no_ack);
        table_put_bool(&all, SLICE("exclusive"), cc->exclusive);
        table_put_table(&all, SLICE("arguments"), cc->args);
        table_close(&all, mark);
    }
    return (struct value){.type = VALUE_TABLE, .bytes = buf_take(&all)};
}

/* Wall time of what it did last, if that is a while ago. */
static struct value idle_since(const struct channel *ch)
{
    uint64_t idle = shard_now_ms(ch->amqp->shard) - ch->active_ms;
    return idle < IDLE_MS ? value_none() : value_int((int64_t)(clock_wall_ms() - idle));
}

static uint64_t given_to(const struct channel *ch)
{
    return ch->done[TOTAL_DELIVERED] + ch->done[TOTAL_DELIVERED_NO_ACK] + ch->done[TOTAL_GOT] +
           ch->done[TOTAL_GOT_NO_ACK];
}

/* What it did, by the names of RabbitMQ's message_stats, of which confirm is a mode here. */
static struct value done_column(const struct channel *ch, const char *column)
{
    static const struct {
        const char *name;
        enum broker_total what;
    } totals[] = {
        {"published", TOTAL_PUBLISHED},
        {"publish", TOTAL_PUBLISHED},
        {"confirmed", TOTAL_CONFIRMED},
        {"return_unroutable", TOTAL_RETURNED},
        {"drop_unroutable", TOTAL_DROPPED},
        {"deliver", TOTAL_DELIVERED},
        {"deliver_no_ack", TOTAL_DELIVERED_NO_ACK},
        {"get", TOTAL_GOT},
        {"get_no_ack", TOTAL_GOT_NO_ACK},
        {"get_empty", TOTAL_GOT_EMPTY},
        {"redeliver", TOTAL_REDELIVERED},
        {"ack", TOTAL_ACKED},
    };
    if (!strcmp(column, "delivered") || !strcmp(column, "deliver_get"))
        return value_int((int64_t)given_to(ch));
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        if (!strcmp(totals[i].name, column))
            return value_int((int64_t)ch->done[totals[i].what]);
    }
    return value_none();
}

struct value channel_column(const void *object, const char *column)
{
    const struct channel *ch = object;
    const struct {
        const char *name;
        int64_t value;
    } ints[] = {
        {"number", ch->number},
        {"consumer_count", ch->consumer_count},
        {"messages_unacknowledged", (int64_t)ch->unacked.live},
        {"messages_uncommitted", ch->tx ? (int64_t)ch->tx->publish_count : 0},
        {"acks_uncommitted", ch->tx ? (int64_t)ch->tx->settle_count : 0},
        {"messages_unconfirmed", (int64_t)confirms_waiting(&ch->confirms)},
        {"prefetch_count", ch->prefetch},
        {"global_prefetch_count", ch->global_prefetch},
        {"shard", shard_index(ch->amqp->shard)},
        {"addr", (int64_t)addr_u64(ch->addr)},
    };
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        if (!strcmp(ints[i].name, column))
            return value_int(ints[i].value);
    }
    if (!strcmp(column, "memory"))
        return value_int(channel_memory(ch));
    if (!strcmp(column, "consumers"))
        return consumers_table(ch);
    if (!strcmp(column, "idle_since"))
        return idle_since(ch);
    if (!strcmp(column, "transactional"))
        return value_bool(ch->mode == MODE_TX);
    if (!strcmp(column, "confirm"))
        return value_bool(ch->mode == MODE_CONFIRM);
    struct value done = done_column(ch, column);
    return done.type == VALUE_NONE ? channel_texts(ch, column) : done;
}
