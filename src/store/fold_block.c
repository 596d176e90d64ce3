/* The format of blocks, and walking them. */
#include "store/fold_block.h"

#include "base/crc32c.h"
#include "base/wire_cursor.h"

enum { PART_HEAD = BLOCK_PART_HEAD, PART_ROOM = KV_VALUE_MAX - PART_HEAD };

void fold_block_put_head(uint8_t *value, const struct fold_block_head *head, size_t part_len)
{
    wire_store_u32(value + 4, crc32c(0, value + BLOCK_HEAD, part_len));
    value[8] = BLOCK_VERSION;
    value[9] = head->flags;
    wire_store_u16(value + 10, head->count);
    wire_store_u32(value + 12, head->length);
    wire_store_u64(value + 16, head->last);
    wire_store_u64(value + 24, head->bytes);
    wire_store_u32(value, crc32c(0, value + 4, BLOCK_HEAD - 4));
}

size_t fold_block_put_part(uint8_t *value, struct slice bytes)
{
    size_t len = bytes.len < PART_ROOM ? bytes.len : PART_ROOM;
    memcpy(value + PART_HEAD, bytes.data, len);
    wire_store_u32(value, crc32c(0, bytes.data, len));
    return len;
}

bool fold_block_get_head(struct slice value, struct fold_block_head *ret_head)
{
    const uint8_t *p = value.data;
    if (value.len < BLOCK_HEAD || p[8] != BLOCK_VERSION ||
        wire_load_u32(p) != crc32c(0, p + 4, BLOCK_HEAD - 4))
        return false;
    *ret_head = (struct fold_block_head){.flags = p[9],
                                         .count = wire_load_u16(p + 10),
                                         .length = wire_load_u32(p + 12),
                                         .last = wire_load_u64(p + 16),
                                         .bytes = wire_load_u64(p + 24)};
    return true;
}

/* ---- walking ---- */

enum kv_status fold_blocks_open(struct fold_blocks *b, struct kv_txn *txn, uint64_t queue,
                                uint16_t run)
{
    *b = (struct fold_blocks){.txn = txn, .queue = queue, .run = run};
    return kv_cursor_open(txn, KV_BLOCKS, &b->cursor);
}

void fold_blocks_close(struct fold_blocks *b)
{
    if (b->cursor)
        kv_cursor_close(&b->cursor);
}

/* Takes what the cursor gave: KV_NONE where it is not of this run. */
static enum kv_status take(struct fold_blocks *b, enum kv_status status)
{
    b->here = false;
    if (status != KV_OK)
        return status;
    const uint8_t *k = b->key.data;
    if (b->key.len != FOLD_BLOCK_KEY || wire_load_u64(k) != b->queue ||
        wire_load_u16(k + 8) != b->run)
        return KV_NONE;
    b->here = true;
    b->first = wire_load_u64(k + 10);
    b->good = fold_block_get_head(b->value, &b->head) && b->head.last >= b->first;
    return KV_OK;
}

static enum kv_status step(struct fold_blocks *b)
{
    return take(b, kv_next(b->cursor, &b->key, &b->value));
}

static bool at_part(const struct fold_blocks *b)
{
    return b->here && wire_load_u16(b->key.data + FOLD_SEQ_KEY) != 0;
}

static enum kv_status skip_parts(struct fold_blocks *b, enum kv_status status)
{
    while (status == KV_OK && at_part(b))
        status = step(b);
    return status;
}

static enum kv_status seek_key(struct fold_blocks *b, uint64_t seq)
{
    struct fold_key k = {0};
    fold_key_run(&k, b->queue, b->run);
    fold_key_u64(&k, seq);
    fold_key_u16(&k, 0);
    return take(b, kv_seek(b->cursor, fold_key_slice(&k), &b->key, &b->value));
}

enum kv_status fold_blocks_at(struct fold_blocks *b, uint64_t seq)
{
    return skip_parts(b, seek_key(b, seq));
}

enum kv_status fold_blocks_seek(struct fold_blocks *b, uint64_t seq)
{
    enum kv_status status = seek_key(b, seq);
    if (status == KV_OK && b->first == seq && !at_part(b))
        return KV_OK;
    if (status == KV_FAILED || status == KV_FULL)
        return status;
    status = take(b, kv_prev(b->cursor, &b->key, &b->value));
    while (status == KV_OK && at_part(b))
        status = take(b, kv_prev(b->cursor, &b->key, &b->value));
    if (status == KV_OK && (!b->good || b->head.last >= seq))
        return KV_OK;
    if (status == KV_FAILED || status == KV_FULL)
        return status;
    return fold_blocks_at(b, seq);
}

enum kv_status fold_blocks_next(struct fold_blocks *b)
{
    return skip_parts(b, step(b));
}

enum kv_status fold_blocks_entries(struct fold_blocks *b, struct buf *scratch,
                                   struct slice *ret_entries, bool *ret_good)
{
    struct slice piece = slice_of(b->value.data + BLOCK_HEAD, b->value.len - BLOCK_HEAD);
    *ret_good = false;
    if (!b->good || piece.len > b->head.length ||
        wire_load_u32(b->value.data + 4) != crc32c(0, piece.data, piece.len))
        return KV_OK;
    *ret_entries = piece;
    *ret_good = piece.len == b->head.length;
    if (*ret_good)
        return KV_OK;
    struct kv_cursor *c;
    struct fold_key k = {0};
    enum kv_status status = kv_cursor_open(b->txn, KV_BLOCKS, &c);
    if (status != KV_OK)
        return status;
    fold_key_bytes(&k, b->key);
    buf_clear(scratch);
    buf_append_slice(scratch, piece);
    size_t length = b->head.length;
    struct slice key, value;
    status = kv_seek(c, fold_key_slice(&k), &key, &value);
    for (unsigned n = 1; status == KV_OK && scratch->len < length; n++) {
        status = kv_next(c, &key, &value);
        if (status != KV_OK || key.len != FOLD_BLOCK_KEY ||
            memcmp(key.data, k.bytes, FOLD_SEQ_KEY) != 0 ||
            wire_load_u16(key.data + FOLD_SEQ_KEY) != n || value.len <= PART_HEAD ||
            wire_load_u32(value.data) != crc32c(0, value.data + PART_HEAD, value.len - PART_HEAD))
            break;
        buf_append(scratch, value.data + PART_HEAD, value.len - PART_HEAD);
    }
    kv_cursor_close(&c);
    *ret_entries = buf_slice(scratch);
    *ret_good = scratch->len == length;
    return status == KV_NONE ? KV_OK : status;
}

static enum kv_status del_holes(struct fold_blocks *b)
{
    struct fold_key k = {0};
    fold_key_run(&k, b->queue, b->run);
    fold_key_u64(&k, b->first);
    enum kv_status status = kv_del(b->txn, KV_HOLES, fold_key_slice(&k));
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_blocks_del(struct fold_blocks *b, bool holes)
{
    uint64_t first = b->first;
    enum kv_status status = KV_OK;
    if (holes)
        FOLD_TRY(del_holes(b));
    do {
        FOLD_TRY(kv_cursor_del(b->cursor));
        status = step(b);
    } while (status == KV_OK && b->first == first);
    return skip_parts(b, status);
}

/* ---- bitmaps ---- */

enum kv_status fold_holes_get(struct kv_txn *txn, uint64_t queue, uint16_t run, uint64_t first,
                              struct fold_holes *ret_holes, bool *ret_any)
{
    struct fold_key k = {0};
    struct slice value, bits;
    fold_key_run(&k, queue, run);
    fold_key_u64(&k, first);
    enum kv_status status = kv_get(txn, KV_HOLES, fold_key_slice(&k), &value);
    memset(ret_holes, 0, sizeof *ret_holes);
    *ret_any = status == KV_OK && fold_unseal(value, &bits) && bits.len <= BLOCK_HOLES_MAX;
    if (*ret_any)
        memcpy(ret_holes->bits, bits.data, bits.len);
    return status == KV_NONE ? KV_OK : status;
}

enum kv_status fold_holes_put(struct kv_txn *txn, uint64_t queue, uint16_t run, uint64_t first,
                              const struct fold_holes *holes, unsigned count)
{
    struct fold_key k = {0};
    fold_key_run(&k, queue, run);
    fold_key_u64(&k, first);
    return fold_put_sealed(txn, KV_HOLES, fold_key_slice(&k),
                           slice_of(holes->bits, (count + 7) / 8));
}
