/* Names of columns, and the choice among them. */
#include "admin/columns.h"

#define COLUMNS(function, ...)                                  \
    const char *const *function(void)                           \
    {                                                           \
        static const char *const names[] = {__VA_ARGS__, NULL}; \
        return names;                                           \
    }

COLUMNS(columns_vhosts, "name", "description", "tags", "default_queue_type", "tracing",
        "protected_from_deletion", "cluster_state")

COLUMNS(columns_queues, "name", "durable", "auto_delete", "arguments", "policy", "pid", "owner_pid",
        "exclusive", "exclusive_consumer_pid", "exclusive_consumer_tag", "messages_ready",
        "messages_unacknowledged", "messages", "messages_ready_ram", "messages_unacknowledged_ram",
        "messages_ram", "messages_persistent", "message_bytes", "message_bytes_ready",
        "message_bytes_unacknowledged", "messages_delayed", "message_bytes_delayed", "messages_dlx",
        "message_bytes_dlx", "message_bytes_ram", "message_bytes_persistent",
        "head_message_timestamp", "disk_reads", "disk_writes", "consumers", "consumer_utilisation",
        "consumer_capacity", "memory", "slave_pids", "synchronised_slave_pids", "state", "type",
        "leader", "members", "online", "operator_policy", "effective_policy_definition",
        "single_active_consumer_tag", "vhost", "shard", "segments", "segment_bytes", "readers",
        "first_offset", "committed_offset")

COLUMNS(columns_exchanges, "name", "type", "durable", "auto_delete", "internal", "arguments",
        "policy", "operator_policy", "effective_policy_definition", "user_who_performed_action",
        "vhost")

COLUMNS(columns_bindings, "source_name", "source_kind", "destination_name", "destination_kind",
        "routing_key", "arguments", "vhost")

COLUMNS(columns_connections, "pid", "name", "port", "host", "peer_port", "peer_host", "ssl",
        "ssl_protocol", "ssl_key_exchange", "ssl_cipher", "ssl_hash", "peer_cert_subject",
        "peer_cert_issuer", "peer_cert_validity", "state", "channels", "protocol", "auth_mechanism",
        "user", "vhost", "timeout", "frame_max", "channel_max", "client_properties", "recv_oct",
        "recv_cnt", "send_oct", "send_cnt", "send_pend", "connected_at", "user_provided_name",
        "node", "shard")

COLUMNS(columns_channels, "pid", "connection", "name", "number", "user", "vhost", "transactional",
        "confirm", "consumer_count", "messages_unacknowledged", "messages_uncommitted",
        "acks_uncommitted", "messages_unconfirmed", "prefetch_count", "global_prefetch_count",
        "state", "shard")

COLUMNS(columns_consumers, "queue_name", "channel_pid", "consumer_tag", "ack_required",
        "prefetch_count", "active", "activity_status", "arguments", "exclusive", "priority",
        "messages_unacknowledged", "vhost", "offset")

COLUMNS(columns_delayed, "name", "kind", "messages", "message_bytes", "next_in", "messages_ram",
        "message_bytes_ram", "memory", "durable", "vhost", "shard")

COLUMNS(columns_feature_flags, "name", "state", "stability", "provided_by", "desc", "doc_url")

COLUMNS(columns_schema, "name", "cookie", "active_replicas", "user_properties", "size", "all_nodes",
        "disc_copies")

COLUMNS(columns_unresponsive_queues, "name", "durable", "auto_delete", "arguments", "vhost")

COLUMNS(columns_deprecated_features, "name", "deprecation_phase", "state", "provided_by", "desc",
        "doc_url")

static const char *find_column(const char *const *known, struct slice name)
{
    for (; *known; known++) {
        if (slice_eq_str(name, *known))
            return *known;
    }
    return NULL;
}

static bool has_column(const struct columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->count; i++) {
        if (columns->names[i] == name)
            return true;
    }
    return false;
}

static void choose(struct columns *columns, const char *const *known, const char *text,
                   const char *separators, struct buf *unknown)
{
    while (*text) {
        struct slice name = slice_of(text, strcspn(text, separators));
        const char *column = find_column(known, name);
        if (!column && name.len)
            buf_printf(unknown, "%s%.*s", unknown->len ? "," : "", SLICE_ARG(name));
        else if (column && !has_column(columns, column) && columns->count < COLUMNS_MAX)
            columns->names[columns->count++] = column;
        text += name.len;
        text += *text != '\0';
    }
}

bool columns_choose(struct columns *columns, const char *const *known, const char *defaults,
                    const char *const *words, size_t count, struct buf *unknown)
{
    *columns = (struct columns){.count = 0};
    for (size_t i = 0; i < count; i++)
        choose(columns, known, words[i], ", ", unknown);
    if (!columns->count && !unknown->len)
        choose(columns, known, defaults, " ", unknown);
    return unknown->len == 0;
}
