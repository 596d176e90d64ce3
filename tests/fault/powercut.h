/* What powercut.so writes down and powercut reads: a record for each change of a file below the
 * directory, before it is made. Beside the directory DIR lie DIR.powercut/log and the files that
 * were unlinked or replaced, DIR.powercut/N. */
#ifndef POWERCUT_H
#define POWERCUT_H

#include <stdint.h>

enum { POWERCUT_MAGIC = 0x70c07c07, POWERCUT_SECTOR = 512 };

enum powercut_kind {
    POWERCUT_WRITE = 1, /* offset, length; data: what was there before, up to the old end */
    POWERCUT_TRUNCATE,  /* offset: the new size; data: what is cut off */
    POWERCUT_SYNC,      /* of a file or a directory; mark: the log's size when it was asked for */
    POWERCUT_CREATE,    /* a name was made */
    POWERCUT_UNLINK,    /* shadow: the number of the file that keeps the contents */
    POWERCUT_RENAME,    /* data: the new name; shadow: what was there, 0 = nothing */
    POWERCUT_MKDIR,
    POWERCUT_RMDIR,
    POWERCUT_KIND_END
};

/* Followed by the path and the data. */
struct powercut_record {
    uint32_t magic;
    uint8_t kind;
    uint8_t durable; /* a write that is synced as it returns */
    uint16_t path_len;
    uint32_t shadow;
    uint32_t check; /* sum of the other words */
    uint64_t offset, length, old_size, mark, data_len;
};

static inline uint32_t powercut_check(const struct powercut_record *r)
{
    uint64_t sum = r->kind + 3ull * r->durable + 5ull * r->path_len + 7ull * r->shadow;
    sum = sum * 31 + r->offset;
    sum = sum * 31 + r->length;
    sum = sum * 31 + r->old_size;
    sum = sum * 31 + r->mark;
    sum = sum * 31 + r->data_len;
    return (uint32_t)(sum ^ sum >> 32);
}

#endif
