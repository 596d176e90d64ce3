/* A directory for a database, and calls that must work. */
#ifndef KV_RIG_H
#define KV_RIG_H

#include "store/kv.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct kv_dir {
    char path[64], data[80], lock[80];
};

static inline void kv_dir_make(struct kv_dir *d)
{
    snprintf(d->path, sizeof d->path, "/tmp/kv-test-XXXXXX");
    cr_assert_not_null(mkdtemp(d->path));
    snprintf(d->data, sizeof d->data, "%s/data.mdb", d->path);
    snprintf(d->lock, sizeof d->lock, "%s/lock.mdb", d->path);
}

static inline void kv_dir_remove(struct kv_dir *d)
{
    unlink(d->data);
    unlink(d->lock);
    cr_assert_eq(rmdir(d->path), 0, "%s", d->path);
}

static inline struct kv *kv_dir_open(const struct kv_dir *d, uint64_t map_size, uint64_t map_max)
{
    struct kv *kv = NULL;
    struct failure why;
    struct kv_options options = {.directory = d->path, .map_size = map_size, .map_max = map_max};
    cr_assert_eq(kv_lmdb_open(&options, &kv, &why), ERR_NONE, "%s", why.text);
    return kv;
}

/* The text of an open that is refused with this code. */
static inline const char *kv_dir_refusal(const struct kv_dir *d, bool read_only, enum err code)
{
    static struct failure why;
    struct kv *kv = NULL;
    struct kv_options options = {.directory = d->path, .read_only = read_only};
    cr_assert_eq(kv_lmdb_open(&options, &kv, &why), code, "%s", why.text);
    cr_assert_null(kv);
    return why.text;
}

static inline struct kv_txn *begin(struct kv *kv, bool write)
{
    struct kv_txn *txn = NULL;
    cr_assert_eq(kv_begin(kv, write, &txn), KV_OK);
    return txn;
}

static inline void commit(struct kv_txn **txn)
{
    cr_assert_eq(kv_commit(txn), KV_OK);
    cr_assert_null(*txn);
}

static inline void put(struct kv_txn *txn, enum kv_table t, const char *key, const char *value)
{
    cr_assert_eq(kv_put(txn, t, slice_str(key), slice_str(value)), KV_OK);
}

static inline void expect(struct kv_txn *txn, enum kv_table t, const char *key, const char *value)
{
    struct slice v;
    enum kv_status status = kv_get(txn, t, slice_str(key), &v);
    cr_assert_eq(status, value ? KV_OK : KV_NONE, "%s", key);
    cr_assert(!value || slice_eq_str(v, value), "%s", key);
}

#endif
