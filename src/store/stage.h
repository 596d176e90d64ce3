/* The files of a directory as they are at one moment, to be copied later: a link holds each, so
 * that it may be deleted meanwhile, and its size is kept, so that it may grow. For files that are
 * only appended to. Raw files: what goes out of the data directory is no business of a disk. Any
 * one thread. */
#ifndef STORE_STAGE_H
#define STORE_STAGE_H

#include "base/err.h"

#include <stdatomic.h>

struct stage;

/* What copying tells while it is on, and what ends it. */
struct stage_progress {
    _Atomic uint64_t bytes;
    _Atomic bool cancelled;
};

/* Of the directory `name` below `directory`, where the links are too. */
enum err stage_open(const char *directory, const char *name, struct stage **ret_stage,
                    struct failure *why);
/* The moment. Once. */
enum err stage_take(struct stage *stage, struct failure *why);
/* To the directory of the same name below target, which it makes; synced. */
enum err stage_copy(struct stage *stage, const char *target, struct stage_progress *progress,
                    struct failure *why);
/* The links go. NULL is fine. */
void stage_close(struct stage **stage);
/* The files of a directory, and then itself, if it is empty. */
void stage_remove(const char *path);
/* Links that a process left which was killed. */
void stage_sweep(const char *directory);

/* The first n bytes of a file, or what it has of them, synced. An error, or the target's name is in
 * why. */
enum err stage_copy_file(const char *from, const char *to, uint64_t n,
                         struct stage_progress *progress, struct failure *why);
enum err stage_make_directory(const char *path, struct failure *why);
enum err stage_sync_directory(const char *path, struct failure *why);

#endif
