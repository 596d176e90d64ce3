/* Blocks: entries of one run, packed. Blocks of a run do not overlap: each has the seqs from its
 * key on to its last, and the next begins behind it.
 *
 * Value of part 0: crc32c u32 of the rest of the head | crc32c u32 of the entries in this value |
 * version u8 | flags u8 | count u16 | length of the entries u32 | last seq u64 | bytes of bodies
 * u64 | entries. One entry that does not fit goes on in parts 1, 2, ..: crc32c u32 | bytes. */
#ifndef STORE_FOLD_BLOCK_H
#define STORE_FOLD_BLOCK_H

#include "store/fold_table.h"
#include "store/record.h"

enum {
    BLOCK_HEAD = 32,
    BLOCK_ROOM = KV_VALUE_MAX - BLOCK_HEAD,
    BLOCK_PART_HEAD = 4,
    BLOCK_VERSION = 1,
    BLOCK_BY_ID = 1, /* entries name messages stored once */
    BLOCK_HOLES_MAX = BLOCK_ROOM / 8 + 1
};

struct fold_block_head {
    uint64_t last, bytes;
    uint32_t length;
    uint16_t count;
    uint8_t flags;
};
void fold_block_put_head(uint8_t *value, const struct fold_block_head *head, size_t part_len);
/* As much of bytes as goes into a value; returns how much. */
size_t fold_block_put_part(uint8_t *value, struct slice bytes);
bool fold_block_get_head(struct slice value, struct fold_block_head *ret_head);

/* Walks the blocks of a run. What the slices show lasts until the transaction writes. */
struct fold_blocks {
    struct kv_txn *txn;
    struct kv_cursor *cursor;
    uint64_t queue;
    uint16_t run;
    bool here; /* stands on a block */
    bool good; /* whose head is */
    uint64_t first;
    struct slice key, value;
    struct fold_block_head head;
};
enum kv_status fold_blocks_open(struct fold_blocks *b, struct kv_txn *txn, uint64_t queue,
                                uint16_t run);
void fold_blocks_close(struct fold_blocks *b);
/* To the block that has seq, or the next one behind. A damaged one may stand before. */
enum kv_status fold_blocks_seek(struct fold_blocks *b, uint64_t seq);
/* To the first block whose key is seq or more. */
enum kv_status fold_blocks_at(struct fold_blocks *b, uint64_t seq);
enum kv_status fold_blocks_next(struct fold_blocks *b);
/* The entries, put together in scratch if there are parts. *ret_good false: damaged. */
enum kv_status fold_blocks_entries(struct fold_blocks *b, struct buf *scratch,
                                   struct slice *ret_entries, bool *ret_good);
/* Deletes the block with all parts, and its bitmap; stands on the next one. */
enum kv_status fold_blocks_del(struct fold_blocks *b, bool holes);

/* Bitmaps of entries that are gone, by position in the block. A copy. */
struct fold_holes {
    uint8_t bits[BLOCK_HOLES_MAX];
};
/* *ret_any false: there is none. */
enum kv_status fold_holes_get(struct kv_txn *txn, uint64_t queue, uint16_t run, uint64_t first,
                              struct fold_holes *ret_holes, bool *ret_any);
enum kv_status fold_holes_put(struct kv_txn *txn, uint64_t queue, uint16_t run, uint64_t first,
                              const struct fold_holes *holes, unsigned count);
static inline bool fold_holes_has(const struct fold_holes *h, unsigned i)
{
    return i < BLOCK_HOLES_MAX * 8 && h->bits[i / 8] >> (i % 8) & 1;
}
static inline void fold_holes_set(struct fold_holes *h, unsigned i)
{
    if (i < BLOCK_HOLES_MAX * 8)
        h->bits[i / 8] |= (uint8_t)(1u << (i % 8));
}

static inline void fold_key_run(struct fold_key *k, uint64_t queue, uint16_t run)
{
    fold_key_u64(k, queue);
    fold_key_u16(k, run);
}

#endif
