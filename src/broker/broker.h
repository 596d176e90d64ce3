/* What the broker keeps on each shard: the queue maker, the registries for listings, message
 * counters, the alarm. */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include "base/value.h"
#include "shard/shard.h"

struct op_kind;

/* Makes the shard's state; to be run with node_each_shard before the loops start. */
void broker_init(struct shard *shard, void *unused);
/* After the loops ended and ops were dropped. */
void broker_fini(struct shard *shard, void *unused);
/* The actor that creates queues on that shard and takes alarms (QUEUE_CREATE, ALARM). */
struct addr broker_addr(struct node *node, unsigned shard);
/* The rows OP_FIRST.. of the node's table. */
const struct op_kind *broker_op_kinds(void);

/* Called by msg.c on any shard's thread. */
void broker_count_message(int messages, int64_t bytes);
/* Over all shards; not exact while traffic runs. */
void broker_message_totals(struct node *node, int64_t *ret_messages, int64_t *ret_bytes);

/* What clients did on a shard since the start. Written by its thread, and read there. */
enum broker_total {
    TOTAL_PUBLISHED,
    TOTAL_PUBLISHED_CONFIRM, /* of them, on channels with confirms */
    TOTAL_CONFIRMED,
    TOTAL_ROUTED,
    TOTAL_RETURNED, /* reached no queue, and were sent back */
    TOTAL_DROPPED,  /* reached no queue */
    TOTAL_DELIVERED,
    TOTAL_DELIVERED_NO_ACK,
    TOTAL_GOT,
    TOTAL_GOT_NO_ACK,
    TOTAL_GOT_EMPTY,
    TOTAL_REDELIVERED,
    TOTAL_ACKED,
    TOTAL_CONNECTIONS_OPENED,
    TOTAL_CONNECTIONS_CLOSED,
    TOTAL_CHANNELS_OPENED,
    TOTAL_CHANNELS_CLOSED,
    TOTAL_QUEUES_DECLARED, /* declarations that were answered, of known queues too */
    TOTAL_BYTES_IN,        /* of connections that are closed, as the next ones */
    TOTAL_BYTES_OUT,
    TOTAL_FRAMES_IN,
    TOTAL_FRAMES_OUT,
    TOTAL_LOGINS, /* of AMQP clients */
    TOTAL_LOGINS_REFUSED,
    TOTAL_HTTP_LOGINS,
    TOTAL_HTTP_LOGINS_REFUSED,
    TOTAL_DEAD_REJECTED, /* dead letters by enum death, whether a queue took them or not */
    TOTAL_DEAD_EXPIRED,
    TOTAL_DEAD_MAXLEN,
    TOTAL_DEAD_DELIVERY_LIMIT,
    TOTAL_DEAD_CONFIRMED, /* of them, those that must come to all queues, once they have */
    TOTAL_BODY_BYTES,     /* of what was published */
    TOTAL_BODY_SIZES,     /* how many bodies were up to each of broker_body_sizes, and not the one
                             before */
    TOTAL_COUNT = TOTAL_BODY_SIZES + 9
};
/* As many as there are totals. */
uint64_t *broker_totals(const struct shard *shard);
/* The last is all that is larger. */
enum { BROKER_BODY_SIZES = TOTAL_COUNT - TOTAL_BODY_SIZES };
extern const uint64_t broker_body_sizes[BROKER_BODY_SIZES];
/* A message was published. */
void broker_count_published(uint64_t *totals, uint64_t body_bytes);

/* What the shard's queues share (broker/queue/actor.c). */
struct queue_host;
struct queue_host *broker_queue_host(const struct shard *shard);
void broker_set_queue_host(struct shard *shard, struct queue_host *host);

/* A transaction until its commit is safe: embedded by it. */
struct open_transaction {
    struct list link;
    uint64_t number; /* in the order of beginning, over all shards */
};
/* An id that no other transaction of this run has; it is freed with the shard's state if it is
 * left. */
uint64_t broker_add_transaction(struct shard *shard, struct open_transaction *transaction);
void broker_remove_transaction(struct shard *shard, struct open_transaction *transaction);
/* All below the first number are closed, all that will begin are from the second on. */
struct transaction_numbers {
    uint64_t oldest, next;
};
struct transaction_numbers broker_transactions(struct node *node);

/* ---- alarm ---- */
enum alarm { ALARM_MEMORY = 1, ALARM_DISK = 2 };
/* Publishers are blocked while any is on. Shard 0. */
void broker_set_alarm(struct node *node, enum alarm which, bool on);
/* This shard's view: why, as RabbitMQ tells clients, or NULL. */
const char *broker_alarm(const struct shard *shard);
struct alarm_listener {
    struct list link;
    void (*on_alarm)(struct alarm_listener *listener, const char *reason);
};
void broker_listen_alarm(struct shard *shard, struct alarm_listener *listener);

/* ---- listings ---- */
/* LINES: delay lines, queue actors too. */
enum listing {
    LISTING_QUEUES,
    LISTING_LINES,
    LISTING_CONNECTIONS,
    LISTING_CHANNELS,
    LISTING_COUNT
};

/* Embedded by an object that is listed; the registry is a dense array of these. */
struct listed {
    size_t position;
    void *object;
};
void listing_add(struct shard *shard, enum listing what, struct listed *item, void *object);
void listing_remove(struct shard *shard, enum listing what, struct listed *item);
/* Heap bytes of what the shard's queues share and of the registries. On its thread. */
size_t broker_memory(const struct shard *shard);
size_t listing_count(const struct shard *shard, enum listing what);
/* The n-th object, n < listing_count. Walk downwards when objects may leave between two looks. */
void *listing_at(const struct shard *shard, enum listing what, size_t n);

/* How an object answers a column, by rabbitmqctl's name; VALUE_NONE for a column it does not have.
 * Set once per listing before the loops run. */

void listing_set_getter(enum listing what,
                        struct value (*get)(const void *object, const char *column));
struct value listing_get(enum listing what, const void *object, const char *column);
/* How an object is found by its address, which queues have in their definition, connections and
 * channels as the column "addr". Set as getters are. */
void listing_set_finder(enum listing what,
                        const void *(*find)(struct shard *shard, struct addr addr));
/* NULL: it is not on that shard, or gone. On its thread. */
const void *listing_find(struct shard *shard, enum listing what, struct addr addr);
/* How an object counts for its virtual host (meta/tally.h) what it did since the last time. Set as
 * getters are, or not at all. */
void listing_set_teller(enum listing what, void (*tell)(void *object));
void listing_tell(enum listing what, void *object);

#endif
