/* The store of a node: the journal, the database, and the threads between them.
 *
 * A shard appends records to its log; what it appended in a turn is one unit, handed over at the
 * end of the turn (or earlier, on demand), never torn. The journal's thread writes the units of
 * all shards as frames and syncs when somebody asked for it; the checkpointer's thread feeds the
 * fold; a reader's thread answers reads. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "shard/shard.h"
#include "store/fold.h"
#include "store/record.h"

struct store;
struct store_log;

struct store_options {
    const char *directory; /* exists, is locked by the caller */
    uint32_t segment_size; /* 0: the default, as below */
    unsigned segments_max;
    uint64_t map_size, map_max; /* as in struct kv_options */
    bool read_only;             /* nothing is made or written, what is appended is forgotten: for
                                   questions about a broker that is stopped */
    unsigned checkpoint_s;      /* between two checkpoints at most; 0: 30 */
    size_t unit_large;          /* what a shard appended is handed over above that; 0: 1 MiB */
};

/* Opens or makes the store and recovers: replays, folds, checkpoints. Before the loops run. */
enum err store_open(struct node *node, const struct store_options *options,
                    struct store **ret_store, struct failure *why);
/* After the loops ended: what was appended is written, folded and synced. */
void store_close(struct store **store);
struct store *store_of(const struct node *node);
/* What was found at the start; not for use while the loops run, but for fold_read and dumps. */
struct fold *store_fold(struct store *store);
/* The queue's id is from an earlier run. */
bool store_is_recovered(const struct store *store, uint64_t queue);
/* Ids that were never used before. Any shard. */
uint64_t store_new_queue_id(struct store *store);
uint64_t store_new_message_id(struct store *store);
/* Transactions of this run have higher numbers: where a start finds no room for its checkpoint, the
 * next one reads what earlier runs left without COMMIT, and then what this one wrote. */
uint64_t store_last_transaction(const struct store *store);

/* ---- a shard's log ---- */
/* NULL where a node has no store (tests). */
struct store_log *store_log_of(const struct shard *shard);
/* Where records are appended (store/record.h). Borrowed for the moment. Appending alone asks for
 * nothing: the records are written within STORE_LAZY_MS, or with the next that asks. */
struct buf *store_records(struct store_log *log);
/* What record_put_next needs to know of them. */
struct record_base *store_record_base(struct store_log *log);
/* Hands over now: whatever any shard appends in knowledge of it comes later in the journal. */
void store_hand_over(struct store_log *log);
/* If a lot was appended: for those who append on and on. */
void store_hand_over_large(struct store_log *log);
/* fn appends what it kept back whenever something is handed over, whoever does that: so it is safe
 * with what was appended before. fn NULL: nobody. */
void store_before_hand_over(struct store_log *log, void (*fn)(void *arg), void *arg);

/* Waits until what was appended before is safe. */
struct store_wait {
    struct list link;
    uint64_t ticket;
    void (*fn)(struct store_wait *wait); /* on the shard, in the order of waiting */
};
/* Asks for everything appended so far to be synced soon; fn runs once it is. */
void store_sync(struct store_log *log, struct store_wait *wait);
/* For ends before the loops ended: fn is not called. */
void store_wait_cancel(struct store_wait *wait);

enum { STORE_LAZY_MS = 100 };

/* ---- reads ---- */
struct store_read {
    struct list link;
    struct fold_query query; /* in */
    struct fold_page page;   /* out; the caller calls fold_page_fini */
    uint64_t mark;           /* in: what it has to see of the log, */
    uint64_t lsn;            /* and of what all shards logged; 0: nothing */
    struct store_log *log;
    void (*fn)(struct store_read *read); /* on the shard */
};
/* Everything that this shard appended so far. */
uint64_t store_mark(const struct store_log *log);
/* The last frame that is safe, whichever shards' it is. */
uint64_t store_durable(const struct store_log *log);
/* A read that has to see that much of its log need not wait. */
bool store_is_fed(const struct store_log *log, uint64_t mark);
/* Sees what was appended before its mark, and maybe more. Answered in order. The caller keeps read
 * until fn was called, or store_read_cancel. */
void store_read(struct store_log *log, struct store_read *read);
/* For ends: waits until nobody uses it; fn is not called. */
void store_read_cancel(struct store_read *read);

/* The store waits for room on the disk. Any thread. */
bool store_is_full(const struct store *store);
/* fn runs on shard 0 soon after that changed. Before the loops run; NULL: nobody wants to know. */
void store_watch_full(struct store *store, void (*fn)(void *arg), void *arg);

/* Asks for a checkpoint of what is fed by now; any thread. store_has_checkpoint with the number
 * that is returned tells that it was made: where there is no room on the disk, once there is again.
 */
uint64_t store_ask_checkpoint(struct store *store);
bool store_has_checkpoint(const struct store *store, uint64_t number);

struct store_stats {
    struct journal_stats journal;
    uint64_t pending_bytes; /* handed over, not written */
    uint64_t database_bytes, database_free;
    uint64_t checkpoints, last_checkpoint_us, last_sync_us;
    uint64_t sync_us, checkpoint_us; /* all of them together */
};
void store_read_stats(struct store *store, struct store_stats *ret_stats);
/* Heap bytes of journal, fold and database; without the pages of the database, which are mapped,
 * and without what it reserves and hardly touches. */
uint64_t store_memory(struct store *store, uint64_t *ret_reserved);

#endif
