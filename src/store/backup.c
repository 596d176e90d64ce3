/* Hold, cut, copy. */
#include "store/backup.h"

#include "base/mem.h"
#include "store/store_priv.h"

#include <stdio.h>
#include <stdlib.h>

struct backup {
    struct store *store;
    char *directory; /* owned, as are the next four */
    struct kv_txn *txn;
    struct journal_extent *extents;
    size_t extent_count;
    struct stage *blobs;
    bool held;  /* the journal's thread stands still */
    bool alone; /* no checkpoint is made */
};

static void let_checkpoints(struct backup *b)
{
    if (b->alone)
        pthread_mutex_unlock(&b->store->checkpoint_lock);
    b->alone = false;
}

enum err backup_hold(struct store *store, const char *directory, struct backup **ret_backup,
                     struct failure *why)
{
    struct backup *b = NEW(struct backup);
    b->store = store;
    b->directory = mem_strdup(directory);
    enum err err = stage_open(directory, "blobs", &b->blobs, why);
    atomic_fetch_add(&store->backups, 1);
    pthread_mutex_lock(&store->checkpoint_lock);
    b->alone = true;
    if (!err && !store_checkpoint_alone(store))
        err = failure_set(why, ERR_RESOURCE_ERROR, "the disk is full");
    if (!err && kv_begin(store->kv, false, &b->txn) != KV_OK)
        err = failure_set(why, ERR_INTERNAL_ERROR, "%s", kv_error(store->kv));
    if (!err)
        err = stage_take(b->blobs, why); /* they change with checkpoints alone */
    if (!err && !store_hold_journal(store))
        err = failure_set(why, ERR_RESOURCE_ERROR,
                          "the journal waits for the disk; there is no backup now");
    if (err) {
        backup_close(&b);
        return err;
    }
    b->held = true;
    b->extent_count = journal_get_extents(store->journal, &b->extents);
    *ret_backup = b;
    return ERR_NONE;
}

void backup_go_on(struct backup *b)
{
    if (b->held)
        store_let_journal(b->store);
    b->held = false;
}

static enum err copy_journal(struct backup *b, const char *target, struct stage_progress *progress,
                             struct failure *why)
{
    char *directory = mem_printf("%s/journal", target);
    enum err err = stage_make_directory(directory, why);
    for (size_t i = 0; i < b->extent_count && !err; i++) {
        char *from = mem_printf("%s/%s", b->directory, b->extents[i].name);
        char *to = mem_printf("%s/%s", target, b->extents[i].name);
        err = stage_copy_file(from, to, b->extents[i].end, progress, why);
        free(from);
        free(to);
    }
    if (!err)
        err = stage_sync_directory(directory, why);
    free(directory);
    return err;
}

static bool go_on_copying(void *arg, uint64_t bytes)
{
    struct stage_progress *progress = arg;
    atomic_fetch_add(&progress->bytes, bytes);
    return !atomic_load(&progress->cancelled);
}

static enum err copy_tables(struct backup *b, const char *target, struct stage_progress *progress,
                            struct failure *why)
{
    char *directory = mem_printf("%s/db", target);
    struct kv_options options = {.directory = directory};
    struct kv *to = NULL;
    enum err err = stage_make_directory(directory, why);
    if (!err)
        err = kv_lmdb_open(&options, &to, why);
    enum kv_status status = err ? KV_OK : kv_copy(b->txn, to, go_on_copying, progress);
    if (status == KV_NONE)
        err = failure_set(why, ERR_RESOURCE_ERROR, "the backup was ended before it was whole");
    else if (status != KV_OK)
        err = failure_set(why, ERR_RESOURCE_ERROR, "cannot copy the database: %s", kv_error(to));
    kv_close(&to);
    if (!err)
        err = stage_sync_directory(directory, why);
    free(directory);
    return err;
}

enum err backup_copy(struct backup *b, const char *target, struct stage_progress *progress,
                     struct failure *why)
{
    backup_go_on(b);
    enum err err = copy_journal(b, target, progress, why);
    let_checkpoints(b);
    if (!err)
        err = stage_copy(b->blobs, target, progress, why);
    if (!err)
        err = copy_tables(b, target, progress, why);
    return err;
}

void backup_close(struct backup **backup)
{
    struct backup *b = *backup;
    if (!b)
        return;
    backup_go_on(b);
    let_checkpoints(b);
    kv_abort(&b->txn);
    stage_close(&b->blobs);
    atomic_fetch_sub(&b->store->backups, 1);
    free(b->extents);
    free(b->directory);
    free(b);
    *backup = NULL;
}
