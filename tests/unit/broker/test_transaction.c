/* A transaction whose settlements meet a queue that goes before it was asked for its answer. */
#include "broker/transaction.h"

#include "../unit.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/exchange/exchange.h"
#include "meta/meta.h"
#include "shard/slot.h"
#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct op_kind kinds[OP_END];

/* Takes one op, as a queue that is destroyed behind it; the next finds nobody. */
struct mortal {
    struct shard *shard;
    struct addr queue, channel;
    uint64_t id;
    bool told;
};

static void on_settle(void *object, struct op *op)
{
    struct mortal *m = object;
    struct buf *out = store_records(store_log_of(m->shard));
    cr_assert_eq(op->kind, OP_SETTLE);
    record_put_pending(out, op_body(op, struct op_settle)->transaction);
    record_put_settle(out, m->id, 0, 1, 1);
    slot_free(m->shard, m->queue);
}

static void on_committed(void *object, struct op *op)
{
    struct mortal *m = object;
    cr_assert_eq(op->kind, OP_TX_COMMITTED);
    m->told = true;
    node_stop(shard_node(m->shard));
}

static const struct actor_type queue_type = {"queue", on_settle};
static const struct actor_type channel_type = {"channel", on_committed};

/* One message. */
static void fill(struct buf *out, uint64_t queue)
{
    struct entry e = {.seq = 1, .content = {.names = SLICE("\1e\1k"), .properties = SLICE("\0\0")}};
    record_put_open(out, queue, true);
    record_put_enq(out, queue, &e);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st, (void)kind, (void)place;
    return remove(path);
}

static struct node *start(const char *directory, struct store **ret_store)
{
    struct failure why;
    struct store_options o = {.directory = directory, .segment_size = 1 << 20, .segments_max = 8};
    memcpy(&kinds[OP_FIRST], broker_op_kinds(), (OP_END - OP_FIRST) * sizeof *kinds);
    struct node *node =
        node_new(&(struct node_options){.shards = 1, .ops = kinds, .op_count = OP_END});
    cr_assert_eq(store_open(node, &o, ret_store, &why), ERR_NONE);
    return node;
}

static void end(struct node *node, struct store *store)
{
    store_close(&store);
    node_free(&node);
}

/* The queue's id. */
static uint64_t commit(const char *directory)
{
    struct store *store;
    struct node *node = start(directory, &store);
    struct meta_options meta = {.default_vhost = "/", .node_name = "rig"};
    exchange_types_register();
    meta_init(node, &meta);
    node_each_shard(node, broker_init, NULL);
    struct mortal m = {.shard = node_shard(node, 0), .id = store_new_queue_id(store)};
    m.queue = slot_new(m.shard, &queue_type, &m);
    m.channel = slot_new(m.shard, &channel_type, &m);
    fill(store_records(store_log_of(m.shard)), m.id);
    struct transaction *t = transaction_begin(m.shard, m.channel);
    transaction_settle(t, m.queue, 0, SETTLE_ACK, true);
    transaction_commit(&t);
    node_run(node);
    cr_assert(m.told);
    node_drop_ops(node);
    slot_free(m.shard, m.channel);
    node_each_shard(node, broker_fini, NULL);
    meta_fini(node);
    end(node, store);
    return m.id;
}

UNIT(transaction, queue_that_goes_before_its_answer)
{
    char directory[] = "/tmp/test-transaction-XXXXXX";
    struct store *store;
    struct fold_queue *q = mem_alloc(sizeof *q);
    cr_assert_not_null(mkdtemp(directory));
    uint64_t queue = commit(directory);
    struct node *node = start(directory, &store);
    cr_assert(fold_get_queue(store_fold(store), queue, q));
    end(node, store);
    cr_assert(!q->level_count || !q->levels[0].count, "the settlement was committed");
    free(q);
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
