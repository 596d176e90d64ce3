/* A checkpoint under way. The checkpointer's own, without the lock. */
#ifndef STORE_FOLD_CHECKPOINT_H
#define STORE_FOLD_CHECKPOINT_H

#include "store/fold_block.h"
#include "store/fold_part.h"

struct fold_staged {
    struct fold_replica *queue;
    struct fold_run *run;
};

struct fold_txn {
    struct fold *f;
    struct fold_part *part; /* the frozen one */
    unsigned index;         /* of part */
    struct kv_txn *txn;
    struct fold_staged *staged; /* runs with successors */
    size_t staged_count, staged_cap;
    uint64_t *released; /* ids of messages that entries in the database named */
    size_t released_count, released_cap, released_max;
    uint64_t *unlink; /* ids of messages whose files go once this is committed */
    size_t unlink_count, unlink_cap;
    uint64_t *made; /* of files that go if it is not */
    size_t made_count, made_cap;
    uint64_t *drops; /* as fold.drops will be */
    size_t drop_count, drop_cap;
    size_t damage_handled; /* of fold.damaged */
    size_t portion;        /* dead blocks that may be deleted yet */
    bool zero_waiting, files_written, only_settles;
    uint64_t last_message_id, last_queue_id;
    struct buf scratch;
};

static inline size_t fold_portion(const struct fold *f)
{
    return f->options.portion ? f->options.portion : FOLD_PORTION;
}
/* The run's stored, for changing. */
struct fold_stored *fold_stage(struct fold_txn *t, struct fold_replica *q, struct fold_run *run);
static inline const struct fold_stored *fold_stored_now(const struct fold_run *run)
{
    return run->staged ? &run->next_stored : &run->stored;
}
static inline const struct fold_ranges *fold_dead_now(const struct fold_run *run)
{
    return run->staged ? &run->next_dead : &run->dead;
}
/* The run behind this one (NULL: the first). Frames may add runs meanwhile. */
struct fold_run *fold_next_run(struct fold *f, const struct fold_replica *q,
                               const struct fold_run *run);
void fold_release_id(struct fold_txn *t, uint64_t id);

/* A damaged block: reported once, and remembered to be set aside. Any thread. */
void fold_damage(struct fold *f, uint64_t queue, uint16_t run, uint64_t first, const char *why);

/* fold_settle.c: takes what was settled out of the blocks of a run. */
enum kv_status fold_apply_settled(struct fold_txn *t, struct fold_replica *q, struct fold_run *run);
enum kv_status fold_set_aside(struct fold_txn *t);
/* fold_bury.c */
/* Deletes blocks in dead ranges and of dropped queues, as many as the portion allows. */
enum kv_status fold_bury(struct fold_txn *t);
/* All dead blocks of a run, now. */
enum kv_status fold_bury_run(struct fold_txn *t, struct fold_replica *q, struct fold_run *run);
/* What of the run's stored a set of settles takes, without changing anything. */
enum kv_status fold_count_settled(struct kv_txn *txn, const struct fold_replica *q,
                                  const struct fold_run *run, const struct fold_ranges *settled,
                                  uint64_t *ret_count, uint64_t *ret_bytes);

/* fold_pack.c: the entries of a run become blocks. */
enum kv_status fold_pack_all(struct fold_txn *t);
/* fold_message_table.c */
enum kv_status fold_write_messages(struct fold_txn *t);
enum kv_status fold_sweep_messages(struct fold_txn *t);
void fold_unlink_files(struct fold_txn *t, bool committed);
/* fold_definition.c */
enum kv_status fold_write_definitions(struct fold_txn *t);
/* fold_record.c: records of queues. */
enum kv_status fold_write_queue(struct fold_txn *t, struct fold_replica *q);
enum kv_status fold_remove_queue(struct fold_txn *t, const struct fold_replica *q);

#endif
