/* Inside the fold: what is in memory of queues, messages and definitions.
 *
 * There are two parts of a memtable: frames go into the active one; fold_freeze turns it into the
 * frozen one, which a checkpoint writes and then drops. Everything that frames change exists once a
 * part ([FOLD_PARTS]).
 *
 * The lock is held exclusively to feed, to freeze and to drop what was written (thaw); shared to
 * read. The checkpointer's thread holds it not at all while it writes: the frozen part, "stored"
 * and "dead" change under it only by that thread's own hand, in thaw. A read whose database
 * snapshot is of another checkpoint than the memory is begun again (fold_begin_read). */
#ifndef STORE_FOLD_PRIV_H
#define STORE_FOLD_PRIV_H

#include "base/hash.h"
#include "store/fold.h"
#include "store/fold_ranges.h"
#include "store/fold_table.h"

#include <pthread.h>

enum {
    FOLD_PARTS = 2,
    FOLD_RECENT = 1024,          /* a power of two: ids are given in a row */
    FOLD_HEAP = 0,               /* slot: not a segment, but part.heap */
    FOLD_LARGE = 64 << 10,       /* bodies from this on are files */
    FOLD_BATCH = 32 << 20,       /* bytes of entries in memory while they are packed */
    FOLD_PORTION = 65536,        /* dead blocks deleted by one checkpoint, */
    FOLD_RELEASED_MAX = 1 << 20, /* unless so many messages are released */
    FOLD_CARRY_MS = 60000,       /* a message that nobody names is kept for that long, */
    FOLD_CARRY_TIMES = 2,        /* and for so many checkpoints */
    FOLD_ENTRY_COST = 48,        /* memory of an entry beside its bytes, for fold_pressure */
    FOLD_DEAD_PRESSURE = 1 << 30 /* dead blocks ask for a checkpoint */
};

/* Numbers of runs are below. */
enum { FOLD_RUNS = 2 * (RECORD_TOP_LEVEL + 1) };

/* The id in KV_PENDING of settles, see fold_run.late. */
static const uint64_t FOLD_LATE_ID = UINT64_MAX;

/* Where bytes are: in the journal, or in the heap of the part. */
struct fold_place {
    uint32_t offset;
    uint32_t len;
    uint16_t slot; /* index into part.segments, FOLD_HEAP */
};

/* ---- a run: messages of one queue and level that are persistent, or that are not ---- */
struct fold_entry {
    uint64_t seq;
    union {
        uint64_t id; /* of a message stored once, or 0 */
        struct {
            uint32_t head, head_len; /* the head of its ENQ, in the same slot */
        };
    };
    uint32_t offset, len;
    uint32_t body; /* bytes of body, UINT32_MAX at most */
    uint16_t slot;
    bool gone; /* settled, not taken out yet */
    bool next; /* was a NEXT: it has a head, no id */
};
static inline uint64_t fold_entry_id(const struct fold_entry *e)
{
    return e->next ? 0 : e->id;
}
_Static_assert(sizeof(struct fold_entry) == 32, "entries are what the memtable consists of");

/* In order of seq, from the oldest that lives to the newest. */
struct fold_ring {
    struct fold_entry *entries;
    uint32_t cap, head, count; /* cap: a power of two */
    uint32_t live;
    uint64_t bytes;  /* of bodies that live */
    uint64_t expiry; /* none expires before; 0: none ever */
};
static inline struct fold_entry *fold_ring_at(const struct fold_ring *r, uint32_t i)
{
    return &r->entries[(r->head + i) & (r->cap - 1)];
}

/* What the database has of a run. */
struct fold_stored {
    uint64_t count, bytes, expiry;
    uint64_t first, end; /* all seqs are at first or later, and below end */
    bool holes;          /* some block may have a bitmap */
};

struct fold_run {
    struct fold_run *next; /* by number */
    uint16_t number;       /* level * 2, + 1: transient */
    bool staged;           /* stored and dead have successors, once the transaction is through */
    uint64_t end;          /* seqs at or above are in the active ring only */
    struct fold_ring ring[FOLD_PARTS];
    struct fold_ranges settled[FOLD_PARTS]; /* of what is below end */
    struct fold_ranges late; /* level's settles that may precede a COMMIT of the same messages */
    struct fold_stored stored, next_stored;
    struct fold_ranges dead, next_dead; /* blocks with keys in it are to be deleted, as good as
                                           gone */
};

/* Times given back, by level and seq. */
struct fold_count {
    uint64_t seq;
    uint32_t count; /* 0: free */
    uint16_t level;
};
struct fold_counts {
    struct fold_count *slots;
    uint32_t cap, n; /* cap: a power of two */
};

struct fold_replica {
    uint64_t id;
    uint64_t next_seq, redelivered_below;
    struct fold_run *runs; /* in order of number */
    struct fold_counts counts[FOLD_PARTS];
    struct fold_counts late; /* of messages whose COMMIT may follow */
    uint32_t pending_enqs;   /* in transactions without COMMIT */
    uint64_t pending_first;  /* none of these is below */
    bool durable, attached;
    bool dropped;           /* by a frame: as if it were not there */
    bool dirty_frozen;      /* it is in the part that a checkpoint under way writes, */
    bool removing;          /* which removes it */
    bool in_table;          /* KV_QUEUES has a record */
    bool counts_stored;     /* KV_COUNTS may have rows; */
    bool counts_next;       /* once the transaction is through */
    bool dirty[FOLD_PARTS]; /* it is in part.queues */
};

/* ---- messages stored once ---- */
struct fold_piece {
    uint64_t offset;
    struct fold_place place;
};
/* What one part knows of a message: perhaps its head, perhaps only that entries came and went. */
struct fold_message {
    uint64_t id;
    uint64_t total;    /* born: bytes of the body */
    uint64_t received; /* bytes in pieces */
    int64_t refs;      /* entries that came, less those that went */
    uint64_t named;    /* entries that came, each queue's first */
    uint32_t expected; /* born: entries that will come at most, 0: unknown */
    bool born;         /* head is the MESSAGE record */

    struct fold_place head;
    struct fold_piece *pieces; /* in order of offset */
    size_t count, cap;
};

struct fold_definition {
    bool removed;
    struct slice key;   /* as in the table: heap */
    struct slice value; /* length of the key as given u32, that key, its value: heap */
};

struct fold_transaction {
    uint64_t id;
    struct buf records;
    size_t saved;    /* bytes of records in KV_PENDING */
    uint32_t chunks; /* as so many values */
};

/* ---- a part ---- */
struct fold_dirty {
    struct fold_replica *queue;
    bool dropped;
};
struct fold_save {
    uint64_t id;
    struct slice records; /* heap: what is not saved yet */
    uint32_t chunk;
};
struct fold_part {
    struct fold_dirty *queues;
    size_t queue_count, queue_cap;
    uint64_t *segments; /* by slot */
    size_t segment_count, segment_cap;
    struct buf heap;
    struct hash messages, definitions;
    uint64_t *ended; /* transactions to be taken out of KV_PENDING */
    size_t ended_count, ended_cap;
    struct fold_save *saves; /* made by the freeze */
    size_t save_count, save_cap;
    struct buf late; /* the same of settles, as records */
    bool any;        /* something is to be written */
    uint64_t lsn;    /* up to here */
    uint64_t live_bytes, journal_bytes;
};

struct fold_damaged {
    uint64_t queue, first;
    uint16_t run;
    char why[80];
};

struct fold {
    struct fold_options options;
    struct kv *kv;
    pthread_rwlock_t lock;
    struct hash queues, transactions;
    struct fold_replica *recent[FOLD_RECENT]; /* queues of the records before, by id */
    struct fold_part parts[FOLD_PARTS];
    unsigned active; /* index; the other one is frozen, if there is one */
    bool frozen;
    bool recovered;    /* frames come from the living */
    bool late_saved;   /* KV_PENDING has settles */
    bool zero_waiting; /* KV_META has messages that nobody names */
    uint64_t applied, checkpoint;
    uint64_t opened; /* the number of the checkpoint then */
    uint64_t lsn;    /* fed */
    uint64_t last_message_id, last_queue_id;
    uint64_t last_transaction; /* of those that were without COMMIT */
    uint64_t *drops;           /* dropped queues that have blocks yet */
    size_t drop_count, drop_cap;
    bool dead_blocks; /* some run has */
    pthread_mutex_t damage_lock;
    struct fold_damaged *damaged; /* not set aside yet */
    size_t damaged_count, damaged_cap;
};

static inline struct fold_part *fold_active(struct fold *f)
{
    return &f->parts[f->active];
}
static inline unsigned fold_frozen_index(const struct fold *f)
{
    return 1 - f->active;
}

#endif
