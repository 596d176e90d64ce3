/* Insides of segments, for this folder and its tests. */
#ifndef PARTITION_SEGMENTS_PRIV_H
#define PARTITION_SEGMENTS_PRIV_H

#include "partition/segments.h"

#include <pthread.h>

enum { SEGMENTS_INDEX_ENTRY = 32 };

struct segment {
    uint64_t base;
    uint64_t first_ms; /* time of its first batch, 0: not known */
    uint64_t size;
};

struct index_entry {
    uint64_t offset, time_ms, position;
    uint32_t salt;
};

struct segments {
    struct disk *disk;
    uint64_t id;
    int file, index_file; /* of the last one; the writer's */
    int read_file;        /* the reader's */
    uint64_t read_base;
    uint64_t told_base, told_at; /* the reader's: damage that was logged last */
    bool told;
    pthread_mutex_t lock; /* the next ones; the writer reads them without it */
    struct segment *items;
    size_t count, cap;
    struct index_entry *index; /* of the last one */
    size_t index_count, index_cap;
    uint64_t next, last, last_ms;
    uint32_t salt;
    bool salted; /* the salt is known */
};

void segments_name(const struct segments *s, uint64_t base, bool index, char *ret_name);
/* False: damaged. */
bool segments_index_entry(const uint8_t *bytes, struct index_entry *ret_entry);

/* A way through the batches of a file, by portions. */
struct scan {
    struct disk *disk;
    int file;
    uint64_t size, position;
    struct buf bytes; /* from at on */
    uint64_t at;
    int error; /* of a read: -errno */
    uint32_t salt;
    bool salted; /* a search takes only batches with that salt */
};
void scan_fini(struct scan *scan);
/* What is at the position; does not move. SHORT: the file ends in the midst of it. */
enum batch_status scan_batch(struct scan *scan, struct batch *ret_batch);
/* Its bytes, until the next call. */
struct slice scan_bytes(const struct scan *scan, const struct batch *batch);
/* Moves to the next whole batch of the partition behind the position; false: there is none. */
bool scan_search(struct scan *scan, struct batch *ret_batch);

#endif
