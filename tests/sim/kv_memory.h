/* Tables in memory behind store/kv.h: what is committed survives a crash, nothing else. Faults
 * come when they are asked for. One thread. */
#ifndef SIM_KV_MEMORY_H
#define SIM_KV_MEMORY_H

#include "store/kv.h"

struct kv *kv_memory_new(void);
/* Another one with what is committed in this, as after a crash. */
struct kv *kv_memory_copy(const struct kv *from);

/* The n-th call from here on that can fail (0 = the next) returns status. KV_FAILED: so does every
 * call behind it. When it is a commit, it is whole all the same if commit_whole says so, as when
 * the power went after the last write and before the answer. UINT64_MAX: none. */
void kv_memory_fail(struct kv *kv, uint64_t n, enum kv_status status, bool commit_whole);
/* Whether a KV_FAILED has come. */
bool kv_memory_failed(const struct kv *kv);
/* Called before each call of a transaction that writes, as other threads come in between. True: the
 * power is gone, this and all later calls fail. */
void kv_memory_watch(struct kv *kv, bool (*between)(void *arg), void *arg);
/* How many transactions that write were committed, whether the caller was told so or not. */
uint64_t kv_memory_commits(const struct kv *kv);
/* The process has ended: its transactions must have too. Faults are over. */
void kv_memory_restart(struct kv *kv);
/* Committed keys of a table. */
size_t kv_memory_count(const struct kv *kv, enum kv_table t);
/* The i-th of them; borrowed until the next commit. */
void kv_memory_at(const struct kv *kv, enum kv_table t, size_t i, struct slice *ret_key,
                  struct slice *ret_value);

#endif
