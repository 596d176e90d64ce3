/* Per-shard state of the broker. */
#include "broker/broker.h"

#include "base/bug.h"
#include "base/mem.h"
#include "base/table.h"
#include "broker/events.h"
#include "broker/history.h"
#include "broker/queue/actor.h"
#include "broker/queue/face.h"
#include "broker/stream/stream_queue.h"
#include "broker/transaction.h"
#include "meta/def.h"
#include "meta/ops.h"
#include "shard/slot.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdlib.h>

struct registry {
    struct listed **items;
    size_t count, cap;
};

struct broker {
    struct shard *shard;
    struct addr addr;
    struct queue_host *queue_host;
    struct histories *histories;
    const char *alarm;
    unsigned alarms; /* shard 0's: enum alarm, a bit each */
    struct list alarm_listeners;
    struct list transactions;
    uint64_t next_transaction;
    _Atomic uint64_t oldest_transaction; /* number, written by this shard only */
    _Atomic uint64_t transactions_begun; /* shard 0's counts for all */
    struct registry registries[LISTING_COUNT];
    /* written by this shard only, read by any */
    _Atomic int64_t messages, message_bytes;
    uint64_t totals[TOTAL_COUNT];
};

/* exception: a table of functions, filled at boot before the shards run */
static struct value (*getters[LISTING_COUNT])(const void *object, const char *column);
static void (*tellers[LISTING_COUNT])(void *object);
/* exception: the same */
static const void *(*finders[LISTING_COUNT])(struct shard *shard, struct addr addr);

static struct broker *broker_of(const struct shard *shard)
{
    return shard_get_local(shard, SHARD_LOCAL_BROKER);
}

struct op_alarm {
    const char *reason;
};

static void on_alarm(struct broker *b, const char *reason)
{
    b->alarm = reason;
    list_each_safe (it, &b->alarm_listeners) {
        struct alarm_listener *listener = list_entry(it, struct alarm_listener, link);
        listener->on_alarm(listener, reason);
    }
}

static void create_queue(struct shard *shard, struct queue_def *def)
{
    if (def->line_of == LINE_OF_HISTORY)
        history_new(broker_of(shard)->histories, def);
    else if (def->type == QUEUE_STREAM)
        stream_queue_new(shard, def);
    else
        queue_actor_new(shard, def);
}

static void on_op(void *object, struct op *op)
{
    struct broker *b = object;
    switch (op->kind) {
    case OP_QUEUE_CREATE:
        create_queue(b->shard, op_body(op, struct op_queue_create)->def);
        break;
    case OP_ALARM:
        on_alarm(b, op_body(op, struct op_alarm)->reason);
        break;
    default:
        bug_on(true);
    }
}

static const struct actor_type broker_type = {"broker", on_op};

void broker_init(struct shard *shard, void *unused)
{
    (void)unused;
    struct broker *b = NEW(struct broker);
    b->shard = shard;
    list_init(&b->alarm_listeners);
    list_init(&b->transactions);
    atomic_init(&b->oldest_transaction, UINT64_MAX);
    const struct store *store = store_of(shard_node(shard));
    b->next_transaction = store ? store_last_transaction(store) / SHARDS_MAX : 0;
    shard_set_local(shard, SHARD_LOCAL_BROKER, b);
    b->addr = slot_new(shard, &broker_type, b);
    queue_actor_init(shard);
    b->histories = histories_new(shard);
}

static void free_queues(struct registry *queues)
{
    while (queues->count) {
        struct queue_face *face = queues->items[queues->count - 1]->object;
        face->type->free(face);
    }
}

void broker_fini(struct shard *shard, void *unused)
{
    (void)unused;
    struct broker *b = broker_of(shard);
    free_queues(&b->registries[LISTING_QUEUES]);
    free_queues(&b->registries[LISTING_LINES]);
    queue_actor_fini(shard);
    histories_free(&b->histories);
    transactions_fini(&b->transactions);
    slot_free(shard, b->addr);
    for (int i = 0; i < LISTING_COUNT; i++)
        free(b->registries[i].items);
    shard_set_local(shard, SHARD_LOCAL_BROKER, NULL);
    free(b);
}

/* ---- transactions ---- */

static void note_oldest(struct broker *b)
{
    uint64_t oldest = UINT64_MAX;
    if (!list_empty(&b->transactions))
        oldest = list_entry(b->transactions.next, struct open_transaction, link)->number;
    atomic_store(&b->oldest_transaction, oldest);
}

uint64_t broker_add_transaction(struct shard *shard, struct open_transaction *t)
{
    struct broker *b = broker_of(shard), *first = broker_of(node_shard(shard_node(shard), 0));
    t->number = atomic_fetch_add(&first->transactions_begun, 1);
    list_append(&b->transactions, &t->link);
    note_oldest(b);
    return ++b->next_transaction * SHARDS_MAX + shard_index(shard);
}

void broker_remove_transaction(struct shard *shard, struct open_transaction *t)
{
    list_remove(&t->link);
    note_oldest(broker_of(shard));
}

struct transaction_numbers broker_transactions(struct node *node)
{
    struct broker *first = broker_of(node_shard(node, 0));
    uint64_t next = atomic_load(&first->transactions_begun);
    struct transaction_numbers n = {next, next};
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        uint64_t oldest = atomic_load(&broker_of(node_shard(node, i))->oldest_transaction);
        n.oldest = oldest < n.oldest ? oldest : n.oldest;
    }
    return n;
}

struct addr broker_addr(struct node *node, unsigned shard)
{
    return broker_of(node_shard(node, shard))->addr;
}

uint64_t *broker_totals(const struct shard *shard)
{
    return broker_of(shard)->totals;
}

const uint64_t broker_body_sizes[BROKER_BODY_SIZES] = {
    100, 1000, 10000, 100000, 1000000, 10000000, 50000000, 100000000, UINT64_MAX};

void broker_count_published(uint64_t *totals, uint64_t body_bytes)
{
    unsigned size = 0;
    while (body_bytes > broker_body_sizes[size])
        size++;
    totals[TOTAL_PUBLISHED]++;
    totals[TOTAL_BODY_BYTES] += body_bytes;
    totals[TOTAL_BODY_SIZES + size]++;
}

struct queue_host *broker_queue_host(const struct shard *shard)
{
    return broker_of(shard)->queue_host;
}

void broker_set_queue_host(struct shard *shard, struct queue_host *host)
{
    broker_of(shard)->queue_host = host;
}

void broker_count_message(int messages, int64_t bytes)
{
    struct shard *s = shard_self();
    struct broker *b = s ? broker_of(s) : NULL;
    if (!b)
        return;
    atomic_store_explicit(&b->messages,
                          atomic_load_explicit(&b->messages, memory_order_relaxed) + messages,
                          memory_order_relaxed);
    atomic_store_explicit(&b->message_bytes,
                          atomic_load_explicit(&b->message_bytes, memory_order_relaxed) + bytes,
                          memory_order_relaxed);
}

void broker_message_totals(struct node *node, int64_t *ret_messages, int64_t *ret_bytes)
{
    int64_t messages = 0, bytes = 0;
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        struct broker *b = broker_of(node_shard(node, i));
        messages += atomic_load_explicit(&b->messages, memory_order_relaxed);
        bytes += atomic_load_explicit(&b->message_bytes, memory_order_relaxed);
    }
    *ret_messages = messages;
    *ret_bytes = bytes;
}

/* ---- alarm ---- */

static void tell_alarm(const struct broker *b, enum alarm which, bool on)
{
    struct buf table = BUF_INIT;
    if (!events_on(b->shard) || !(b->alarms & which) == !on)
        return;
    table_put_str(&table, SLICE("source"), which == ALARM_MEMORY ? SLICE("memory") : SLICE("disk"));
    events_emit(b->shard, on ? "alarm.set" : "alarm.cleared", buf_slice(&table));
    buf_fini(&table);
}

void broker_set_alarm(struct node *node, enum alarm which, bool on)
{
    static const char *const reasons[] = {NULL, "low on memory", "low on disk",
                                          "low on memory & disk"};
    struct broker *b = broker_of(node_shard(node, 0));
    tell_alarm(b, which, on);
    b->alarms = on ? b->alarms | which : b->alarms & ~(unsigned)which;
    const char *reason = reasons[b->alarms];
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        struct op op = {.to = broker_addr(node, i), .kind = OP_ALARM};
        op_body(&op, struct op_alarm)->reason = reason;
        post(&op);
    }
}

const char *broker_alarm(const struct shard *shard)
{
    return broker_of(shard)->alarm;
}

void broker_listen_alarm(struct shard *shard, struct alarm_listener *listener)
{
    list_append(&broker_of(shard)->alarm_listeners, &listener->link);
}

/* ---- listings ---- */

void listing_add(struct shard *shard, enum listing what, struct listed *item, void *object)
{
    struct registry *r = &broker_of(shard)->registries[what];
    MEM_GROW(r->items, r->cap, r->count + 1);
    item->object = object;
    item->position = r->count;
    r->items[r->count++] = item;
}

void listing_remove(struct shard *shard, enum listing what, struct listed *item)
{
    struct registry *r = &broker_of(shard)->registries[what];
    bug_on(item->position >= r->count || r->items[item->position] != item);
    struct listed *last = r->items[--r->count];
    r->items[item->position] = last;
    last->position = item->position;
    if (!r->count) {
        free(r->items);
        *r = (struct registry){0};
    }
}

size_t broker_memory(const struct shard *shard)
{
    const struct broker *b = broker_of(shard);
    size_t n = queue_host_memory(b->queue_host);
    for (unsigned i = 0; i < LISTING_COUNT; i++)
        n += mem_size(b->registries[i].items);
    return n;
}

size_t listing_count(const struct shard *shard, enum listing what)
{
    return broker_of(shard)->registries[what].count;
}

void *listing_at(const struct shard *shard, enum listing what, size_t n)
{
    struct registry *r = &broker_of(shard)->registries[what];
    return n < r->count ? r->items[n]->object : NULL;
}

void listing_set_getter(enum listing what,
                        struct value (*get)(const void *object, const char *column))
{
    getters[what] = get;
}

struct value listing_get(enum listing what, const void *object, const char *column)
{
    return getters[what](object, column);
}

void listing_set_teller(enum listing what, void (*tell)(void *object))
{
    tellers[what] = tell;
}

void listing_tell(enum listing what, void *object)
{
    if (tellers[what])
        tellers[what](object);
}

void listing_set_finder(enum listing what,
                        const void *(*find)(struct shard *shard, struct addr addr))
{
    finders[what] = find;
}

const void *listing_find(struct shard *shard, enum listing what, struct addr addr)
{
    return addr.shard == shard_index(shard) ? finders[what](shard, addr) : NULL;
}
