/* Counts of runs, for the fold's own listings. */
#ifndef STORE_FOLD_STAT_H
#define STORE_FOLD_STAT_H

#include "store/fold_priv.h"

/* Adds what a run has; within fold_begin_read. */
enum kv_status fold_run_level(struct fold *f, struct kv_txn *txn, const struct fold_replica *q,
                              const struct fold_run *run, struct fold_level *level);
/* In order of id, without dropped ones; heap. Under the lock. */
struct fold_replica **fold_sorted_queues(struct fold *f, size_t *ret_count);

#endif
