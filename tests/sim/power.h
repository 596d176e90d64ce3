/* What a process keeps its data on, and the moments at which its power goes: disk and database are
 * those of disk_memory and kv_memory, with threads coming in between of calls. A crash does not end
 * the process: what it leaves is put aside, and the process goes on to an end of its own, which is
 * of no consequence. store.c opens its disk and its database through here (power.c stands in for
 * disk.c and kv_lmdb.c). */
#ifndef SIM_POWER_H
#define SIM_POWER_H

#include "tests/sim/disk_memory.h"
#include "tests/sim/kv_memory.h"

/* Fresh, empty. */
void power_begin(uint64_t seed);
void power_fini(void);
/* The crash comes in the n-th call from now that changes the disk or the database; 0: in none. */
void power_arm(uint64_t n);
/* Now, if it has not been. */
void power_cut(void);
/* In a stop that is not crossed what was not synced is lost too, unless this is called. */
void power_spare(void);
bool power_is_cut(void);
/* The process has ended: the next finds what the crash, or the end, left. */
void power_restart(void);
/* Of what the next process finds. */
struct disk *power_disk(void);
struct kv *power_kv(void);

#endif
