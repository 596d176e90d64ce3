/* Insides of partitions: jobs between shards and threads. */
#ifndef PARTITION_PARTITION_PRIV_H
#define PARTITION_PARTITION_PRIV_H

#include "base/list.h"
#include "partition/partition.h"
#include "shard/bell.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    PARTITION_RETRY_MS = 100,
    PARTITION_STOP_MS = 5000,
    PARTITION_HOLD_S = 2,
    PARTITION_TELL_MS = 10000, /* the same error of one partition again */
    PARTITION_SPARE = 8,
    PARTITION_OPENED = 64 /* whose files stay open, for each of the threads */
};

/* TIDY: the reader closes a file that was dropped. */
enum job_kind { JOB_OPEN, JOB_WRITE, JOB_RETAIN, JOB_REMOVE, JOB_READ, JOB_TIDY };

/* Owned by the list it is in; holds one reference of the partition. */
struct job {
    struct list link;
    enum job_kind kind;
    struct partition *partition;
    struct batch batch; /* WRITE */
    struct buf bytes;
    bool written;                     /* WRITE: and is not to be again, though more is to be done */
    bool dropped;                     /* WRITE, RETAIN: segments went */
    struct partition_options options; /* as of now */
    struct partition_read read;
    void (*fn)(void *arg, struct partition_read *read);
};

/* What the threads have for a shard. */
struct partition_shard {
    struct partitions *partitions;
    struct shard *shard;
    struct bell *bell;
    struct list done; /* jobs, under partitions.lock */
    struct list spare;
    unsigned spare_count;
    bool holding;
};

/* A file of an earlier run. */
struct found {
    uint64_t id, base;
    bool index;
};

/* Partitions with open files, of one thread; a reference each. */
struct opened {
    struct partition *items[PARTITION_OPENED];
    unsigned next; /* the one that goes next */
};

struct partitions {
    struct node *node;
    struct disk *disk;
    struct partition_shard *shards;
    struct found *found; /* sorted by id, segments first, then by base */
    size_t found_count, found_cap;
    pthread_mutex_t lock; /* the next ones */
    pthread_cond_t write_work, read_work;
    struct list writes, reads; /* jobs */
    uint64_t pending_bytes;
    bool stop;
    bool hold, held; /* the writer is to stand still, and does */
    pthread_cond_t hold_change;
    pthread_t writer, reader;
    _Atomic bool full; /* some thread waits for room */
    bool given_up;     /* the writer's: a stop does not wait for room any longer */
    struct opened written, read;
    /* shard 0's */
    void (*on_full)(void *arg);
    void *on_full_arg;
    bool told_full;
};

struct partition {
    _Atomic unsigned refs; /* the owner's, and one a job */
    struct partition_shard *home;
    struct segments *segments;
    _Atomic uint64_t safe; /* offsets below are on the disk */
    uint64_t id;
    struct list dirty;   /* the writer's: to be synced */
    bool removed;        /* the writer's: what is left to be written is not */
    uint64_t complained; /* the reader's: when it told of an error, monotonic ns */
    /* the rest is the shard's */
    const struct partition_user *user;
    void *arg;
    bool gone;   /* nobody is to be called */
    bool doomed; /* its files go, once it is open */
    bool open;
    bool retaining, retain_again; /* a job is on its way, and one more is wanted */
    uint32_t salt;
    struct partition_options options;
    uint64_t first, next, committed, last, last_ms;
    struct job *building;
    size_t entry; /* where the last one added begins, for the filter */
    uint8_t filter[BATCH_FILTER_MAX];
    bool filtered;
    struct deferred turn_end;
};

void partition_unref(struct partition *p);
void partition_forget_opened(struct opened *opened);
void partition_threads_start(struct partitions *ps);
void partition_threads_stop(struct partitions *ps);
void partition_post_write(struct partitions *ps, struct job *job);
void partition_post_read(struct partitions *ps, struct job *job);

#endif
