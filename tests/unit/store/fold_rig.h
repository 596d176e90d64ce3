/* A fold with a real database and a real journal in a directory of its own, fed and restarted as
 * the store does it. */
#ifndef FOLD_RIG_H
#define FOLD_RIG_H

#include "store/fold.h"

struct fold_rig {
    char directory[64];
    struct kv *kv;
    struct disk *disk;
    struct journal *journal;
    struct fold *fold;
    struct buf unit;   /* what rig_feed writes */
    uint64_t map_size; /* for the next opening; 0: as it comes */
    size_t large, portion;
    unsigned damages;        /* reported */
    char damage[256];        /* the last */
    struct fold_queue queue; /* what rig_queue read */
    struct fold_page page;   /* what rig_read read */
};

void rig_init(struct fold_rig *rig);
void rig_fini(struct fold_rig *rig);
/* Feeds what is in unit as a frame. */
void rig_feed(struct fold_rig *rig);
void rig_checkpoint(struct fold_rig *rig);
/* As after a crash: what was not folded is replayed. */
void rig_restart(struct fold_rig *rig);
/* The same, after fold_stopping and a checkpoint. */
void rig_stop_and_start(struct fold_rig *rig);
/* Without fold_recovered. */
void rig_reopen(struct fold_rig *rig);

/* Appends an ENQ of a persistent message at level 0 with a body that tells its seq. */
void rig_enq(struct fold_rig *rig, uint64_t queue, uint64_t seq);
struct entry rig_entry(uint64_t seq, size_t body_len);
/* Whether the body is that of rig_entry. */
bool rig_is(const struct entry *e, uint64_t seq, size_t body_len);

/* Messages of level 0, by counters; the queue must be there. */
uint64_t rig_count(struct fold_rig *rig, uint64_t queue);
/* By reading all of the level in pages: the number read, checked to be in order and whole if their
 * bodies are of body_len (0: as it comes). */
uint64_t rig_read_all(struct fold_rig *rig, uint64_t queue, uint16_t level, size_t body_len);
/* One page. */
void rig_read(struct fold_rig *rig, uint64_t queue, uint64_t from, uint64_t to);
/* Counters and contents agree: for every level. */
void rig_check(struct fold_rig *rig, uint64_t queue);
/* Keys of a table. */
uint64_t rig_rows(struct fold_rig *rig, enum kv_table t);

#endif
