/* The journal's, the feeder's, the checkpointer's and the reader's thread. */
#include "base/bug.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "shard/bell.h"
#include "store/store_priv.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the journal's thread ---- */

/* Once there are logs. */
static void ring_all(struct store *s)
{
    for (unsigned i = 0; i < node_shard_count(s->node); i++) {
        struct store_log *log = store_log_of(node_shard(s->node, i));
        if (log)
            bell_ring(log->bell);
    }
}

/* The disk is full: nothing is lost, what waits goes on waiting. */
static void no_room(struct store *s, enum full which, const char *what)
{
    if (atomic_fetch_or(&s->full, which) & which)
        return;
    log_error(STORE, NULL, "no room on the disk for %s: publishers wait until there is", what);
    ring_all(s);
}

static void room_again(struct store *s, enum full which, const char *what)
{
    if (atomic_load_explicit(&s->full, memory_order_relaxed) & which &&
        atomic_fetch_and(&s->full, ~(unsigned)which) & which) {
        log_info(STORE, NULL, "there is room on the disk for %s again", what);
        ring_all(s);
    }
}

/* At a stop it is given up after a while: nobody was told that it is safe. Not if the database only
 * takes its time; publishers are held meanwhile. */
static void wait_for_journal(struct store *s, uint64_t *stop_ns)
{
    bool at_most = journal_at_most(s->journal);
    if (!at_most)
        no_room(s, FULL_JOURNAL, "the journal");
    bool stuck = atomic_load_explicit(&s->full, memory_order_relaxed) != 0;
    pthread_mutex_lock(&s->lock);
    bool stopping = s->stop_journal;
    pthread_mutex_unlock(&s->lock);
    if (!stopping || !stuck)
        *stop_ns = 0;
    else if (!*stop_ns)
        *stop_ns = clock_mono_ns();
    else if (clock_mono_ns() - *stop_ns > STORE_STOP_MS * 1000000ull)
        store_fail("writing the journal at the stop", journal_error(s->journal));
    usleep(at_most ? 1000 : STORE_RETRY_MS * 1000);
}

/* Writes one frame of the units from first on; the next unit that it left. */
static struct unit *write_frame(struct store *s, struct unit *first)
{
    struct iovec iov[STORE_FRAME_UNITS];
    struct journal_place place;
    enum journal_status status;
    uint64_t lsn;
    size_t bytes = 0;
    int n = 0;
    struct unit *end = first;
    while (end && n < STORE_FRAME_UNITS && (!n || bytes + end->len <= s->frame_bytes)) {
        iov[n++] = (struct iovec){end->bytes.data, end->len};
        bytes += end->len;
        end = end->next;
    }
    if (!bytes) { /* somebody waits for what was handed over before */
        for (struct unit *u = first; u != end; u = u->next)
            u->lsn = 0;
        return end;
    }
    uint64_t stop_ns = 0;
    while ((status = journal_write(s->journal, iov, n, &lsn, &place)) == JOURNAL_FULL)
        wait_for_journal(s, &stop_ns);
    if (status == JOURNAL_FAILED)
        store_fail("writing the journal", journal_error(s->journal));
    for (struct unit *u = first; u != end; u = u->next) {
        u->lsn = lsn;
        u->place = place;
        place.offset += (uint32_t)u->len;
    }
    return end;
}

static void tell_shards(struct store *s, struct unit *first, size_t bytes)
{
    uint64_t bells = 0;
    for (struct unit *u = first; u; u = u->next) { /* all frames before any is told of */
        if (u->lsn)
            atomic_store_explicit(&s->durable_lsn, u->lsn, memory_order_release);
    }
    for (struct unit *u = first; u; u = u->next) {
        atomic_store_explicit(&u->log->durable, u->ticket + 1, memory_order_release);
        if (u->sync)
            bells |= 1ull << shard_index(u->log->shard);
    }
    for (unsigned i = 0; i < node_shard_count(s->node); i++) {
        if (bells >> i & 1 || bytes >= STORE_PENDING_LOW)
            bell_ring(store_log_of(node_shard(s->node, i))->bell);
    }
}

/* Under fold_lock. To be woken costs more than to feed a unit. */
static bool worth_feeding(const struct store *s)
{
    return s->feed_now || s->to_feed_units >= STORE_FEED_UNITS ||
           s->to_feed_bytes >= STORE_FEED_BYTES;
}

static void give_to_feeder(struct store *s, struct unit *first)
{
    struct unit *last = first;
    pthread_mutex_lock(&s->fold_lock);
    for (struct unit *u = first; u; last = u, u = u->next) {
        s->to_feed_units++;
        s->to_feed_bytes += u->len;
        if (s->written_bytes + u->len > STORE_KEEP_BYTES)
            buf_fini(&u->bytes);
        else
            s->written_bytes += u->len;
    }
    *s->written_end = first;
    s->written_end = &last->next;
    bool ring = s->feeder_waits == WAITS_LONG || (s->feeder_waits && worth_feeding(s));
    pthread_mutex_unlock(&s->fold_lock);
    if (ring)
        pthread_cond_signal(&s->fold_work);
}

static size_t write_all(struct store *s, struct unit *first)
{
    size_t bytes = 0;
    for (struct unit *u = first; u; u = u->next)
        bytes += u->len;
    for (struct unit *u = first; u;)
        u = write_frame(s, u);
    uint64_t from = clock_mono_ns();
    if (journal_sync(s->journal) != JOURNAL_OK)
        store_fail("syncing the journal", journal_error(s->journal));
    uint64_t took_us = (clock_mono_ns() - from) / 1000;
    atomic_store(&s->last_sync_us, took_us);
    atomic_fetch_add(&s->sync_us, took_us);
    return bytes;
}

/* Under the lock. What nobody waits for may wait a while for more. One who was at work lately looks
 * again by himself: the first unit that comes need not wake him for that. */
static void wait_for_units(struct store *s)
{
    for (;;) {
        struct timespec until = thread_wait_end(STORE_LAZY_MS);
        s->journal_waits = WAITS_SHORT;
        while (!s->pending_sync && !s->stop_journal && !s->hold_journal &&
               pthread_cond_timedwait(&s->work, &s->lock, &until) == 0)
            ;
        if (s->pending || s->stop_journal || s->hold_journal)
            break;
        s->journal_waits = WAITS_LONG;
        while (!s->pending && !s->stop_journal && !s->hold_journal)
            pthread_cond_wait(&s->work, &s->lock);
    }
    s->journal_waits = WAITS_NOT;
}

/* Where one unit at a time comes, each as soon as the one before is safe, a wake-up is a large part
 * of what each takes: then the next is waited for awake, as long as it came in time before. */
static void spin(const struct store *s, size_t bytes, uint64_t from)
{
    if (bytes > STORE_SPIN_BYTES || s->waited_ns > STORE_SPIN_NS)
        return;
    while (!atomic_load_explicit(&s->pending_sync, memory_order_relaxed) &&
           clock_mono_ns() - from < STORE_SPIN_NS)
        sched_yield();
}

/* Under the lock. */
static void stand_still(struct store *s)
{
    while (s->hold_journal) {
        s->journal_held = true;
        pthread_cond_broadcast(&s->hold_change);
        pthread_cond_wait(&s->hold_change, &s->lock);
    }
    s->journal_held = false;
}

bool store_hold_journal(struct store *s)
{
    struct timespec until = thread_wait_end(STORE_HOLD_MS);
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    s->hold_journal = true;
    pthread_cond_signal(&s->work);
    while (!s->journal_held && rc == 0)
        rc = pthread_cond_timedwait(&s->hold_change, &s->lock, &until);
    bool held = s->journal_held;
    pthread_mutex_unlock(&s->lock);
    if (!held)
        store_let_journal(s);
    return held;
}

void store_let_journal(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    s->hold_journal = false;
    pthread_cond_broadcast(&s->hold_change);
    pthread_mutex_unlock(&s->lock);
}

static void *journal_main(void *arg)
{
    struct store *s = arg;
    size_t bytes = 0;
    thread_wake_soon();
    pthread_mutex_lock(&s->lock);
    for (;;) {
        if (!s->pending_sync) {
            uint64_t from = clock_mono_ns();
            pthread_mutex_unlock(&s->lock);
            spin(s, bytes, from);
            pthread_mutex_lock(&s->lock);
            wait_for_units(s);
            s->waited_ns = clock_mono_ns() - from;
        }
        if (s->hold_journal) {
            stand_still(s);
            continue;
        }
        struct unit *first = s->pending;
        if (!first)
            break;
        s->pending = NULL;
        s->pending_end = &s->pending;
        s->pending_sync = false;
        pthread_mutex_unlock(&s->lock);
        bytes = write_all(s, first);
        pthread_mutex_lock(&s->lock);
        s->pending_bytes -= bytes;
        pthread_mutex_unlock(&s->lock);
        tell_shards(s, first, bytes);
        give_to_feeder(s, first);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the feeder ---- */

static bool too_much_lives(struct store *s)
{
    uint64_t journal_bytes, live_bytes;
    fold_pressure(s->fold, &journal_bytes, &live_bytes);
    return live_bytes > STORE_LIVE_MAX;
}

static void feed_unit(struct store *s, const struct unit *u)
{
    if (!u->len)
        return;
    if (u->bytes.data) {
        fold_frame(s->fold, u->lsn, u->place, slice_of(u->bytes.data, u->len));
        return;
    }
    struct buf again = BUF_INIT;
    buf_reserve(&again, u->len);
    if (!journal_read(s->journal, u->place, again.data, u->len))
        store_fail("reading the journal", journal_error(s->journal));
    fold_frame(s->fold, u->lsn, u->place, slice_of(again.data, u->len));
    buf_fini(&again);
}

static void recycle(struct store *s, struct unit *first)
{
    struct unit *drop = NULL;
    pthread_mutex_lock(&s->lock);
    while (first) {
        struct unit *u = first;
        first = u->next;
        bool keep = s->spare_count < STORE_SPARE_UNITS && u->bytes.cap <= STORE_SPARE_BYTES;
        buf_clear(&u->bytes);
        u->next = keep ? s->spare : drop;
        *(keep ? &s->spare : &drop) = u;
        s->spare_count += keep;
    }
    pthread_mutex_unlock(&s->lock);
    while (drop) {
        struct unit *next = drop->next;
        buf_fini(&drop->bytes);
        free(drop);
        drop = next;
    }
}

/* Shards that wait for the fold go on. */
static void note_fed(struct store *s, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub_explicit(&s->unfed_bytes, bytes, memory_order_relaxed);
    if (before > STORE_UNFED_LOW && before - bytes <= STORE_UNFED_LOW)
        ring_all(s);
}

/* The database takes less than comes: what is to be written must not grow without bound. */
static void wait_for_checkpoint(struct store *s)
{
    if (!too_much_lives(s))
        return;
    pthread_mutex_lock(&s->fold_lock);
    while (too_much_lives(s) && !s->stop_feeder) {
        pthread_cond_signal(&s->checkpoint_work);
        pthread_cond_wait(&s->checkpoint_done, &s->fold_lock);
    }
    pthread_mutex_unlock(&s->fold_lock);
}

static void feed_all(struct store *s, struct unit *first)
{
    size_t bytes = 0;
    for (struct unit *u = first; u;) {
        uint64_t lsn = u->lsn, fed = 0;
        wait_for_checkpoint(s);
        pthread_mutex_lock(&s->feed_lock);
        for (; u && u->lsn == lsn; u = u->next) {
            bytes += u->bytes.data ? u->len : 0;
            fed += u->len;
            feed_unit(s, u);
        }
        pthread_mutex_unlock(&s->feed_lock);
        note_fed(s, fed);
    }
    pthread_mutex_lock(&s->fold_lock);
    for (struct unit *u = first; u; u = u->next) {
        atomic_store_explicit(&u->log->folded, u->ticket + 1, memory_order_release);
        s->fed_lsn = u->lsn ? u->lsn : s->fed_lsn;
    }
    s->written_bytes -= bytes;
    pthread_cond_broadcast(&s->fold_done);
    pthread_mutex_unlock(&s->fold_lock);
    recycle(s, first);
}

static bool worth_a_checkpoint(struct store *s)
{
    uint64_t journal_bytes, live_bytes;
    fold_pressure(s->fold, &journal_bytes, &live_bytes);
    return live_bytes > STORE_LIVE_HIGH || journal_bytes > STORE_JOURNAL_HIGH;
}

/* Under fold_lock. */
static void wait_for_written(struct store *s)
{
    s->feeder_waits = WAITS_LONG;
    while (!s->written && !s->stop_feeder)
        pthread_cond_wait(&s->fold_work, &s->fold_lock);
    struct timespec until = thread_wait_end(STORE_FEED_MS);
    s->feeder_waits = WAITS_SHORT;
    while (!worth_feeding(s) && !s->stop_feeder &&
           pthread_cond_timedwait(&s->fold_work, &s->fold_lock, &until) == 0)
        ;
    s->feeder_waits = WAITS_NOT;
}

static void *feeder_main(void *arg)
{
    struct store *s = arg;
    pthread_mutex_lock(&s->fold_lock);
    for (;;) {
        wait_for_written(s);
        struct unit *first = s->written;
        if (!first)
            break;
        s->written = NULL;
        s->written_end = &s->written;
        s->to_feed_units = 0;
        s->to_feed_bytes = 0;
        s->feed_now = false;
        pthread_mutex_unlock(&s->fold_lock);
        feed_all(s, first);
        if (worth_a_checkpoint(s) || !journal_prepared(s->journal))
            pthread_cond_signal(&s->checkpoint_work);
        pthread_mutex_lock(&s->fold_lock);
    }
    pthread_mutex_unlock(&s->fold_lock);
    return NULL;
}

/* ---- the checkpointer ---- */

bool store_checkpoint(struct store *s)
{
    pthread_mutex_lock(&s->checkpoint_lock);
    bool done = store_checkpoint_alone(s);
    pthread_mutex_unlock(&s->checkpoint_lock);
    return done;
}

bool store_checkpoint_alone(struct store *s)
{
    uint64_t from = clock_mono_ns();
    pthread_mutex_lock(&s->feed_lock);
    fold_freeze(s->fold);
    pthread_mutex_unlock(&s->feed_lock);
    enum kv_status status = fold_checkpoint(s->fold);
    if (status == KV_FULL) {
        no_room(s, FULL_DATABASE, "the database");
        return false;
    }
    if (status != KV_OK)
        store_fail("writing the database", kv_error(s->kv));
    room_again(s, FULL_DATABASE, "the database");
    journal_release(s->journal, fold_applied(s->fold));
    atomic_fetch_add(&s->checkpoints, 1);
    uint64_t took_us = (clock_mono_ns() - from) / 1000;
    atomic_store(&s->last_checkpoint_us, took_us);
    atomic_fetch_add(&s->checkpoint_us, took_us);
    return true;
}

uint64_t store_ask_checkpoint(struct store *s)
{
    pthread_mutex_lock(&s->fold_lock);
    uint64_t number = ++s->asked_checkpoint;
    pthread_cond_signal(&s->checkpoint_work);
    pthread_mutex_unlock(&s->fold_lock);
    return number;
}

bool store_has_checkpoint(const struct store *s, uint64_t number)
{
    return atomic_load(&s->answered_checkpoint) >= number;
}

static bool aged(struct store *s, uint64_t last_ns)
{
    uint64_t journal_bytes, live_bytes;
    fold_pressure(s->fold, &journal_bytes, &live_bytes);
    return journal_bytes && clock_mono_ns() - last_ns > s->checkpoint_s * 1000000000ull;
}

/* Segments ahead of need; a broker that is hardly used has none. */
static void prepare(struct store *s)
{
    enum journal_status status = JOURNAL_OK;
    struct journal_stats stats;
    journal_read_stats(s->journal, &stats);
    if (stats.bytes < STORE_IDLE_BYTES && !(atomic_load(&s->full) & FULL_JOURNAL))
        return;
    while (status == JOURNAL_OK && !journal_prepared(s->journal))
        status = journal_prepare(s->journal);
    if (status == JOURNAL_FAILED)
        store_fail("preparing the journal", journal_error(s->journal));
    if (status == JOURNAL_FULL && !journal_at_most(s->journal))
        no_room(s, FULL_JOURNAL, "the journal");
    else if (journal_prepared(s->journal))
        room_again(s, FULL_JOURNAL, "the journal");
}

/* Not while a backup reads: it would wait for that, and whoever reads for it. */
static void give_back(struct store *s)
{
    if (atomic_load(&s->backups))
        return;
    if (kv_lmdb_trim(s->kv) != KV_OK)
        store_fail("opening the database", kv_error(s->kv));
}

static void *checkpoint_main(void *arg)
{
    struct store *s = arg;
    uint64_t last_ns = clock_mono_ns();
    pthread_mutex_lock(&s->fold_lock);
    while (!s->stop_checkpointer) {
        struct timespec until = thread_wait_end(1000);
        uint64_t asked = s->asked_checkpoint;
        pthread_mutex_unlock(&s->fold_lock);
        prepare(s);
        bool again = atomic_load(&s->full) & FULL_DATABASE;
        bool now =
            again || worth_a_checkpoint(s) || aged(s, last_ns) || !store_has_checkpoint(s, asked);
        if (now) {
            now = store_checkpoint(s);
            last_ns = clock_mono_ns();
        }
        if (now)
            atomic_store(&s->answered_checkpoint, asked);
        if (!now && atomic_load(&s->full))
            until = thread_wait_end(STORE_RETRY_MS);
        else if (!now && clock_mono_ns() - last_ns > STORE_IDLE_MS * 1000000ull)
            give_back(s);
        pthread_mutex_lock(&s->fold_lock);
        pthread_cond_broadcast(&s->checkpoint_done);
        if (!now && !s->stop_checkpointer && asked == s->asked_checkpoint)
            pthread_cond_timedwait(&s->checkpoint_work, &s->fold_lock, &until);
    }
    pthread_mutex_unlock(&s->fold_lock);
    return NULL;
}

/* ---- the reader ---- */

/* False: the store stops. */
static bool wait_until_fed(struct store *s, const struct store_read *r)
{
    pthread_mutex_lock(&s->fold_lock);
    while ((!store_is_fed(r->log, r->mark) || s->fed_lsn < r->lsn) && !s->stop_feeder &&
           !s->reads_end) {
        s->feed_now = true;
        if (s->feeder_waits == WAITS_SHORT)
            pthread_cond_signal(&s->fold_work);
        pthread_cond_wait(&s->fold_done, &s->fold_lock);
    }
    bool fed = !s->stop_feeder && !s->reads_end;
    pthread_mutex_unlock(&s->fold_lock);
    return fed;
}

static void *reader_main(void *arg)
{
    struct store *s = arg;
    pthread_mutex_lock(&s->read_lock);
    for (;;) {
        while (list_empty(&s->reads) && !s->stop_reader)
            pthread_cond_wait(&s->read_work, &s->read_lock);
        if (s->stop_reader)
            break;
        struct store_read *r = list_entry(s->reads.next, struct store_read, link);
        list_remove(&r->link);
        pthread_mutex_unlock(&s->read_lock);
        struct store_log *log = r->log;
        bool fed = wait_until_fed(s, r);
        if (fed)
            fold_read(s->fold, &r->query, &r->page);
        pthread_mutex_lock(&s->read_lock);
        list_append(&log->reads_done, &r->link);
        if (!fed)
            continue; /* nobody takes it any more */
        atomic_store_explicit(&log->read_done, true, memory_order_release);
        bell_ring(log->bell);
    }
    pthread_mutex_unlock(&s->read_lock);
    return NULL;
}

/* ---- life ---- */

void store_threads_init(struct store *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->fold_lock, NULL);
    pthread_mutex_init(&s->feed_lock, NULL);
    pthread_mutex_init(&s->checkpoint_lock, NULL);
    thread_cond_init(&s->hold_change);
    pthread_mutex_init(&s->read_lock, NULL);
    thread_cond_init(&s->work);
    thread_cond_init(&s->fold_work);
    thread_cond_init(&s->fold_done);
    thread_cond_init(&s->checkpoint_work);
    thread_cond_init(&s->checkpoint_done);
    thread_cond_init(&s->read_work);
    s->pending_end = &s->pending;
    s->written_end = &s->written;
    list_init(&s->reads);
}

void store_threads_fini(struct store *s)
{
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->fold_lock);
    pthread_mutex_destroy(&s->feed_lock);
    pthread_mutex_destroy(&s->checkpoint_lock);
    pthread_cond_destroy(&s->hold_change);
    pthread_mutex_destroy(&s->read_lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->fold_work);
    pthread_cond_destroy(&s->fold_done);
    pthread_cond_destroy(&s->checkpoint_work);
    pthread_cond_destroy(&s->checkpoint_done);
    pthread_cond_destroy(&s->read_work);
}

struct start {
    void *(*main)(void *);
    struct store *store;
};

static void *thread_main(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    heap_adopt(HEAP_STORE);
    return start.main(start.store);
}

static void start(pthread_t *thread, const char *name, void *(*main)(void *), struct store *s)
{
    struct start *start = NEW(struct start);
    *start = (struct start){main, s};
    bug_on(!thread_start(thread, name, thread_main, start));
}

void store_threads_start(struct store *s)
{
    start(&s->journal_thread, "journal", journal_main, s);
    start(&s->feeder_thread, "feeder", feeder_main, s);
    start(&s->checkpoint_thread, "checkpointer", checkpoint_main, s);
    start(&s->reader_thread, "reader", reader_main, s);
}

static void stop(pthread_mutex_t *lock, bool *flag, pthread_cond_t *cond, pthread_t thread)
{
    pthread_mutex_lock(lock);
    *flag = true;
    pthread_cond_broadcast(cond);
    pthread_mutex_unlock(lock);
    pthread_join(thread, NULL);
}

void store_threads_stop(struct store *s)
{
    stop(&s->lock, &s->stop_journal, &s->work, s->journal_thread);
    stop(&s->fold_lock, &s->stop_feeder, &s->fold_work, s->feeder_thread);
    pthread_cond_broadcast(&s->fold_done);
    stop(&s->read_lock, &s->stop_reader, &s->read_work, s->reader_thread);
    stop(&s->fold_lock, &s->stop_checkpointer, &s->checkpoint_work, s->checkpoint_thread);
}
