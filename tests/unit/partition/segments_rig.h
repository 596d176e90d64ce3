/* A partition's files on a disk in memory. */
#ifndef SEGMENTS_RIG_H
#define SEGMENTS_RIG_H

#include "disk_memory.h"
#include "partition/segments.h"

struct segments_rig {
    struct disk *disk;
    struct segments *segments;
    uint64_t synced;    /* offsets below were synced */
    uint64_t max_bytes; /* of a segment */
};

enum { RIG_ID = 0xab };

void rig_open(struct segments_rig *r, uint64_t seed);
void rig_close(struct segments_rig *r);
/* As after a start: what is there, in order. */
int rig_recover(struct segments_rig *r);
/* One batch of that many entries, each with its tag and offset as text, padded to size. */
int rig_write(struct segments_rig *r, uint32_t count, uint32_t tag, size_t size, uint64_t time_ms);
/* One batch of these bytes as its only entry. */
int rig_write_entry(struct segments_rig *r, struct slice entry, uint64_t time_ms);
int rig_sync(struct segments_rig *r);

/* What an entry says; false: it is not one of rig_write. */
bool rig_parse(struct slice entry, uint64_t *ret_offset, uint32_t *ret_tag);
/* Reads all from offset on, calls fn for each entry from there. */
int rig_each(struct segments_rig *r, uint64_t offset, uint64_t limit, size_t max_bytes,
             void (*fn)(uint64_t offset, struct slice entry, void *arg), void *arg);
/* How many that are; each must be as it was written, and in order. */
uint64_t rig_count(struct segments_rig *r, uint64_t offset, uint64_t limit);

#endif
