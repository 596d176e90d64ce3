/* The journal: one write-ahead log a node, in segments that are written with zeros once and then
 * used again and again. Pure I/O through a disk, no thread of its own: one thread writes, others
 * may read places, release and prepare meanwhile (store.c has the threads).
 *
 * A frame is {length, crc32c over the rest, generation of the segment, lsn, durable} and a payload
 * of whole units; it begins at a multiple of 512 bytes, so that a torn write cannot harm the frame
 * before it. Frame n+1 has lsn n+1. durable is the last frame that was synced when this one was
 * written. Where a frame is missing, those behind it tell what that means: if one of them knows
 * the missing one as durable, it is damage, and the log goes on behind it; if none does, nothing
 * from there on was ever synced, and the log ends there. The frame that was synced last has no
 * such witness: damage to it looks like a torn end.
 *
 * A generation is a counter and 32 random bits: neither old frames in a recycled segment nor what
 * a publisher sends as a message can pass for a frame of it. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "base/err.h"
#include "store/disk.h"

struct journal;

enum {
    JOURNAL_SEGMENT = 64 << 20,
    JOURNAL_SPARES = 2, /* segments kept ready, so that there is room when the disk is full */
    JOURNAL_ALIGNMENT = 512,
    JOURNAL_UNIT_MAX = 8 << 20 /* the largest unit a caller may write */
};

/* Where bytes of a payload are. */
struct journal_place {
    uint64_t segment; /* its generation */
    uint32_t offset;  /* in its file */
};

struct journal_options {
    struct disk *disk;     /* borrowed */
    uint32_t segment_size; /* 0: JOURNAL_SEGMENT; else a multiple of 4 KiB from 8 KiB to 1 GiB */
    unsigned segments_max; /* more are not made; 0: 16; at least JOURNAL_SPARES + 1 */
    bool read_only;        /* for dumps: nothing is made, cut or written */
    uint64_t seed;         /* 0: random generations; else the same ones every time (simulations) */
};

/* Makes the directory "journal" and the first segment, or finds those there are. A newer format is
 * refused with a text that says so. */
enum err journal_open(const struct journal_options *options, struct journal **ret_journal,
                      struct failure *why);
/* Does not sync. NULL is fine. */
void journal_close(struct journal **journal);

/* What a replay met, for the log and for the one who asks. */
struct journal_damage {
    const char *segment; /* name of the file */
    uint64_t offset, bytes;
    uint64_t after_lsn, before_lsn; /* the frames around it; before_lsn 0: none follows, or, of a
                                       segment that is all damaged, nobody knows */
};
struct journal_reader {
    /* Each frame above the applied lsn, in order. bytes are borrowed for the call. */
    void (*frame)(void *arg, uint64_t lsn, struct journal_place payload, struct slice bytes);
    /* Something in the middle cannot be read, and frames that were written after it can: they
     * follow. A torn end is not damage. If before_lsn is after_lsn + 1, no frame is lost (the head
     * of a segment was damaged). May be NULL. */
    void (*damage)(void *arg, const struct journal_damage *damage);
    void *arg;
};
/* Once, after journal_open. Writing goes on behind the last frame (or behind applied, if that is
 * higher), in another segment. Frames behind the end are wiped out. */
enum err journal_replay(struct journal *j, uint64_t applied, const struct journal_reader *reader,
                        struct failure *why);

enum journal_status {
    JOURNAL_OK,
    JOURNAL_FULL,  /* no room for another segment now: nothing was written; try again */
    JOURNAL_FAILED /* the disk failed; the process is to end. It stays so */
};
/* The most that one frame takes: JOURNAL_UNIT_MAX, or less where segments are small. */
size_t journal_frame_max(const struct journal *j);
/* One frame of these units, at most journal_frame_max bytes in all, at least one. */
enum journal_status journal_write(struct journal *j, const struct iovec *units, int n,
                                  uint64_t *ret_lsn, struct journal_place *ret_payload);
/* Everything written is on the disk. Nothing to do is fine. By the thread that writes. */
enum journal_status journal_sync(struct journal *j);
/* What the last JOURNAL_FULL or JOURNAL_FAILED was about. */
const char *journal_error(const struct journal *j);
/* The last JOURNAL_FULL was not for the disk: as many segments as may be wait for a checkpoint. */
bool journal_at_most(struct journal *j);
/* Room is prepared ahead of need, a piece (some MB, synced) a call; any one thread, while another
 * writes: a spare segment is made or a released one gets its next generation. JOURNAL_FULL: there
 * is no room for more, what there is can be used. */
enum journal_status journal_prepare(struct journal *j);
/* Whether journal_prepare has nothing to do. Any thread. */
bool journal_prepared(struct journal *j);
/* Frames up to lsn are not needed any more. Callable from the checkpointer's thread, while
 * another writes; readers of places in them must have ended. */
void journal_release(struct journal *j, uint64_t lsn);
/* Reads n bytes of a payload; any thread. False: they cannot be read, or were released. */
bool journal_read(struct journal *j, struct journal_place place, void *data, size_t n);

/* The part of a segment that holds frames which are needed, perhaps, and nothing after the last. */
struct journal_extent {
    char name[32]; /* below the disk */
    uint32_t end;
};
/* Of all segments in use, in an array for the caller to free. While nobody writes; they stay until
 * the next release. */
size_t journal_get_extents(struct journal *j, struct journal_extent **ret_extents);

struct journal_stats {
    uint64_t lsn, frames, bytes, syncs; /* since it was opened; bytes as written */
    uint64_t durable;                   /* the last lsn that is synced */
    unsigned segments, segments_free;
};
/* Any thread. */
void journal_read_stats(struct journal *j, struct journal_stats *ret_stats);

#endif
