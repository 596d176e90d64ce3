/* The inside of the store: units on their way, and the threads that take them there. */
#ifndef STORE_STORE_PRIV_H
#define STORE_STORE_PRIV_H

#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    STORE_PENDING_HIGH = 32 << 20, /* handed over and not written: readers of sockets stop */
    STORE_PENDING_LOW = 8 << 20,   /* and go on */
    STORE_UNFED_HIGH = 32 << 20,   /* the same for what the fold does not know: reads wait for it */
    STORE_UNFED_LOW = 16 << 20,
    STORE_WRITE_SOON = 1 << 20, /* so much is written though nobody waits for it */
    STORE_KEEP_BYTES = 8 << 20, /* written and not fed: more is read again from the journal */
    STORE_UNIT_LARGE = 1 << 20,
    STORE_FRAME_BYTES = 4 << 20,
    STORE_FRAME_UNITS = 512,
    STORE_IDLE_BYTES = 256 << 10, /* written in this run: until then no spare segments are made */
    STORE_SPARE_UNITS = 64,
    STORE_SPARE_BYTES = 256 << 10,  /* a larger buffer is not kept */
    STORE_LIVE_HIGH = 12 << 20,     /* live bytes that make a checkpoint worth while */
    STORE_LIVE_MAX = 24 << 20,      /* and at which feeding waits for one to begin */
    STORE_JOURNAL_HIGH = 128 << 20, /* or so much of the journal */
    STORE_AGE_S = 30,               /* or so long */
    STORE_STOP_MS = 5000,           /* so long a stop waits for room */
    STORE_HOLD_MS = 2000,           /* and a backup for the journal's thread */
    STORE_RETRY_MS = 100,           /* on a full disk */
    STORE_IDLE_MS = 2000,           /* without a checkpoint: then memory is given back */
    STORE_FEED_UNITS = 32,          /* so many, or so much, are fed at once; fewer after a while */
    STORE_FEED_BYTES = 256 << 10,
    STORE_FEED_MS = 20,
    STORE_SPIN_NS = 100 * 1000, /* how long the next unit is waited for awake, if it pays */
    STORE_SPIN_BYTES = 4 << 10, /* and the last were few */
};

enum full { FULL_JOURNAL = 1, FULL_DATABASE = 2 };

/* What a shard appended in a turn. */
struct unit {
    struct unit *next;
    struct store_log *log;
    struct buf bytes;
    struct record_base base;
    size_t len;
    uint64_t ticket, lsn;
    struct journal_place place;
    bool sync;   /* somebody waits for it to be safe */
    bool urgent; /* somebody waits for it to be fed */
};

struct store_log {
    struct store *store;
    struct shard *shard;
    struct bell *bell;
    struct unit *open;
    void (*before)(void *arg); /* handing over */
    void *before_arg;
    uint64_t ticket; /* of the open unit */
    struct deferred turn_end;
    struct list waits;
    bool holding;             /* its shard */
    _Atomic uint64_t durable; /* tickets below are safe */
    _Atomic uint64_t folded;  /* and known to the fold; changed under fold_lock */
    _Atomic bool read_done;
    struct list reads_done; /* under read_lock */
};

enum waits { WAITS_NOT, WAITS_SHORT, WAITS_LONG };

struct store {
    struct node *node;
    struct kv *kv;
    struct disk *disk;
    struct journal *journal;
    struct fold *fold;
    _Atomic uint64_t next_queue_id, next_message_id;
    uint64_t last_transaction; /* of earlier runs */
    uint64_t first_queue_id;   /* of this run */
    uint64_t replayed_frames, replayed_bytes;
    uint64_t missing_before; /* frames below are neither in the journal nor in the database */
    bool read_only;
    unsigned checkpoint_s;
    size_t frame_bytes; /* a frame has at most so many, or one unit */
    size_t unit_max;    /* which has at most so many */
    size_t unit_large;  /* a shard's unit that is not kept for the end of its turn */

    pthread_mutex_t lock; /* the next ones */
    pthread_cond_t work;
    struct unit *pending, **pending_end;
    uint64_t pending_bytes;
    _Atomic bool pending_sync; /* read without the lock for a hint */
    enum waits journal_waits;
    uint64_t waited_ns;           /* how long the journal's thread waited last; its own */
    _Atomic uint64_t unfed_bytes; /* handed over, and not known to the fold */
    struct unit *spare;
    unsigned spare_count;
    bool stop_journal;
    bool hold_journal, journal_held; /* its thread is to stand still, and does */
    pthread_cond_t hold_change;

    pthread_mutex_t fold_lock; /* the next ones, and what is fed */
    pthread_cond_t fold_work, fold_done, checkpoint_work, checkpoint_done;
    struct unit *written, **written_end;
    uint64_t written_bytes; /* of units that keep theirs */
    uint64_t fed_lsn;
    uint64_t to_feed_bytes; /* of those that the feeder has not taken */
    unsigned to_feed_units;
    bool feed_now; /* the reader waits for one of them */
    enum waits feeder_waits;
    uint64_t asked_checkpoint; /* counts them */
    bool stop_feeder, stop_checkpointer, reads_end;

    pthread_mutex_t checkpoint_lock; /* a checkpoint, against a backup; taken first */
    _Atomic unsigned backups;        /* that are being made */

    pthread_mutex_t feed_lock; /* feeding a frame, against the moment of a checkpoint */

    pthread_mutex_t read_lock; /* the next ones */
    pthread_cond_t read_work;
    struct list reads;
    bool stop_reader;

    pthread_t journal_thread, feeder_thread, checkpoint_thread, reader_thread;
    _Atomic uint64_t answered_checkpoint; /* asked_checkpoint when the last one began */
    _Atomic uint64_t checkpoints, last_checkpoint_us, last_sync_us, sync_us, checkpoint_us;
    _Atomic uint64_t durable_lsn;
    _Atomic unsigned full; /* enum full, a bit each */
    void (*on_full)(void *arg);
    void *on_full_arg;
    bool told_full; /* shard 0's */
};

/* Ends the process: the disk failed. */
void store_fail(const char *what, const char *text) __attribute__((noreturn, cold));
/* Writes what the fold has into the database and releases the journal. False: the disk is full, it
 * is all to be tried again. */
bool store_checkpoint(struct store *s);
/* The same, with checkpoint_lock held. */
bool store_checkpoint_alone(struct store *s);
/* The journal's thread stands still between two frames, with everything synced, until the next
 * call. False: it waits for room on the disk, and does not get there soon. */
bool store_hold_journal(struct store *s);
void store_let_journal(struct store *s);

void store_threads_init(struct store *s);
void store_threads_fini(struct store *s);
void store_threads_start(struct store *s);
/* Writes and feeds what was handed over, answers no more reads. */
void store_threads_stop(struct store *s);

#endif
