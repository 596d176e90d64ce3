/* The moment: the journal's thread and the writer of partitions stand still together, with all that
 * they wrote synced, while the names and sizes of files are noted. */
#include "admin/backup_job.h"

#include "admin/plugins.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "partition/partition.h"
#include "store/backup.h"
#include "store/stage.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum state { IDLE, RUNNING, OVER };

struct backup_job {
    struct node *node;
    char *directory; /* owned, as the next ones */
    char *target, *partial;
    struct stage_progress progress;
    pthread_t thread;
    pthread_mutex_t lock; /* the next ones */
    enum state state;
    bool dropped; /* nobody will look */
    enum err err;
    struct failure why;
};

struct backup_job *backup_job_new(struct node *node, const char *directory)
{
    struct backup_job *job = NEW(struct backup_job);
    job->node = node;
    job->directory = mem_strdup(directory);
    pthread_mutex_init(&job->lock, NULL);
    return job;
}

/* ---- the target ---- */

/* What a backup that did not become whole has made. */
static void remove_partial(const char *partial)
{
    static const char *const names[] = {"journal", "db", "blobs", "partitions"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = mem_printf("%s/%s", partial, names[i]);
        stage_remove(path);
        free(path);
    }
    char *plugins = mem_printf("%s/" PLUGINS_ENABLED_FILE, partial);
    unlink(plugins);
    free(plugins);
    rmdir(partial);
}

static enum err fail(struct failure *why, const char *what, const char *path)
{
    int error = errno;
    return failure_set(why,
                       error == EACCES || error == EPERM || error == EROFS ? ERR_ACCESS_REFUSED
                                                                           : ERR_RESOURCE_ERROR,
                       "cannot %s %s: %s", what, path, strerror(error));
}

static enum err check_target(const char *target, struct failure *why)
{
    DIR *dir = opendir(target);
    const struct dirent *entry;
    bool empty = true;
    if (!dir && errno == ENOENT)
        return ERR_NONE;
    if (!dir)
        return fail(why, "use", target);
    while ((entry = readdir(dir)))
        empty &= !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(dir);
    return empty ? ERR_NONE : failure_set(why, ERR_PRECONDITION_FAILED, "%s is not empty", target);
}

static enum err give_name(const struct backup_job *job, struct failure *why)
{
    char *parent = mem_strdup(job->target);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    enum err err = stage_sync_directory(job->partial, why);
    if (!err && rename(job->partial, job->target) != 0)
        err = fail(why, "rename to", job->target);
    if (!err)
        err = stage_sync_directory(parent, why);
    free(parent);
    return err;
}

/* ---- the thread ---- */

static enum err copy_all(struct backup_job *job, struct stage *streams, struct failure *why)
{
    struct partitions *ps = partitions_of(job->node);
    struct backup *backup = NULL;
    enum err err = backup_hold(store_of(job->node), job->directory, &backup, why);
    if (!err && !partitions_hold(ps))
        err = failure_set(why, ERR_RESOURCE_ERROR,
                          "streams wait for room on the disk; there is no backup now");
    else if (!err) {
        err = stage_take(streams, why);
        partitions_go_on(ps);
    }
    if (!err)
        err = backup_copy(backup, job->partial, &job->progress, why);
    if (!err)
        err = stage_copy(streams, job->partial, &job->progress, why);
    backup_close(&backup);
    return err;
}

/* Which plug-ins operators enabled: types of exchanges may come from them. */
static enum err copy_plugins(struct backup_job *job, struct failure *why)
{
    char *from = mem_printf("%s/" PLUGINS_ENABLED_FILE, job->directory);
    char *to = mem_printf("%s/" PLUGINS_ENABLED_FILE, job->partial);
    enum err err = ERR_NONE;
    if (access(from, F_OK) == 0)
        err = stage_copy_file(from, to, UINT64_MAX, &job->progress, why);
    free(from);
    free(to);
    return err;
}

static enum err make(struct backup_job *job, struct failure *why)
{
    struct stage *streams = NULL;
    remove_partial(job->partial); /* of a process that was killed */
    if (mkdir(job->partial, 0700) != 0)
        return fail(why, "make", job->partial);
    enum err err = stage_open(job->directory, "partitions", &streams, why);
    if (!err)
        err = copy_all(job, streams, why);
    if (!err)
        err = copy_plugins(job, why);
    stage_close(&streams);
    stage_sweep(job->directory);
    if (!err)
        err = give_name(job, why);
    if (err)
        remove_partial(job->partial);
    return err;
}

static void *job_main(void *arg)
{
    struct backup_job *job = arg;
    struct failure why = {.text = ""};
    enum err err = make(job, &why);
    if (err)
        log_error(ADMIN, NULL, "no backup in %s: %s", job->target, why.text);
    else
        log_info(ADMIN, NULL, "backup in %s is whole, %llu bytes", job->target,
                 (unsigned long long)atomic_load(&job->progress.bytes));
    pthread_mutex_lock(&job->lock);
    job->err = err;
    job->why = why;
    job->state = OVER;
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

/* ---- who asks ---- */

/* Under the lock; of one that is over. */
static void reap(struct backup_job *job)
{
    pthread_join(job->thread, NULL);
    free(job->target);
    free(job->partial);
    job->target = job->partial = NULL;
    job->state = IDLE;
}

enum err backup_job_start(struct backup_job *job, const char *target, struct failure *why)
{
    size_t len = strlen(target);
    while (len > 1 && target[len - 1] == '/')
        len--;
    if (target[0] != '/' || len < 2)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "%s is no absolute path; the broker writes it, where it runs", target);
    enum err err = check_target(target, why);
    if (err)
        return err;
    pthread_mutex_lock(&job->lock);
    if (job->state == OVER && job->dropped)
        reap(job);
    if (job->state != IDLE) {
        err = failure_set(why, ERR_RESOURCE_LOCKED, "another backup is being made, in %s",
                          job->target);
    } else {
        job->target = mem_printf("%.*s", (int)len, target);
        job->partial = mem_printf("%s.partial", job->target);
        job->dropped = false;
        atomic_store(&job->progress.bytes, 0);
        atomic_store(&job->progress.cancelled, false);
        job->state = RUNNING;
        if (!thread_start(&job->thread, "backup", job_main, job)) {
            err = failure_set(why, ERR_RESOURCE_ERROR, "there is no thread for it");
            free(job->target);
            free(job->partial);
            job->state = IDLE;
        }
    }
    pthread_mutex_unlock(&job->lock);
    return err;
}

bool backup_job_look(struct backup_job *job, enum err *ret_err, uint64_t *ret_bytes,
                     struct failure *why)
{
    pthread_mutex_lock(&job->lock);
    bool over = job->state == OVER;
    if (over) {
        *ret_err = job->err;
        *why = job->why;
        reap(job);
    }
    pthread_mutex_unlock(&job->lock);
    *ret_bytes = atomic_load(&job->progress.bytes);
    return over;
}

void backup_job_drop(struct backup_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->dropped = true;
    atomic_store(&job->progress.cancelled, true);
    pthread_mutex_unlock(&job->lock);
}

void backup_job_free(struct backup_job **job)
{
    struct backup_job *j = *job;
    if (!j)
        return;
    backup_job_drop(j);
    if (j->state != IDLE)
        reap(j);
    pthread_mutex_destroy(&j->lock);
    free(j->directory);
    free(j);
    *job = NULL;
}
