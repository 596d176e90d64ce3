/* A journal on a disk in memory, and what a replay of it said. */
#ifndef JOURNAL_RIG_H
#define JOURNAL_RIG_H

#include "base/buf.h"
#include "disk_memory.h"
#include "store/journal.h"

struct rig_frame {
    uint64_t lsn;
    struct journal_place place;
    struct slice bytes; /* owned */
};

struct rig {
    struct disk *disk;
    struct journal *journal;
    struct journal_options options;
    struct failure why;
    /* of the last rig_open */
    struct rig_frame *frames;
    size_t frame_count, frame_cap;
    struct journal_damage *damages; /* segment: owned */
    size_t damage_count, damage_cap;
};

enum { RIG_SEGMENT = 64 << 10 };

/* On a new disk in memory, opened. */
void rig_init(struct rig *rig);
void rig_fini(struct rig *rig);
/* Opens and replays; false with why if it is refused. */
bool rig_open(struct rig *rig, uint64_t applied);
void rig_close(struct rig *rig);
/* Closes, crashes, opens. */
void rig_restart(struct rig *rig, uint64_t applied, enum disk_memory_loss loss);
/* One frame of one unit: n bytes that follow from the tag. Returns its lsn, 0: not written. */
uint64_t rig_write(struct rig *rig, uint32_t tag, size_t n, struct journal_place *ret_place);
/* The bytes of a tag. */
void rig_fill(uint8_t *out, uint32_t tag, size_t n);
bool rig_is(struct slice bytes, uint32_t tag, size_t n);
/* Name of the file of a segment, by place. */
const char *rig_name(struct rig *rig, struct journal_place place);
/* How many files there are. */
unsigned rig_files(struct rig *rig);

#endif
