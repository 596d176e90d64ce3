/* The sink's file: what is answered was on the disk before. See sink.h.
 *
 * The file has its size and its blocks before the first answer, and pages are written round and
 * round, so that a sync costs what the disk takes for data, and nothing for metadata. */
#include "perf/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PAGE = 4096, CHUNK = 256 * 1024, FILE_OCTETS = 64 << 20 };

struct sink_log {
    int fd;
    bool due;
    size_t octets; /* not yet written */
    off_t at;
    uint8_t chunk[CHUNK];
};

static bool write_chunk(struct sink_log *l, size_t n)
{
    if (l->at + (off_t)n > FILE_OCTETS)
        l->at = 0;
    ssize_t done = pwrite(l->fd, l->chunk, n, l->at);
    l->at += (off_t)n;
    return done == (ssize_t)n;
}

struct sink_log *sink_log_open(const char *path)
{
    struct sink_log *l = sink_must(calloc(1, sizeof *l));
    memset(l->chunk, 0xce, sizeof l->chunk);
    bool ok = (l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0;

    for (int i = 0; ok && i < FILE_OCTETS / CHUNK; i++)
        ok = write_chunk(l, CHUNK);
    if (ok && fsync(l->fd) == 0)
        return l;
    sink_log_close(l);
    return NULL;
}

void sink_log_close(struct sink_log *l)
{
    int error = errno;

    if (l != NULL && l->fd >= 0)
        close(l->fd);
    free(l);
    errno = error;
}

void sink_log_add(struct sink_log *l, size_t octets, bool due)
{
    if (l == NULL)
        return;
    l->octets += octets;
    l->due |= due;
}

bool sink_log_due(const struct sink_log *l)
{
    return l != NULL && l->due;
}

void sink_log_sync(struct sink_log *l)
{
    bool ok = true;

    while (ok && l->octets > 0) {
        size_t n = l->octets < CHUNK ? l->octets : CHUNK;
        ok = write_chunk(l, (n + PAGE - 1) / PAGE * PAGE);
        l->octets -= n;
    }
    if (!ok || fdatasync(l->fd) != 0) {
        perror("jackalope-perf: sink");
        exit(EXIT_FAILURE);
    }
    l->due = false;
}
