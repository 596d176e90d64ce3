/* A library to preload: the files of one directory as they are on a disk that may lose its power,
 * and calls that fail or never return.
 *
 * POWERCUT=DIR: what writes change below DIR, and which names come and go there, is written down in
 * DIR.powercut until it is synced; after a kill -9 the program powercut takes back any part of
 * what was not. A write becomes safe by fsync or fdatasync that began after it, or by O_DSYNC; a
 * name by fsync of its directory. Not seen: stdio, mmap (LMDB writes with pwrite), io_uring.
 *
 * POWERCUT_RULES="ACTION:CALLS:TEXT:N[+];...": the N-th of these calls for a path with this text
 * (with +: from the N-th on) ends so. Calls: write, head (a write within the first two pages, where
 * LMDB says which trees count), sync, create, unlink, any of these, or read (pread). Actions: eio,
 * enospc  it fails kill         the process is killed before it tear         a write is half made,
 * then the process is killed POWERCUT_TRIGGER=FILE: calls count as long as FILE is there.
 * POWERCUT_DELAY=N: a sync takes up to N us more.
 *
 * Calls on files that are followed are made one at a time, under one lock. */
#define _GNU_SOURCE
#include "powercut.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, RULES_MAX = 8 };
enum {
    CALL_WRITE = 1,
    CALL_SYNC = 2,
    CALL_CREATE = 4,
    CALL_UNLINK = 8,
    CALL_ANY = 15,
    CALL_HEAD = 16,
    CALL_READ = 32
};
enum { HEAD_SIZE = 2 * 4096 };
enum action { ACT_NONE, ACT_EIO, ACT_ENOSPC, ACT_KILL, ACT_TEAR };

struct rule {
    enum action action;
    unsigned calls;
    char text[200];
    long at, seen;
    bool on;
};

static struct {
    pthread_mutex_t lock;
    char root[PATH_SIZE], side[PATH_SIZE];
    size_t root_len;
    int log;
    unsigned shadow;
    struct rule rules[RULES_MAX];
    unsigned rule_count;
    const char *trigger, *lies;
    long delay_us;
} self = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

__attribute__((noreturn)) static void die(const char *what)
{
    dprintf(2, "powercut: %s: %s\n", what, strerror(errno));
    abort();
}

/* ---- rules ---- */

static unsigned calls_of(const char *word)
{
    return !strcmp(word, "write")    ? CALL_WRITE
           : !strcmp(word, "head")   ? CALL_HEAD
           : !strcmp(word, "read")   ? CALL_READ
           : !strcmp(word, "sync")   ? CALL_SYNC
           : !strcmp(word, "create") ? CALL_CREATE
           : !strcmp(word, "unlink") ? CALL_UNLINK
                                     : CALL_ANY;
}

static void read_rules(const char *text)
{
    while (text && *text && self.rule_count < RULES_MAX) {
        struct rule *r = &self.rules[self.rule_count++];
        char action[16], calls[16], plus = 0;
        if (sscanf(text, "%15[^:]:%15[^:]:%199[^:]:%ld%c", action, calls, r->text, &r->at, &plus) <
            4) {
            errno = EINVAL;
            die(text);
        }
        r->action = !strcmp(action, "eio")      ? ACT_EIO
                    : !strcmp(action, "enospc") ? ACT_ENOSPC
                    : !strcmp(action, "tear")   ? ACT_TEAR
                                                : ACT_KILL;
        r->calls = calls_of(calls);
        r->on = plus == '+';
        text = strchr(text, ';');
        text = text ? text + 1 : NULL;
    }
}

/* What is to happen to this call. */
static enum action act(unsigned call, const char *path)
{
    for (unsigned i = 0; i < self.rule_count; i++) {
        struct rule *r = &self.rules[i];
        if (!(r->calls & call) || !strstr(path, r->text) ||
            (self.trigger && access(self.trigger, F_OK) != 0))
            continue;
        long seen = __atomic_add_fetch(&r->seen, 1, __ATOMIC_RELAXED);
        if (seen != r->at && !(r->on && seen > r->at))
            continue;
        if (r->action == ACT_KILL)
            kill(getpid(), SIGKILL);
        return r->action;
    }
    return ACT_NONE;
}

/* True: errno is set and the call has failed. */
static bool fails(unsigned call, const char *path, enum action *ret_action)
{
    *ret_action = self.rule_count ? act(call, path) : ACT_NONE;
    errno = *ret_action == ACT_EIO ? EIO : ENOSPC;
    return *ret_action == ACT_EIO || *ret_action == ACT_ENOSPC;
}

/* ---- paths ---- */

__attribute__((constructor)) static void begin(void)
{
    const char *root = getenv("POWERCUT"), *delay = getenv("POWERCUT_DELAY");
    read_rules(getenv("POWERCUT_RULES"));
    self.trigger = getenv("POWERCUT_TRIGGER");
    self.lies = getenv("POWERCUT_LIES");
    self.delay_us = delay ? strtol(delay, NULL, 10) : 0;
    if (!root)
        return;
    snprintf(self.root, sizeof self.root, "%s", root);
    self.root_len = strlen(self.root);
    int n = snprintf(self.side, sizeof self.side, "%s.powercut", root);
    (void)REAL(mkdir)(self.side, 0700);
    snprintf(self.side + n, sizeof self.side - (size_t)n, "/log");
    self.log = (int)syscall(SYS_openat, AT_FDCWD, self.side,
                            O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    self.side[n] = '\0';
    if (self.log < 0)
        die("log");
    self.shadow = (unsigned)time(NULL) << 12 ^ (unsigned)getpid() << 8;
}

static bool followed(const char *path)
{
    return self.log >= 0 && !strncmp(path, self.root, self.root_len) &&
           (path[self.root_len] == '/' || !path[self.root_len]);
}

/* Where an open file is; false: nowhere that is of interest. */
static bool path_of(int fd, char path[PATH_SIZE])
{
    char link[40];
    int error = errno;
    if (self.log < 0 && !self.rule_count)
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_SIZE - 1);
    path[n > 0 ? n : 0] = '\0';
    errno = error;
    return n > 0 && path[0] == '/';
}

/* Of a name as it is given to a call. */
static bool path_at(int dir, const char *name, char path[PATH_SIZE])
{
    char base[PATH_SIZE];
    int error = errno;
    if (self.log < 0 && !self.rule_count)
        return false;
    if (name[0] == '/') {
        snprintf(path, PATH_SIZE, "%s", name);
    } else {
        if (dir == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(dir, base))
            return false;
        size_t n = strlen(base);
        if (n + strlen(name) + 2 > PATH_SIZE)
            return false;
        memcpy(path, base, n);
        path[n] = '/';
        memcpy(path + n + 1, name, strlen(name) + 1);
    }
    errno = error;
    return true;
}

/* ---- the log ---- */

static void note(struct powercut_record *r, const char *path, const void *data)
{
    int error = errno;
    r->magic = POWERCUT_MAGIC;
    r->path_len = (uint16_t)strlen(path);
    r->check = powercut_check(r);
    struct iovec iov[3] = {{r, sizeof *r},
                           {(void *)(uintptr_t)path, r->path_len},
                           {(void *)(uintptr_t)data, r->data_len}};
    if (syscall(SYS_writev, self.log, iov, data ? 3 : 2) < 0)
        die("log");
    errno = error;
}

static uint64_t log_size(void)
{
    struct stat st;
    return fstat(self.log, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* What a file holds from offset on; n is cut at its end. NULL: nothing. */
static char *before(int fd, uint64_t offset, uint64_t *n, uint64_t old_size)
{
    char link[40];
    *n = offset >= old_size ? 0 : *n < old_size - offset ? *n : old_size - offset;
    if (!*n)
        return NULL;
    char *data = malloc(*n);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int in = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    for (uint64_t got = 0; data && got < *n;) {
        long part = syscall(SYS_pread64, in, data + got, *n - got, offset + got);
        if (part <= 0)
            die("pread");
        got += (uint64_t)part;
    }
    if (!data || in < 0)
        die("before");
    syscall(SYS_close, in);
    return data;
}

static void note_write(int fd, const char *path, uint64_t offset, uint64_t length)
{
    struct powercut_record r = {
        .kind = POWERCUT_WRITE, .offset = offset, .length = length, .old_size = size_of(fd)};
    int flags = fcntl(fd, F_GETFL);
    r.durable = flags >= 0 && (flags & O_DSYNC);
    r.data_len = length;
    char *data = before(fd, offset, &r.data_len, r.old_size);
    note(&r, path, data);
    free(data);
}

/* ---- writes ---- */

static size_t total(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

/* The first half, in whole sectors: one sector is written or not. */
static void tear(int fd, const struct iovec *iov, int n, int64_t offset)
{
    int64_t end = offset + (int64_t)(total(iov, n) / 2);
    end -= end % POWERCUT_SECTOR;
    for (int i = 0; i < n && offset < end; i++) {
        size_t part = iov[i].iov_len;
        if ((int64_t)part > end - offset)
            part = (size_t)(end - offset);
        syscall(SYS_pwrite64, fd, iov[i].iov_base, part, offset);
        offset += (int64_t)part;
    }
    kill(getpid(), SIGKILL);
}

/* Every kind of write ends here. offset -1: where the file stands. */
static ssize_t do_write(int fd, const struct iovec *iov, int n, int64_t offset, int flags)
{
    char path[PATH_SIZE];
    enum action action = ACT_NONE;
    bool known = path_of(fd, path);
    unsigned call = CALL_WRITE | (offset >= 0 && offset < HEAD_SIZE ? CALL_HEAD : 0u);
    if (known && (followed(path) || self.log < 0) && fails(call, path, &action))
        return -1;
    bool locked = known && followed(path);
    if (locked)
        pthread_mutex_lock(&self.lock);
    int64_t at = offset >= 0 ? offset : known ? (int64_t)lseek(fd, 0, SEEK_CUR) : 0;
    if (locked)
        note_write(fd, path, (uint64_t)at, total(iov, n));
    if (action == ACT_TEAR)
        tear(fd, iov, n, at);
    ssize_t done = offset >= 0 ? (ssize_t)syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags)
                               : (ssize_t)syscall(SYS_writev, fd, iov, n);
    if (locked)
        pthread_mutex_unlock(&self.lock);
    return done;
}

ssize_t write(int fd, const void *data, size_t n)
{
    struct iovec iov = {(void *)(uintptr_t)data, n};
    return do_write(fd, &iov, 1, -1, 0);
}
ssize_t writev(int fd, const struct iovec *iov, int n)
{
    return do_write(fd, iov, n, -1, 0);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)data, n};
    return do_write(fd, &iov, 1, offset, 0);
}
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset)
{
    return pwrite(fd, data, n, offset);
}
ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
    return do_write(fd, iov, n, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off64_t offset)
{
    return do_write(fd, iov, n, offset, 0);
}

static int cut(int fd, int64_t size)
{
    char path[PATH_SIZE];
    enum action action;
    if (!path_of(fd, path) || !followed(path))
        return (int)syscall(SYS_ftruncate, fd, size);
    if (fails(CALL_WRITE, path, &action))
        return -1;
    pthread_mutex_lock(&self.lock);
    struct powercut_record r = {
        .kind = POWERCUT_TRUNCATE, .offset = (uint64_t)size, .old_size = size_of(fd)};
    r.data_len = r.old_size;
    char *data = before(fd, (uint64_t)size, &r.data_len, r.old_size);
    note(&r, path, data);
    free(data);
    int status = (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_unlock(&self.lock);
    return status;
}

int ftruncate(int fd, off_t size)
{
    return cut(fd, size);
}
int ftruncate64(int fd, off64_t size)
{
    return cut(fd, size);
}

static int room(int fd, int mode, int64_t offset, int64_t n)
{
    char path[PATH_SIZE];
    enum action action;
    if (!path_of(fd, path) || !followed(path))
        return (int)syscall(SYS_fallocate, fd, mode, offset, n);
    if (fails(CALL_WRITE, path, &action))
        return -1;
    pthread_mutex_lock(&self.lock);
    note_write(fd, path, (uint64_t)offset, (uint64_t)n);
    int status = (int)syscall(SYS_fallocate, fd, mode, offset, n);
    pthread_mutex_unlock(&self.lock);
    return status;
}

int fallocate(int fd, int mode, off_t offset, off_t n)
{
    return room(fd, mode, offset, n);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t n)
{
    return room(fd, mode, offset, n);
}
int posix_fallocate(int fd, off_t offset, off_t n)
{
    return room(fd, 0, offset, n) == 0 ? 0 : errno;
}
int posix_fallocate64(int fd, off64_t offset, off64_t n)
{
    return room(fd, 0, offset, n) == 0 ? 0 : errno;
}

/* ---- reads ---- */

ssize_t pread64(int fd, void *data, size_t n, off64_t offset)
{
    char path[PATH_SIZE];
    enum action action;
    if (self.rule_count && path_of(fd, path) && fails(CALL_READ, path, &action))
        return -1;
    return (ssize_t)syscall(SYS_pread64, fd, data, n, offset);
}
ssize_t pread(int fd, void *data, size_t n, off_t offset)
{
    return pread64(fd, data, n, offset);
}

/* ---- syncs ---- */

static int do_sync(int fd, long number)
{
    char path[PATH_SIZE];
    enum action action;
    if (!path_of(fd, path) || !(followed(path) || self.rule_count))
        return (int)syscall(number, fd);
    if (fails(CALL_SYNC, path, &action))
        return -1;
    pthread_mutex_lock(&self.lock);
    struct powercut_record r = {.kind = POWERCUT_SYNC, .mark = self.log >= 0 ? log_size() : 0};
    pthread_mutex_unlock(&self.lock);
    if (self.delay_us) {
        static unsigned seed;
        unsigned us =
            __atomic_add_fetch(&seed, 0x9e3779b9u, __ATOMIC_RELAXED) % (unsigned)self.delay_us;
        nanosleep(&(struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L},
                  NULL);
    }
    int status = (int)syscall(number, fd);
    if (!status && followed(path) && !(self.lies && strstr(path, self.lies))) {
        pthread_mutex_lock(&self.lock);
        note(&r, path, NULL);
        pthread_mutex_unlock(&self.lock);
    }
    return status;
}

int fsync(int fd)
{
    return do_sync(fd, SYS_fsync);
}
int fdatasync(int fd)
{
    return do_sync(fd, SYS_fdatasync);
}

/* ---- names ---- */

static int do_open(int dir, const char *name, int flags, mode_t mode)
{
    char path[PATH_SIZE];
    enum action action;
    struct stat st;
    bool makes = flags & O_CREAT, cuts = flags & O_TRUNC;
    if ((!makes && !cuts) || !path_at(dir, name, path))
        return (int)syscall(SYS_openat, dir, name, flags, mode);
    bool there = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && fails(CALL_CREATE, path, &action))
        return -1;
    if (!followed(path))
        return (int)syscall(SYS_openat, dir, name, flags, mode);
    pthread_mutex_lock(&self.lock);
    int fd = (int)syscall(SYS_openat, dir, name, flags & ~O_TRUNC, mode);
    if (fd >= 0 && !there && path_of(fd, path))
        note(&(struct powercut_record){.kind = POWERCUT_CREATE}, path, NULL);
    pthread_mutex_unlock(&self.lock);
    if (fd >= 0 && cuts && there && size_of(fd))
        (void)!cut(fd, 0);
    return fd;
}

#define MODE_OF(last, flags, mode)                             \
    mode_t mode = 0;                                           \
    if ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE) { \
        va_list args;                                          \
        va_start(args, last);                                  \
        mode = (mode_t)va_arg(args, int);                      \
        va_end(args);                                          \
    }

int open(const char *name, int flags, ...)
{
    MODE_OF(flags, flags, mode)
    return do_open(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...)
{
    MODE_OF(flags, flags, mode)
    return do_open(AT_FDCWD, name, flags, mode);
}
int openat(int dir, const char *name, int flags, ...)
{
    MODE_OF(flags, flags, mode)
    return do_open(dir, name, flags, mode);
}
int openat64(int dir, const char *name, int flags, ...)
{
    MODE_OF(flags, flags, mode)
    return do_open(dir, name, flags, mode);
}
int creat(const char *name, mode_t mode)
{
    return do_open(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* Keeps the contents of a name that goes; 0: there are none to keep. */
static unsigned keep(const char *path)
{
    char shadow[PATH_SIZE + 16];
    unsigned number = ++self.shadow;
    snprintf(shadow, sizeof shadow, "%s/%u", self.side, number);
    return linkat(AT_FDCWD, path, AT_FDCWD, shadow, 0) == 0 ? number : 0;
}

int unlinkat(int dir, const char *name, int flags)
{
    char path[PATH_SIZE];
    enum action action;
    if (!path_at(dir, name, path) || !followed(path))
        return (int)syscall(SYS_unlinkat, dir, name, flags);
    if (fails(CALL_UNLINK, path, &action))
        return -1;
    pthread_mutex_lock(&self.lock);
    struct powercut_record r = {.kind = flags & AT_REMOVEDIR ? POWERCUT_RMDIR : POWERCUT_UNLINK};
    r.shadow = flags & AT_REMOVEDIR ? 0 : keep(path);
    int status = (int)syscall(SYS_unlinkat, dir, name, flags);
    if (!status)
        note(&r, path, NULL);
    pthread_mutex_unlock(&self.lock);
    return status;
}
int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}
int rmdir(const char *name)
{
    return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int renameat2(int dir, const char *name, int to_dir, const char *to, unsigned flags)
{
    char path[PATH_SIZE], to_path[PATH_SIZE];
    if (!path_at(dir, name, path) || !path_at(to_dir, to, to_path) || !followed(path))
        return (int)syscall(SYS_renameat2, dir, name, to_dir, to, flags);
    pthread_mutex_lock(&self.lock);
    struct powercut_record r = {
        .kind = POWERCUT_RENAME, .data_len = strlen(to_path), .shadow = keep(to_path)};
    int status = (int)syscall(SYS_renameat2, dir, name, to_dir, to, flags);
    if (!status)
        note(&r, path, to_path);
    pthread_mutex_unlock(&self.lock);
    return status;
}
int renameat(int dir, const char *name, int to_dir, const char *to)
{
    return renameat2(dir, name, to_dir, to, 0);
}
int rename(const char *name, const char *to)
{
    return renameat2(AT_FDCWD, name, AT_FDCWD, to, 0);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
    char path[PATH_SIZE];
    int status = (int)syscall(SYS_mkdirat, dir, name, mode);
    if (!status && path_at(dir, name, path) && followed(path)) {
        pthread_mutex_lock(&self.lock);
        note(&(struct powercut_record){.kind = POWERCUT_MKDIR}, path, NULL);
        pthread_mutex_unlock(&self.lock);
    }
    return status;
}
int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}
