/* The fold: what the journal says beyond what the database has ("memtable"), and how it gets into
 * the database. A replica of all contents, fed with frames alone: it never looks at a queue.
 *
 * fold_frame is called by one thread, in order of lsn; fold_freeze and fold_checkpoint by one, the
 * same or another; fold_read and the questions by any thread at any time. State = database + frames
 * above its applied lsn. */
#ifndef STORE_FOLD_H
#define STORE_FOLD_H

#include "store/journal.h"
#include "store/kv.h"
#include "store/record.h"

struct fold;

struct fold_options {
    struct kv *kv;     /* borrowed, as the next two */
    struct disk *disk; /* large bodies: "blobs/" */
    struct journal *journal;
    size_t large; /* bodies from this on are files of their own; 0: 64 KiB */
    /* Blocks of purged and deleted queues that one checkpoint deletes, 0: 65,536. Purges of queues
     * with less messages are done at once. */
    size_t portion;
    bool read_only; /* nothing on the disk changes */
    /* A damaged block or body was met: for the log, with the queue's id. May be NULL. */
    void (*damage)(void *arg, uint64_t queue, const char *text);
    void *arg;
};

/* Reads the queue records. A newer format is refused. */
enum err fold_open(const struct fold_options *options, struct fold **ret_fold, struct failure *why);
void fold_close(struct fold **fold);
/* The last frame that the database has. */
uint64_t fold_applied(struct fold *f);
/* The next frame, or the next part of it that consists of whole units. What does not parse is
 * reported as damage and left out from there to the end. */
void fold_frame(struct fold *f, uint64_t lsn, struct journal_place payload, struct slice bytes);
/* After the last frame of a recovery: transactions without COMMIT are forgotten, transient
 * messages and contents of queues that are not durable too; messages that may have been delivered
 * count as redelivered. */
void fold_recovered(struct fold *f);
/* At a clean stop, before the last checkpoint: nobody holds a message any more. */
void fold_stopping(struct fold *f);

/* Whether there is enough to fold: journal bytes not applied and bytes that would be written. */
void fold_pressure(struct fold *f, uint64_t *ret_journal_bytes, uint64_t *ret_live_bytes);
/* Sets what was fed so far apart for the next checkpoint; frames that follow are of the one after.
 * Not within a frame. After a checkpoint that was KV_FULL: adds to what is apart, so that what was
 * settled meanwhile need not be written. Cheap. */
void fold_freeze(struct fold *f);
/* What is set apart (if nothing is: all of it now) goes into the database in one transaction,
 * except what does not live any more. KV_FULL: nothing is lost, freeze and call again later. On
 * KV_OK fold_applied is the lsn up to which the journal may be released: no read uses it any more.
 */
enum kv_status fold_checkpoint(struct fold *f);

/* ---- what there is ---- */
struct fold_level {
    uint64_t count, bytes; /* of bodies */
    uint64_t first, last;  /* seqs within these */
    uint64_t expiry;       /* none expires before, 0 = none ever */
    uint16_t level;
};
struct fold_queue {
    uint64_t id, next_seq;
    bool durable;
    unsigned level_count;
    struct fold_level levels[RECORD_TOP_LEVEL + 1];
};
/* False: no such id. For the start of queues, after fold_recovered. */
bool fold_get_queue(struct fold *f, uint64_t id, struct fold_queue *ret_queue);
void fold_each_queue(struct fold *f, void (*fn)(uint64_t id, bool durable, void *arg), void *arg);
/* Definitions: as in the database and changed by frames since. In order of noun and key. One that
 * is damaged has an empty value (and what of its key the table has). */
void fold_each_definition(struct fold *f, uint8_t noun,
                          void (*fn)(struct slice key, struct slice value, void *arg), void *arg);
uint64_t fold_last_message_id(const struct fold *f);
uint64_t fold_last_queue_id(const struct fold *f);
uint64_t fold_last_transaction(const struct fold *f);

/* ---- messages ---- */
struct fold_query {
    uint64_t queue;
    uint64_t from, to; /* seqs, inclusive */
    uint16_t level;
    uint32_t max_count;
    size_t max_bytes;     /* about; at least one message is read */
    const uint64_t *seqs; /* these alone, ascending, within from and to; NULL: all */
    uint32_t seq_count;
};
/* Entries in order, with contents: slices into bytes. */
struct fold_page {
    struct entry *entries;
    bool *redelivered;
    size_t count, cap;
    struct buf bytes;
    uint64_t next; /* from of the next query; above to, or UINT64_MAX: this was all */
    uint64_t lost; /* messages in damaged blocks that were passed over */
};
void fold_read(struct fold *f, const struct fold_query *query, struct fold_page *page);
void fold_page_fini(struct fold_page *page);

/* ---- for people ---- */
/* Prints what a data directory holds (see jackaloped --dump-data); of definitions only how many. */
void fold_dump(struct fold *f, void (*line)(void *arg, const char *text), void *arg);

#endif
