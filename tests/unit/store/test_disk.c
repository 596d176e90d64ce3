/* Both disks keep the same promises; the one in memory forgets what it may. */
#include "base/mem.h"
#include "disk_memory.h"
#include "store/disk.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool collect(const char *name, void *arg)
{
    char *out = arg;
    size_t n = strlen(out);
    snprintf(out + n, 256 - n, "%s ", name);
    return true;
}

static bool first_only(const char *name, void *arg)
{
    (void)name;
    ++*(int *)arg;
    return false;
}

static void exercise(struct disk *d)
{
    char names[256] = "", back[100] = "";
    int count = 0;
    cr_assert_eq(disk_open_file(d, "sub/a", DISK_CREATE), -ENOENT);
    cr_assert_eq(disk_list(d, "sub", collect, names), -ENOENT);
    cr_assert_eq(disk_sync_directory(d, "sub"), -ENOENT);
    cr_assert_eq(disk_make_directory(d, "sub"), 0);
    cr_assert_eq(disk_make_directory(d, "sub"), 0);
    cr_assert_eq(disk_sync_directory(d, "."), 0);
    cr_assert_eq(disk_open_file(d, "sub/a", 0), -ENOENT);
    cr_assert_eq(disk_unlink(d, "sub/a"), -ENOENT);
    int file = disk_open_file(d, "sub/a", DISK_CREATE);
    cr_assert_geq(file, 0);
    cr_assert_eq(disk_size(d, file), 0);
    struct iovec iov[] = {{"one", 3}, {"", 0}, {"two", 3}};
    cr_assert_eq(disk_pwritev(d, file, iov, 3, 10), 0);
    cr_assert_eq(disk_size(d, file), 16);
    cr_assert_eq(disk_pread(d, file, back, sizeof back, 9), 7);
    cr_assert_arr_eq(back, "\0onetwo", 7);
    cr_assert_eq(disk_pread(d, file, back, 3, 13), 3);
    cr_assert_eq(disk_pread(d, file, back, 3, 16), 0);
    cr_assert_eq(disk_pread(d, file, back, 3, 1000), 0);
    cr_assert_eq(disk_pwritev(d, file, iov, 0, 0), 0);
    cr_assert_eq(disk_sync(d, file), 0);
    cr_assert_eq(disk_sync_directory(d, "sub"), 0);
    int again = disk_open_file(d, "sub/a", DISK_READ_ONLY);
    cr_assert_geq(again, 0);
    cr_assert_eq(disk_pread(d, again, back, 3, 10), 3);
    cr_assert_eq(disk_pwritev(d, again, iov, 3, 0), -EBADF);
    cr_assert_eq(disk_list(d, "sub", collect, names), 0);
    cr_assert_str_eq(names, "a ");
    names[0] = 0;
    cr_assert_eq(disk_list(d, ".", collect, names), 0);
    cr_assert_str_eq(names, "sub ");
    cr_assert_eq(disk_close_file(d, disk_open_file(d, "sub/b", DISK_CREATE)), 0);
    cr_assert_eq(disk_list(d, "sub", first_only, &count), 0);
    cr_assert_eq(count, 1);
    cr_assert_gt(disk_room(d), 0);
    cr_assert_eq(disk_unlink(d, "sub/a"), 0);
    cr_assert_eq(disk_pread(d, file, back, 3, 10), 3, "an open file stays");
    cr_assert_eq(disk_close_file(d, file), 0);
    cr_assert_eq(disk_close_file(d, again), 0);
    cr_assert_eq(disk_open_file(d, "sub/a", 0), -ENOENT);
}

/* More pieces than the system takes at once, and in part of odd sizes. */
static void write_many(struct disk *d)
{
    enum { N = 5000 };
    struct iovec *iov = mem_alloc(N * sizeof *iov);
    char *bytes = mem_alloc(N * 3), *back = mem_alloc(N * 3);
    size_t total = 0;
    for (int i = 0; i < N; i++) {
        size_t n = (size_t)i % 4;
        iov[i] = (struct iovec){bytes + total, n};
        for (size_t k = 0; k < n; k++)
            bytes[total++] = (char)(i * 7 + (int)k);
    }
    int file = disk_open_file(d, "many", DISK_CREATE);
    cr_assert_geq(file, 0);
    cr_assert_eq(disk_pwritev(d, file, iov, N, 5), 0);
    cr_assert_eq(disk_size(d, file), (int64_t)total + 5);
    cr_assert_eq(disk_pread(d, file, back, total, 5), (int64_t)total);
    cr_assert_arr_eq(back, bytes, total);
    cr_assert_eq(disk_close_file(d, file), 0);
    cr_assert_eq(disk_unlink(d, "many"), 0);
    free(iov);
    free(bytes);
    free(back);
}

UNIT(disk, is_a_file_system)
{
    char directory[] = "/tmp/journal-disk-XXXXXX", sub[64];
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_null(disk_open("/tmp/journal-disk-that-is-not-there"));
    cr_assert_eq(errno, ENOENT);
    struct disk *d = disk_open(directory);
    cr_assert_not_null(d);
    exercise(d);
    write_many(d);
    struct stat st;
    snprintf(sub, sizeof sub, "%s/sub/b", directory);
    cr_assert_eq(stat(sub, &st), 0);
    cr_assert_eq(st.st_mode & 0777 & 077, 0, "nobody else reads it");
    cr_assert_eq(symlink("b", "/tmp/journal-disk-link"), 0);
    cr_assert_eq(unlink("/tmp/journal-disk-link"), 0);
    cr_assert_eq(disk_unlink(d, "sub/b"), 0);
    disk_close(&d);
    cr_assert_null(d);
    snprintf(sub, sizeof sub, "%s/sub", directory);
    cr_assert_eq(rmdir(sub), 0);
    cr_assert_eq(rmdir(directory), 0);
}

UNIT(disk, is_memory)
{
    struct disk *d = disk_memory_new(1);
    exercise(d);
    write_many(d);
    disk_close(&d);
}

static int make(struct disk *d, const char *name, const char *text, bool synced)
{
    int file = disk_open_file(d, name, DISK_CREATE);
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    cr_assert_geq(file, 0);
    cr_assert_eq(disk_pwritev(d, file, &iov, 1, 0), 0);
    if (synced)
        cr_assert_eq(disk_sync(d, file), 0);
    return file;
}

UNIT(disk_memory, forgets_what_was_not_synced)
{
    struct disk *d = disk_memory_new(1);
    size_t size;
    int kept = make(d, "kept", "first", true);
    make(d, "nameless", "synced, but not its name", true);
    cr_assert_eq(disk_sync_directory(d, "."), 0);
    make(d, "new", "its name was not synced", true);
    struct iovec iov = {"second", 6};
    cr_assert_eq(disk_pwritev(d, kept, &iov, 1, 0), 0);
    cr_assert_eq(disk_unlink(d, "nameless"), 0);
    disk_memory_crash(d, DISK_MEMORY_LOSE_ALL);
    cr_assert_arr_eq(disk_memory_bytes(d, "kept", &size), "first", 5);
    cr_assert_eq(size, 5);
    cr_assert_not_null(disk_memory_bytes(d, "nameless", &size), "nor that it was unlinked");
    cr_assert_null(disk_memory_bytes(d, "new", &size));
    cr_assert_eq(disk_sync(d, kept), -EBADF);
    cr_assert_eq(disk_close_file(d, kept), 0);
    disk_close(&d);
}

UNIT(disk_memory, keeps_everything_when_only_the_process_dies)
{
    struct disk *d = disk_memory_new(1);
    size_t size;
    make(d, "new", "text", false);
    disk_memory_crash(d, DISK_MEMORY_LOSE_NONE);
    cr_assert_arr_eq(disk_memory_bytes(d, "new", &size), "text", 4);
    disk_memory_crash(d, DISK_MEMORY_LOSE_ALL);
    cr_assert_null(disk_memory_bytes(d, "new", &size), "that did not sync it");
    disk_close(&d);
}

/* Of 64 sectors, each has the old or the new contents: torn nowhere else, and differently by seed.
 */
UNIT(disk_memory, tears_by_sector)
{
    static char old[64 * 512], young[64 * 512];
    memset(old, 'o', sizeof old);
    memset(young, 'y', sizeof young);
    bool mixed = false, all_old = false, all_young = false;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct disk *d = disk_memory_new(seed);
        struct iovec iov[2] = {{old, sizeof old}, {young, sizeof young}};
        int file = disk_open_file(d, "f", DISK_CREATE);
        cr_assert_eq(disk_pwritev(d, file, &iov[0], 1, 0), 0);
        cr_assert_eq(disk_sync(d, file), 0);
        cr_assert_eq(disk_sync_directory(d, "."), 0);
        cr_assert_eq(disk_pwritev(d, file, &iov[1], 1, 0), 0);
        disk_memory_crash(d, DISK_MEMORY_LOSE_SOME);
        size_t size, count = 0;
        const uint8_t *bytes = disk_memory_bytes(d, "f", &size);
        for (size_t i = 0; i < 64; i++) {
            bool is_young = bytes[i * 512] == 'y';
            cr_assert_arr_eq(bytes + i * 512, is_young ? young : old, 512);
            count += is_young;
        }
        all_old |= count == 0;
        all_young |= count == 64;
        mixed |= count > 0 && count < 64;
        disk_close(&d);
    }
    cr_assert(all_old && all_young && mixed);
}

UNIT(disk_memory, fails_when_told)
{
    struct disk *d = disk_memory_new(1);
    char back[10];
    int file = make(d, "f", "0123456789", true);
    struct iovec iov = {"abcdefghij", 10};
    disk_memory_fail(d, DISK_MEMORY_WRITE, 2, EIO, false);
    cr_assert_eq(disk_pwritev(d, file, &iov, 1, 0), 0);
    cr_assert_eq(disk_pwritev(d, file, &iov, 1, 0), -EIO);
    cr_assert_eq(disk_pwritev(d, file, &iov, 1, 0), 0);
    disk_memory_fail(d, DISK_MEMORY_SYNC, 1, EIO, true);
    cr_assert_eq(disk_sync(d, file), -EIO);
    cr_assert_eq(disk_sync(d, file), -EIO);
    disk_memory_fail(d, DISK_MEMORY_SYNC, 0, 0, false);
    cr_assert_eq(disk_sync(d, file), 0);
    disk_memory_fail(d, DISK_MEMORY_READ, 1, 0, false);
    int64_t got = disk_pread(d, file, back, 10, 0);
    cr_assert(got > 0 && got < 10);
    cr_assert_eq(disk_pread(d, file, back, 10, 0), 10);
    disk_memory_set_room(d, 5);
    cr_assert_eq(disk_pwritev(d, file, &iov, 1, 0), 0, "in place it needs no room");
    cr_assert_eq(disk_pwritev(d, file, &iov, 1, 10), -ENOSPC);
    cr_assert_eq(disk_size(d, file), 15);
    cr_assert_eq(disk_room(d), 0);
    cr_assert_eq(disk_unlink(d, "f"), 0);
    cr_assert_eq(disk_room(d), 15);
    disk_memory_cut(d, 2);
    cr_assert_eq(disk_sync(d, file), 0);
    cr_assert_eq(disk_open_file(d, "g", DISK_CREATE), -EIO);
    cr_assert_eq(disk_sync(d, file), -EIO);
    cr_assert(disk_memory_is_cut(d));
    disk_memory_crash(d, DISK_MEMORY_LOSE_SOME);
    cr_assert_eq(disk_open_file(d, "g", 0), -ENOENT);
    disk_close(&d);
}

/* After a failed sync the kernel may call the pages clean: a second one succeeds without them. */
UNIT(disk_memory, forgets_what_a_sync_did_not_get_out)
{
    bool lost = false;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct disk *d = disk_memory_new(seed);
        size_t size;
        int file = make(d, "f", "old", true);
        cr_assert_eq(disk_sync_directory(d, "."), 0);
        struct iovec iov = {"new", 3};
        cr_assert_eq(disk_pwritev(d, file, &iov, 1, 0), 0);
        disk_memory_fail(d, DISK_MEMORY_SYNC, 1, EIO, false);
        cr_assert_eq(disk_sync(d, file), -EIO);
        cr_assert_eq(disk_sync(d, file), 0);
        disk_memory_crash(d, DISK_MEMORY_LOSE_SOME);
        lost |= memcmp(disk_memory_bytes(d, "f", &size), "old", 3) == 0;
        disk_close(&d);
    }
    cr_assert(lost);
}
