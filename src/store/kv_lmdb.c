/* Tables in LMDB: the one place that knows it. One environment, one named database a table.
 *
 * The write transaction belongs to one thread (the checkpointer). Read transactions are of any
 * thread (MDB_NOTLS: a slot belongs to the transaction, not to the thread). The map may grow
 * between transactions: `gate` counts the open ones, and holds new ones back while it grows. */
#include "base/bug.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "store/kv.h"
#include "store/kv_lmdb_check.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    KEY_MAX = 511,
    MAP_GRAIN = 1 << 20,
    GROW_WAIT_MS = 100, /* for readers to end */
    TICKS = 2,
    FULL_ROOM = 8 << 20, /* a write that failed with less room than this failed for want of room */
    WORTH_TRIMMING = 2 << 20 /* bytes of one transaction */
};
static const uint64_t MAP_CHOSEN_MAX = 256ULL << 30;

static const char *const table_names[KV_TABLE_COUNT] = {
    [KV_META] = "meta",          [KV_DEFS] = "definitions", [KV_QUEUES] = "queues",
    [KV_BLOCKS] = "blocks",      [KV_HOLES] = "holes",      [KV_COUNTS] = "counts",
    [KV_MESSAGES] = "messages",  [KV_REFS] = "refs",        [KV_PENDING] = "pending",
    [KV_SET_ASIDE] = "set aside"};

/* Nothing is otherwise: 1 had no runs 512 and 513. */
static enum kv_status to_format_2(struct kv_txn *txn)
{
    (void)txn;
    return KV_OK;
}

static enum kv_status (*const steps[])(struct kv_txn *txn) = {to_format_2};
static const struct kv_format format = {.version = 2, .readable = 1, .steps = steps};

/* Puts of one table in a write transaction. */
struct putter {
    MDB_cursor *cursor; /* NULL: none yet */
    uint8_t end[KEY_MAX];
    size_t end_len; /* no key of the table is above end */
};

struct kv_txn {
    struct kv_base base;
    struct kv *kv;
    MDB_txn *txn;
    bool write;
    unsigned cursors; /* open */
    struct putter *putters;
};

enum position { NOWHERE, BEFORE_FIRST, BEHIND_LAST, AT_KEY };

struct kv_cursor {
    struct kv_base base;
    struct kv_txn *txn;
    MDB_cursor *cursor;
    enum position position;
};

struct kv {
    struct kv_base base;
    MDB_env *env;
    MDB_dbi dbis[KV_TABLE_COUNT];
    char *directory;
    uint64_t map_size, map_max;
    uint64_t reserved;
    bool full, grow; /* a transaction found no room, in the map; the writer's, as the next */
    unsigned ticks;
    uint64_t changed_bytes, changed_most; /* by the transaction, by the largest since it was opened;
                                             the writer's */
    struct kv_txn writer;                 /* there is one */
    struct putter putters[KV_TABLE_COUNT];

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    unsigned open; /* transactions */
    bool growing;
    char error[256];
};

/* ---- errors ---- */

/* LMDB says EIO where a write fell short, as on a full disk. */
static bool disk_is_full(const struct kv *kv)
{
    struct statvfs fs;
    if (statvfs(kv->directory, &fs) != 0)
        return false;
    uint64_t blocks = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
    return blocks * fs.f_frsize < FULL_ROOM;
}

static bool is_full(const struct kv *kv, int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return true;
    case EIO:
        return disk_is_full(kv);
    default:
        return false;
    }
}

static enum kv_status fail(struct kv *kv, const char *what, int rc)
{
    bool full = is_full(kv, rc); /* the writer's thread alone meets that */
    if (full) {
        kv->full = true;
        kv->grow |= rc == MDB_MAP_FULL;
    }
    pthread_mutex_lock(&kv->lock);
    snprintf(kv->error, sizeof kv->error, "%s %s/data.mdb: %s", what, kv->directory,
             full && rc == EIO ? strerror(ENOSPC) : mdb_strerror(rc));
    pthread_mutex_unlock(&kv->lock);
    return full ? KV_FULL : KV_FAILED;
}

static enum kv_status result(struct kv *kv, const char *what, int rc)
{
    if (rc == 0)
        return KV_OK;
    return rc == MDB_NOTFOUND ? KV_NONE : fail(kv, what, rc);
}

static const char *error_text(const struct kv *kv)
{
    return kv->error;
}

/* ---- the map ---- */

static uint64_t disk_size(const char *directory)
{
    struct statvfs fs;
    return statvfs(directory, &fs) == 0 ? (uint64_t)fs.f_blocks * fs.f_frsize : 0;
}

static uint64_t round_map(uint64_t size)
{
    return (size + MAP_GRAIN - 1) / MAP_GRAIN * MAP_GRAIN;
}

/* LMDB has unmapped the old map when it finds that there is no room for the new one. */
static bool addresses_suffice(uint64_t size)
{
    void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    munmap(p, size);
    return true;
}

/* Holds new transactions back until the open ones ended; false: they took too long. Locked. */
static bool hold_gate(struct kv *kv)
{
    struct timespec until = thread_wait_end(GROW_WAIT_MS);
    int rc = 0;
    kv->growing = true;
    while (kv->open && rc == 0)
        rc = pthread_cond_timedwait(&kv->changed, &kv->lock, &until);
    return !kv->open;
}

/* The writer's thread, before it begins. What cannot be done now is tried again with the next. */
static enum kv_status grow_map(struct kv *kv)
{
    uint64_t max = kv->map_max ? kv->map_max : round_map(disk_size(kv->directory));
    uint64_t size = kv->map_size * 2 < max ? kv->map_size * 2 : max;
    int rc = 0;
    if (size <= kv->map_size || !addresses_suffice(size))
        return KV_OK;
    pthread_mutex_lock(&kv->lock);
    bool held = hold_gate(kv);
    if (held)
        rc = mdb_env_set_mapsize(kv->env, size);
    kv->growing = false;
    pthread_cond_broadcast(&kv->changed);
    pthread_mutex_unlock(&kv->lock);
    if (rc)
        return fail(kv, "cannot grow the map of", rc);
    if (held) {
        log_info(DEFAULT, NULL, "the map of %s/data.mdb grew to %llu MiB", kv->directory,
                 (unsigned long long)(size >> 20));
        kv->map_size = size;
        kv->grow = false;
    }
    return KV_OK;
}

static void enter(struct kv *kv)
{
    pthread_mutex_lock(&kv->lock);
    while (kv->growing)
        pthread_cond_wait(&kv->changed, &kv->lock);
    kv->open++;
    pthread_mutex_unlock(&kv->lock);
}

static void leave(struct kv *kv)
{
    pthread_mutex_lock(&kv->lock);
    if (--kv->open == 0 && kv->growing)
        pthread_cond_broadcast(&kv->changed);
    pthread_mutex_unlock(&kv->lock);
}

/* Pages that a transaction gave up are for the one after the next: one that does nothing else lets
 * the next try have them. */
static void tick(struct kv *kv)
{
    MDB_txn *txn;
    MDB_val key = {4, (void *)(uintptr_t) "tick"}, value = {sizeof kv->ticks, &kv->ticks};
    if (kv->ticks >= TICKS || mdb_txn_begin(kv->env, NULL, 0, &txn))
        return;
    kv->ticks++;
    if (mdb_put(txn, kv->dbis[KV_META], &key, &value, 0))
        mdb_txn_abort(txn);
    else
        mdb_txn_commit(txn); /* if that fails, so will the next */
}

static enum kv_status make_room(struct kv *kv)
{
    enum kv_status status = kv->grow ? grow_map(kv) : KV_OK;
    enter(kv);
    tick(kv);
    leave(kv);
    kv->full = false;
    return status;
}

/* ---- transactions ---- */

static enum kv_status begin(struct kv *kv, bool write, struct kv_txn **ret_txn)
{
    if (write && kv->full && make_room(kv) != KV_OK)
        return KV_FAILED;
    enter(kv);
    MDB_txn *inner;
    int rc = mdb_txn_begin(kv->env, NULL, write ? 0 : MDB_RDONLY, &inner);
    if (rc) {
        leave(kv);
        return fail(kv, "cannot begin a transaction of", rc);
    }
    struct kv_txn *txn = write ? &kv->writer : NEW(struct kv_txn);
    *txn = (struct kv_txn){.base = kv->base, .kv = kv, .txn = inner, .write = write};
    if (write) {
        txn->putters = kv->putters;
        for (int t = 0; t < KV_TABLE_COUNT; t++)
            kv->putters[t].cursor = NULL;
        kv->changed_bytes = 0;
    }
    *ret_txn = txn;
    return KV_OK;
}

/* Cursors of puts are freed by LMDB with the transaction. */
static void end(struct kv_txn **txn)
{
    struct kv *kv = (*txn)->kv;
    if ((*txn)->write && kv->changed_bytes > kv->changed_most)
        kv->changed_most = kv->changed_bytes;
    leave(kv);
    if (!(*txn)->write)
        free(*txn);
    *txn = NULL;
}

static void abort_txn(struct kv_txn **txn)
{
    bug_on((*txn)->cursors);
    mdb_txn_abort((*txn)->txn);
    end(txn);
}

static enum kv_status commit(struct kv_txn **txn)
{
    struct kv *kv = (*txn)->kv;
    bug_on((*txn)->cursors);
    bool write = (*txn)->write;
    int rc = mdb_txn_commit((*txn)->txn);
    end(txn);
    if (write && rc == 0)
        kv->ticks = 0;
    return result(kv, "cannot commit to", rc);
}

/* ---- keys ---- */

static MDB_val val_of(struct slice s)
{
    return (MDB_val){s.len, s.len ? (void *)(uintptr_t)s.data : (void *)(uintptr_t) ""};
}

static MDB_val key_of(struct slice key)
{
    bug_on(key.len == 0 || key.len > KEY_MAX);
    return val_of(key);
}

static struct slice slice_from(MDB_val v)
{
    return slice_of(v.mv_data, v.mv_size);
}

static enum kv_status get(struct kv_txn *txn, enum kv_table t, struct slice key,
                          struct slice *ret_value)
{
    MDB_val k = key_of(key), v;
    int rc = mdb_get(txn->txn, txn->kv->dbis[t], &k, &v);
    if (rc == 0)
        *ret_value = slice_from(v);
    return result(txn->kv, "cannot read", rc);
}

static int open_putter(struct kv_txn *txn, enum kv_table t)
{
    struct putter *p = &txn->putters[t];
    MDB_val k, v;
    int rc = mdb_cursor_open(txn->txn, txn->kv->dbis[t], &p->cursor);
    if (rc)
        return rc;
    rc = mdb_cursor_get(p->cursor, &k, &v, MDB_LAST);
    p->end_len = rc == 0 ? k.mv_size : 0;
    if (p->end_len)
        memcpy(p->end, k.mv_data, p->end_len);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static enum kv_status put(struct kv_txn *txn, enum kv_table t, struct slice key, struct slice value)
{
    struct putter *p = &txn->putters[t];
    struct kv *kv = txn->kv;
    MDB_val k = key_of(key), v = val_of(value);
    bug_on(!txn->write || value.len > KV_VALUE_MAX);
    kv->changed_bytes += key.len + value.len;
    int rc = p->cursor ? 0 : open_putter(txn, t);
    if (rc)
        return fail(kv, "cannot write to", rc);
    bool last = slice_cmp(key, slice_of(p->end, p->end_len)) > 0;
    rc = mdb_cursor_put(p->cursor, &k, &v, last ? MDB_APPEND : 0);
    if (rc == 0 && last) {
        memcpy(p->end, key.data, key.len);
        p->end_len = key.len;
    }
    return rc ? fail(kv, "cannot write to", rc) : KV_OK;
}

static enum kv_status del(struct kv_txn *txn, enum kv_table t, struct slice key)
{
    MDB_val k = key_of(key);
    bug_on(!txn->write);
    int rc = mdb_del(txn->txn, txn->kv->dbis[t], &k, NULL);
    return result(txn->kv, "cannot write to", rc);
}

/* ---- cursors ---- */

static enum kv_status cursor_open(struct kv_txn *txn, enum kv_table t,
                                  struct kv_cursor **ret_cursor)
{
    MDB_cursor *inner;
    int rc = mdb_cursor_open(txn->txn, txn->kv->dbis[t], &inner);
    if (rc)
        return fail(txn->kv, "cannot read", rc);
    struct kv_cursor *c = NEW(struct kv_cursor);
    *c = (struct kv_cursor){.base = txn->base, .txn = txn, .cursor = inner};
    txn->cursors++;
    *ret_cursor = c;
    return KV_OK;
}

static void cursor_close(struct kv_cursor **c)
{
    (*c)->txn->cursors--;
    mdb_cursor_close((*c)->cursor);
    free(*c);
    *c = NULL;
}

static enum kv_status move(struct kv_cursor *c, MDB_cursor_op op, MDB_val k, enum position past,
                           struct slice *ret_key, struct slice *ret_value)
{
    MDB_val v;
    int rc = mdb_cursor_get(c->cursor, &k, &v, op);
    c->position = rc == 0 ? AT_KEY : past;
    if (rc == 0) {
        *ret_key = slice_from(k);
        *ret_value = slice_from(v);
    }
    return result(c->txn->kv, "cannot read", rc);
}

static enum kv_status seek(struct kv_cursor *c, struct slice key, struct slice *ret_key,
                           struct slice *ret_value)
{
    bug_on(key.len > KEY_MAX);
    return move(c, key.len ? MDB_SET_RANGE : MDB_FIRST, val_of(key), BEHIND_LAST, ret_key,
                ret_value);
}

static enum kv_status next(struct kv_cursor *c, struct slice *ret_key, struct slice *ret_value)
{
    if (c->position == BEHIND_LAST)
        return KV_NONE;
    return move(c, c->position == AT_KEY ? MDB_NEXT : MDB_FIRST, (MDB_val){0, NULL}, BEHIND_LAST,
                ret_key, ret_value);
}

static enum kv_status prev(struct kv_cursor *c, struct slice *ret_key, struct slice *ret_value)
{
    if (c->position == BEFORE_FIRST)
        return KV_NONE;
    return move(c, c->position == AT_KEY ? MDB_PREV : MDB_LAST, (MDB_val){0, NULL}, BEFORE_FIRST,
                ret_key, ret_value);
}

static enum kv_status cursor_del(struct kv_cursor *c)
{
    struct kv *kv = c->txn->kv;
    bug_on(c->position != AT_KEY || !c->txn->write);
    kv->changed_bytes += KV_VALUE_MAX; /* at most */
    int rc = mdb_cursor_del(c->cursor, 0);
    return rc ? fail(kv, "cannot write to", rc) : KV_OK;
}

/* ---- opening ---- */

static void close_kv(struct kv **kv)
{
    struct kv *k = *kv;
    bug_on(k->open);
    if (k->env)
        mdb_env_close(k->env);
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k->directory);
    free(k);
    *kv = NULL;
}

static const struct kv_type type = KV_TYPE;

/* LMDB found its own file inconsistent in a way that it does not return from. */
static void on_assert(MDB_env *env, const char *text)
{
    const char *directory = "?";
    mdb_env_get_path(env, &directory);
    log_critical(DEFAULT, NULL, "the database in %s is damaged: %s", directory, text);
    _exit(EXIT_FAILURE);
}

static enum err refuse(const struct kv *kv, int rc, struct failure *why)
{
    const char *directory = kv->directory;
    switch (rc) {
    case MDB_INVALID:
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s/data.mdb is not an LMDB file, or its beginning is damaged",
                           directory);
    case MDB_VERSION_MISMATCH:
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s/data.mdb was written by an LMDB of another format", directory);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_DBI:
    case MDB_BAD_TXN:
        return failure_set(why, ERR_PRECONDITION_FAILED, "%s/data.mdb is damaged: %s", directory,
                           mdb_strerror(rc));
    case MDB_NOTFOUND:
        return failure_set(why, ERR_PRECONDITION_FAILED, "%s/data.mdb has no tables", directory);
    case EACCES:
    case EPERM:
        return failure_set(why, ERR_ACCESS_REFUSED,
                           "cannot use the database in %s: permission denied; the directory and "
                           "the files in it must belong to the user that runs the broker",
                           directory);
    case EROFS:
        return failure_set(why, ERR_RESOURCE_ERROR,
                           "cannot use the database in %s: the file system is read-only",
                           directory);
    default:
        return failure_set(why, ERR_RESOURCE_ERROR, "cannot use the database in %s: %s", directory,
                           is_full(kv, rc) ? "the disk is full" : mdb_strerror(rc));
    }
}

static uint64_t choose_map(const struct kv *kv, uint64_t asked)
{
    uint64_t size = asked ? asked : disk_size(kv->directory);
    if (!asked && (size > MAP_CHOSEN_MAX || size == 0))
        size = MAP_CHOSEN_MAX;
    if (kv->map_max && size > kv->map_max)
        size = kv->map_max;
    size = round_map(size);
    while (size > MAP_GRAIN && !addresses_suffice(size))
        size = round_map(size / 2);
    return size;
}

/* The file may be shorter than the pages in use, when a copy of it was broken off: what is missing
 * reads as zeros, which is found to be damage, instead of ending the process. */
static int extend_file(struct kv *kv, bool read_only)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd;
    mdb_env_info(kv->env, &info);
    mdb_env_stat(kv->env, &stat);
    mdb_env_get_fd(kv->env, &fd);
    uint64_t need = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
    if (need > info.me_mapsize)
        return MDB_CORRUPTED;
    if (fstat(fd, &file) != 0)
        return errno;
    if ((uint64_t)file.st_size >= need)
        return 0;
    if (read_only)
        return MDB_CORRUPTED;
    char *name = mem_printf("%s/data.mdb", kv->directory);
    int rc = truncate(name, (off_t)need) == 0 ? 0 : errno;
    free(name);
    return rc;
}

static int open_tables(struct kv *kv, bool read_only)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(kv->env, NULL, read_only ? MDB_RDONLY : 0, &txn);
    if (rc)
        return rc;
    for (int t = 0; t < KV_TABLE_COUNT && rc == 0; t++)
        rc = mdb_dbi_open(txn, table_names[t], read_only ? 0 : MDB_CREATE, &kv->dbis[t]);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* The name of a file that LMDB may have made just now; it leaves that to others. An errno. */
static int sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int make_env(struct kv *kv, uint64_t map_size, unsigned flags)
{
    int rc = mdb_env_create(&kv->env);
    if (rc)
        return rc;
    mdb_env_set_assert(kv->env, on_assert);
    rc = mdb_env_set_maxdbs(kv->env, KV_TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_set_mapsize(kv->env, map_size);
    uint64_t before = heap_used(HEAP_STORE);
    if (rc == 0)
        rc = mdb_env_open(kv->env, kv->directory, MDB_NOTLS | MDB_NORDAHEAD | flags, 0600);
    uint64_t after = heap_used(HEAP_STORE);
    if (!kv->reserved && after > before)
        kv->reserved = after - before;
    return rc;
}

static int open_env(struct kv *kv, const struct kv_options *options)
{
    kv->map_max = options->map_max ? round_map(options->map_max) : 0;
    int dead, rc = make_env(kv, choose_map(kv, options->map_size),
                            options->read_only ? MDB_RDONLY | MDB_NOLOCK : 0);
    if (rc == 0 && !options->read_only)
        rc = sync_directory(kv->directory);
    if (rc)
        return rc;
    MDB_envinfo info;
    mdb_env_info(kv->env, &info);
    kv->map_size = info.me_mapsize;
    rc = extend_file(kv, options->read_only);
    if (rc == 0)
        rc = mdb_reader_check(kv->env, &dead);
    return rc ? rc : open_tables(kv, options->read_only);
}

/* LMDB frees the pages of its largest transaction when it is closed, not before, and what was read
 * of the file stays mapped. */
enum kv_status kv_lmdb_trim(struct kv *kv)
{
    int rc = 0;
    if (kv->changed_most < WORTH_TRIMMING)
        return KV_OK;
    pthread_mutex_lock(&kv->lock);
    bool held = hold_gate(kv);
    if (held) {
        mdb_env_close(kv->env);
        kv->env = NULL;
        rc = make_env(kv, kv->map_size, 0);
        if (rc == 0)
            rc = open_tables(kv, true);
        kv->changed_most = 0;
    }
    kv->growing = false;
    pthread_cond_broadcast(&kv->changed);
    pthread_mutex_unlock(&kv->lock);
    if (!rc)
        return KV_OK;
    fail(kv, "cannot open again", rc);
    return KV_FAILED;
}

static void init_gate(struct kv *kv)
{
    thread_cond_init(&kv->changed);
    pthread_mutex_init(&kv->lock, NULL);
}

static enum err check_pages(const struct kv *kv, struct failure *why)
{
    char text[128];
    char *name = mem_printf("%s/data.mdb", kv->directory);
    bool ok = kv_lmdb_check(name, text, sizeof text);
    free(name);
    return ok ? ERR_NONE
              : failure_set(why, ERR_PRECONDITION_FAILED, "%s/data.mdb is damaged: %s",
                            kv->directory, text);
}

enum err kv_lmdb_open(const struct kv_options *options, struct kv **ret_kv, struct failure *why)
{
    struct kv *kv = NEW(struct kv);
    kv->base.type = &type;
    kv->directory = mem_strdup(options->directory);
    init_gate(kv);
    enum err err = check_pages(kv, why);
    int rc = err ? 0 : open_env(kv, options);
    if (rc)
        err = refuse(kv, rc, why);
    if (!err)
        err = kv_format_check(kv, &format, options->read_only, why);
    if (err)
        close_kv(&kv);
    else
        *ret_kv = kv;
    return err;
}

/* Each record of LMDB's free list is a count and that many pages. */
static uint64_t free_pages(MDB_txn *txn)
{
    MDB_cursor *c;
    MDB_val k, v;
    uint64_t pages = 0;
    if (mdb_cursor_open(txn, 0, &c))
        return 0;
    while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
        pages += *(const size_t *)v.mv_data;
    mdb_cursor_close(c);
    return pages;
}

void kv_lmdb_space(struct kv *kv, uint64_t *ret_file, uint64_t *ret_free)
{
    struct stat file;
    MDB_stat stat;
    struct kv_txn *txn;
    int fd;
    *ret_file = *ret_free = 0;
    if (kv_begin(kv, false, &txn) != KV_OK)
        return;
    if (mdb_env_get_fd(kv->env, &fd) == 0 && fstat(fd, &file) == 0)
        *ret_file = (uint64_t)file.st_size;
    mdb_env_stat(kv->env, &stat);
    *ret_free = free_pages(txn->txn) * stat.ms_psize;
    kv_abort(&txn);
}

uint64_t kv_lmdb_reserved(const struct kv *kv)
{
    return kv->reserved;
}
