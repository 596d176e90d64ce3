/* A disk in memory that forgets: a crash loses any subset of what was not synced, in sectors of 512
 * bytes, names included; calls fail when they are told to. What it does depends on its seed and on
 * the calls alone. Thread-safe. */
#ifndef SIM_DISK_MEMORY_H
#define SIM_DISK_MEMORY_H

#include "store/disk.h"

enum disk_memory_call {
    DISK_MEMORY_OPEN,
    DISK_MEMORY_WRITE,
    DISK_MEMORY_READ,
    DISK_MEMORY_SYNC,
    DISK_MEMORY_UNLINK,
    DISK_MEMORY_MAKE_DIRECTORY,
    DISK_MEMORY_SYNC_DIRECTORY,
    DISK_MEMORY_LIST,
    DISK_MEMORY_CALL_COUNT
};

/* Freed by disk_close. */
struct disk *disk_memory_new(uint64_t seed);

/* ---- crashes ---- */
enum disk_memory_loss {
    DISK_MEMORY_LOSE_ALL, /* only what was synced is there */
    DISK_MEMORY_LOSE_SOME,
    DISK_MEMORY_LOSE_NONE /* the process was killed, not the machine: the next crash may lose it */
};
/* Handles are dead afterwards: they can be closed, anything else gives EBADF. The power is on, no
 * failure is pending. */
void disk_memory_crash(struct disk *d, enum disk_memory_loss loss);
/* Another disk, as this one would be after a crash now. */
struct disk *disk_memory_after_crash(struct disk *d, uint64_t seed, enum disk_memory_loss loss);
/* The power goes in the n-th call from now that changes something (1: in the next): part of it may
 * be done, it and all later calls give EIO and change nothing, until disk_memory_crash. 0: never.
 */
void disk_memory_cut(struct disk *d, uint64_t n);
bool disk_memory_is_cut(struct disk *d);

/* ---- failures ---- */
/* The n-th call of this kind from now fails with error (EIO, ENOSPC ...), and later ones too if
 * lasting. error 0: a read gives less than it could. A write that fails is done in part; a sync
 * that fails forgets a part of what was written, as kernels do. n 0: no more. */
void disk_memory_fail(struct disk *d, enum disk_memory_call call, uint64_t n, int error,
                      bool lasting);
uint64_t disk_memory_calls(struct disk *d, enum disk_memory_call call);
/* Files may grow by so many bytes in all from now on; what is unlinked adds to it. UINT64_MAX: by
 * any, as at the beginning. */
void disk_memory_set_room(struct disk *d, uint64_t bytes);

/* ---- damage and inspection, of what is there now ---- */
/* NULL: no such file. Borrowed until the file is written. */
const uint8_t *disk_memory_bytes(struct disk *d, const char *name, size_t *ret_size);
/* Changes bytes as a bad disk does: on the medium too. */
void disk_memory_poke(struct disk *d, const char *name, uint64_t offset, const void *data,
                      size_t n);
void disk_memory_flip(struct disk *d, const char *name, uint64_t bit);
void disk_memory_truncate(struct disk *d, const char *name, uint64_t size);
/* Forgets a file at once. */
void disk_memory_remove(struct disk *d, const char *name);
/* Reads of these bytes give EIO, until they are written or it is called with n 0. */
void disk_memory_set_unreadable(struct disk *d, const char *name, uint64_t offset, uint64_t n);
/* The same contents, all synced, on another disk. */
struct disk *disk_memory_copy(struct disk *d, uint64_t seed);

#endif
