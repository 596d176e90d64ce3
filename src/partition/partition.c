/* The shard's side of partitions, and the files that were found at the start. */
#include "partition/partition_priv.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct partitions *partitions_of(const struct node *node)
{
    return node_local(node, SHARD_LOCAL_PARTITION);
}

bool partitions_are_full(struct partitions *ps)
{
    return atomic_load(&ps->full);
}

void partitions_watch_full(struct partitions *ps, void (*fn)(void *arg), void *arg)
{
    ps->on_full = fn;
    ps->on_full_arg = arg;
}

/* ---- jobs ---- */

static struct job *job_new(struct partition *p, enum job_kind kind)
{
    struct partition_shard *home = p->home;
    struct job *job;
    if (list_empty(&home->spare)) {
        job = NEW(struct job);
    } else {
        job = list_entry(home->spare.next, struct job, link);
        list_remove(&job->link);
        home->spare_count--;
    }
    list_init(&job->link);
    job->kind = kind;
    job->partition = p;
    job->options = p->options;
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return job;
}

static void job_free(struct job *job)
{
    buf_fini(&job->bytes);
    buf_fini(&job->read.batches);
    free(job);
}

/* Buffers that were of use are kept. */
static void job_end(struct partition_shard *home, struct job *job)
{
    partition_unref(job->partition);
    buf_fini(&job->read.batches);
    if (home->spare_count >= PARTITION_SPARE || job->bytes.cap > 2 * PARTITION_BATCH) {
        job_free(job);
        return;
    }
    struct buf bytes = job->bytes;
    buf_clear(&bytes);
    *job = (struct job){.bytes = bytes};
    list_append(&home->spare, &job->link);
    home->spare_count++;
}

void partition_unref(struct partition *p)
{
    if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    segments_free(&p->segments);
    free(p);
}

/* ---- what the threads have done ---- */

static void on_written(struct partition *p, const struct job *job)
{
    p->committed = job->batch.base + job->batch.count;
    p->last = job->batch.base;
    if (!p->gone)
        p->user->on_commit(p->arg);
}

static void on_dropped(struct partition *p)
{
    p->first = segments_look(p->segments).first;
    if (!p->gone)
        p->user->on_drop(p->arg);
}

static void on_opened(struct partition *p)
{
    struct segments_state state = segments_look(p->segments);
    p->first = state.first;
    p->next = p->committed = state.next;
    p->last = state.last;
    p->last_ms = state.last_ms;
    p->salt = state.salt;
    p->open = true;
    if (p->doomed)
        partition_post_write(p->home->partitions, job_new(p, JOB_REMOVE));
    if (!p->gone)
        p->user->on_open(p->arg);
}

static void on_retained(struct partition *p)
{
    bool again = p->retain_again && !p->gone;
    p->retaining = p->retain_again = false;
    if (again)
        partition_retain(p);
}

static void on_done(struct job *job)
{
    struct partition *p = job->partition;
    switch (job->kind) {
    case JOB_OPEN:
        on_opened(p);
        break;
    case JOB_WRITE:
        on_written(p, job);
        break;
    case JOB_READ:
        if (!p->gone)
            job->fn(p->arg, &job->read);
        break;
    case JOB_RETAIN:
        on_retained(p);
        break;
    case JOB_REMOVE:
    case JOB_TIDY:
        break;
    }
    if (job->dropped)
        on_dropped(p);
    if (job->dropped || job->kind == JOB_REMOVE)
        partition_post_read(p->home->partitions, job_new(p, JOB_TIDY));
}

static void tell_full(struct partitions *ps)
{
    bool full = partitions_are_full(ps);
    if (full == ps->told_full || !ps->on_full)
        return;
    ps->told_full = full;
    ps->on_full(ps->on_full_arg);
}

/* While there is no room only publishers have to wait: they are told. */
static bool is_behind(struct partitions *ps, uint64_t pending, uint64_t max)
{
    return pending > (partitions_are_full(ps) ? (uint64_t)PARTITION_PENDING_FULL : max);
}

static void on_bell(void *arg)
{
    struct partition_shard *home = arg;
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&home->partitions->lock);
    list_splice(&done, &home->done);
    uint64_t pending = home->partitions->pending_bytes;
    pthread_mutex_unlock(&home->partitions->lock);
    while (!list_empty(&done)) {
        struct job *job = list_entry(done.next, struct job, link);
        list_remove(&job->link);
        on_done(job);
        job_end(home, job);
    }
    if (shard_index(home->shard) == 0)
        tell_full(home->partitions);
    if (home->holding && !is_behind(home->partitions, pending, PARTITION_PENDING_LOW)) {
        home->holding = false;
        shard_hold(home->shard, false);
    }
}

/* ---- appending ---- */

static void hold_if_behind(struct partition_shard *home)
{
    struct partitions *ps = home->partitions;
    pthread_mutex_lock(&ps->lock);
    bool behind = is_behind(ps, ps->pending_bytes, PARTITION_PENDING_HIGH);
    pthread_mutex_unlock(&ps->lock);
    if (home->holding || !behind)
        return;
    home->holding = true;
    shard_hold(home->shard, true);
}

static void hand_over(struct partition *p)
{
    struct job *job = p->building;
    struct batch *b = &job->batch;
    p->building = NULL;
    deferred_cancel(&p->turn_end);
    if (p->filtered) {
        b->filter_len = p->options.filter_bytes;
        buf_append(&job->bytes, p->filter, b->filter_len);
        memset(p->filter, 0, sizeof p->filter);
        p->filtered = false;
    }
    b->length = (uint32_t)(job->bytes.len - BATCH_HEAD);
    b->synced = p->committed;
    b->salt = p->salt;
    batch_finish(buf_slice(&job->bytes), b);
    partition_post_write(p->home->partitions, job);
    hold_if_behind(p->home);
}

static void on_turn_end(struct deferred *d)
{
    hand_over(list_entry(d, struct partition, turn_end));
}

static void begin_batch(struct partition *p)
{
    uint64_t now = clock_wall_ms();
    struct job *job = job_new(p, JOB_WRITE);
    p->last_ms = now > p->last_ms ? now : p->last_ms;
    job->batch = (struct batch){.base = p->next, .time_ms = p->last_ms};
    memset(buf_reserve(&job->bytes, BATCH_HEAD), 0, BATCH_HEAD);
    job->bytes.len = BATCH_HEAD;
    p->building = job;
    shard_defer(p->home->shard, DEFER_FLUSH, &p->turn_end);
}

uint8_t *partition_add(struct partition *p, size_t size)
{
    if (p->building && p->building->bytes.len + size > PARTITION_BATCH)
        hand_over(p);
    if (!p->building)
        begin_batch(p);
    struct job *job = p->building;
    uint8_t *at = buf_reserve(&job->bytes, BATCH_ENTRY_HEAD + size);
    for (unsigned i = 0; i < BATCH_ENTRY_HEAD; i++)
        at[i] = (uint8_t)(size >> 8 * i);
    job->bytes.len += BATCH_ENTRY_HEAD + size;
    job->batch.count++;
    p->next++;
    return at + BATCH_ENTRY_HEAD;
}

void partition_add_filter(struct partition *p, struct slice value, bool has_value)
{
    p->building->batch.unfiltered |= !has_value;
    if (!has_value)
        return;
    filter_add(p->filter, p->options.filter_bytes, value);
    p->filtered = true;
}

/* ---- reading ---- */

void partition_read(struct partition *p, const struct partition_read *read,
                    void (*fn)(void *arg, struct partition_read *read))
{
    struct job *job = job_new(p, JOB_READ);
    job->read = *read;
    job->fn = fn;
    partition_post_read(p->home->partitions, job);
}

struct partition_offsets partition_offsets(const struct partition *p)
{
    return (struct partition_offsets){.first = p->first,
                                      .next = p->next,
                                      .begin = p->building ? p->building->batch.base : p->next,
                                      .committed = p->committed,
                                      .last = p->last};
}

uint64_t partition_segments(const struct partition *p)
{
    return p->open ? segments_look(p->segments).count : 0;
}

uint64_t partition_bytes(const struct partition *p)
{
    return p->open ? segments_look(p->segments).bytes : 0;
}

size_t partition_memory(const struct partition *p)
{
    return sizeof *p + (p->open ? segments_memory(p->segments) : 0) +
           (p->building ? p->building->bytes.cap : 0);
}

size_t partitions_memory(const struct shard *shard)
{
    struct partitions *ps = partitions_of(shard_node(shard));
    size_t n = 0;
    if (!ps)
        return 0;
    list_each (it, &ps->shards[shard_index(shard)].spare)
        n += sizeof(struct job) + list_entry(it, struct job, link)->bytes.cap;
    if (shard_index(shard) == 0) {
        pthread_mutex_lock(&ps->lock);
        n += ps->pending_bytes + ps->found_cap * sizeof *ps->found;
        pthread_mutex_unlock(&ps->lock);
    }
    return n;
}

/* ---- life of a partition ---- */

static int compare_found(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    if (x->index != y->index)
        return x->index ? 1 : -1;
    return x->base < y->base ? -1 : x->base > y->base;
}

/* The first of its segments. */
static size_t find_found(const struct partitions *ps, uint64_t id)
{
    size_t low = 0, high = ps->found_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ps->found[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct partition *partition_new(struct shard *shard, uint64_t id, bool fresh,
                                const struct partition_options *options,
                                const struct partition_user *user, void *arg)
{
    struct partitions *ps = partitions_of(shard_node(shard));
    struct partition *p = NEW(struct partition);
    atomic_init(&p->refs, 1);
    p->home = &ps->shards[shard_index(shard)];
    p->segments = segments_new(ps->disk, id);
    p->id = id;
    p->options = *options;
    p->user = user;
    p->arg = arg;
    list_init(&p->dirty);
    deferred_init(&p->turn_end, on_turn_end);
    p->open = fresh;
    if (fresh) {
        segments_new_salt(p->segments);
        p->salt = segments_look(p->segments).salt;
        return p;
    }
    for (size_t i = find_found(ps, id); i < ps->found_count && ps->found[i].id == id; i++) {
        if (!ps->found[i].index)
            segments_found(p->segments, ps->found[i].base);
    }
    partition_post_read(ps, job_new(p, JOB_OPEN));
    return p;
}

static void leave(struct partition *p)
{
    if (p->building)
        hand_over(p);
    p->gone = true;
}

void partition_free(struct partition **partition)
{
    struct partition *p = *partition;
    *partition = NULL;
    leave(p);
    partition_unref(p);
}

void partition_remove(struct partition **partition)
{
    struct partition *p = *partition;
    *partition = NULL;
    leave(p);
    p->doomed = true;
    if (p->open)
        partition_post_write(p->home->partitions, job_new(p, JOB_REMOVE));
    partition_unref(p);
}

bool partition_is_open(const struct partition *p)
{
    return p->open;
}

void partition_retain(struct partition *p)
{
    if (!p->open || (p->options.max_bytes == UINT64_MAX && p->options.max_age_ms == UINT64_MAX))
        return;
    if (p->retaining) {
        p->retain_again = true;
        return;
    }
    p->retaining = true;
    partition_post_write(p->home->partitions, job_new(p, JOB_RETAIN));
}

void partition_set_options(struct partition *p, const struct partition_options *options)
{
    if (p->building)
        hand_over(p);
    p->options = *options;
    partition_retain(p);
}

/* ---- life of the node's ---- */

static bool note_file(const char *name, void *arg)
{
    struct partitions *ps = arg;
    struct found f = {0};
    if (!segments_parse_name(name, &f.id, &f.base, &f.index))
        return true;
    MEM_GROW(ps->found, ps->found_cap, ps->found_count + 1);
    ps->found[ps->found_count++] = f;
    return true;
}

void partitions_sweep(struct partitions *ps, bool (*keep)(uint64_t id, void *arg), void *arg)
{
    for (size_t i = 0; i < ps->found_count; i++) {
        if (keep(ps->found[i].id, arg))
            continue;
        struct segments *s = segments_new(ps->disk, ps->found[i].id);
        segments_found(s, ps->found[i].base);
        segments_remove(s);
        segments_free(&s);
    }
}

enum err partitions_open(struct node *node, const char *directory, struct partitions **ret,
                         struct failure *why)
{
    struct disk *disk = disk_open(directory);
    int status = disk ? disk_make_directory(disk, "partitions") : -errno;
    struct partitions *ps = NEW(struct partitions);
    ps->node = node;
    ps->disk = disk;
    if (status >= 0)
        status = disk_sync_directory(disk, ".");
    if (status >= 0) /* a name may be of a moment ago, before a kill */
        status = disk_sync_directory(disk, "partitions");
    if (status >= 0)
        status = disk_list(disk, "partitions", note_file, ps);
    if (status < 0) {
        disk_close(&ps->disk);
        free(ps->found);
        free(ps);
        return failure_set(
            why, status == -EACCES || status == -EPERM ? ERR_ACCESS_REFUSED : ERR_INTERNAL_ERROR,
            "cannot use the directory partitions: %s", strerror(-status));
    }
    if (ps->found_count)
        qsort(ps->found, ps->found_count, sizeof *ps->found, compare_found);
    pthread_mutex_init(&ps->lock, NULL);
    pthread_cond_init(&ps->write_work, NULL);
    pthread_cond_init(&ps->hold_change, NULL);
    pthread_cond_init(&ps->read_work, NULL);
    list_init(&ps->writes);
    list_init(&ps->reads);
    ps->shards = mem_zalloc(node_shard_count(node) * sizeof *ps->shards);
    for (unsigned i = 0; i < node_shard_count(node); i++) {
        struct partition_shard *home = &ps->shards[i];
        home->partitions = ps;
        home->shard = node_shard(node, i);
        list_init(&home->done);
        list_init(&home->spare);
        home->bell = bell_new(home->shard, on_bell, home);
    }
    node_set_local(node, SHARD_LOCAL_PARTITION, ps);
    partition_threads_start(ps);
    *ret = ps;
    return ERR_NONE;
}

static void drop(struct list *jobs)
{
    while (!list_empty(jobs)) {
        struct job *job = list_entry(jobs->next, struct job, link);
        list_remove(&job->link);
        if (job->partition)
            partition_unref(job->partition);
        job_free(job);
    }
}

void partitions_close(struct partitions **partitions)
{
    struct partitions *ps = *partitions;
    if (!ps)
        return;
    *partitions = NULL;
    partition_threads_stop(ps);
    partition_forget_opened(&ps->written);
    partition_forget_opened(&ps->read);
    drop(&ps->reads);
    for (unsigned i = 0; i < node_shard_count(ps->node); i++) {
        drop(&ps->shards[i].done);
        drop(&ps->shards[i].spare);
        bell_free(&ps->shards[i].bell);
    }
    node_set_local(ps->node, SHARD_LOCAL_PARTITION, NULL);
    pthread_mutex_destroy(&ps->lock);
    pthread_cond_destroy(&ps->write_work);
    pthread_cond_destroy(&ps->hold_change);
    pthread_cond_destroy(&ps->read_work);
    disk_close(&ps->disk);
    free(ps->shards);
    free(ps->found);
    free(ps);
}
