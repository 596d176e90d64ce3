/* The writer's and the reader's thread. The writer takes all that waits, writes it, syncs each file
 * that was written once, then tells the shards. */
#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "partition/partition_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* An error of a sync is final: the kernel may have dropped the pages. */
static void fail(const char *what, int status)
{
    log_critical(STORE, NULL, "%s failed: %s; the process ends, what was confirmed is safe", what,
                 strerror(-status));
    log_close();
    _exit(EX_IOERR);
}

static bool is_full(int status)
{
    return status == -ENOSPC || status == -EDQUOT;
}

/* Waits for room, and says so once; at a stop it gives up after a while: nobody was told that it is
 * safe. */
static void wait_for_room(struct partitions *ps, const char *what, int status, uint64_t *stop_ns)
{
    if (!is_full(status))
        fail(what, status);
    if (!ps->full)
        log_error(STORE, NULL, "no room on the disk for streams: publishers wait until there is");
    ps->full = true;
    pthread_mutex_lock(&ps->lock);
    bool stopping = ps->stop;
    pthread_mutex_unlock(&ps->lock);
    if (stopping && !*stop_ns)
        *stop_ns = clock_mono_ns();
    if (stopping && clock_mono_ns() - *stop_ns > PARTITION_STOP_MS * 1000000ull)
        fail(what, status);
    usleep(PARTITION_RETRY_MS * 1000);
}

static void room_again(struct partitions *ps)
{
    if (ps->full)
        log_info(STORE, NULL, "there is room on the disk for streams again");
    ps->full = false;
}

static int retain(struct job *job)
{
    int status = segments_retain(job->partition->segments, job->options.max_bytes,
                                 job->options.max_age_ms, clock_wall_ms());
    job->dropped |= status > 0;
    return status;
}

/* A new segment is the moment to drop old ones. */
static int write_batch(struct job *job)
{
    struct segments *s = job->partition->segments;
    size_t count = segments_look(s).count;
    int status = 0;
    if (!job->written)
        status = segments_write(s, buf_slice(&job->bytes), &job->batch, job->options.segment_bytes);
    job->written = status >= 0;
    return status >= 0 && segments_look(s).count != count ? retain(job) : status;
}

static int run_write_job(struct job *job)
{
    struct segments *s = job->partition->segments;
    switch (job->kind) {
    case JOB_WRITE:
        return write_batch(job);
    case JOB_RETAIN:
        return retain(job);
    case JOB_REMOVE:
        return segments_remove(s);
    default:
        return 0;
    }
}

static void tell(struct partitions *ps, struct list *done)
{
    uint64_t bells = 0;
    pthread_mutex_lock(&ps->lock);
    bool all = ps->pending_bytes >= PARTITION_PENDING_LOW; /* some may be holding */
    while (!list_empty(done)) {
        struct job *job = list_entry(done->next, struct job, link);
        struct partition_shard *home = job->partition->home;
        list_remove(&job->link);
        if (job->kind == JOB_WRITE)
            ps->pending_bytes -= job->bytes.len;
        list_append(&home->done, &job->link);
        bells |= 1ull << shard_index(home->shard);
    }
    pthread_mutex_unlock(&ps->lock);
    for (unsigned i = 0; i < node_shard_count(ps->node); i++) {
        if (all || bells >> i & 1)
            bell_ring(ps->shards[i].bell);
    }
}

static void sync_all(struct partitions *ps, struct list *dirty)
{
    (void)ps;
    while (!list_empty(dirty)) {
        struct partition *p = list_entry(dirty->next, struct partition, dirty);
        list_remove(&p->dirty);
        int status = segments_sync(p->segments);
        if (status < 0)
            fail("syncing a stream", status);
        atomic_store_explicit(&p->safe, segments_look(p->segments).next, memory_order_release);
    }
}

/* The jobs in their order, then the syncs that they need. */
static void run_writes(struct partitions *ps, struct list *jobs)
{
    struct list dirty, done;
    list_init(&dirty);
    list_init(&done);
    while (!list_empty(jobs)) {
        struct job *job = list_entry(jobs->next, struct job, link);
        uint64_t stop_ns = 0;
        int status;
        while ((status = run_write_job(job)) < 0)
            wait_for_room(ps, "writing a stream", status, &stop_ns);
        room_again(ps);
        if (job->kind == JOB_WRITE && list_empty(&job->partition->dirty))
            list_append(&dirty, &job->partition->dirty);
        if (job->kind == JOB_REMOVE)
            list_remove(&job->partition->dirty);
        list_remove(&job->link);
        list_append(&done, &job->link);
    }
    sync_all(ps, &dirty);
    tell(ps, &done);
}

static void *writer_main(void *arg)
{
    struct partitions *ps = arg;
    struct list jobs;
    list_init(&jobs);
    pthread_mutex_lock(&ps->lock);
    for (;;) {
        while (list_empty(&ps->writes) && !ps->stop)
            pthread_cond_wait(&ps->write_work, &ps->lock);
        if (list_empty(&ps->writes))
            break;
        list_splice(&jobs, &ps->writes);
        pthread_mutex_unlock(&ps->lock);
        run_writes(ps, &jobs);
        pthread_mutex_lock(&ps->lock);
    }
    pthread_mutex_unlock(&ps->lock);
    return NULL;
}

/* Something that cannot be read stays away from readers; it is on the disk, and may be there again.
 */
static void run_read(struct job *job)
{
    struct partition *p = job->partition;
    struct partition_read *r = &job->read;
    uint64_t safe = atomic_load_explicit(&p->safe, memory_order_acquire);
    int status;
    if (r->by_time)
        status = segments_locate(p->segments, r->offset, safe, &r->offset);
    else
        status =
            segments_read(p->segments, r->offset, safe, SEGMENTS_READ, &r->cursor, &r->batches);
    if (status < 0)
        log_error(STORE, NULL, "partition %" PRIu64 " cannot be read at offset %" PRIu64 ": %s",
                  p->id, r->offset, strerror(-status));
}

static void run_open(struct partitions *ps, struct job *job)
{
    struct partition *p = job->partition;
    uint64_t stop_ns = 0;
    int status;
    while ((status = segments_recover(p->segments)) < 0)
        wait_for_room(ps, "opening a stream", status, &stop_ns);
    atomic_store_explicit(&p->safe, segments_look(p->segments).next, memory_order_release);
}

static void *reader_main(void *arg)
{
    struct partitions *ps = arg;
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&ps->lock);
    for (;;) {
        while (list_empty(&ps->reads) && !ps->stop)
            pthread_cond_wait(&ps->read_work, &ps->lock);
        if (ps->stop)
            break;
        struct job *job = list_entry(ps->reads.next, struct job, link);
        list_remove(&job->link);
        pthread_mutex_unlock(&ps->lock);
        if (job->kind == JOB_OPEN)
            run_open(ps, job);
        else
            run_read(job);
        list_append(&done, &job->link);
        tell(ps, &done);
        pthread_mutex_lock(&ps->lock);
    }
    pthread_mutex_unlock(&ps->lock);
    return NULL;
}

/* ---- jobs come ---- */

void partition_post_write(struct partitions *ps, struct job *job)
{
    pthread_mutex_lock(&ps->lock);
    bool ring = list_empty(&ps->writes);
    list_append(&ps->writes, &job->link);
    if (job->kind == JOB_WRITE)
        ps->pending_bytes += job->bytes.len;
    pthread_mutex_unlock(&ps->lock);
    if (ring)
        pthread_cond_signal(&ps->write_work);
}

void partition_post_read(struct partitions *ps, struct job *job)
{
    pthread_mutex_lock(&ps->lock);
    list_append(&ps->reads, &job->link);
    pthread_mutex_unlock(&ps->lock);
    pthread_cond_signal(&ps->read_work);
}

/* ---- life ---- */

static void start(pthread_t *thread, const char *name, void *(*main)(void *), struct partitions *ps)
{
    bug_on(pthread_create(thread, NULL, main, ps) != 0);
    pthread_setname_np(*thread, name);
}

/* Signals are for shard 0's loop: these threads take none. */
void partition_threads_start(struct partitions *ps)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    start(&ps->writer, "stream writer", writer_main, ps);
    start(&ps->reader, "stream reader", reader_main, ps);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void partition_threads_stop(struct partitions *ps)
{
    pthread_mutex_lock(&ps->lock);
    ps->stop = true;
    pthread_cond_broadcast(&ps->write_work);
    pthread_cond_broadcast(&ps->read_work);
    pthread_mutex_unlock(&ps->lock);
    pthread_join(ps->writer, NULL);
    pthread_join(ps->reader, NULL);
}
