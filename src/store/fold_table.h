/* Keys and values as the fold writes them: big-endian numbers, a checksum before every value. */
#ifndef STORE_FOLD_TABLE_H
#define STORE_FOLD_TABLE_H

#include "base/buf.h"
#include "store/kv.h"

enum {
    FOLD_KEY_MAX = 511,
    FOLD_SEAL = 5, /* crc32c u32 over what follows, version u8 */
    FOLD_VALUE_ROOM = KV_VALUE_MAX - FOLD_SEAL,
    FOLD_VERSION = 1,
    FOLD_RUN_KEY = 10,   /* queue BE8, run BE2 */
    FOLD_SEQ_KEY = 18,   /* and seq BE8: of a block, but for its part; of a bitmap */
    FOLD_BLOCK_KEY = 20, /* and part BE2 */
    FOLD_COUNT_KEY = 18  /* of times given back: as FOLD_SEQ_KEY */
};

/* Returns from the function what is not KV_OK. */
#define FOLD_TRY(call)                \
    do {                              \
        enum kv_status try_ = (call); \
        if (try_ != KV_OK)            \
            return try_;              \
    } while (0)

/* A key in the making; start it with {0}. */
struct fold_key {
    size_t len;
    uint8_t bytes[FOLD_KEY_MAX];
};
void fold_key_bytes(struct fold_key *k, struct slice s);
void fold_key_u8(struct fold_key *k, uint8_t v);
void fold_key_u16(struct fold_key *k, uint16_t v);
void fold_key_u64(struct fold_key *k, uint64_t v);
static inline struct slice fold_key_slice(const struct fold_key *k)
{
    return slice_of(k->bytes, k->len);
}

/* At most FOLD_VALUE_ROOM bytes. */
enum kv_status fold_put_sealed(struct kv_txn *txn, enum kv_table t, struct slice key,
                               struct slice payload);
/* False: damaged, or of another version. */
bool fold_unseal(struct slice value, struct slice *ret_payload);

/* As many rows as it takes: key with BE2 behind it, from 0 on. */
enum kv_status fold_put_rows(struct kv_txn *txn, enum kv_table t, struct slice key,
                             struct slice payload);
/* Appends them all; KV_NONE: there is none. *ret_good: none of them is damaged. */
enum kv_status fold_get_rows(struct kv_txn *txn, enum kv_table t, struct slice key, struct buf *out,
                             bool *ret_good);
/* Deletes every key that begins so, at most *budget rows; *budget 0 afterwards: perhaps not all. */
enum kv_status fold_del_prefix(struct kv_txn *txn, enum kv_table t, struct slice prefix,
                               size_t *budget);
/* Calls fn for every key that begins so, until it returns other than KV_OK. */
enum kv_status
fold_each_prefix(struct kv_txn *txn, enum kv_table t, struct slice prefix,
                 enum kv_status (*fn)(void *arg, struct slice key, struct slice value), void *arg);

#endif
