#include "http/node_counters.h"

#include "meta/limits.h"
#include "meta/meta.h"

#include <string.h>

#define COUNTER(section, name)         \
    {                                  \
        name, name "_details", section \
    }

const struct node_counter node_counters[NODE_COUNTERS] = {
    COUNTER(SECTION_STATS, "publish"),
    COUNTER(SECTION_STATS, "confirm"),
    COUNTER(SECTION_STATS, "return_unroutable"),
    COUNTER(SECTION_STATS, "drop_unroutable"),
    COUNTER(SECTION_STATS, "deliver_get"),
    COUNTER(SECTION_STATS, "ack"),
    COUNTER(SECTION_STATS, "redeliver"),
    COUNTER(SECTION_STATS, "deliver"),
    COUNTER(SECTION_STATS, "deliver_no_ack"),
    COUNTER(SECTION_STATS, "get"),
    COUNTER(SECTION_STATS, "get_no_ack"),
    COUNTER(SECTION_STATS, "get_empty"),
    COUNTER(SECTION_CHURN, "connection_created"),
    COUNTER(SECTION_CHURN, "connection_closed"),
    COUNTER(SECTION_CHURN, "channel_created"),
    COUNTER(SECTION_CHURN, "channel_closed"),
    COUNTER(SECTION_CHURN, "queue_declared"),
    COUNTER(SECTION_CHURN, "queue_created"),
    COUNTER(SECTION_CHURN, "queue_deleted"),
    COUNTER(SECTION_DEPTHS, "messages"),
    COUNTER(SECTION_DEPTHS, "messages_ready"),
    COUNTER(SECTION_DEPTHS, "messages_unacknowledged"),
    COUNTER(SECTION_USE, "mem_used"),
    COUNTER(SECTION_USE, "disk_free"),
    COUNTER(SECTION_USE, "fd_used"),
    COUNTER(SECTION_USE, "sockets_used"),
    COUNTER(SECTION_USE, "proc_used"),
};

static void read_totals(const struct node *node, const struct gauge_totals *t,
                        uint64_t *ret_counters)
{
    const uint64_t *done = t->done;
    struct meta_churn churn = meta_churn(node);
    const uint64_t counters[] = {
        done[TOTAL_PUBLISHED],
        done[TOTAL_CONFIRMED],
        done[TOTAL_RETURNED],
        done[TOTAL_DROPPED],
        done[TOTAL_DELIVERED] + done[TOTAL_DELIVERED_NO_ACK] + done[TOTAL_GOT] +
            done[TOTAL_GOT_NO_ACK],
        done[TOTAL_ACKED],
        done[TOTAL_REDELIVERED],
        done[TOTAL_DELIVERED],
        done[TOTAL_DELIVERED_NO_ACK],
        done[TOTAL_GOT],
        done[TOTAL_GOT_NO_ACK],
        done[TOTAL_GOT_EMPTY],
        done[TOTAL_CONNECTIONS_OPENED],
        done[TOTAL_CONNECTIONS_CLOSED],
        done[TOTAL_CHANNELS_OPENED],
        done[TOTAL_CHANNELS_CLOSED],
        done[TOTAL_QUEUES_DECLARED],
        churn.queues_created,
        churn.queues_deleted,
        t->messages_ready + t->messages_unacknowledged + t->messages_delayed,
        t->messages_ready,
        t->messages_unacknowledged,
    };
    memcpy(ret_counters, counters, sizeof counters);
}

/* sockets: of AMQP clients, and that of the asker; tools take none for unknown. */
void node_counters_read(const struct node *node, const struct facts_now *now,
                        const struct gauge_totals *t, uint64_t *ret_counters)
{
    const uint64_t use[] = {now->memory, now->disk_free, now->files,
                            (uint64_t)limits_of_node(node)->connections + 1, 1};
    enum { USED = sizeof use / sizeof *use };
    if (t)
        read_totals(node, t, ret_counters);
    memcpy(ret_counters + NODE_COUNTERS - USED, use, sizeof use);
}
