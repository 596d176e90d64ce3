/* The files that the store writes itself (journal segments, large bodies), by name below the data
 * directory. Behind it is the file system (disk.c) or, for simulations, memory that forgets what
 * was not synced (tests/sim). Every call returns >= 0, or -errno. Any thread; one writer a file. */
#ifndef STORE_DISK_H
#define STORE_DISK_H

#include "base/slice.h"

#include <sys/uio.h>

struct disk;

enum { DISK_CREATE = 1, DISK_READ_ONLY = 2 };

struct disk_type {
    /* A handle for the calls below. */
    int (*open)(struct disk *d, const char *name, unsigned flags);
    int (*close)(struct disk *d, int file);
    /* All of it or an error. */
    int (*pwritev)(struct disk *d, int file, const struct iovec *iov, int n, uint64_t offset);
    /* How much was there: less at the end of the file. Reads that fail for a moment may give less
     * too: whoever needs all of it asks again for the rest, and 0 is the end. */
    int64_t (*pread)(struct disk *d, int file, void *data, size_t n, uint64_t offset);
    int (*sync)(struct disk *d, int file); /* fdatasync */
    int64_t (*size)(struct disk *d, int file);
    int (*unlink)(struct disk *d, const char *name);
    int (*make_directory)(struct disk *d, const char *name); /* fine if it exists */
    int (*sync_directory)(struct disk *d, const char *name); /* names made or unlinked in it */
    /* Calls fn for each name in it, in no order; fn returns false to end. */
    int (*list)(struct disk *d, const char *directory, bool (*fn)(const char *name, void *arg),
                void *arg);
    int64_t (*room)(struct disk *d); /* bytes that may still be written */
    void (*close_disk)(struct disk **d);
};
/* The first member of an implementation's struct disk. */
struct disk_base {
    const struct disk_type *type;
};
#define DISK_TYPE_OF(d) (((const struct disk_base *)(const void *)(d))->type)

/* ---- calls ---- */
static inline int disk_open_file(struct disk *d, const char *name, unsigned flags)
{
    return DISK_TYPE_OF(d)->open(d, name, flags);
}
static inline int disk_close_file(struct disk *d, int file)
{
    return DISK_TYPE_OF(d)->close(d, file);
}
static inline int disk_pwritev(struct disk *d, int file, const struct iovec *iov, int n,
                               uint64_t offset)
{
    return DISK_TYPE_OF(d)->pwritev(d, file, iov, n, offset);
}
static inline int64_t disk_pread(struct disk *d, int file, void *data, size_t n, uint64_t offset)
{
    return DISK_TYPE_OF(d)->pread(d, file, data, n, offset);
}
static inline int disk_sync(struct disk *d, int file)
{
    return DISK_TYPE_OF(d)->sync(d, file);
}
static inline int64_t disk_size(struct disk *d, int file)
{
    return DISK_TYPE_OF(d)->size(d, file);
}
static inline int disk_unlink(struct disk *d, const char *name)
{
    return DISK_TYPE_OF(d)->unlink(d, name);
}
static inline int disk_make_directory(struct disk *d, const char *name)
{
    return DISK_TYPE_OF(d)->make_directory(d, name);
}
/* "." is the disk's own directory, here and in disk_list. */
static inline int disk_sync_directory(struct disk *d, const char *name)
{
    return DISK_TYPE_OF(d)->sync_directory(d, name);
}
static inline int disk_list(struct disk *d, const char *directory,
                            bool (*fn)(const char *name, void *arg), void *arg)
{
    return DISK_TYPE_OF(d)->list(d, directory, fn, arg);
}
static inline int64_t disk_room(struct disk *d)
{
    return DISK_TYPE_OF(d)->room(d);
}
/* NULL is fine; its files must be closed. */
static inline void disk_close(struct disk **d)
{
    if (*d)
        DISK_TYPE_OF(*d)->close_disk(d);
}

/* Below a directory that exists. NULL with errno. */
struct disk *disk_open(const char *directory);

#endif
