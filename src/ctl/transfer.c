/* Files in and out, in chunks. One that is written has another name until it is whole. */
#include "ctl/transfer.h"

#include "base/clock.h"
#include "base/control.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void transfer_init(struct transfer *t)
{
    *t = (struct transfer){0};
}

static const char *name_of(int error)
{
    const char *name = strerrorname_np(error);
    return name ? name : "EIO";
}

static FILE *open_to_write(struct transfer *t, const char *path)
{
    struct stat st;
    bool there = stat(path, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return NULL;
    }
    if (there && !S_ISREG(st.st_mode))
        return fopen(path, "we");
    t->temporary = mem_printf("%s.XXXXXX", path);
    int fd = mkostemp(t->temporary, O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        free(t->temporary);
        t->temporary = NULL;
    }
    return file;
}

static FILE *open_to_read(const char *path)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (file && fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(file);
        file = NULL;
        errno = EISDIR;
    }
    return file;
}

const char *transfer_open(struct transfer *t, const char *path, bool writing)
{
    transfer_fini(t);
    t->path = mem_strdup(path);
    if (!strcmp(path, "-"))
        t->file = writing ? stdout : stdin;
    else
        t->file = writing ? open_to_write(t, path) : open_to_read(path);
    return t->file ? NULL : name_of(errno);
}

static enum link_state send_chunk(struct link *link, const uint8_t *data, size_t size)
{
    char head[40];
    int length = snprintf(head, sizeof head, "{\"data\":%zu}\n", size);
    enum link_state state = link_send(link, slice_of(head, (size_t)length));
    return state == LINK_OK ? link_send(link, slice_of(data, size)) : state;
}

static void show(const struct transfer *t, uint64_t sent, struct progress *progress)
{
    struct stat st;
    if (!progress_is_due(progress, clock_mono_ns() / 1000000))
        return;
    bool sized = fstat(fileno(t->file), &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    if (sized)
        progress_show(progress, "%s: %u %%", t->path,
                      (unsigned)(sent * 100 / (uint64_t)st.st_size));
    else
        progress_show(progress, "%s: %.1f MB", t->path, (double)sent / 1e6);
}

enum link_state transfer_send(struct transfer *t, struct link *link, struct progress *progress)
{
    uint8_t *chunk = mem_alloc(CONTROL_DATA_MAX);
    enum link_state state = LINK_OK;
    uint64_t sent = 0;
    size_t size;
    do {
        size = fread(chunk, 1, CONTROL_DATA_MAX, t->file);
        if (ferror(t->file)) {
            t->problem = errno;
            fprintf(stderr, "Error:\nCould not read from file %s: %s\n", t->path,
                    name_of(t->problem));
            size = 0;
        } else if (!link_has_news(link)) {
            state = send_chunk(link, chunk, size);
            sent += size;
            show(t, sent, progress);
        } else {
            size = 0;
        }
    } while (size && state == LINK_OK);
    progress_clear(progress);
    free(chunk);
    return state;
}

enum link_state transfer_receive(struct transfer *t, struct link *link, size_t size)
{
    enum link_state state = LINK_OK;
    while (size && state == LINK_OK) {
        struct slice bytes;
        state = link_receive_bytes(link, size, &bytes);
        if (state != LINK_OK)
            break;
        size -= bytes.len;
        if (!t->file)
            t->problem = EBADF;
        else if (!t->problem && fwrite(bytes.data, 1, bytes.len, t->file) != bytes.len)
            t->problem = errno;
    }
    return state;
}

const char *transfer_keep(struct transfer *t)
{
    if (t->file && t->file != stdout && t->file != stdin) {
        if (fclose(t->file) != 0 && !t->problem)
            t->problem = errno;
        t->file = NULL;
    }
    if (!t->problem && t->temporary && rename(t->temporary, t->path) != 0)
        t->problem = errno;
    if (t->problem)
        return name_of(t->problem);
    free(t->temporary);
    t->temporary = NULL;
    return NULL;
}

void transfer_fini(struct transfer *t)
{
    if (t->file && t->file != stdout && t->file != stdin)
        fclose(t->file);
    if (t->temporary)
        unlink(t->temporary);
    free(t->temporary);
    free(t->path);
    *t = (struct transfer){0};
}
