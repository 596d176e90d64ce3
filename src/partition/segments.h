/* The files of one partition: segments of batches, named by the offset that they begin with, each
 * with a sparse index of offsets and times. One thread writes, one reads; the table of segments
 * between them is under a lock. Calls return >= 0, or -errno.
 *
 * Invariants
 * 1. Offsets ascend; a segment holds those from its name up to the next one's.
 * 2. All segments but the last are synced, and never written again.
 * 3. Indexes only help: what they say is checked, and they may be missing. */
#ifndef PARTITION_SEGMENTS_H
#define PARTITION_SEGMENTS_H

#include "base/buf.h"
#include "partition/batch.h"
#include "store/disk.h"

struct segments;

enum { SEGMENTS_NAME = 64, SEGMENTS_READ = 256 << 10, SEGMENTS_INDEX_EVERY = 64 << 10 };

/* Of the files below partitions/ that are a partition's: false if the name is no such. */
bool segments_parse_name(const char *name, uint64_t *ret_id, uint64_t *ret_base, bool *ret_index);

struct segments *segments_new(struct disk *disk, uint64_t id);
void segments_free(struct segments **segments);
/* Before segments_recover: one that is there, in ascending order; its name is safe, the directory
 * was synced. */
void segments_found(struct segments *s, uint64_t base);
/* Of one that has no files yet: what tells its batches from all others. */
void segments_new_salt(struct segments *s);
/* Looks at what the last run left and makes it safe: a torn end goes, damage is logged. No file is
 * open afterwards. */
int segments_recover(struct segments *s);

/* ---- the writer's ---- */
/* Behind the last. A segment that has max_bytes ends before it, and is synced. */
int segments_write(struct segments *s, struct slice bytes, const struct batch *batch,
                   uint64_t max_bytes);
/* Makes safe what was written. */
int segments_sync(struct segments *s);
/* Drops the first ones that are too much, or too old at now_ms; never the last. UINT64_MAX: no such
 * limit. */
int segments_retain(struct segments *s, uint64_t max_bytes, uint64_t max_age_ms, uint64_t now_ms);
/* All files go. */
int segments_remove(struct segments *s);
/* The files that it has open to write; the next call opens them again. */
void segments_close_written(struct segments *s);

/* ---- the reader's ---- */
/* Where a reader is, for the next read. */
struct segments_cursor {
    uint64_t base;     /* of the segment */
    uint64_t position; /* of a batch in it; 0 is always right */
};
/* Whole batches from the one with offset on, of those that end at limit at most: about max_bytes,
 * one at least unless there is none. */
int segments_read(struct segments *s, uint64_t offset, uint64_t limit, size_t max_bytes,
                  struct segments_cursor *cursor, struct buf *out);
/* The first offset of the first batch that is not older; limit if there is none below. */
int segments_locate(struct segments *s, uint64_t time_ms, uint64_t limit, uint64_t *ret_offset);

/* The file that it has open to read: always, or if it was dropped, so that its room is free. */
void segments_close_read(struct segments *s, bool always);

/* ---- any thread ---- */
struct segments_state {
    uint64_t first, next; /* next: behind what was written */
    uint64_t last;        /* the first offset of the last batch; next if it is not known */
    uint64_t last_ms;     /* its time */
    uint64_t count, bytes;
    uint32_t salt; /* of all its batches */
};
struct segments_state segments_look(struct segments *s);
/* Heap bytes. */
size_t segments_memory(struct segments *s);

#endif
