/* All tables of one database into another, as a read transaction sees them. */
#include "store/kv.h"

enum { COPY_COMMIT = 16 << 20 }; /* bytes of a transaction */

struct copier {
    struct kv *to;
    struct kv_txn *txn;
    uint64_t bytes; /* of the transaction */
    bool (*progress)(void *arg, uint64_t bytes);
    void *arg;
};

static enum kv_status put_one(struct copier *c, enum kv_table t, struct slice key,
                              struct slice value)
{
    if (!c->txn) {
        enum kv_status status = kv_begin(c->to, true, &c->txn);
        if (status != KV_OK)
            return status;
    }
    c->bytes += key.len + value.len;
    return kv_put(c->txn, t, key, value);
}

static enum kv_status end_transaction(struct copier *c)
{
    enum kv_status status = c->txn ? kv_commit(&c->txn) : KV_OK;
    if (status == KV_OK && !c->progress(c->arg, c->bytes))
        status = KV_NONE;
    c->bytes = 0;
    return status;
}

static enum kv_status copy_table(struct copier *c, struct kv_txn *from, enum kv_table t)
{
    struct kv_cursor *cursor;
    struct slice key, value;
    enum kv_status status = kv_cursor_open(from, t, &cursor);
    if (status != KV_OK)
        return status;
    enum kv_status found = kv_next(cursor, &key, &value);
    while (status == KV_OK && found == KV_OK) {
        status = put_one(c, t, key, value);
        if (status == KV_OK && c->bytes >= COPY_COMMIT)
            status = end_transaction(c);
        if (status == KV_OK)
            found = kv_next(cursor, &key, &value);
    }
    kv_cursor_close(&cursor);
    return status == KV_OK && found != KV_NONE ? found : status;
}

enum kv_status kv_copy(struct kv_txn *from, struct kv *to,
                       bool (*progress)(void *arg, uint64_t bytes), void *arg)
{
    struct copier c = {.to = to, .progress = progress, .arg = arg};
    enum kv_status status = KV_OK;
    for (int t = 0; t < KV_TABLE_COUNT && status == KV_OK; t++)
        status = copy_table(&c, from, (enum kv_table)t);
    if (status == KV_OK)
        status = end_transaction(&c);
    kv_abort(&c.txn);
    return status;
}
