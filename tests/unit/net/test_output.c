/* The output queue: order over chunks and references, memory given back. */
#include "net/output.h"
#include "unit.h"

#include "base/buf.h"

#include <stdlib.h>
#include <sys/uio.h>

static unsigned released;

static void release(void *owner)
{
    released++;
    free(owner);
}

static void stop(struct timer *t)
{
    node_stop(shard_node(t->shard));
}

/* Takes about limit bytes from the front. */
static void take(struct output *o, struct buf *to, size_t limit)
{
    struct iovec iov[7];
    size_t total, taken = 0;
    int n = output_peek(o, iov, 7, &total);
    for (int i = 0; i < n && taken < limit; i++) {
        size_t len = iov[i].iov_len < limit - taken ? iov[i].iov_len : limit - taken;
        buf_append(to, iov[i].iov_base, len);
        taken += len;
    }
    output_advance(o, taken);
}

static void put(struct output *o, struct buf *model, unsigned *seed)
{
    size_t n = (size_t)rand_r(seed) % (rand_r(seed) % 8 ? 200 : 60000) + 1;
    uint8_t *bytes = malloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)rand_r(seed);
    buf_append(model, bytes, n);
    switch (rand_r(seed) % 3) {
    case 0:
        output_append_ref(o, slice_of(bytes, n), release, bytes);
        return;
    case 1:
        output_append(o, bytes, n);
        break;
    default:
        for (size_t at = 0; at < n;) {
            size_t part = n - at < CHUNK_RESERVE_MAX ? n - at : CHUNK_RESERVE_MAX;
            memcpy(output_reserve(o, part), bytes + at, part);
            o->at += part;
            at += part;
        }
    }
    free(bytes);
}

UNIT(output, keeps_order)
{
    struct node_options options = {.shards = 1};
    struct node *node = node_new(&options);
    struct chunk_pool pool;
    struct output o;
    struct buf model = BUF_INIT, got = BUF_INIT;
    unsigned seed = 1;
    chunk_pool_init(&pool, node_shard(node, 0));
    output_init(&o, &pool);
    for (int i = 0; i < 4000; i++) {
        if (rand_r(&seed) % 2)
            put(&o, &model, &seed);
        else
            take(&o, &got, (size_t)rand_r(&seed) % 30000);
        if (rand_r(&seed) % 10 == 0)
            output_shrink(&o);
        cr_assert_eq(output_pending(&o), model.len - got.len);
    }
    while (output_pending(&o))
        take(&o, &got, 100000);
    cr_assert_eq(got.len, model.len);
    cr_assert_eq(memcmp(got.data, model.data, model.len), 0);
    cr_assert_gt(released, 100);
    cr_assert_null(o.chunk);
    cr_assert_null(o.first);
    put(&o, &model, &seed);
    put(&o, &model, &seed);
    output_fini(&o);
    chunk_pool_fini(&pool);
    buf_fini(&model);
    buf_fini(&got);
    node_free(&node);
}

UNIT(output, shrinks_the_pool)
{
    struct node_options options = {.shards = 1};
    struct node *node = node_new(&options);
    struct chunk_pool pool;
    struct output o;
    struct timer end;
    static uint8_t bytes[64 * CHUNK_SIZE * 2];
    chunk_pool_init(&pool, node_shard(node, 0));
    output_init(&o, &pool);
    output_append(&o, bytes, sizeof bytes);
    cr_assert_gt(pool.chunk_count, 120);
    output_fini(&o);
    cr_assert_gt(pool.free_count, 120);
    timer_init(&end, node_shard(node, 0), stop);
    timer_set(&end, 5 * CHUNK_TRIM_MS);
    node_run(node);
    cr_assert_leq(pool.chunk_count, CHUNKS_KEPT);
    chunk_pool_fini(&pool);
    node_free(&node);
}
