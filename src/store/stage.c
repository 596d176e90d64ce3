/* Links, sizes, copies. */
#include "store/stage.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE_DIRECTORY "backup"

enum { PORTION = 1 << 20 };

struct staged {
    char *name; /* owned */
    uint64_t size;
};

struct stage {
    char *source, *links, *name; /* owned, as are the items */
    struct staged *items;
    size_t count, cap;
};

static enum err fail(struct failure *why, const char *what, const char *path)
{
    int error = errno;
    return failure_set(why,
                       error == EACCES || error == EPERM || error == EROFS ? ERR_ACCESS_REFUSED
                                                                           : ERR_RESOURCE_ERROR,
                       "cannot %s %s: %s", what, path, strerror(error));
}

enum err stage_make_directory(const char *path, struct failure *why)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? ERR_NONE : fail(why, "make", path);
}

enum err stage_sync_directory(const char *path, struct failure *why)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    enum err err = ok ? ERR_NONE : fail(why, "sync", path);
    if (fd >= 0)
        close(fd);
    return err;
}

void stage_remove(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0); /* . and .. refuse */
    if (dir)
        closedir(dir);
    rmdir(path);
}

void stage_sweep(const char *directory)
{
    static const char *const names[] = {"blobs", "partitions"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = mem_printf("%s/" STAGE_DIRECTORY "/%s", directory, names[i]);
        stage_remove(path);
        free(path);
    }
    char *path = mem_printf("%s/" STAGE_DIRECTORY, directory);
    rmdir(path);
    free(path);
}

enum err stage_open(const char *directory, const char *name, struct stage **ret_stage,
                    struct failure *why)
{
    char *parent = mem_printf("%s/" STAGE_DIRECTORY, directory);
    struct stage *s = NEW(struct stage);
    s->source = mem_printf("%s/%s", directory, name);
    s->links = mem_printf("%s/%s", parent, name);
    s->name = mem_strdup(name);
    stage_remove(s->links);
    enum err err = stage_make_directory(parent, why);
    if (!err)
        err = stage_make_directory(s->links, why);
    free(parent);
    if (err)
        stage_close(&s);
    else
        *ret_stage = s;
    return err;
}

static enum err take_one(struct stage *s, int from, int to, const char *name, struct failure *why)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return ERR_NONE; /* gone, or none of ours */
    if (linkat(from, name, to, name, 0) != 0)
        return errno == ENOENT ? ERR_NONE : fail(why, "link", name);
    MEM_GROW(s->items, s->cap, s->count + 1);
    s->items[s->count++] = (struct staged){mem_strdup(name), (uint64_t)st.st_size};
    return ERR_NONE;
}

enum err stage_take(struct stage *s, struct failure *why)
{
    DIR *dir = opendir(s->source);
    int to = open(s->links, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err = ERR_NONE;
    const struct dirent *entry;
    if (!dir || to < 0)
        err = fail(why, "read", dir ? s->links : s->source);
    while (!err && (entry = readdir(dir)))
        err = take_one(s, dirfd(dir), to, entry->d_name, why);
    if (dir)
        closedir(dir);
    if (to >= 0)
        close(to);
    return err;
}

static enum err write_all(int fd, const char *data, size_t n, const char *path, struct failure *why)
{
    while (n) {
        ssize_t done = write(fd, data, n);
        if (done < 0)
            return fail(why, "write", path);
        data += done;
        n -= (size_t)done;
    }
    return ERR_NONE;
}

/* What the file lacks of n is left out. */
static enum err copy_bytes(int in, int out, uint64_t n, const char *from, const char *to,
                           struct stage_progress *progress, struct failure *why)
{
    char *portion = mem_alloc(PORTION);
    enum err err = ERR_NONE;
    while (n && !err) {
        ssize_t got = read(in, portion, n < PORTION ? (size_t)n : PORTION);
        if (got <= 0) {
            err = got < 0 ? fail(why, "read", from) : ERR_NONE;
            break;
        }
        err = write_all(out, portion, (size_t)got, to, why);
        n -= (uint64_t)got;
        atomic_fetch_add(&progress->bytes, (uint64_t)got);
        if (!err && atomic_load(&progress->cancelled))
            err = failure_set(why, ERR_RESOURCE_ERROR, "the backup was ended before it was whole");
    }
    free(portion);
    return err;
}

enum err stage_copy_file(const char *from, const char *to, uint64_t n,
                         struct stage_progress *progress, struct failure *why)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    enum err err = ERR_NONE;
    if (in < 0 || out < 0)
        err = fail(why, in < 0 ? "open" : "make", in < 0 ? from : to);
    if (!err)
        err = copy_bytes(in, out, n, from, to, progress, why);
    if (!err && fsync(out) != 0)
        err = fail(why, "sync", to);
    if (out >= 0)
        close(out);
    if (in >= 0)
        close(in);
    return err;
}

enum err stage_copy(struct stage *s, const char *target, struct stage_progress *progress,
                    struct failure *why)
{
    char *directory = mem_printf("%s/%s", target, s->name);
    enum err err = stage_make_directory(directory, why);
    for (size_t i = 0; i < s->count && !err; i++) {
        char *from = mem_printf("%s/%s", s->links, s->items[i].name);
        char *to = mem_printf("%s/%s", directory, s->items[i].name);
        err = stage_copy_file(from, to, s->items[i].size, progress, why);
        free(from);
        free(to);
    }
    if (!err)
        err = stage_sync_directory(directory, why);
    free(directory);
    return err;
}

void stage_close(struct stage **stage)
{
    struct stage *s = *stage;
    if (!s)
        return;
    stage_remove(s->links);
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].name);
    free(s->items);
    free(s->source);
    free(s->links);
    free(s->name);
    free(s);
    *stage = NULL;
}
