/* The backup that is being made, one at a time: a thread copies the store and the partitions as of
 * one moment into a directory beside the target, which then gets the target's name. Owned by the
 * node's admin; any thread. */
#ifndef ADMIN_BACKUP_JOB_H
#define ADMIN_BACKUP_JOB_H

#include "base/err.h"
#include "shard/shard.h"

struct backup_job;

/* directory: the node's data. */
struct backup_job *backup_job_new(struct node *node, const char *directory);
/* Ends the one that is being made, and waits for that. NULL is fine. */
void backup_job_free(struct backup_job **job);
/* target: an absolute path, of nothing that is there, or of an empty directory. */
enum err backup_job_start(struct backup_job *job, const char *target, struct failure *why);
/* False: it is not over yet. Else how it ended, and what was copied; once. */
bool backup_job_look(struct backup_job *job, enum err *ret_err, uint64_t *ret_bytes,
                     struct failure *why);
/* Nobody waits for it any more: it ends soon, and leaves nothing. */
void backup_job_drop(struct backup_job *job);

#endif
