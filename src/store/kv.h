/* Sorted tables of byte strings that change in transactions: what the checkpointer writes. Behind
 * it is LMDB (kv_lmdb.c), or, for simulations, memory (tests/sim).
 *
 * One write transaction at a time, by one thread; read transactions on any thread, each used by
 * the thread that began it and short: as long as one is open, no space is reused. Keys are 1 to 511
 * bytes in bytewise order, values at most KV_VALUE_MAX bytes. */
#ifndef STORE_KV_H
#define STORE_KV_H

#include "base/err.h"
#include "base/slice.h"

enum kv_table {
    KV_META,      /* name -> value: format, applied, message ids */
    KV_DEFS,      /* noun u8, key -> value */
    KV_QUEUES,    /* queue id BE8 -> its record */
    KV_BLOCKS,    /* queue id BE8, run BE2 (level, persistent or transient), first seq BE8, part BE2
                     -> block */
    KV_HOLES,     /* key of a block without part -> bitmap of entries that are gone */
    KV_COUNTS,    /* queue id BE8, run BE2, seq BE8 -> times given back */
    KV_MESSAGES,  /* message id BE8, part BE2 -> content of a message that is stored once */
    KV_REFS,      /* message id BE8 -> how many entries name it, where its body is */
    KV_PENDING,   /* transaction BE8, n BE4 -> records that wait for their COMMIT */
    KV_SET_ASIDE, /* n BE8 -> a damaged block: its key, why, its bytes */
    KV_TABLE_COUNT
};

enum { KV_VALUE_MAX = 4080 };

enum kv_status {
    KV_OK,
    KV_NONE,  /* no such key, or no further one */
    KV_FULL,  /* the map or the disk is full: the transaction must be aborted, nothing changed;
                 later it may work */
    KV_FAILED /* the disk failed: the process is to end; kv_error says what */
};

struct kv;
struct kv_txn;
struct kv_cursor;

/* The functions of an implementation, in the shape of the calls below. */
struct kv_type {
    enum kv_status (*begin)(struct kv *kv, bool write, struct kv_txn **ret_txn);
    enum kv_status (*commit)(struct kv_txn **txn);
    void (*abort)(struct kv_txn **txn);
    enum kv_status (*get)(struct kv_txn *txn, enum kv_table t, struct slice key,
                          struct slice *ret_value);
    enum kv_status (*put)(struct kv_txn *txn, enum kv_table t, struct slice key,
                          struct slice value);
    enum kv_status (*del)(struct kv_txn *txn, enum kv_table t, struct slice key);
    enum kv_status (*cursor)(struct kv_txn *txn, enum kv_table t, struct kv_cursor **ret_cursor);
    enum kv_status (*seek)(struct kv_cursor *c, struct slice key, struct slice *ret_key,
                           struct slice *ret_value);
    enum kv_status (*next)(struct kv_cursor *c, struct slice *ret_key, struct slice *ret_value);
    enum kv_status (*prev)(struct kv_cursor *c, struct slice *ret_key, struct slice *ret_value);
    enum kv_status (*cursor_del)(struct kv_cursor *c);
    void (*cursor_close)(struct kv_cursor **c);
    const char *(*error)(const struct kv *kv);
    void (*close)(struct kv **kv);
};
/* A type whose functions are named as these are in every implementation. */
#define KV_TYPE                                                                                    \
    (struct kv_type)                                                                               \
    {                                                                                              \
        .begin = begin, .commit = commit, .abort = abort_txn, .get = get, .put = put, .del = del,  \
        .cursor = cursor_open, .seek = seek, .next = next, .prev = prev, .cursor_del = cursor_del, \
        .cursor_close = cursor_close, .error = error_text, .close = close_kv                       \
    }
/* The first member of an implementation's struct kv, struct kv_txn and struct kv_cursor. */
struct kv_base {
    const struct kv_type *type;
};

/* ---- LMDB ---- */
struct kv_options {
    const char *directory; /* exists; the files are data.mdb and lock.mdb */
    uint64_t map_size;     /* to begin with; 0: chosen by the disk's size */
    uint64_t map_max;      /* it grows up to that; 0: the disk's size */
    bool read_only; /* for dumps: nothing is made or upgraded; nobody else may have it open */
};
/* The environment is flushed twice a commit (no MDB_NOSYNC, no MDB_WRITEMAP). A newer format is
 * refused with a text that says so; an older one is upgraded. */
enum err kv_lmdb_open(const struct kv_options *options, struct kv **ret_kv, struct failure *why);
/* Bytes of the file, and of what is free in it for reuse. Not for every second: it reads the list
 * of what is free. */
void kv_lmdb_space(struct kv *kv, uint64_t *ret_file, uint64_t *ret_free);
/* Heap bytes that LMDB takes for its largest transaction and of which it touches little. */
uint64_t kv_lmdb_reserved(const struct kv *kv);
/* By the writer's thread, between its transactions, when there is little to do: if one since the
 * last time was large, gives back the memory that LMDB keeps for the next one like it. If readers
 * take too long, it is to be tried again. KV_FAILED: the process is to end. */
enum kv_status kv_lmdb_trim(struct kv *kv);

/* ---- the format of the tables ---- */
/* Steps from one version to the next, each in a transaction of its own: steps[0] makes 2 of 1. */
struct kv_format {
    uint32_t version; /* what this program reads and writes */
    /* who only reads takes those from this one on as they are; 0: just version */
    uint32_t readable;
    enum kv_status (*const *steps)(struct kv_txn *txn);
};
/* Reads the version in KV_META, writes it where all tables are empty, runs the steps that are
 * missing; kv_lmdb_open does it with the format of this program. */
enum err kv_format_check(struct kv *kv, const struct kv_format *format, bool read_only,
                         struct failure *why);

/* All that from sees is put into the tables of to, which are empty, in several transactions. After
 * each it asks progress whether to go on, with the bytes that were copied; KV_NONE: it said no. */
enum kv_status kv_copy(struct kv_txn *from, struct kv *to,
                       bool (*progress)(void *arg, uint64_t bytes), void *arg);

/* ---- calls ---- */
#define KV_TYPE_OF(p) (((const struct kv_base *)(const void *)(p))->type)

static inline enum kv_status kv_begin(struct kv *kv, bool write, struct kv_txn **ret_txn)
{
    return KV_TYPE_OF(kv)->begin(kv, write, ret_txn);
}
/* Ends the transaction in any case; not KV_OK: nothing changed. */
static inline enum kv_status kv_commit(struct kv_txn **txn)
{
    return KV_TYPE_OF(*txn)->commit(txn);
}
/* NULL is fine. */
static inline void kv_abort(struct kv_txn **txn)
{
    if (*txn)
        KV_TYPE_OF(*txn)->abort(txn);
}
/* Values are borrowed until the transaction ends or writes. */
static inline enum kv_status kv_get(struct kv_txn *txn, enum kv_table t, struct slice key,
                                    struct slice *ret_value)
{
    return KV_TYPE_OF(txn)->get(txn, t, key, ret_value);
}
/* Appending in order of keys is the fast way. */
static inline enum kv_status kv_put(struct kv_txn *txn, enum kv_table t, struct slice key,
                                    struct slice value)
{
    return KV_TYPE_OF(txn)->put(txn, t, key, value);
}
static inline enum kv_status kv_del(struct kv_txn *txn, enum kv_table t, struct slice key)
{
    return KV_TYPE_OF(txn)->del(txn, t, key);
}
/* A cursor is closed before its transaction ends. A fresh one stands nowhere: kv_next gives the
 * first key, kv_prev the last. Writes of the same transaction leave it in place. */
static inline enum kv_status kv_cursor_open(struct kv_txn *txn, enum kv_table t,
                                            struct kv_cursor **ret_cursor)
{
    return KV_TYPE_OF(txn)->cursor(txn, t, ret_cursor);
}
/* The first key not below this one (empty: the first of all). After KV_NONE of this or of kv_next,
 * kv_prev gives the last. */
static inline enum kv_status kv_seek(struct kv_cursor *c, struct slice key, struct slice *ret_key,
                                     struct slice *ret_value)
{
    return KV_TYPE_OF(c)->seek(c, key, ret_key, ret_value);
}
/* After kv_cursor_del: the one behind the deleted. After KV_NONE of kv_prev: the first. */
static inline enum kv_status kv_next(struct kv_cursor *c, struct slice *ret_key,
                                     struct slice *ret_value)
{
    return KV_TYPE_OF(c)->next(c, ret_key, ret_value);
}
static inline enum kv_status kv_prev(struct kv_cursor *c, struct slice *ret_key,
                                     struct slice *ret_value)
{
    return KV_TYPE_OF(c)->prev(c, ret_key, ret_value);
}
/* What the cursor stands on, once. It is to move before the same table is written otherwise. */
static inline enum kv_status kv_cursor_del(struct kv_cursor *c)
{
    return KV_TYPE_OF(c)->cursor_del(c);
}
static inline void kv_cursor_close(struct kv_cursor **c)
{
    if (*c)
        KV_TYPE_OF(*c)->cursor_close(c);
}
/* The text of the last KV_FULL or KV_FAILED, for the thread that met it. */
static inline const char *kv_error(const struct kv *kv)
{
    return KV_TYPE_OF(kv)->error(kv);
}
/* All transactions must have ended. */
static inline void kv_close(struct kv **kv)
{
    if (*kv)
        KV_TYPE_OF(*kv)->close(kv);
}

#endif
