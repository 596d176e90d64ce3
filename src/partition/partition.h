/* Partitions: append-only logs with offsets, one after the other on disk. A partition lives on a
 * shard, which appends; a thread of the node writes the batches of all partitions and syncs each
 * file once for all that waits for it, another reads. What is appended within a turn is a batch.
 *
 * Invariants
 * 1. Offsets are given once, without holes, in the order of appending.
 * 2. Nobody is told of an entry, by commit or by read, that is not safe on the disk.
 * 3. Nothing waits for a disk on a shard's thread. */
#ifndef PARTITION_PARTITION_H
#define PARTITION_PARTITION_H

#include "base/buf.h"
#include "base/err.h"
#include "partition/batch.h"
#include "partition/segments.h"
#include "shard/shard.h"

struct partitions;
struct partition;

enum {
    PARTITION_BATCH = 256 << 10,        /* a batch that is not kept for the end of the turn */
    PARTITION_PENDING_HIGH = 32 << 20,  /* appended and not written: readers of sockets stop */
    PARTITION_PENDING_LOW = 8 << 20,    /* and go on */
    PARTITION_PENDING_FULL = 128 << 20, /* the high mark while there is no room: publishers know */
};

/* ---- of the node ---- */
/* Before the loops run. directory exists, is locked by the caller. */
enum err partitions_open(struct node *node, const char *directory, struct partitions **ret,
                         struct failure *why);
/* The files of partitions that no one has asked for by now go. Before the loops run. keep: those
 * that will be asked for. */
void partitions_sweep(struct partitions *ps, bool (*keep)(uint64_t id, void *arg), void *arg);
/* After the loops ended, and the partitions were freed: what was appended is written. */
void partitions_close(struct partitions **ps);
/* Writes wait for room on the disk. Any thread. */
bool partitions_are_full(struct partitions *ps);
/* fn runs on shard 0 when that begins and when it ends; NULL: no more. Before the loops run, or on
 * shard 0. */
void partitions_watch_full(struct partitions *ps, void (*fn)(void *arg), void *arg);
/* The writer stands still, with everything synced, until the next call; for copies of the files,
 * and for short. Not by a shard's thread. False: it waits for room on the disk. */
bool partitions_hold(struct partitions *ps);
void partitions_go_on(struct partitions *ps);
/* Heap bytes that the shard has for it; shard 0 also those that wait for the writer. On its thread.
 */
size_t partitions_memory(const struct shard *shard);
/* NULL where a node has none (tests). */
struct partitions *partitions_of(const struct node *node);

/* ---- a partition ---- */
struct partition_options {
    uint64_t max_bytes, max_age_ms; /* UINT64_MAX: none */
    uint64_t segment_bytes;
    uint8_t filter_bytes;
};

/* What the owner wants to know; on the shard. */
struct partition_user {
    void (*on_open)(void *arg);   /* its offsets are known */
    void (*on_commit)(void *arg); /* more is safe */
    void (*on_drop)(void *arg);   /* the first entries went */
};

/* fresh: of an id that was not there before. A fresh one is open at once, another calls on_open. */
struct partition *partition_new(struct shard *shard, uint64_t id, bool fresh,
                                const struct partition_options *options,
                                const struct partition_user *user, void *arg);
/* What was appended is written, reads are forgotten. */
void partition_free(struct partition **partition);
/* The same, and its files go. */
void partition_remove(struct partition **partition);
bool partition_is_open(const struct partition *p);
/* From the next segment on; what is too much by them goes soon. */
void partition_set_options(struct partition *p, const struct partition_options *options);
/* What is too old, or too much, goes soon. */
void partition_retain(struct partition *p);

/* ---- appending ---- */
/* Room for one more entry, to be filled before anything else is asked; its offset is
 * partition_next before. */
uint8_t *partition_add(struct partition *p, size_t size);
/* The one added last has that filter value, or none. */
void partition_add_filter(struct partition *p, struct slice value, bool has_value);

struct partition_offsets {
    uint64_t first, next; /* next: of the next entry */
    uint64_t begin;       /* of the batch that entries are being added to */
    uint64_t committed;   /* those below are safe */
    uint64_t last;        /* first offset of the last safe batch, committed if there is none */
};
struct partition_offsets partition_offsets(const struct partition *p);
uint64_t partition_segments(const struct partition *p);
/* Of its files. */
uint64_t partition_bytes(const struct partition *p);
/* Heap bytes. */
size_t partition_memory(const struct partition *p);

/* ---- reading ---- */
struct partition_read {
    uint64_t offset;
    struct segments_cursor cursor; /* in and out */
    struct buf batches;            /* out; the callback may take it */
    bool by_time;                  /* offset is a time: it becomes an offset, batches stay empty */
    bool failed;                   /* out: an error, of a moment perhaps */
};
/* fn runs on the shard unless the partition is freed before. */
void partition_read(struct partition *p, const struct partition_read *read,
                    void (*fn)(void *arg, struct partition_read *read));

#endif
