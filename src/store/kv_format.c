/* The version of the tables, in KV_META under "format" as a decimal number, and the ladder of steps
 * from older ones. A step and the number behind it commit together. */
#include "store/kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum err refuse(struct kv *kv, struct kv_txn **txn, enum kv_status status,
                       struct failure *why)
{
    kv_abort(txn);
    if (status == KV_FULL)
        return failure_set(why, ERR_RESOURCE_ERROR, "the database is full: %s", kv_error(kv));
    return failure_set(why, ERR_INTERNAL_ERROR, "the database failed: %s", kv_error(kv));
}

/* KV_NONE where every table is. */
static enum kv_status first_key(struct kv_txn *txn)
{
    enum kv_status status = KV_NONE;
    for (int t = 0; t < KV_TABLE_COUNT && status == KV_NONE; t++) {
        struct kv_cursor *c;
        struct slice key, value;
        status = kv_cursor_open(txn, (enum kv_table)t, &c);
        if (status != KV_OK)
            return status;
        status = kv_seek(c, SLICE_EMPTY, &key, &value);
        kv_cursor_close(&c);
    }
    return status;
}

/* *ret_version 0: nothing is there yet; UINT64_MAX: something, but no version that can be read. */
static enum kv_status read_version(struct kv_txn *txn, uint64_t *ret_version)
{
    struct slice value;
    uint64_t version = 0;
    enum kv_status status = kv_get(txn, KV_META, SLICE("format"), &value);
    if (status == KV_NONE) {
        status = first_key(txn);
        *ret_version = status == KV_OK ? UINT64_MAX : 0;
        return status == KV_NONE ? KV_OK : status;
    }
    if (status != KV_OK)
        return status;
    for (size_t i = 0; i < value.len && version <= UINT32_MAX; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            version = UINT64_MAX;
        else
            version = version * 10 + (uint64_t)(value.data[i] - '0');
    }
    *ret_version = version == 0 || version > UINT32_MAX ? UINT64_MAX : version;
    return KV_OK;
}

static enum kv_status write_version(struct kv_txn *txn, uint64_t version)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRIu64, version);
    return kv_put(txn, KV_META, SLICE("format"), slice_of(text, (size_t)n));
}

static enum err check_version(uint64_t version, const struct kv_format *format, bool read_only,
                              struct failure *why)
{
    if (version == UINT64_MAX)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "the database is of something else, or damaged: it has contents but no "
                           "version that can be read");
    if (version > format->version)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "the database has format %" PRIu64 ", written by a newer release; this "
                           "one reads formats up to %" PRIu32,
                           version, format->version);
    uint32_t readable = format->readable ? format->readable : format->version;
    if (read_only && version && version < readable)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "the database has format %" PRIu64 ", this release reads %" PRIu32
                           "; a start of the broker upgrades it",
                           version, format->version);
    return ERR_NONE;
}

enum err kv_format_check(struct kv *kv, const struct kv_format *format, bool read_only,
                         struct failure *why)
{
    uint64_t version = 0;
    do {
        struct kv_txn *txn = NULL;
        enum kv_status status = kv_begin(kv, !read_only, &txn);
        if (status == KV_OK)
            status = read_version(txn, &version);
        if (status != KV_OK)
            return refuse(kv, &txn, status, why);
        enum err err = check_version(version, format, read_only, why);
        if (err || read_only || version == format->version) {
            kv_abort(&txn);
            return err;
        }
        if (version)
            status = format->steps[version - 1](txn);
        version = version ? version + 1 : format->version;
        if (status == KV_OK)
            status = write_version(txn, version);
        if (status == KV_OK)
            status = kv_commit(&txn);
        if (status != KV_OK)
            return refuse(kv, &txn, status, why);
    } while (version < format->version);
    return ERR_NONE;
}
