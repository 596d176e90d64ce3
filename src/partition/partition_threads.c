/* The writer's and the reader's thread. The writer takes all that waits, writes it, syncs each file
 * that was written once, then tells the shards. */
#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "partition/partition_priv.h"

#include <errno.h>
#include <inttypes.h>
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

/* What may be over soon. */
static bool may_pass(int status)
{
    return is_full(status) || status == -EMFILE || status == -ENFILE || status == -ENOMEM;
}

static void ring_all(struct partitions *ps)
{
    for (unsigned i = 0; i < node_shard_count(ps->node); i++)
        bell_ring(ps->shards[i].bell);
}

/* Waits for room, and says so once. False: the node stops, and has waited long enough. */
static bool wait_for_room(struct partitions *ps, const char *what, int status, uint64_t *stop_ns)
{
    if (!may_pass(status))
        fail(what, status);
    bool told = atomic_exchange(&ps->full, true);
    if (!told && is_full(status))
        log_error(STORE, NULL, "no room on the disk for streams: publishers wait until there is");
    else if (!told)
        log_error(STORE, NULL, "%s failed: %s; streams wait until it can be done", what,
                  strerror(-status));
    if (!told)
        ring_all(ps);
    pthread_mutex_lock(&ps->lock);
    bool stopping = ps->stop;
    pthread_mutex_unlock(&ps->lock);
    if (stopping && !*stop_ns)
        *stop_ns = clock_mono_ns();
    if (stopping && clock_mono_ns() - *stop_ns > PARTITION_STOP_MS * 1000000ull)
        return false;
    usleep(PARTITION_RETRY_MS * 1000);
    return true;
}

static void room_again(struct partitions *ps)
{
    if (!atomic_load(&ps->full) || !atomic_exchange(&ps->full, false))
        return;
    log_info(STORE, NULL, "streams can be written again");
    ring_all(ps);
}

/* ---- open files ---- */

static void sync_one(struct partition *p)
{
    list_remove(&p->dirty);
    int status = segments_sync(p->segments);
    if (status < 0)
        fail("syncing a stream", status);
    atomic_store_explicit(&p->safe, segments_look(p->segments).next, memory_order_release);
}

static struct partition **find_opened(struct opened *o, const struct partition *p)
{
    for (unsigned i = 0; i < PARTITION_OPENED; i++) {
        if (o->items[i] == p)
            return &o->items[i];
    }
    return NULL;
}

/* Takes the one that has to go for it out: the caller closes its files and drops the reference. */
static struct partition *add_opened(struct opened *o, struct partition *p)
{
    if (find_opened(o, p))
        return NULL;
    struct partition **slot = find_opened(o, NULL);
    if (!slot)
        slot = &o->items[o->next++ % PARTITION_OPENED];
    struct partition *other = *slot;
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    *slot = p;
    return other;
}

/* Somebody else holds it too. */
static void remove_opened(struct opened *o, struct partition *p)
{
    struct partition **slot = find_opened(o, p);
    if (!slot)
        return;
    *slot = NULL;
    partition_unref(p);
}

void partition_forget_opened(struct opened *opened)
{
    for (unsigned i = 0; i < PARTITION_OPENED; i++) {
        if (opened->items[i])
            partition_unref(opened->items[i]);
        opened->items[i] = NULL;
    }
}

static void note_written(struct partitions *ps, struct partition *p)
{
    struct partition *other = add_opened(&ps->written, p);
    if (!other)
        return;
    if (!list_empty(&other->dirty))
        sync_one(other);
    segments_close_written(other->segments);
    partition_unref(other);
}

static void note_read(struct partitions *ps, struct partition *p)
{
    struct partition *other = add_opened(&ps->read, p);
    if (!other)
        return;
    segments_close_read(other->segments, true);
    partition_unref(other);
}

/* ---- writing ---- */

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

static int run_write_job(struct partitions *ps, struct job *job)
{
    struct partition *p = job->partition;
    switch (job->kind) {
    case JOB_WRITE:
        return p->removed ? 0 : write_batch(job);
    case JOB_RETAIN:
        return retain(job);
    case JOB_REMOVE:
        p->removed = true;
        list_remove(&p->dirty);
        remove_opened(&ps->written, p);
        return segments_remove(p->segments);
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

/* What the writer took at one time. */
struct round {
    struct list jobs;  /* to be done */
    struct list dirty; /* partitions that were written to */
    struct list done;  /* jobs, nobody was told yet */
};

static void finish(struct partitions *ps, struct round *r)
{
    while (!list_empty(&r->dirty))
        sync_one(list_entry(r->dirty.next, struct partition, dirty));
    if (!list_empty(&r->done))
        tell(ps, &r->done);
}

static void pick_freeing(struct list *from, struct list *to)
{
    list_each_safe (it, from) {
        const struct job *job = list_entry(it, const struct job, link);
        if (job->kind != JOB_REMOVE && job->kind != JOB_RETAIN)
            continue;
        list_remove(it);
        list_append(to, it);
    }
}

/* What gives room back does not wait behind what has none. */
static void free_room(struct partitions *ps, struct round *r)
{
    struct list freeing;
    list_init(&freeing);
    pick_freeing(&r->jobs, &freeing);
    pthread_mutex_lock(&ps->lock);
    pick_freeing(&ps->writes, &freeing);
    pthread_mutex_unlock(&ps->lock);
    while (!list_empty(&freeing)) {
        struct job *job = list_entry(freeing.next, struct job, link);
        int status = run_write_job(ps, job);
        if (status < 0 && !may_pass(status))
            fail("dropping a stream's files", status);
        list_remove(&job->link);
        list_append(status < 0 ? &r->jobs : &r->done, &job->link);
    }
    finish(ps, r);
}

/* Until it is done, or there was no room for it until the end of a stop: nobody was told that what
 * it has is safe. What was written before is told meanwhile. */
static void run_in_the_end(struct partitions *ps, struct round *r, struct job *job)
{
    uint64_t stop_ns = 0;
    int status = 0;
    while (!ps->given_up && (status = run_write_job(ps, job)) < 0) {
        if (may_pass(status))
            free_room(ps, r);
        if (wait_for_room(ps, "writing a stream", status, &stop_ns))
            continue;
        log_error(STORE, NULL, "what streams were to write last is not kept: %s",
                  strerror(-status));
        ps->given_up = true;
    }
    if (!ps->given_up)
        room_again(ps);
}

/* The jobs in their order, then the syncs that they need. */
static void run_writes(struct partitions *ps, struct round *r)
{
    while (!list_empty(&r->jobs)) {
        struct job *job = list_entry(r->jobs.next, struct job, link);
        struct partition *p = job->partition;
        list_remove(&job->link);
        run_in_the_end(ps, r, job);
        if (job->kind == JOB_WRITE && !p->removed && !ps->given_up) {
            if (list_empty(&p->dirty))
                list_append(&r->dirty, &p->dirty);
            note_written(ps, p);
        }
        list_append(&r->done, &job->link);
    }
    finish(ps, r);
}

/* Under the lock. */
static void stand_still(struct partitions *ps)
{
    while (ps->hold) {
        ps->held = true;
        pthread_cond_broadcast(&ps->hold_change);
        pthread_cond_wait(&ps->hold_change, &ps->lock);
    }
    ps->held = false;
}

bool partitions_hold(struct partitions *ps)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PARTITION_HOLD_S;
    pthread_mutex_lock(&ps->lock);
    ps->hold = true;
    pthread_cond_signal(&ps->write_work);
    while (!ps->held && rc == 0)
        rc = pthread_cond_timedwait(&ps->hold_change, &ps->lock, &until);
    bool held = ps->held;
    pthread_mutex_unlock(&ps->lock);
    if (!held)
        partitions_go_on(ps);
    return held;
}

void partitions_go_on(struct partitions *ps)
{
    pthread_mutex_lock(&ps->lock);
    ps->hold = false;
    pthread_cond_broadcast(&ps->hold_change);
    pthread_mutex_unlock(&ps->lock);
}

static void *writer_main(void *arg)
{
    struct partitions *ps = arg;
    struct round r;
    list_init(&r.jobs);
    list_init(&r.dirty);
    list_init(&r.done);
    pthread_mutex_lock(&ps->lock);
    for (;;) {
        while (list_empty(&ps->writes) && !ps->stop && !ps->hold)
            pthread_cond_wait(&ps->write_work, &ps->lock);
        if (ps->hold) {
            stand_still(ps);
            continue;
        }
        if (list_empty(&ps->writes))
            break;
        list_splice(&r.jobs, &ps->writes);
        pthread_mutex_unlock(&ps->lock);
        run_writes(ps, &r);
        pthread_mutex_lock(&ps->lock);
    }
    pthread_mutex_unlock(&ps->lock);
    return NULL;
}

/* Something that cannot be read stays away from readers; it is on the disk, and may be there again.
 */
static void run_read(struct partitions *ps, struct job *job)
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
    note_read(ps, p);
    r->failed = status < 0;
    uint64_t now = clock_mono_ns();
    if (status >= 0 || (p->complained && now - p->complained < PARTITION_TELL_MS * 1000000ull))
        return;
    p->complained = now;
    log_error(STORE, NULL, "partition %" PRIu64 " cannot be read at offset %" PRIu64 ": %s", p->id,
              r->offset, strerror(-status));
}

static void tidy(struct partitions *ps, struct partition *p)
{
    segments_close_read(p->segments, false);
    if (!segments_look(p->segments).count)
        remove_opened(&ps->read, p);
}

static void run_open(struct partitions *ps, struct job *job)
{
    struct partition *p = job->partition;
    uint64_t stop_ns = 0;
    int status;
    while ((status = segments_recover(p->segments)) < 0) {
        if (!wait_for_room(ps, "opening a stream", status, &stop_ns))
            return;
    }
    room_again(ps);
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
        else if (job->kind == JOB_TIDY)
            tidy(ps, job->partition);
        else
            run_read(ps, job);
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

void partition_threads_start(struct partitions *ps)
{
    bug_on(!thread_start(&ps->writer, "stream writer", writer_main, ps));
    bug_on(!thread_start(&ps->reader, "stream reader", reader_main, ps));
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
