/* The store in one process and without threads: journal, fold and checkpoints over a disk and
 * tables in memory, driven by a seed, against a naive model. Units of records are written, synced,
 * fed and folded at random moments; the power goes at any call of the disk or the tables, also
 * while recovering; what was not synced is lost in any part, torn at 512 bytes. After each start
 * the store must hold what some prefix of the journal says that is not shorter than what was
 * synced. One seed in eight damages files instead, and must neither crash nor invent.
 *
 *   sim_store [SEEDS [FIRST]]     each seed is one run; SEEDS from 1 on unless it is said
 *
 * In the environment: SIM_TRACE prints what happens, SIM_ABORT ends with a core, SIM_ALONE runs in
 * one process. */
#include "store_sim.h"

#include "base/bug.h"
#include "base/mem.h"
#include "workers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 160 };
#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 5000 };
#else
enum { SEEDS = 20000 };
#endif

static uint64_t current_seed; /* for panics */
static bool tracing;

_Noreturn void sim_fail(const struct world *w, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "seed %" PRIu64 " step %u: ", w->seed, w->step);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n  again: sim_store 1 %" PRIu64 "\n", w->seed);
    if (getenv("SIM_ABORT"))
        abort();
    exit(1);
}

void sim_trace(const char *fmt, ...)
{
    va_list ap;
    if (!tracing)
        return;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

static void on_panic(int fd)
{
    dprintf(fd, "seed %" PRIu64 "\n", current_seed);
}

/* ---- journal to fold ---- */

static void forget_frame(struct sim_frame *f)
{
    buf_fini(&f->bytes);
    free(f->ops);
    *f = (struct sim_frame){0};
}

static void feed_one(struct world *w)
{
    struct sim_frame *f = &w->frames[0];
    if (one_in(w, 2)) { /* as a whole, or by units */
        fold_frame(w->fold, f->lsn, f->place, buf_slice(&f->bytes));
    } else {
        struct journal_place place = f->place;
        size_t at = 0;
        for (unsigned i = 0; i < f->units; i++) {
            fold_frame(w->fold, f->lsn, place, slice_of(f->bytes.data + at, f->unit_len[i]));
            place.offset += (uint32_t)f->unit_len[i];
            at += f->unit_len[i];
        }
    }
    for (size_t i = 0; i < f->op_count; i++)
        model_apply(&w->fed, &f->ops[i]);
    w->fed_lsn = f->lsn;
    sim_trace("step %u: fed %" PRIu64 "\n", w->step, f->lsn);
    forget_frame(f);
    w->frame_count--;
    memmove(w->frames, w->frames + 1, w->frame_count * sizeof *w->frames);
}

static bool can_feed(const struct world *w)
{
    return w->frame_count && w->frames[0].lsn <= w->synced;
}

static void sync_journal(struct world *w)
{
    uint64_t lsn = w->written;
    if (is_dead(w))
        return;
    if (journal_sync(w->journal) == JOURNAL_OK)
        w->synced = lsn;
    else
        sim_check(w, is_dead(w), "the sync failed: %s", journal_error(w->journal));
}

static void feed_all(struct world *w)
{
    sync_journal(w);
    while (!is_dead(w) && can_feed(w))
        feed_one(w);
}

static void release(struct world *w)
{
    journal_release(w->journal, fold_applied(w->fold));
    w->release_due = false;
}

/* Until it is through; the room that is missing comes. */
static bool checkpoint(struct world *w)
{
    for (int i = 0; i < 4 && !is_dead(w); i++) {
        sim_trace("step %u: checkpoint\n", w->step);
        enum kv_status status = fold_checkpoint(w->fold);
        sim_trace("  status %d, applied %" PRIu64 "\n", (int)status, fold_applied(w->fold));
        if (status == KV_OK) {
            w->release_due = true;
            return true;
        }
        sim_check(w, status != KV_FAILED || is_dead(w), "a checkpoint failed: %s", kv_error(w->kv));
        if (one_in(w, 2) && !w->damaged && !is_dead(w))
            check_page(w);
        disk_memory_set_room(w->disk, UINT64_MAX);
    }
    sim_check(w, is_dead(w), "a checkpoint finds no room");
    return false;
}

static void make_room(struct world *w)
{
    feed_all(w);
    if (is_dead(w) || !checkpoint(w) || !checkpoint(w))
        return;
    release(w);
    enum journal_status status = journal_prepare(w->journal);
    sim_check(w, status != JOURNAL_FAILED || is_dead(w), "no preparing: %s",
              journal_error(w->journal));
}

static bool write_once(struct world *w, struct sim_frame *f)
{
    struct iovec iov[SIM_FRAME_UNITS];
    f->units = 0;
    for (unsigned i = 0; i < w->unit_count; i++) {
        if (w->units[i].bytes.len)
            iov[f->units++] = (struct iovec){w->units[i].bytes.data, w->units[i].bytes.len};
    }
    enum journal_status status = journal_write(w->journal, iov, (int)f->units, &f->lsn, &f->place);
    sim_check(w, status != JOURNAL_FAILED || is_dead(w), "a write failed: %s",
              journal_error(w->journal));
    return status == JOURNAL_OK;
}

static void keep_frame(struct world *w, struct sim_frame *f)
{
    f->ops = mem_alloc(SIM_FRAME_OPS * sizeof *f->ops);
    f->units = 0;
    for (unsigned i = 0; i < w->unit_count; i++) {
        const struct sim_unit *u = &w->units[i];
        if (!u->bytes.len)
            continue;
        memcpy(f->ops + f->op_count, u->ops, u->count * sizeof *u->ops);
        f->op_count += u->count;
        buf_append_slice(&f->bytes, buf_slice(&u->bytes));
        f->unit_len[f->units++] = u->bytes.len;
    }
    w->written = f->lsn;
    sim_trace("step %u: wrote %" PRIu64 " of %u units\n", w->step, f->lsn, f->units);
    w->frames[w->frame_count++] = *f;
}

static void forget_units(struct world *w)
{
    for (unsigned i = 0; i < SIM_FRAME_UNITS; i++) {
        buf_clear(&w->units[i].bytes);
        w->units[i].base = (struct record_base){0};
        w->units[i].count = 0;
    }
    w->unit_count = 0;
}

/* What is pending becomes a frame. When the power goes in it, it may be there all the same. */
void write_frame(struct world *w)
{
    struct sim_frame f = {0};
    bool written = false;
    if (!pending_bytes(w))
        return;
    if (w->frame_count == SIM_FRAMES && !is_dead(w))
        feed_all(w);
    bool dead_before = is_dead(w); /* what a dead process appends is nothing */
    for (int i = 0; i < 3 && !written && !is_dead(w); i++) {
        written = write_once(w, &f);
        if (!written && !is_dead(w)) {
            disk_memory_set_room(w->disk, UINT64_MAX);
            make_room(w);
        }
    }
    sim_check(w, written || is_dead(w), "the journal finds no room: %s", journal_error(w->journal));
    if (!written)
        f.lsn = w->written + 1;
    if (!dead_before)
        keep_frame(w, &f);
    forget_units(w);
}

/* Between two calls of a checkpoint, as the other threads do. */
static bool between(void *arg)
{
    struct world *w = arg;
    if (w->in_hook || w->starting || !w->fold)
        return is_dead(w);
    w->in_hook = true;
    if (!is_dead(w) && one_in(w, 6) && can_feed(w))
        feed_one(w);
    if (!is_dead(w) && !w->damaged && one_in(w, 12))
        check_page(w);
    w->in_hook = false;
    return is_dead(w);
}

/* ---- start and end ---- */

static void on_frame(void *arg, uint64_t lsn, struct journal_place payload, struct slice bytes)
{
    struct world *w = arg;
    fold_frame(w->fold, lsn, payload, bytes);
}

static void on_journal_damage(void *arg, const struct journal_damage *damage)
{
    struct world *w = arg;
    sim_check(w, w->damaged || is_dead(w), "damage in %s at %" PRIu64, damage->segment,
              damage->offset);
    w->damages++;
}

static void on_fold_damage(void *arg, uint64_t queue, const char *text)
{
    struct world *w = arg;
    sim_check(w, w->damaged || is_dead(w), "damage in queue %" PRIu64 ": %s", queue, text);
    w->damages++;
}

static void close_store(struct world *w)
{
    if (w->fold)
        fold_close(&w->fold);
    journal_close(&w->journal);
}

/* Opens and recovers. False: the power went, or damage is too much. */
static bool open_store(struct world *w)
{
    struct failure why = {.text = ""};
    struct journal_options options = {.disk = w->disk,
                                      .segment_size = w->segment_size,
                                      .segments_max = 6,
                                      .seed = 1 + rnd(w, UINT32_MAX)};
    struct journal_reader reader = {.frame = on_frame, .damage = on_journal_damage, .arg = w};
    enum err err = journal_open(&options, &w->journal, &why);
    struct fold_options fold = {.kv = w->kv,
                                .disk = w->disk,
                                .journal = w->journal,
                                .large = w->large,
                                .damage = on_fold_damage,
                                .arg = w};
    if (!err)
        err = fold_open(&fold, &w->fold, &why);
    if (!err)
        err = journal_replay(w->journal, fold_applied(w->fold), &reader, &why);
    sim_trace("  opened: %s applied %" PRIu64 "\n", err ? why.text : "ok",
              err ? 0 : fold_applied(w->fold));
    sim_check(w, !err || w->damaged || is_dead(w), "no start: %s", why.text);
    if (err || is_dead(w))
        return false;
    fold_recovered(w->fold);
    if (!checkpoint(w))
        return false;
    release(w);
    w->frame_max = journal_frame_max(w->journal);
    return !is_dead(w);
}

/* A crash of process or machine may come in one of the calls ahead. */
static void arm(struct world *w)
{
    switch (rnd(w, 4)) {
    case 0:
        kv_memory_fail(w->kv, rnd(w, 150), KV_FAILED, one_in(w, 2));
        return;
    case 1:
        kv_memory_fail(w->kv, rnd(w, 12), KV_FAILED, one_in(w, 2));
        return;
    default:
        disk_memory_cut(w->disk, 1 + rnd(w, 25));
    }
}

static void crash(struct world *w)
{
    sim_trace("step %u: crash, synced %" PRIu64 " of %" PRIu64 ", %s\n", w->step, w->synced,
              w->written,
              disk_memory_is_cut(w->disk) ? "disk"
              : kv_memory_failed(w->kv)   ? "tables"
                                          : "killed");
    close_store(w);
    disk_memory_crash(w->disk, (enum disk_memory_loss)rnd(w, 3));
    disk_memory_set_room(w->disk, UINT64_MAX);
    kv_memory_restart(w->kv);
}

/* What the frames up to lsn say, and what a start makes of that. */
static void catch_up(struct world *w, uint64_t lsn, bool clean)
{
    for (size_t i = 0; i < w->frame_count; i++) {
        struct sim_frame *f = &w->frames[i];
        for (size_t n = 0; n < f->op_count && f->lsn <= lsn; n++)
            model_apply(&w->fed, &f->ops[n]);
        forget_frame(f);
    }
    w->frame_count = 0;
    model_start(&w->fed, clean);
}

/* Numbers go on where the store says. */
static void adopt(struct world *w)
{
    static struct fold_queue there;
    for (int i = 0; i < MODEL_QUEUES; i++) {
        struct model_queue *q = &w->fed.queues[i];
        if (!q->id || !fold_get_queue(w->fold, q->id, &there))
            continue;
        q->next_seq = there.next_seq ? there.next_seq : 1;
        if (q->redelivered_below > q->next_seq)
            q->redelivered_below = q->next_seq;
    }
    w->live = w->fed;
    w->held_count = 0;
    memset(w->uploads, 0, sizeof w->uploads);
    memset(w->txs, 0, sizeof w->txs);
    w->last_tx = one_in(w, 2) ? 0 : w->last_tx;
    forget_units(w);
}

static void start(struct world *w, bool clean)
{
    struct journal_stats stats;
    w->starting = true;
    for (int tries = 0;; tries++) {
        if (tries < 4 && one_in(w, 3) && !w->damaged)
            arm(w);
        if (open_store(w) && !is_dead(w))
            break;
        sim_check(w, is_dead(w) || w->damaged, "no start");
        if (!is_dead(w)) { /* refused for good, in clear words */
            close_store(w);
            return;
        }
        crash(w);
    }
    disk_memory_cut(w->disk, 0);
    kv_memory_fail(w->kv, UINT64_MAX, KV_FULL, false);
    w->starting = false;
    sim_trace("step %u: started\n", w->step);
    journal_read_stats(w->journal, &stats);
    if (w->damaged) {
        w->written = w->synced = w->fed_lsn = stats.lsn;
        check_lenient(w);
        return;
    }
    sim_check(w, stats.lsn >= w->synced && stats.lsn <= w->written,
              "the journal ends at %" PRIu64 ", synced was %" PRIu64 ", written %" PRIu64,
              stats.lsn, w->synced, w->written);
    catch_up(w, stats.lsn, clean);
    w->written = w->synced = w->fed_lsn = stats.lsn;
    check_all(w);
    adopt(w);
}

/* A clean stop, unless something comes in between. */
static void stop(struct world *w)
{
    end_unit(w);
    write_frame(w);
    feed_all(w);
    if (is_dead(w))
        return;
    if (!checkpoint(w)) /* of what was set apart before */
        return;
    while (fold_applied(w->fold) < w->fed_lsn && checkpoint(w))
        ;
    if (is_dead(w))
        return;
    uint64_t commits = kv_memory_commits(w->kv);
    w->starting = true; /* nobody else is there any more */
    sim_trace("step %u: stopping\n", w->step);
    fold_stopping(w->fold);
    fold_freeze(w->fold);
    checkpoint(w);
    w->starting = false;
    bool clean = kv_memory_commits(w->kv) > commits;
    if (clean)
        model_stop(&w->fed);
    if (is_dead(w)) {
        crash(w);
    } else {
        close_store(w);
        kv_memory_restart(w->kv);
    }
    start(w, clean);
}

/* ---- a run ---- */

static void fault(struct world *w)
{
    switch (rnd(w, 8)) {
    case 0:
        kv_memory_fail(w->kv, rnd(w, 30), KV_FULL, false);
        return;
    case 1:
        disk_memory_fail(w->disk, DISK_MEMORY_READ, 1 + rnd(w, 8), 0, false);
        return;
    case 2:
        disk_memory_set_room(w->disk, rnd(w, 30000));
        return;
    case 3:
        disk_memory_set_room(w->disk, UINT64_MAX);
        return;
    default:
        arm(w);
    }
}

static void io_step(struct world *w)
{
    enum journal_status status;
    switch (rnd(w, 12)) {
    case 0:
    case 1:
    case 2:
        write_frame(w);
        return;
    case 3:
    case 4:
        sync_journal(w);
        return;
    case 5:
    case 6:
    case 7:
        if (can_feed(w))
            feed_one(w);
        return;
    case 8:
        sim_trace("step %u: freeze\n", w->step);
        fold_freeze(w->fold);
        return;
    case 9:
        checkpoint(w);
        return;
    case 10:
        if (w->release_due)
            release(w);
        return;
    default:
        status = journal_prepare(w->journal);
        sim_check(w, status != JOURNAL_FAILED || is_dead(w), "no preparing: %s",
                  journal_error(w->journal));
    }
}

static void one_step(struct world *w)
{
    uint64_t what = rnd(w, 100);
    if (what < 55)
        queue_step(w);
    else if (what < 90)
        io_step(w);
    else if (what < 94)
        check_page(w);
    else if (what < 95)
        check_all(w);
    else if (what < 98)
        fault(w);
    else if (what < 99)
        stop(w);
    else
        crash(w);
    if (is_dead(w) && w->journal)
        crash(w);
    if (!w->journal)
        start(w, false);
}

/* Everything is settled: nothing may be left. */
static void drain(struct world *w)
{
    kv_memory_fail(w->kv, UINT64_MAX, KV_FULL, false);
    disk_memory_cut(w->disk, 0);
    disk_memory_set_room(w->disk, UINT64_MAX);
    for (uint8_t i = 0; i < MODEL_QUEUES; i++) {
        struct model_queue *q = &w->live.queues[i];
        if (!q->id)
            continue;
        for (int l = 0; l < MODEL_LEVELS && q->next_seq > 1; l++) {
            struct op op = {
                .kind = RECORD_SETTLE, .queue = i, .level = model_levels[l], .first = 1};
            op.number = q->id;
            op.last = q->next_seq - 1;
            append(w, &op);
        }
    }
    for (int n = 0; n < 2; n++) {
        stop(w);
        if (!w->journal)
            start(w, false);
        kv_memory_fail(w->kv, UINT64_MAX, KV_FULL, false);
        disk_memory_cut(w->disk, 0);
    }
    for (int i = 0; i < MODEL_QUEUES; i++) {
        const struct model_queue *q = &w->fed.queues[i];
        sim_check(w, !q->id || !model_oldest(q), "queue %" PRIu64 " is not empty", q->id);
    }
    sim_check(w, kv_memory_count(w->kv, KV_BLOCKS) == 0, "blocks are left");
    for (uint8_t i = 0; i < MODEL_QUEUES; i++) {
        struct op op = {.kind = RECORD_DROP, .queue = i, .number = w->live.queues[i].id};
        if (op.number)
            append(w, &op);
    }
    for (uint8_t noun = 0; noun < MODEL_NOUNS; noun++) {
        for (uint8_t key = 0; key < MODEL_KEYS; key++) {
            struct op op = {.kind = RECORD_UNDEFINE, .queue = noun, .level = key};
            append(w, &op);
        }
    }
    stop(w);
    if (!w->journal)
        start(w, false);
    while (w->unit_count || w->frame_count) /* the stop came to nothing */
        stop(w);
    check_empty(w);
}

/* ---- with damage ---- */

static void run_damaged(struct world *w)
{
    for (int round = 0; round < 3; round++) {
        if (w->journal)
            crash(w);
        w->damaged = true;
        for (uint64_t n = 1 + rnd(w, 4); n-- > 0;)
            damage_something(w);
        start(w, false);
        if (!w->journal)
            return;
        for (int n = 0; n < 12; n++) {
            check_lenient(w);
            checkpoint(w);
        }
    }
}

static void fini(struct world *w)
{
    close_store(w);
    kv_close(&w->kv);
    disk_close(&w->disk);
    for (size_t i = 0; i < w->frame_count; i++)
        forget_frame(&w->frames[i]);
    for (unsigned i = 0; i < SIM_FRAME_UNITS; i++)
        buf_fini(&w->units[i].bytes);
    free(w->history);
    free(w);
}

static void run(uint64_t seed)
{
    static const uint32_t segments[] = {32 << 10, 64 << 10, 128 << 10};
    static const uint32_t large[] = {200, 3000, 0};
    struct world *w = NEW(struct world);
    current_seed = w->seed = seed;
    w->random = (seed + 1) * 0x9e3779b97f4a7c15ULL;
    rnd(w, 1);
    w->segment_size = segments[rnd(w, 3)];
    w->large = large[rnd(w, 3)];
    w->disk = disk_memory_new(seed);
    w->kv = kv_memory_new();
    kv_memory_watch(w->kv, between, w);
    start(w, true);
    for (w->step = 0; w->step < STEPS; w->step++)
        one_step(w);
    if (seed % 8 == 0)
        run_damaged(w);
    else
        drain(w);
    fini(w);
}

int main(int argc, char **argv)
{
    bug_on_panic(on_panic);
    tracing = getenv("SIM_TRACE");
    return workers_main(argc, argv, SEEDS, run);
}
