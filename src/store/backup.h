/* A copy of the store of a running node, as it was at one moment: the cut.
 *
 * The database as of its last checkpoint is held by a read transaction; the frames that came after
 * it, up to the cut, are copied as they are in the journal: a start on the copy replays them. Until
 * that is done, no checkpoint is made, so that neither the frames nor the files of bodies go; then
 * checkpoints go on, and the tables are copied, however long it takes. Meanwhile the database
 * reuses no space.
 *
 * At the cut nothing is on its way to the disk: the journal's thread stands still. Whoever holds
 * other files still at the same time (the partitions') gets all of one moment. By one thread, not
 * a shard's. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/stage.h"
#include "store/store.h"

struct backup;

/* Makes a checkpoint; afterwards no other is made, and the journal's thread stands still: what
 * follows up to backup_go_on is to be short. directory: of the store. */
enum err backup_hold(struct store *store, const char *directory, struct backup **ret_backup,
                     struct failure *why);
/* The cut is behind: the journal's thread goes on. */
void backup_go_on(struct backup *backup);
/* Into target, an empty directory. */
enum err backup_copy(struct backup *backup, const char *target, struct stage_progress *progress,
                     struct failure *why);
/* Lets go of everything, whatever was done. NULL is fine. */
void backup_close(struct backup **backup);

#endif
