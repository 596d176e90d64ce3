/* Messages stored once, in the database. KV_REFS: id -> varints: flags, entries that name it,
 * entries that will come yet + 1 (0: unknown), length of the head, of the body, bytes of the body
 * that are there, crc32c of these if they are in a file. KV_MESSAGES: rows of the head (a MESSAGE
 * record) and, unless in a file, the body. KV_META: "zero", id -> number and time of the checkpoint
 * that found that nothing names it. */
#ifndef STORE_FOLD_MESSAGE_TABLE_H
#define STORE_FOLD_MESSAGE_TABLE_H

#include "store/fold_part.h"

/* FILE: its contents are there. AHEAD: settles of it were written before entries that precede them
 * in the journal, so that it may have no entries for a while after a start. */
enum { FOLD_REF_FILE = 1, FOLD_REF_AHEAD = 2, FOLD_NAME_MAX = 32 };

struct fold_ref {
    uint64_t refs, awaited, head_len, total, received;
    uint32_t crc;
    uint8_t flags;
};

/* "blobs/0000000000000001" */
void fold_file_name(uint64_t id, char name[FOLD_NAME_MAX]);
/* KV_NONE: there is none, or it is damaged. */
enum kv_status fold_get_ref(struct kv_txn *txn, uint64_t id, struct fold_ref *ret_ref);

/* A message, how many entries its record says name it, and how many of them can be read. */
struct fold_ref_count {
    uint64_t id, refs, found;
};
/* All of KV_REFS, in order of id, by reading all blocks: the caller frees them, also where it
 * fails.
 */
enum kv_status fold_count_refs(struct kv_txn *txn, struct fold_ref_count **ret_counts,
                               size_t *ret_n);

/* Where a message is in a buffer. */
struct fold_found {
    size_t head, head_len; /* a MESSAGE record */
    size_t body, body_len;
};
/* Appends head and body to out; false: they are not all there. Within fold_begin_read. */
bool fold_message_read(struct fold *f, struct kv_txn *txn, uint64_t id, struct buf *out,
                       struct fold_found *ret_found);

#endif
