/* The file system behind struct disk: every name is looked up below one directory, which stays open
 * so that it may be renamed meanwhile. No state but that: any thread. */
#include "store/disk.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct disk {
    struct disk_base base;
    int directory;
};

static int open_file(struct disk *d, const char *name, unsigned flags)
{
    int how = O_CLOEXEC | O_NOFOLLOW | (flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR);
    if (flags & DISK_CREATE)
        how |= O_CREAT;
    int fd = openat(d->directory, name, how, 0600);
    return fd >= 0 ? fd : -errno;
}

static int close_file(struct disk *d, int file)
{
    (void)d;
    return close(file) == 0 ? 0 : -errno;
}

/* The rest of iov[0] from skip on, by itself. */
static int write_rest(int file, const struct iovec *iov, size_t skip, uint64_t offset)
{
    const char *p = iov->iov_base;
    while (skip < iov->iov_len) {
        ssize_t done = pwrite(file, p + skip, iov->iov_len - skip, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        skip += (size_t)done;
        offset += (size_t)done;
    }
    return 0;
}

static int write_all(struct disk *d, int file, const struct iovec *iov, int n, uint64_t offset)
{
    (void)d;
    while (n > 0) {
        ssize_t done = pwritev(file, iov, n < IOV_MAX ? n : IOV_MAX, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bool any = done > 0;
        size_t left = (size_t)done;
        for (; n > 0 && left >= iov->iov_len; n--, iov++) {
            left -= iov->iov_len;
            offset += iov->iov_len;
            any = true; /* of empty ones */
        }
        if (!any)
            return -EIO;
        if (left) {
            int status = write_rest(file, iov, left, offset + left);
            if (status < 0)
                return status;
            offset += iov->iov_len;
            iov++;
            n--;
        }
    }
    return 0;
}

static int64_t read_all(struct disk *d, int file, void *data, size_t n, uint64_t offset)
{
    (void)d;
    size_t got = 0;
    while (got < n) {
        ssize_t done = pread(file, (char *)data + got, n - got, (off_t)(offset + got));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return got ? (int64_t)got : -errno;
        if (done == 0)
            break;
        got += (size_t)done;
    }
    return (int64_t)got;
}

static int sync_file(struct disk *d, int file)
{
    (void)d;
    return fdatasync(file) == 0 ? 0 : -errno;
}

static int64_t file_size(struct disk *d, int file)
{
    struct stat st;
    (void)d;
    return fstat(file, &st) == 0 ? (int64_t)st.st_size : -errno;
}

static int unlink_file(struct disk *d, const char *name)
{
    return unlinkat(d->directory, name, 0) == 0 ? 0 : -errno;
}

static int make_directory(struct disk *d, const char *name)
{
    return mkdirat(d->directory, name, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int open_directory(struct disk *d, const char *name)
{
    int fd = openat(d->directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

static int sync_directory(struct disk *d, const char *name)
{
    int fd = open_directory(d, name);
    if (fd < 0)
        return fd;
    int status = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return status;
}

static int list_directory(struct disk *d, const char *directory,
                          bool (*fn)(const char *name, void *arg), void *arg)
{
    int fd = open_directory(d, directory);
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int status = -errno;
        close(fd);
        return status;
    }
    struct dirent *entry;
    errno = 0;
    bool on = true;
    while (on && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            on = fn(entry->d_name, arg);
        errno = 0;
    }
    int status = on ? -errno : 0;
    closedir(dir);
    return status;
}

static int64_t room(struct disk *d)
{
    struct statvfs st;
    if (fstatvfs(d->directory, &st) != 0)
        return -errno;
    return (int64_t)((uint64_t)st.f_bavail * st.f_frsize);
}

static void close_disk(struct disk **d)
{
    close((*d)->directory);
    free(*d);
    *d = NULL;
}

static const struct disk_type file_system = {
    .open = open_file,
    .close = close_file,
    .pwritev = write_all,
    .pread = read_all,
    .sync = sync_file,
    .size = file_size,
    .unlink = unlink_file,
    .make_directory = make_directory,
    .sync_directory = sync_directory,
    .list = list_directory,
    .room = room,
    .close_disk = close_disk,
};

struct disk *disk_open(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct disk *d = NEW(struct disk);
    d->base.type = &file_system;
    d->directory = fd;
    return d;
}
