/* The threads of the store, and the way of a unit through them: shard -> journal -> fold.
 *
 * - The shard fills a unit, hands it over under store.lock.
 * - The journal's thread writes what is there as frames, syncs if a unit asks for it, tells the
 *   shards, gives the units on under store.fold_lock.
 * - The feeder's thread feeds the fold, and answers reads that wait for it; the checkpointer's
 *   writes the database when there is enough.
 * Units keep their bytes until they are fed, unless there are many: then they are read again. */
#include "store/store.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/mem.h"
#include "shard/bell.h"
#include "store/stage.h"
#include "store/store_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct store *store_of(const struct node *node)
{
    return node_local(node, SHARD_LOCAL_STORE);
}

struct store_log *store_log_of(const struct shard *shard)
{
    return shard_get_local(shard, SHARD_LOCAL_STORE);
}

struct fold *store_fold(struct store *store)
{
    return store->fold;
}

bool store_is_recovered(const struct store *store, uint64_t queue)
{
    return queue && queue < store->first_queue_id;
}

uint64_t store_new_queue_id(struct store *store)
{
    return atomic_fetch_add(&store->next_queue_id, 1);
}

uint64_t store_new_message_id(struct store *store)
{
    return atomic_fetch_add(&store->next_message_id, 1);
}

uint64_t store_last_transaction(const struct store *store)
{
    return store->last_transaction;
}

void store_fail(const char *what, const char *text)
{
    log_critical(STORE, NULL, "%s failed: %s; the process ends, what was confirmed is safe", what,
                 text);
    log_close();
    _exit(EX_IOERR);
}

/* ---- the shard's side ---- */

static struct unit *unit_take(struct store_log *log)
{
    struct store *s = log->store;
    pthread_mutex_lock(&s->lock);
    struct unit *u = s->spare;
    if (u) {
        s->spare = u->next;
        s->spare_count--;
    }
    pthread_mutex_unlock(&s->lock);
    if (!u)
        u = NEW(struct unit);
    u->next = NULL;
    u->log = log;
    u->sync = u->urgent = false;
    u->base = (struct record_base){0};
    return u;
}

struct buf *store_records(struct store_log *log)
{
    if (!log->open) {
        log->open = unit_take(log);
        shard_defer(log->shard, DEFER_FLUSH, &log->turn_end);
    }
    return &log->open->bytes;
}

struct record_base *store_record_base(struct store_log *log)
{
    return &log->open->base;
}

/* With a full database nothing is fed for long: then only publishers have to wait. */
static bool is_behind(struct store *s, uint64_t pending, uint64_t pending_max, uint64_t unfed_max)
{
    return pending > pending_max ||
           (atomic_load_explicit(&s->unfed_bytes, memory_order_relaxed) > unfed_max &&
            !(atomic_load_explicit(&s->full, memory_order_relaxed) & FULL_DATABASE));
}

/* What waits grew beyond measure: the shard's readers stop until the store caught up. */
static void hold_if_behind(struct store_log *log, uint64_t pending)
{
    if (log->holding || !is_behind(log->store, pending, STORE_PENDING_HIGH, STORE_UNFED_HIGH))
        return;
    log->holding = true;
    shard_hold(log->shard, true);
}

/* The end of as many records from `from` on as go into max bytes, at least of one; a mark goes
 * with its record, a NEXT with the one before. */
static size_t piece_end(struct slice bytes, size_t from, size_t max)
{
    struct slice rest = slice_of(bytes.data + from, bytes.len - from);
    size_t end = from;
    struct record r;
    while (rest.len && record_get_brief(&rest, &r)) {
        size_t here = bytes.len - rest.len;
        if (rest.len && (r.kind == RECORD_PENDING || rest.data[0] == RECORD_NEXT))
            continue;
        if (end > from && here - from > max)
            break;
        end = here;
    }
    return end > from ? end : bytes.len;
}

/* More than a frame can hold goes as several units: all but the last belong to the ticket before.
 * Those who write much hand over in between; this is for what they did not think of. */
static struct unit *split(struct unit *u)
{
    struct unit *first = NULL, **link = &first;
    struct slice bytes = buf_slice(&u->bytes);
    size_t from = 0, end;
    while ((end = piece_end(bytes, from, u->log->store->unit_large)) < bytes.len) {
        struct unit *piece = NEW(struct unit);
        piece->log = u->log;
        piece->ticket = u->ticket - 1;
        piece->len = end - from;
        buf_append(&piece->bytes, bytes.data + from, piece->len);
        *link = piece;
        link = &piece->next;
        from = end;
    }
    buf_shift(&u->bytes, from);
    u->len = u->bytes.len;
    *link = u;
    return first;
}

void store_before_hand_over(struct store_log *log, void (*fn)(void *arg), void *arg)
{
    log->before = fn;
    log->before_arg = arg;
}

void store_hand_over(struct store_log *log)
{
    if (log->before)
        log->before(log->before_arg);
    struct unit *u = log->open;
    struct store *s = log->store;
    if (!u)
        return;
    log->open = NULL;
    deferred_cancel(&log->turn_end);
    u->ticket = log->ticket++;
    if (s->read_only) {
        buf_fini(&u->bytes);
        free(u);
        return;
    }
    u->len = u->bytes.len;
    size_t len = u->len;
    struct unit *first = len > s->unit_max ? split(u) : u;
    pthread_mutex_lock(&s->lock);
    *s->pending_end = first;
    s->pending_end = &u->next;
    s->pending_bytes += len;
    atomic_fetch_add_explicit(&s->unfed_bytes, len, memory_order_relaxed);
    s->pending_sync |= u->sync || u->urgent || s->pending_bytes > STORE_WRITE_SOON;
    bool ring = s->journal_waits == WAITS_LONG || (s->journal_waits && s->pending_sync);
    uint64_t pending = s->pending_bytes;
    pthread_mutex_unlock(&s->lock);
    if (ring)
        pthread_cond_signal(&s->work);
    hold_if_behind(log, pending);
}

void store_hand_over_large(struct store_log *log)
{
    if (log->open && log->open->bytes.len > log->store->unit_large)
        store_hand_over(log);
}

static void hand_over_at_turn_end(struct deferred *d)
{
    store_hand_over(list_entry(d, struct store_log, turn_end));
}

void store_sync(struct store_log *log, struct store_wait *wait)
{
    store_records(log);
    log->open->sync = true;
    wait->ticket = log->ticket;
    list_append(&log->waits, &wait->link);
}

void store_wait_cancel(struct store_wait *wait)
{
    list_remove(&wait->link);
}

uint64_t store_mark(const struct store_log *log)
{
    return log->open && log->open->bytes.len ? log->ticket : log->ticket - 1;
}

uint64_t store_durable(const struct store_log *log)
{
    return atomic_load_explicit(&log->store->durable_lsn, memory_order_acquire);
}

bool store_is_fed(const struct store_log *log, uint64_t mark)
{
    return atomic_load_explicit(&log->folded, memory_order_acquire) > mark;
}

/* What is handed over and waits for company goes now. */
static void hurry(struct store_log *log, uint64_t mark)
{
    struct store *s = log->store;
    if (store_is_fed(log, mark))
        return;
    pthread_mutex_lock(&s->lock);
    bool ring = s->pending && !s->pending_sync;
    s->pending_sync |= ring;
    pthread_mutex_unlock(&s->lock);
    if (ring)
        pthread_cond_signal(&s->work);
}

void store_read(struct store_log *log, struct store_read *read)
{
    struct store *s = log->store;
    if (read->mark == log->ticket) {
        log->open->urgent = true;
        store_hand_over(log);
    } else {
        hurry(log, read->mark);
    }
    read->log = log;
    pthread_mutex_lock(&s->read_lock);
    list_append(&s->reads, &read->link);
    pthread_mutex_unlock(&s->read_lock);
    pthread_cond_signal(&s->read_work);
}

void store_read_cancel(struct store_read *read)
{
    struct store *s = read->log->store;
    bool idle = false;
    pthread_mutex_lock(&s->fold_lock);
    s->reads_end = true; /* the loops ended: the reader waits for nothing more */
    pthread_cond_broadcast(&s->fold_done);
    pthread_mutex_unlock(&s->fold_lock);
    while (!idle) {
        pthread_mutex_lock(&s->read_lock);
        idle = !list_empty(&read->link); /* it is in a list, the reader has not taken it */
        list_remove(&read->link);
        pthread_mutex_unlock(&s->read_lock);
        if (!idle)
            usleep(100);
    }
}

static void take_reads(struct store_log *log)
{
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&log->store->read_lock);
    list_splice(&done, &log->reads_done);
    pthread_mutex_unlock(&log->store->read_lock);
    while (!list_empty(&done)) {
        struct store_read *r = list_entry(done.next, struct store_read, link);
        list_remove(&r->link);
        r->fn(r);
    }
}

/* On shard 0. */
static void tell_full(struct store *s)
{
    bool full = store_is_full(s);
    if (full == s->told_full || !s->on_full)
        return;
    s->told_full = full;
    s->on_full(s->on_full_arg);
}

static void on_bell(void *arg)
{
    struct store_log *log = arg;
    if (shard_index(log->shard) == 0)
        tell_full(log->store);
    uint64_t durable = atomic_load_explicit(&log->durable, memory_order_acquire);
    while (!list_empty(&log->waits)) {
        struct store_wait *w = list_entry(log->waits.next, struct store_wait, link);
        if (w->ticket >= durable)
            break;
        list_remove(&w->link);
        w->fn(w);
    }
    if (atomic_exchange_explicit(&log->read_done, false, memory_order_acquire))
        take_reads(log);
    if (!log->holding)
        return;
    pthread_mutex_lock(&log->store->lock);
    uint64_t pending = log->store->pending_bytes;
    pthread_mutex_unlock(&log->store->lock);
    if (!is_behind(log->store, pending, STORE_PENDING_LOW, STORE_UNFED_LOW)) {
        log->holding = false;
        shard_hold(log->shard, false);
    }
}

/* ---- recovery ---- */

static void replay_frame(void *arg, uint64_t lsn, struct journal_place place, struct slice bytes)
{
    struct store *s = arg;
    uint64_t journal_bytes, live_bytes;
    fold_frame(s->fold, lsn, place, bytes);
    s->replayed_frames++;
    s->replayed_bytes += bytes.len;
    fold_pressure(s->fold, &journal_bytes, &live_bytes);
    if (live_bytes > STORE_LIVE_HIGH && !s->read_only)
        store_checkpoint(s);
}

static void replay_damage(void *arg, const struct journal_damage *d)
{
    struct store *s = arg;
    if (!d->after_lsn && !d->bytes && !fold_applied(s->fold))
        s->missing_before = d->before_lsn;
    char between[64];
    if (d->before_lsn)
        snprintf(between, sizeof between, "between frames %llu and %llu",
                 (unsigned long long)d->after_lsn, (unsigned long long)d->before_lsn);
    else
        snprintf(between, sizeof between, "perhaps behind frame %llu",
                 (unsigned long long)d->after_lsn);
    log_error(STORE, NULL,
              "damage in the journal: %s, %llu bytes at %llu cannot be read, %s; what they said is "
              "lost",
              d->segment, (unsigned long long)d->bytes, (unsigned long long)d->offset, between);
}

static void fold_damage(void *arg, uint64_t queue, const char *text)
{
    (void)arg;
    log_error(STORE, NULL, "damage in queue %llu: %s", (unsigned long long)queue, text);
}

static enum err recover(struct store *s, struct failure *why)
{
    struct journal_reader reader = {.frame = replay_frame, .damage = replay_damage, .arg = s};
    uint64_t from = clock_mono_ns();
    enum err err = journal_replay(s->journal, fold_applied(s->fold), &reader, why);
    if (err)
        return err;
    if (s->missing_before)
        return failure_set(why, ERR_PRECONDITION_FAILED,
                           "the database is missing or empty, but the journal begins at frame "
                           "%llu: what came before it was in the database",
                           (unsigned long long)s->missing_before);
    fold_recovered(s->fold);
    if (!s->read_only)
        store_checkpoint(s);
    s->first_queue_id = fold_last_queue_id(s->fold) + 1;
    s->next_queue_id = s->first_queue_id;
    s->next_message_id = fold_last_message_id(s->fold) + 1;
    s->last_transaction = fold_last_transaction(s->fold);
    if (s->replayed_frames && !s->read_only)
        log_info(STORE, NULL, "replayed %llu frames of the journal, %llu bytes, in %llu ms",
                 (unsigned long long)s->replayed_frames, (unsigned long long)s->replayed_bytes,
                 (unsigned long long)((clock_mono_ns() - from) / 1000000u));
    return ERR_NONE;
}

/* ---- life ---- */

/* A body that cannot be written would end the process in the middle of its work. */
static enum err try_blobs(struct disk *d, struct failure *why)
{
    static const char probe[] = "blobs/probe";
    int status = disk_make_directory(d, "blobs");
    int file = status < 0 ? status : disk_open_file(d, probe, DISK_CREATE);
    if (file >= 0) {
        disk_close_file(d, file);
        disk_unlink(d, probe);
    }
    if (file >= 0 || file == -ENOSPC || file == -EDQUOT)
        return ERR_NONE;
    return failure_set(why,
                       file == -EACCES || file == -EPERM ? ERR_ACCESS_REFUSED : ERR_INTERNAL_ERROR,
                       "cannot use the directory blobs: %s", strerror(-file));
}

static enum err open_parts(struct store *s, const struct store_options *o, struct failure *why)
{
    char *db = mem_printf("%s/db", o->directory);
    struct kv_options kv = {
        .directory = db, .map_size = o->map_size, .map_max = o->map_max, .read_only = o->read_only};
    enum err err = ERR_NONE;
    if (!o->read_only && mkdir(db, 0700) != 0 && errno != EEXIST)
        err = failure_set(why, ERR_INTERNAL_ERROR, "cannot make %s: %s", db, strerror(errno));
    if (!err)
        err = kv_lmdb_open(&kv, &s->kv, why);
    free(db);
    if (err)
        return err;
    s->disk = disk_open(o->directory);
    if (!s->disk)
        return failure_set(why, ERR_INTERNAL_ERROR, "cannot open %s: %s", o->directory,
                           strerror(errno));
    if (!o->read_only) {
        stage_sweep(o->directory);
        err = try_blobs(s->disk, why);
    }
    if (err)
        return err;
    struct journal_options jo = {.disk = s->disk,
                                 .segment_size = o->segment_size,
                                 .segments_max = o->segments_max,
                                 .read_only = o->read_only};
    err = journal_open(&jo, &s->journal, why);
    if (err)
        return err;
    size_t most = journal_frame_max(s->journal);
    s->unit_max = most;
    s->unit_large = o->unit_large ? o->unit_large : STORE_UNIT_LARGE;
    s->frame_bytes = most < STORE_FRAME_BYTES ? most : STORE_FRAME_BYTES;
    struct fold_options fo = {.kv = s->kv,
                              .disk = s->disk,
                              .journal = s->journal,
                              .read_only = o->read_only,
                              .damage = fold_damage,
                              .arg = s};
    return fold_open(&fo, &s->fold, why);
}

static void log_init(struct shard *shard, void *arg)
{
    struct store *s = arg;
    struct store_log *log = NEW(struct store_log);
    log->store = s;
    log->shard = shard;
    log->ticket = 1;
    log->durable = log->folded = 1;
    list_init(&log->waits);
    list_init(&log->reads_done);
    deferred_init(&log->turn_end, hand_over_at_turn_end);
    log->bell = bell_new(shard, on_bell, log);
    shard_set_local(shard, SHARD_LOCAL_STORE, log);
}

static void hand_over_last(struct shard *shard, void *arg)
{
    (void)arg;
    store_hand_over(store_log_of(shard));
}

/* After the threads, which ring the bell. */
static void log_free(struct shard *shard, void *arg)
{
    (void)arg;
    struct store_log *log = store_log_of(shard);
    bell_free(&log->bell);
    free(log);
    shard_set_local(shard, SHARD_LOCAL_STORE, NULL);
}

static void free_units(struct unit *u)
{
    while (u) {
        struct unit *next = u->next;
        buf_fini(&u->bytes);
        free(u);
        u = next;
    }
}

static void store_free(struct store *s)
{
    fold_close(&s->fold);
    journal_close(&s->journal);
    if (s->disk)
        DISK_TYPE_OF(s->disk)->close_disk(&s->disk);
    kv_close(&s->kv);
    free_units(s->spare);
    store_threads_fini(s);
    free(s);
}

enum err store_open(struct node *node, const struct store_options *options,
                    struct store **ret_store, struct failure *why)
{
    struct store *s = NEW(struct store);
    s->node = node;
    s->read_only = options->read_only;
    s->checkpoint_s = options->checkpoint_s ? options->checkpoint_s : STORE_AGE_S;
    store_threads_init(s);
    heap_adopt(HEAP_STORE);
    enum err err = open_parts(s, options, why);
    if (!err)
        err = recover(s, why);
    heap_adopt(HEAP_COMMON);
    if (err) {
        store_free(s);
        return err;
    }
    node_set_local(node, SHARD_LOCAL_STORE, s);
    node_each_shard(node, log_init, s);
    if (!s->read_only)
        store_threads_start(s);
    *ret_store = s;
    return ERR_NONE;
}

void store_close(struct store **store)
{
    struct store *s = *store;
    if (!s)
        return;
    node_each_shard(s->node, hand_over_last, NULL);
    if (!s->read_only) {
        store_threads_stop(s);
        fold_stopping(s->fold);
        store_checkpoint(s);
    }
    node_each_shard(s->node, log_free, NULL);
    node_set_local(s->node, SHARD_LOCAL_STORE, NULL);
    store_free(s);
    *store = NULL;
}

void store_watch_full(struct store *store, void (*fn)(void *arg), void *arg)
{
    store->on_full = fn;
    store->on_full_arg = arg;
}

bool store_is_full(const struct store *store)
{
    return atomic_load_explicit(&store->full, memory_order_relaxed) != 0;
}

void store_read_stats(struct store *s, struct store_stats *ret_stats)
{
    *ret_stats = (struct store_stats){
        .checkpoints = atomic_load(&s->checkpoints),
        .last_checkpoint_us = atomic_load(&s->last_checkpoint_us),
        .last_sync_us = atomic_load(&s->last_sync_us),
        .sync_us = atomic_load(&s->sync_us),
        .checkpoint_us = atomic_load(&s->checkpoint_us),
    };
    journal_read_stats(s->journal, &ret_stats->journal);
    kv_lmdb_space(s->kv, &ret_stats->database_bytes, &ret_stats->database_free);
    pthread_mutex_lock(&s->lock);
    ret_stats->pending_bytes = s->pending_bytes;
    pthread_mutex_unlock(&s->lock);
}

/* Units are made by the shards. */
uint64_t store_memory(struct store *s, uint64_t *ret_reserved)
{
    uint64_t used = heap_used(HEAP_STORE), reserved = kv_lmdb_reserved(s->kv);
    *ret_reserved = reserved;
    return atomic_load_explicit(&s->unfed_bytes, memory_order_relaxed) +
           (used > reserved ? used - reserved : 0);
}
