/* The file of enabled plug-ins, as rabbitmq-plugins keeps it: a list of atoms, ended by a dot.
 * Comments begin with %. It is replaced as a whole, by rename. */
#include "base/mem.h"
#include "plugin/module.h"
#include "plugin/plugin_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 64 * 1024, NAME_ROOM = 256 };

struct reader {
    const char *pos, *end;
};

static enum err read_file(const char *path, struct buf *text, struct failure *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = 1;
    if (fd < 0 && errno == ENOENT)
        return ERR_NONE;
    while (fd >= 0 && n > 0 && text->len <= FILE_MOST) {
        n = read(fd, buf_reserve(text, 4096), 4096);
        text->len += n > 0 ? (size_t)n : 0;
    }
    enum err err = ERR_NONE;
    if (fd < 0 || n < 0)
        err = failure_set(why, ERR_PRECONDITION_FAILED, "%s: %s", path, strerror(errno));
    else if (text->len > FILE_MOST)
        err = failure_set(why, ERR_PRECONDITION_FAILED, "%s is too large for a list of plug-ins",
                          path);
    if (fd >= 0)
        close(fd);
    return err;
}

static void skip(struct reader *r)
{
    while (r->pos < r->end) {
        if (*r->pos == '%')
            while (r->pos < r->end && *r->pos != '\n')
                r->pos++;
        else if (isspace((unsigned char)*r->pos))
            r->pos++;
        else
            return;
    }
}

static bool take(struct reader *r, char c)
{
    skip(r);
    if (r->pos == r->end || *r->pos != c)
        return false;
    r->pos++;
    return true;
}

/* An atom, between quotes or not. */
static bool take_name(struct reader *r, char room[NAME_ROOM])
{
    bool quoted = take(r, '\'');
    size_t n = 0;
    while (r->pos < r->end && n < NAME_ROOM - 1 &&
           (isalnum((unsigned char)*r->pos) || strchr("_@-", *r->pos)))
        room[n++] = *r->pos++;
    room[n] = 0;
    return n && (!quoted || take(r, '\''));
}

static bool parse(struct reader *r, void (*fn)(void *arg, const char *name), void *arg)
{
    char name[NAME_ROOM];
    if (!take(r, '['))
        return false;
    if (!take(r, ']')) {
        do {
            if (!take_name(r, name))
                return false;
            fn(arg, name);
        } while (take(r, ','));
        if (!take(r, ']'))
            return false;
    }
    if (!take(r, '.'))
        return false;
    skip(r);
    return r->pos == r->end;
}

enum err enabled_read(const char *path, void (*fn)(void *arg, const char *name), void *arg,
                      struct failure *why)
{
    struct buf text = BUF_INIT;
    enum err err = read_file(path, &text, why);
    struct reader r = {(const char *)text.data, (const char *)text.data + text.len};
    skip(&r);
    if (!err && r.pos != r.end && !parse(&r, fn, arg))
        err = failure_set(why, ERR_PRECONDITION_FAILED,
                          "%s is not a list of plug-ins, [name,name].: see byte %zu", path,
                          (size_t)(r.pos - (const char *)text.data));
    buf_fini(&text);
    return err;
}

static bool write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.data, text.len);
        if (n < 0)
            return false;
        text = slice_of(text.data + n, text.len - (size_t)n);
    }
    return fdatasync(fd) == 0;
}

/* So that what was renamed has its name after a power cut too. */
static bool sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *directory = slash ? slice_cstr(slice_of(path, (size_t)(slash - path) + 1)) : NULL;
    int fd = open(directory ? directory : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    free(directory);
    errno = error;
    return good;
}

enum err enabled_write(const char *path, const char *const *names, size_t count,
                       struct failure *why)
{
    struct buf text = BUF_INIT;
    char *beside = mem_printf("%s.new", path);
    buf_append_byte(&text, '[');
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, module_name_is_good(names[i]) ? "%s%s" : "%s'%s'", i ? "," : "",
                   names[i]);
    buf_append_str(&text, "].\n");
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write_all(fd, buf_slice(&text));
    int error = errno;
    if (fd >= 0 && close(fd) && good) {
        good = false;
        error = errno;
    }
    if (good && (rename(beside, path) || !sync_directory(path))) {
        good = false;
        error = errno;
    }
    enum err err =
        good ? ERR_NONE
             : failure_set(why, ERR_PRECONDITION_FAILED,
                           "the list of plug-ins cannot be kept in %s: %s", path, strerror(error));
    buf_fini(&text);
    free(beside);
    return err;
}
