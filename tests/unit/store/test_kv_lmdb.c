/* What is LMDB's alone: files, room, refusals. */
#include "base/log.h"
#include "kv_rig.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/wait.h>

enum { BLOCK = 4000, MIB = 1 << 20 };

static enum kv_status put_block(struct kv_txn *txn, uint64_t n)
{
    static uint8_t block[BLOCK];
    uint64_t key = __builtin_bswap64(n);
    return kv_put(txn, KV_BLOCKS, slice_of(&key, sizeof key), slice_of(block, sizeof block));
}

/* Blocks from n on until one is refused, or all. The status of the last call. */
static enum kv_status put_blocks(struct kv *kv, uint64_t n, uint64_t count)
{
    struct kv_txn *txn = begin(kv, true);
    enum kv_status status = KV_OK;
    for (uint64_t i = 0; i < count && status == KV_OK; i++)
        status = put_block(txn, n + i);
    if (status == KV_OK)
        return kv_commit(&txn);
    kv_abort(&txn);
    return status;
}

static uint64_t count_blocks(struct kv *kv)
{
    struct kv_txn *txn = begin(kv, false);
    struct kv_cursor *c;
    struct slice k, v;
    uint64_t n = 0;
    cr_assert_eq(kv_cursor_open(txn, KV_BLOCKS, &c), KV_OK);
    while (kv_next(c, &k, &v) == KV_OK)
        n++;
    kv_cursor_close(&c);
    kv_abort(&txn);
    return n;
}

static long resident_kib(void)
{
    char line[128];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (kib < 0 && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmRSS: %ld kB", &kib) != 1)
            kib = -1;
    }
    fclose(f);
    return kib;
}

/* What the largest transaction took, and what was read of the file, goes back. */
UNIT(kv_lmdb, gives_memory_back)
{
    enum { N = 8000 };
    struct kv_dir dir;
    kv_dir_make(&dir);
    struct kv *kv = kv_dir_open(&dir, 0, 0);
    cr_assert_eq(put_blocks(kv, 0, 10), KV_OK);
    long before = resident_kib();
    cr_assert_eq(put_blocks(kv, 10, N - 10), KV_OK);
    cr_assert_eq(count_blocks(kv), N);
    malloc_trim(0);
    long full = resident_kib();
    struct kv_txn *reader = begin(kv, false);
    cr_assert_eq(kv_lmdb_trim(kv), KV_OK); /* not while somebody reads */
    cr_assert_eq(count_blocks(kv), N);
    kv_abort(&reader);
    cr_assert_eq(kv_lmdb_trim(kv), KV_OK);
    malloc_trim(0);
    long after = resident_kib();
#if !defined(__SANITIZE_ADDRESS__) /* whose allocator keeps it */
    cr_assert(full > before + 24000 && after < before + 8000, "%ld, %ld, %ld KiB", before, full,
              after);
#endif
    (void)before, (void)full, (void)after;
    cr_assert_eq(count_blocks(kv), N);
    cr_assert_eq(put_blocks(kv, N, 10), KV_OK);
    cr_assert_eq(count_blocks(kv), N + 10);
    kv_close(&kv);
    kv = kv_dir_open(&dir, 0, 0);
    cr_assert_eq(count_blocks(kv), N + 10);
    kv_close(&kv);
    kv_dir_remove(&dir);
}

UNIT(kv_lmdb, stays_and_is_private)
{
    struct kv_dir dir;
    struct stat st;
    kv_dir_make(&dir);
    mode_t mask = umask(0);
    struct kv *kv = kv_dir_open(&dir, 0, 0);
    umask(mask);
    cr_assert_eq(stat(dir.data, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(stat(dir.lock, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    struct kv_txn *txn = begin(kv, true);
    put(txn, KV_QUEUES, "q", "there");
    commit(&txn);
    kv_close(&kv);

    kv = kv_dir_open(&dir, 0, 0);
    txn = begin(kv, false);
    expect(txn, KV_QUEUES, "q", "there");
    expect(txn, KV_META, "format", "2");
    kv_abort(&txn);
    kv_close(&kv);

    struct failure why;
    struct kv_options options = {.directory = dir.path, .read_only = true};
    cr_assert_eq(kv_lmdb_open(&options, &kv, &why), ERR_NONE, "%s", why.text);
    txn = begin(kv, false);
    expect(txn, KV_QUEUES, "q", "there");
    kv_abort(&txn);
    kv_close(&kv);
    kv_dir_remove(&dir);
}

UNIT(kv_lmdb, full_map_and_room_again)
{
    struct kv_dir dir;
    uint64_t file, unused;
    kv_dir_make(&dir);
    struct kv *kv = kv_dir_open(&dir, 2 * MIB, 2 * MIB);
    cr_assert_eq(put_blocks(kv, 0, 300), KV_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(put_blocks(kv, 1000, 1000), KV_FULL);
        cr_assert_not_null(strstr(kv_error(kv), "MDB_MAP_FULL"), "%s", kv_error(kv));
    }
    cr_assert_eq(count_blocks(kv), 300);
    struct kv_txn *txn = begin(kv, true);
    for (uint64_t i = 0; i < 250; i++) {
        uint64_t key = __builtin_bswap64(i);
        cr_assert_eq(kv_del(txn, KV_BLOCKS, slice_of(&key, sizeof key)), KV_OK);
    }
    commit(&txn);
    kv_lmdb_space(kv, &file, &unused);
    cr_assert_leq(file, 2 * MIB);
    cr_assert_geq(unused, 250 * 4096);
    if (put_blocks(kv, 2000, 200) == KV_FULL) /* pages are free only after another transaction */
        cr_assert_eq(put_blocks(kv, 2000, 200), KV_OK, "%s", kv_error(kv));
    cr_assert_eq(count_blocks(kv), 250);
    kv_close(&kv);
    kv_dir_remove(&dir);
}

UNIT(kv_lmdb, map_grows)
{
    struct kv_dir dir;
    kv_dir_make(&dir);
    struct kv *kv = kv_dir_open(&dir, MIB, 8 * MIB);
    struct kv_txn *reader = begin(kv, false);
    cr_assert_eq(put_blocks(kv, 0, 600), KV_FULL);
    cr_assert_eq(put_blocks(kv, 0, 600), KV_FULL); /* not while somebody reads */
    kv_abort(&reader);
    enum kv_status status = KV_FULL;
    for (int i = 0; i < 4 && status == KV_FULL; i++)
        status = put_blocks(kv, 0, 600);
    cr_assert_eq(status, KV_OK, "%s", kv_error(kv));
    cr_assert_eq(count_blocks(kv), 600);
    status = KV_OK;
    for (int i = 0; i < 9; i++)
        status = put_blocks(kv, 1000, 5000);
    cr_assert_eq(status, KV_FULL); /* at its largest */
    kv_close(&kv);

    /* what it grew to is found again */
    kv = kv_dir_open(&dir, MIB, MIB);
    cr_assert_eq(count_blocks(kv), 600);
    cr_assert_eq(put_blocks(kv, 5000, 100), KV_FULL);
    kv_close(&kv);
    kv_dir_remove(&dir);
}

struct reading {
    struct kv *kv;
    _Atomic(bool) stop;
    _Atomic(uint64_t) reads;
};

static void *read_on(void *arg)
{
    struct reading *r = arg;
    while (!r->stop) {
        struct kv_txn *txn;
        struct slice v;
        uint64_t key = 0;
        if (kv_begin(r->kv, false, &txn) != KV_OK ||
            kv_get(txn, KV_BLOCKS, slice_of(&key, sizeof key), &v) != KV_OK || v.len != BLOCK)
            abort();
        kv_abort(&txn);
        r->reads++;
    }
    return NULL;
}

UNIT(kv_lmdb, map_grows_under_readers)
{
    struct kv_dir dir;
    pthread_t threads[3];
    kv_dir_make(&dir);
    struct reading r = {.kv = kv_dir_open(&dir, MIB, 64 * MIB)};
    cr_assert_eq(put_blocks(r.kv, 0, 1), KV_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_on, &r), 0);
    uint64_t n = 1, full = 0;
    while (n < 8000) {
        enum kv_status status = put_blocks(r.kv, n, 100);
        cr_assert(status == KV_OK || (status == KV_FULL && full++ < 1000));
        n += status == KV_OK ? 100 : 0;
    }
    r.stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    cr_assert_gt(full, 3);
    cr_assert_gt(r.reads, 0);
    kv_close(&r.kv);
    kv_dir_remove(&dir);
}

/* ---- refusals ---- */

static void write_file(const char *path, const void *data, size_t n, off_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pwrite(fd, data, n, at), (ssize_t)n);
    close(fd);
}

UNIT(kv_lmdb, refuses_what_is_not_its_own)
{
    struct kv_dir dir;
    kv_dir_make(&dir);
    static char text[16384];
    memset(text, 'x', sizeof text);
    write_file(dir.data, text, sizeof text, 0);
    const char *why = kv_dir_refusal(&dir, false, ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(why, "not an LMDB file"), "%s", why);
    cr_assert_eq(truncate(dir.data, 100), 0);
    why = kv_dir_refusal(&dir, false, ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(why, "not an LMDB file"), "%s", why);
    unlink(dir.data);
    why = kv_dir_refusal(&dir, true, ERR_RESOURCE_ERROR);
    cr_assert_not_null(strstr(why, "No such file"), "%s", why);

    struct kv *kv = kv_dir_open(&dir, 0, 0);
    struct kv_txn *txn = begin(kv, true);
    put(txn, KV_META, "format", "3");
    commit(&txn);
    kv_close(&kv);
    why = kv_dir_refusal(&dir, false, ERR_PRECONDITION_FAILED);
    cr_assert_not_null(strstr(why, "format 3, written by a newer release"), "%s", why);
    kv_dir_remove(&dir);

    why = kv_dir_refusal(&dir, false, ERR_RESOURCE_ERROR);
    cr_assert_not_null(strstr(why, "No such file"), "%s", why);
}

static void expect_old(struct kv *kv, const char *format)
{
    struct kv_txn *txn = begin(kv, false);
    expect(txn, KV_META, "format", format);
    expect(txn, KV_BLOCKS, "block", "of an older release");
    kv_abort(&txn);
}

/* Who reads takes it as it is, who writes makes it newer. */
UNIT(kv_lmdb, takes_an_older_format)
{
    struct kv_dir dir;
    struct failure why;
    kv_dir_make(&dir);
    struct kv *kv = kv_dir_open(&dir, 0, 0);
    struct kv_txn *txn = begin(kv, true);
    put(txn, KV_META, "format", "1");
    put(txn, KV_BLOCKS, "block", "of an older release");
    commit(&txn);
    kv_close(&kv);
    struct kv_options options = {.directory = dir.path, .read_only = true};
    cr_assert_eq(kv_lmdb_open(&options, &kv, &why), ERR_NONE, "%s", why.text);
    expect_old(kv, "1");
    kv_close(&kv);
    kv = kv_dir_open(&dir, 0, 0);
    expect_old(kv, "2");
    kv_close(&kv);
    kv_dir_remove(&dir);
}

/* Fills a database with all kinds of pages; its size. */
static size_t make_varied(const struct kv_dir *dir)
{
    struct kv *kv = kv_dir_open(dir, 0, 0);
    struct stat st;
    for (uint64_t n = 0; n < 6; n++) {
        cr_assert_eq(put_blocks(kv, n * 1000, 200), KV_OK);
        struct kv_txn *txn = begin(kv, true);
        for (uint64_t i = 0; i < 500; i++) {
            uint64_t key = __builtin_bswap64(n * 7 + i * 11);
            cr_assert_eq(kv_put(txn, KV_COUNTS, slice_of(&key, 8), slice_of(&i, 8)), KV_OK);
            if (i < 150 && n) {
                key = __builtin_bswap64((n - 1) * 1000 + i);
                cr_assert_eq(kv_del(txn, KV_BLOCKS, slice_of(&key, 8)), KV_OK);
            }
        }
        commit(&txn);
    }
    kv_close(&kv);
    cr_assert_eq(stat(dir->data, &st), 0);
    return (size_t)st.st_size;
}

/* Reads and writes everywhere. */
static void use_up(struct kv *kv)
{
    struct kv_txn *txn = NULL;
    uint64_t seen = 0;
    if (kv_begin(kv, true, &txn) != KV_OK)
        return;
    for (int t = 0; t < KV_TABLE_COUNT; t++) {
        struct kv_cursor *c;
        struct slice k, v;
        if (kv_cursor_open(txn, (enum kv_table)t, &c) != KV_OK)
            continue;
        while (kv_next(c, &k, &v) == KV_OK && seen++ < 20000)
            ;
        kv_cursor_close(&c);
    }
    put_block(txn, 5);
    kv_abort(&txn);
}

/* A process of its own: LMDB may still find what it cannot go on with. */
static int open_damaged(const struct kv_dir *dir)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct failure why;
        struct kv *kv;
        struct kv_options options = {.directory = dir->path};
        log_set_level_all(LOG_NONE_);
        if (kv_lmdb_open(&options, &kv, &why) != ERR_NONE)
            _exit(2);
        use_up(kv);
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 8;
}

/* Bits change, or the end is missing: refused in words, or read; never a signal. */
UNIT(kv_lmdb, damage_is_no_crash)
{
    struct kv_dir dir;
    kv_dir_make(&dir);
    size_t size = make_varied(&dir);
    uint8_t *whole = malloc(size), *copy = malloc(size);
    int fd = open(dir.data, O_RDONLY), refused = 0;
    cr_assert_eq(pread(fd, whole, size, 0), (ssize_t)size);
    close(fd);
    uint64_t random = 88172645463325252ULL;
    for (int round = 0; round < 300; round++) {
        memcpy(copy, whole, size);
        size_t n = size;
        if (round % 4 == 0)
            n = next_random(&random) % size;
        for (int i = round % 4 == 0 ? 3 : 0; i < 3; i++) {
            size_t page = next_random(&random) % (size / 4096);
            size_t at = page * 4096 + next_random(&random) % (round % 2 ? 16 : 4096);
            copy[at] ^= (uint8_t)(1u << next_random(&random) % 8);
        }
        unlink(dir.data);
        write_file(dir.data, copy, n, 0);
        int status = open_damaged(&dir);
        cr_assert(status < 128, "round %d: signal %d", round, status - 128);
        refused += status == 2;
    }
    cr_assert_gt(refused, 10);
    free(whole);
    free(copy);
    kv_dir_remove(&dir);
}

/* As somebody else: a process of its own, since that cannot be taken back. */
static int refused_as_nobody(const struct kv_dir *dir, bool read_only)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        struct failure why;
        struct kv *kv;
        struct kv_options options = {.directory = dir->path, .read_only = read_only};
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(3);
        enum err err = kv_lmdb_open(&options, &kv, &why);
        _exit(err != ERR_ACCESS_REFUSED || !strstr(why.text, "permission denied"));
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Each byte of both meta pages. The second is the newer one, which counts. */
UNIT(kv_lmdb, damaged_head_is_no_crash)
{
    enum { HEAD = 16, END = 152, TRANSACTION = 144 };
    struct kv_dir dir;
    kv_dir_make(&dir);
    size_t size = make_varied(&dir);
    uint8_t *whole = malloc(size);
    int fd = open(dir.data, O_RDONLY), refused = 0;
    cr_assert_eq(pread(fd, whole, size, 0), (ssize_t)size);
    close(fd);
    uint64_t first, second;
    memcpy(&first, whole + TRANSACTION, sizeof first);
    memcpy(&second, whole + 4096 + TRANSACTION, sizeof second);
    if (first++ > second) {
        memcpy(whole + 4096 + HEAD, whole + HEAD, END - HEAD);
        memcpy(whole + 4096 + TRANSACTION, &first, sizeof first);
    }
    for (size_t page = 0; page < 2; page++) {
        for (size_t i = HEAD; i < END; i++) {
            size_t at = page * 4096 + i;
            whole[at] ^= 0x40;
            unlink(dir.data);
            write_file(dir.data, whole, size, 0);
            int status = open_damaged(&dir);
            cr_assert(status < 128, "byte %zu of page %zu: signal %d", i, page, status - 128);
            refused += status == 2;
            whole[at] ^= 0x40;
        }
    }
    cr_assert_gt(refused, 10);
    free(whole);
    kv_dir_remove(&dir);
}

UNIT(kv_lmdb, refuses_without_permission)
{
    struct kv_dir dir;
    if (geteuid() != 0)
        return;
    kv_dir_make(&dir);
    struct kv *kv = kv_dir_open(&dir, 0, 0);
    kv_close(&kv);
    cr_assert_eq(refused_as_nobody(&dir, false), 0);
    cr_assert_eq(refused_as_nobody(&dir, true), 0);
    chmod(dir.path, 0755);
    cr_assert_eq(refused_as_nobody(&dir, false), 0);
    kv_dir_remove(&dir);
}

/* ---- a small disk ---- */

static bool mount_small(const char *path, const char *size, unsigned long flags)
{
    char options[32];
    snprintf(options, sizeof options, "size=%s", size);
    return mount("none", path, "tmpfs", flags, options) == 0;
}

UNIT(kv_lmdb, full_disk_loses_nothing)
{
    struct kv_dir dir;
    kv_dir_make(&dir);
    if (!mount_small(dir.path, "6m", 0)) { /* not root */
        rmdir(dir.path);
        return;
    }
    struct kv *kv = kv_dir_open(&dir, 64 * MIB, 0);
    cr_assert_eq(put_blocks(kv, 0, 500), KV_OK);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(put_blocks(kv, 1000, 2000), KV_FULL);
        cr_assert_not_null(strstr(kv_error(kv), "No space"), "%s", kv_error(kv));
    }
    cr_assert_eq(count_blocks(kv), 500);
    kv_close(&kv);
    kv = kv_dir_open(&dir, 64 * MIB, 0);
    cr_assert_eq(count_blocks(kv), 500);
    struct kv_txn *txn = begin(kv, true);
    uint64_t key = 0;
    cr_assert_eq(kv_del(txn, KV_BLOCKS, slice_of(&key, sizeof key)), KV_OK);
    commit(&txn);
    cr_assert(mount_small(dir.path, "32m", MS_REMOUNT));
    cr_assert_eq(put_blocks(kv, 1000, 2000), KV_OK);
    cr_assert_eq(count_blocks(kv), 2499);
    kv_close(&kv);

    cr_assert(mount_small(dir.path, "32m", MS_REMOUNT | MS_RDONLY));
    const char *why = kv_dir_refusal(&dir, false, ERR_RESOURCE_ERROR);
    cr_assert_not_null(strstr(why, "read-only"), "%s", why);
    struct failure failure;
    struct kv_options options = {.directory = dir.path, .read_only = true};
    cr_assert_eq(kv_lmdb_open(&options, &kv, &failure), ERR_NONE, "%s", failure.text);
    cr_assert_eq(count_blocks(kv), 2499);
    kv_close(&kv);
    cr_assert_eq(umount(dir.path), 0);
    rmdir(dir.path);
}
