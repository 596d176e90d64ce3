/* The journal: one write-ahead log a node, in segments that are written with zeros once and then
 * used again and again. Pure I/O through a disk, no thread of its own: one thread writes, others
 * may read places meanwhile (store.c has the threads).
 *
 * A frame is {length, crc32c over the rest and the payload, generation of the segment, lsn} and a
 * payload of whole units; it begins at a multiple of 512 bytes, so that a torn write cannot harm
 * the frame before it. Frame n+1 has lsn n+1. The end of the log is where no frame with the
 * generation of its segment and the next lsn follows, there or in the next segment. */
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
    uint32_t segment_size; /* 0: JOURNAL_SEGMENT */
    unsigned segments_max; /* more are not made; 0: 16 */
    bool read_only;        /* for dumps: nothing is made, cut or written */
};

/* Makes the directory "journal" and the first segments, or finds them. A newer format is refused
 * with a text that says so; an older one is upgraded. */
enum err journal_open(const struct journal_options *options, struct journal **ret_journal,
                      struct failure *why);
void journal_close(struct journal **journal);

/* What a replay met, for the log and for the one who asks. */
struct journal_damage {
    const char *segment; /* name of the file */
    uint64_t offset, bytes;
    uint64_t after_lsn, before_lsn; /* the frames around it */
};
struct journal_reader {
    /* Each frame above the applied lsn, in order. */
    void (*frame)(void *arg, uint64_t lsn, struct journal_place payload, struct slice bytes);
    /* Something in the middle cannot be read, and frames that were written after it can: they
     * follow. A torn end is not damage. */
    void (*damage)(void *arg, const struct journal_damage *damage);
    void *arg;
};
/* Once, after journal_open. Writing goes on behind the last frame, in another segment. */
enum err journal_replay(struct journal *j, uint64_t applied, const struct journal_reader *reader,
                        struct failure *why);

enum journal_status {
    JOURNAL_OK,
    JOURNAL_FULL,  /* no room for another segment now: nothing was written; try again */
    JOURNAL_FAILED /* the disk failed; the process is to end; journal_error says what */
};
/* One frame of these units, at most JOURNAL_UNIT_MAX bytes in all (or one unit of that size). */
enum journal_status journal_write(struct journal *j, const struct iovec *units, int n,
                                  uint64_t *ret_lsn, struct journal_place *ret_payload);
/* Everything written is on the disk. */
enum journal_status journal_sync(struct journal *j);
const char *journal_error(const struct journal *j);
/* Room is prepared ahead of need; call it when there is time (it may write a whole segment). */
enum journal_status journal_prepare(struct journal *j);
/* Frames up to lsn are not needed any more. Callable from the checkpointer's thread, while
 * another writes; readers of places in them must have ended. */
void journal_release(struct journal *j, uint64_t lsn);
/* Reads n bytes of a payload; any thread. False: they cannot be read. */
bool journal_read(struct journal *j, struct journal_place place, void *data, size_t n);

struct journal_stats {
    uint64_t lsn, frames, bytes, syncs; /* since it was opened; bytes as written */
    unsigned segments, segments_free;
};
void journal_read_stats(struct journal *j, struct journal_stats *ret_stats);

#endif
