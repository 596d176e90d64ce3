/* One process per data directory: an exclusive flock(2) on its file "lock", which also names the
 * holder for the message of whoever comes second. */
#include "daemon/datadir.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static int fail(int code, struct failure *why, const char *what, const char *path, const char *text)
{
    failure_set(why, ERR_PRECONDITION_FAILED, "%s %s: %s", what, path, text);
    return code;
}

/* mkdir -p; parents as the umask says, the last one for this user alone. */
static bool make(const char *path)
{
    char *copy = mem_strdup(path);
    bool ok = true;
    for (char *p = copy + 1; ok && *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        ok = mkdir(copy, 0777) == 0 || errno == EEXIST;
        *p = '/';
    }
    free(copy);
    return ok && (mkdir(path, 0700) == 0 || errno == EEXIST);
}

static long holder_of(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    bool gone = pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    return gone ? 0 : pid; /* one that reads does not write its own */
}

/* Closes fd and says who else has the directory. */
static int refuse_second(int fd, const char *path, struct failure *why)
{
    char text[64] = "another process uses it";
    long pid = holder_of(fd);
    if (pid > 0)
        snprintf(text, sizeof text, "process %ld uses it", pid);
    close(fd);
    return fail(EX_TEMPFAIL, why, "cannot use data directory", path, text);
}

static bool write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n;
}

int datadir_open(const char *path, int *ret_fd, struct failure *why)
{
    struct stat st;
    if (!make(path))
        return fail(EX_CANTCREAT, why, "cannot make data directory", path, strerror(errno));
    if (stat(path, &st) != 0)
        return fail(EX_NOPERM, why, "cannot use data directory", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return fail(EX_CANTCREAT, why, "cannot use data directory", path, "it is not a directory");
    char *name = mem_printf("%s/lock", path);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(name);
    if (fd < 0)
        return fail(errno == EACCES ? EX_NOPERM : EX_CANTCREAT, why, "cannot use data directory",
                    path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return refuse_second(fd, path, why);
    if (!write_pid(fd)) {
        int code = fail(EX_IOERR, why, "cannot write to data directory", path, strerror(errno));
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return 0;
}

int datadir_open_for_reading(const char *path, int *ret_fd, struct failure *why)
{
    char *name = mem_printf("%s/lock", path);
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    free(name);
    if (fd < 0 && errno != ENOENT)
        return fail(errno == EACCES ? EX_NOPERM : EX_NOINPUT, why, "cannot read data directory",
                    path, strerror(errno));
    struct stat st;
    if (fd < 0 && stat(path, &st) != 0)
        return fail(EX_NOINPUT, why, "cannot read data directory", path, strerror(errno));
    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0)
        return refuse_second(fd, path, why);
    *ret_fd = fd; /* a copy may have no lock: nobody runs on it */
    return 0;
}

int datadir_exit_code(enum err err)
{
    switch (err) {
    case ERR_NONE:
        return 0;
    case ERR_PRECONDITION_FAILED:
        return EX_DATAERR;
    case ERR_ACCESS_REFUSED:
        return EX_NOPERM;
    default:
        return EX_IOERR;
    }
}

void datadir_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int pidfile_write(const char *path, struct failure *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || !write_pid(fd)) {
        int code = fail(EX_CANTCREAT, why, "cannot write pid file", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return code;
    }
    close(fd);
    return 0;
}
