/* A batch: what one turn of a shard appended to a partition, as its files hold it. A head, the
 * entries, each behind its length, and the filter over their filter values. Numbers are little
 * endian. Pure functions, any thread. */
#ifndef PARTITION_BATCH_H
#define PARTITION_BATCH_H

#include "base/buf.h"

enum { BATCH_HEAD = 48, BATCH_ENTRY_HEAD = 4, BATCH_FILTER_MIN = 16, BATCH_FILTER_MAX = 255 };

struct batch {
    uint64_t base;    /* offset of the first entry */
    uint64_t time_ms; /* of day; never below that of the batch before */
    uint64_t synced;  /* offsets below were safe when this was written */
    uint32_t count;   /* of entries */
    uint32_t length;  /* bytes behind the head */
    uint32_t salt;    /* the partition's own; what is in a message does not know it */
    uint8_t filter_len;
    bool unfiltered; /* some entries have no filter value */
};

enum batch_status {
    BATCH_WHOLE,
    BATCH_SHORT, /* there are not enough bytes to tell */
    BATCH_END,   /* zeros: nothing was written here */
    BATCH_BAD
};
/* What begins at the first byte. SHORT: so many bytes are needed to go on, at least; ret_batch is
 * what the head says if it is there, which is not trusted before the checksum over all fits. */
enum batch_status batch_check(struct slice bytes, struct batch *ret_batch, size_t *ret_size);
/* Where a whole one may begin in bytes, from 1 on; bytes.len if nowhere. */
size_t batch_search(struct slice bytes);
/* The head and the checksum of one whose head's room, entries and filter are in place. */
void batch_finish(struct slice bytes, const struct batch *batch);

/* Of a whole one. */
struct slice batch_entries(struct slice bytes, const struct batch *batch);
struct slice batch_filter(struct slice bytes, const struct batch *batch);
/* False at the end. */
bool batch_next(struct slice *entries, struct slice *ret_entry);

/* A Bloom filter. */
void filter_add(uint8_t *filter, size_t len, struct slice value);
/* False: none of its entries has that value. An empty filter has none at all. */
bool filter_may_have(struct slice filter, struct slice value);

#endif
