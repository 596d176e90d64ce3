/* How often messages stored once are named by blocks: read from all of them, which is only done
 * where a block was damaged, since nobody knows what that one named. */
#include "base/mem.h"
#include "base/wire_cursor.h"
#include "store/fold_checkpoint.h"
#include "store/fold_message_table.h"

#include <stdlib.h>

struct counting {
    struct kv_txn *txn;
    struct fold_ref_count *counts; /* in order of id */
    size_t n, cap;
    struct buf scratch;
};

static enum kv_status on_ref(void *arg, struct slice key, struct slice value)
{
    struct counting *c = arg;
    struct fold_ref ref;
    (void)value;
    if (key.len != 8)
        return KV_OK;
    uint64_t id = wire_load_u64(key.data);
    enum kv_status status = fold_get_ref(c->txn, id, &ref);
    if (status != KV_OK)
        return status == KV_NONE ? KV_OK : status;
    MEM_GROW(c->counts, c->cap, c->n + 1);
    c->counts[c->n++] = (struct fold_ref_count){.id = id, .refs = ref.refs};
    return KV_OK;
}

static int compare(const void *key, const void *element)
{
    uint64_t id = *(const uint64_t *)key, other = ((const struct fold_ref_count *)element)->id;
    return (id > other) - (id < other);
}

static void count_entry(struct counting *c, uint64_t id)
{
    struct fold_ref_count *found =
        c->n ? bsearch(&id, c->counts, c->n, sizeof *c->counts, compare) : NULL;
    if (found)
        found->found++;
}

/* Of the block where b stands. */
static enum kv_status count_block(struct counting *c, struct fold_blocks *b)
{
    struct fold_holes holes;
    struct slice rest;
    struct entry e;
    bool good, any;
    if (!b->good || !(b->head.flags & BLOCK_BY_ID))
        return KV_OK;
    FOLD_TRY(fold_blocks_entries(b, &c->scratch, &rest, &good));
    if (!good)
        return KV_OK;
    FOLD_TRY(fold_holes_get(b->txn, b->queue, b->run, b->first, &holes, &any));
    for (unsigned i = 0; i < b->head.count && record_get_entry(&rest, &e); i++) {
        if (e.id && !(any && fold_holes_has(&holes, i)))
            count_entry(c, e.id);
    }
    return KV_OK;
}

static enum kv_status count_run(struct counting *c, uint64_t queue, uint16_t run)
{
    struct fold_blocks b;
    enum kv_status status = fold_blocks_open(&b, c->txn, queue, run);
    if (status == KV_OK)
        status = fold_blocks_at(&b, 0);
    while (status == KV_OK && b.here) {
        status = count_block(c, &b);
        if (status == KV_OK)
            status = fold_blocks_next(&b);
    }
    fold_blocks_close(&b);
    return status == KV_NONE ? KV_OK : status;
}

/* The first run at this one or behind. KV_NONE: there is none. */
static enum kv_status find_run(struct kv_txn *txn, uint64_t *queue, uint16_t *run)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    struct fold_key k = {0};
    fold_key_run(&k, *queue, *run);
    FOLD_TRY(kv_cursor_open(txn, KV_BLOCKS, &cursor));
    enum kv_status status = kv_seek(cursor, fold_key_slice(&k), &key, &value);
    if (status == KV_OK && key.len < FOLD_RUN_KEY)
        status = KV_NONE;
    if (status == KV_OK) {
        *queue = wire_load_u64(key.data);
        *run = wire_load_u16(key.data + 8);
    }
    kv_cursor_close(&cursor);
    return status;
}

static enum kv_status count_all(struct counting *c)
{
    uint64_t queue = 0;
    uint16_t run = 0;
    enum kv_status status = fold_each_prefix(c->txn, KV_REFS, SLICE_EMPTY, on_ref, c);
    while (status == KV_OK && c->n && (status = find_run(c->txn, &queue, &run)) == KV_OK) {
        status = count_run(c, queue, run++);
        queue += !run;
    }
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_count_refs(struct kv_txn *txn, struct fold_ref_count **ret_counts,
                               size_t *ret_n)
{
    struct counting c = {.txn = txn};
    enum kv_status status = count_all(&c);
    buf_fini(&c.scratch);
    *ret_counts = c.counts;
    *ret_n = c.n;
    return status;
}
