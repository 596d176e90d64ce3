/* Keys and values of the fold's tables. */
#include "store/fold_table.h"

#include "base/crc32c.h"
#include "base/wire_cursor.h"

void fold_key_bytes(struct fold_key *k, struct slice s)
{
    memcpy(k->bytes + k->len, s.data, s.len);
    k->len += s.len;
}

void fold_key_u8(struct fold_key *k, uint8_t v)
{
    k->bytes[k->len++] = v;
}

void fold_key_u16(struct fold_key *k, uint16_t v)
{
    wire_store_u16(k->bytes + k->len, v);
    k->len += 2;
}

void fold_key_u64(struct fold_key *k, uint64_t v)
{
    wire_store_u64(k->bytes + k->len, v);
    k->len += 8;
}

enum kv_status fold_put_sealed(struct kv_txn *txn, enum kv_table t, struct slice key,
                               struct slice payload)
{
    uint8_t value[KV_VALUE_MAX];
    value[4] = FOLD_VERSION;
    if (payload.len)
        memcpy(value + FOLD_SEAL, payload.data, payload.len);
    wire_store_u32(value, crc32c(0, value + 4, payload.len + 1));
    return kv_put(txn, t, key, slice_of(value, payload.len + FOLD_SEAL));
}

bool fold_unseal(struct slice value, struct slice *ret_payload)
{
    if (value.len < FOLD_SEAL || value.data[4] != FOLD_VERSION ||
        wire_load_u32(value.data) != crc32c(0, value.data + 4, value.len - 4))
        return false;
    *ret_payload = slice_of(value.data + FOLD_SEAL, value.len - FOLD_SEAL);
    return true;
}

enum kv_status fold_put_rows(struct kv_txn *txn, enum kv_table t, struct slice key,
                             struct slice payload)
{
    enum kv_status status = KV_OK;
    unsigned n = 0;
    do {
        struct fold_key k = {0};
        size_t len = payload.len < FOLD_VALUE_ROOM ? payload.len : FOLD_VALUE_ROOM;
        fold_key_bytes(&k, key);
        fold_key_u16(&k, (uint16_t)n++);
        status = fold_put_sealed(txn, t, fold_key_slice(&k), slice_of(payload.data, len));
        payload = slice_of(payload.data + len, payload.len - len);
    } while (status == KV_OK && payload.len && n <= UINT16_MAX);
    return status;
}

enum kv_status
fold_each_prefix(struct kv_txn *txn, enum kv_table t, struct slice prefix,
                 enum kv_status (*fn)(void *arg, struct slice key, struct slice value), void *arg)
{
    struct kv_cursor *c;
    struct slice key, value;
    enum kv_status status = kv_cursor_open(txn, t, &c);
    if (status != KV_OK)
        return status;
    for (status = kv_seek(c, prefix, &key, &value); status == KV_OK && slice_starts(key, prefix);
         status = kv_next(c, &key, &value)) {
        status = fn(arg, key, value);
        if (status != KV_OK)
            break;
    }
    kv_cursor_close(&c);
    return status == KV_NONE ? KV_OK : status;
}

struct rows {
    struct buf *out;
    size_t key_len;
    unsigned n;
    bool good;
};

static enum kv_status get_row(void *arg, struct slice key, struct slice value)
{
    struct rows *rows = arg;
    struct slice payload;
    if (key.len != rows->key_len + 2 || wire_load_u16(key.data + rows->key_len) != rows->n ||
        !fold_unseal(value, &payload)) {
        rows->good = false;
        payload = SLICE_EMPTY;
    }
    if (payload.len)
        buf_append_slice(rows->out, payload);
    rows->n++;
    return KV_OK;
}

enum kv_status fold_get_rows(struct kv_txn *txn, enum kv_table t, struct slice key, struct buf *out,
                             bool *ret_good)
{
    struct rows rows = {.out = out, .key_len = key.len, .good = true};
    FOLD_TRY(fold_each_prefix(txn, t, key, get_row, &rows));
    *ret_good = rows.good;
    return rows.n ? KV_OK : KV_NONE;
}

enum kv_status fold_del_prefix(struct kv_txn *txn, enum kv_table t, struct slice prefix,
                               size_t *budget)
{
    struct kv_cursor *c;
    struct slice key, value;
    enum kv_status status = kv_cursor_open(txn, t, &c);
    if (status != KV_OK)
        return status;
    status = kv_seek(c, prefix, &key, &value);
    while (*budget && status == KV_OK && slice_starts(key, prefix)) {
        status = kv_cursor_del(c);
        if (status == KV_OK)
            status = kv_next(c, &key, &value);
        (*budget)--;
    }
    kv_cursor_close(&c);
    return status == KV_NONE ? KV_OK : status;
}
