/* What the files of the fold share: parts, messages, definitions, transactions. */
#ifndef STORE_FOLD_PART_H
#define STORE_FOLD_PART_H

#include "store/fold_priv.h"

void fold_report(struct fold *f, uint64_t queue, const char *text);
/* Bytes of a body as they are counted: what entries in memory have room for. */
static inline uint32_t fold_body_size(uint64_t body_len)
{
    return body_len < UINT32_MAX ? (uint32_t)body_len : UINT32_MAX;
}

/* ---- parts ---- */
void fold_part_init(struct fold_part *p);
void fold_part_fini(struct fold_part *p);
uint16_t fold_slot(struct fold_part *p, uint64_t segment);
/* Reads bytes of a part; false: the journal does not give them. */
bool fold_fetch(struct fold *f, const struct fold_part *p, struct fold_place place, void *data);
/* Begins a read whose snapshot fits the memory: shared lock and transaction. KV_OK or it failed,
 * then nothing is held. */
enum kv_status fold_begin_read(struct fold *f, struct kv_txn **ret_txn);
void fold_end_read(struct fold *f, struct kv_txn **txn);

/* ---- messages stored once ---- */
void fold_message_born(struct fold_part *p, const struct record *r, struct fold_place head);
void fold_message_piece(struct fold_part *p, uint64_t id, uint64_t offset, struct fold_place place);
/* An entry came; again: of a queue that had one before, which is not among those expected. */
void fold_message_name(struct fold_part *p, uint64_t id, bool again);
void fold_message_release(struct fold_part *p, uint64_t id);
void fold_message_free(struct fold_message **m);
struct slice fold_message_key(const void *object);
/* Takes those of another part in, whose places are moved by map and shift. */
void fold_merge_messages(struct fold_part *to, struct fold_part *from, const uint16_t *map,
                         uint32_t shift);
/* Unlinks the files of bodies that nothing names. */
void fold_sweep_files(struct fold *f);

/* ---- definitions ---- */
struct slice fold_definition_key(const void *object);
void fold_define(struct fold_part *p, const struct record *r);
void fold_definition_free(struct fold_definition **d);
void fold_merge_definitions(struct fold_part *to, struct fold_part *from);

/* ---- transactions without COMMIT ---- */
struct slice fold_transaction_key(const void *object);
/* NULL: none. */
struct fold_transaction *fold_find_transaction(struct fold *f, uint64_t id);
void fold_keep_pending(struct fold *f, uint64_t id, const struct record *r, struct slice raw);
/* The queue has a run for every level that a pending message has. */
void fold_pending_runs(struct fold *f, struct fold_replica *q);
/* What transactions without COMMIT settle in a level of a queue. */
void fold_pending_settles(const struct fold *f, uint64_t queue, unsigned level,
                          struct fold_ranges *ret_settles);
void fold_end_transaction(struct fold *f, struct fold_transaction **tx);
void fold_forget_transactions(struct fold *f);
void fold_free_transactions(struct fold *f);
/* At the freeze: what of them the checkpoint is to save. */
void fold_collect_pending(struct fold *f, struct fold_part *p);

#endif
