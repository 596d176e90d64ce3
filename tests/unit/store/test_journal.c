/* Writing, recycling and going on: the journal on a disk that works. */
#include "base/mem.h"
#include "journal_rig.h"
#include "store/journal_priv.h"
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

UNIT(journal, replays_what_was_synced)
{
    struct rig rig;
    struct journal_place places[40];
    rig_init(&rig);
    for (uint32_t i = 1; i <= 40; i++)
        cr_assert_eq(rig_write(&rig, i, i * 100, &places[i - 1]), i);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 40);
    cr_assert_eq(rig.damage_count, 0);
    for (uint32_t i = 1; i <= 40; i++) {
        const struct rig_frame *f = &rig.frames[i - 1];
        cr_assert_eq(f->lsn, i);
        cr_assert(rig_is(f->bytes, i, i * 100));
        cr_assert_eq(f->place.segment, places[i - 1].segment);
        cr_assert_eq(f->place.offset, places[i - 1].offset);
    }
    rig_restart(&rig, 37, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 3);
    cr_assert_eq(rig.frames[0].lsn, 38);
    rig_restart(&rig, 1000, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 0);
    cr_assert_eq(rig_write(&rig, 1, 1, NULL), 1001);
    rig_fini(&rig);
}

UNIT(journal, forgets_what_was_not)
{
    struct rig rig;
    rig_init(&rig);
    rig_write(&rig, 1, 100, NULL);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_write(&rig, 2, 100, NULL);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 1);
    cr_assert_eq(rig_write(&rig, 3, 100, NULL), 2);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_NONE);
    cr_assert_eq(rig.frame_count, 2);
    cr_assert(rig_is(rig.frames[1].bytes, 3, 100));
    rig_fini(&rig);
}

UNIT(journal, packs_units_of_any_size)
{
    static const size_t sizes[] = {0,    1, 479, 480, 481,  4095, 4096,  4097, 0,
                                   5000, 1, 2,   0,   8192, 8193, 10000, 3,    0};
    enum { N = sizeof sizes / sizeof *sizes };
    struct rig rig;
    rig_init(&rig);
    for (uint32_t from = 0; from < N; from++) {
        for (uint32_t to = from + 1; to <= N; to++) {
            struct iovec units[N];
            struct buf whole = BUF_INIT, back = BUF_INIT;
            for (uint32_t i = from; i < to; i++) {
                uint8_t *data = sizes[i] ? mem_alloc(sizes[i]) : NULL;
                rig_fill(data, i, sizes[i]);
                buf_append(&whole, data, sizes[i]);
                units[i - from] = (struct iovec){data, sizes[i]};
            }
            uint64_t lsn;
            struct journal_place place;
            if (whole.len) {
                cr_assert_eq(journal_write(rig.journal, units, (int)(to - from), &lsn, &place),
                             JOURNAL_OK);
                cr_assert_eq((place.offset - FRAME_HEAD) % JOURNAL_ALIGNMENT, 0);
                cr_assert(
                    journal_read(rig.journal, place, buf_reserve(&back, whole.len), whole.len));
                back.len = whole.len;
                cr_assert(slice_eq(buf_slice(&back), buf_slice(&whole)));
                journal_release(rig.journal, lsn);
            }
            for (uint32_t i = from; i < to; i++)
                free(units[i - from].iov_base);
            buf_fini(&whole);
            buf_fini(&back);
        }
    }
    rig_fini(&rig);
}

UNIT(journal, takes_thousands_of_units_and_the_largest)
{
    struct rig rig;
    rig_init(&rig);
    rig_close(&rig);
    rig.options.segment_size = 16 << 20;
    disk_close(&rig.disk);
    rig.disk = disk_memory_new(1);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(journal_frame_max(rig.journal), JOURNAL_UNIT_MAX);
    enum { N = 20000 };
    static struct iovec units[N];
    static uint8_t bytes[N];
    rig_fill(bytes, 1, N);
    for (int i = 0; i < N; i++)
        units[i] = (struct iovec){bytes + i, 1};
    uint64_t lsn;
    struct journal_place place;
    cr_assert_eq(journal_write(rig.journal, units, N, &lsn, &place), JOURNAL_OK);
    cr_assert_eq(rig_write(&rig, 2, JOURNAL_UNIT_MAX, NULL), 2);
    /* as many small ones as make a frame that large */
    uint8_t *large = mem_alloc(JOURNAL_UNIT_MAX);
    rig_fill(large, 3, JOURNAL_UNIT_MAX);
    for (int i = 0; i < 8192; i++)
        units[i] = (struct iovec){large + i * 1024, 1024};
    cr_assert_eq(journal_write(rig.journal, units, 8192, &lsn, &place), JOURNAL_OK);
    free(large);
    for (uint32_t i = 0; i < 1100; i++)
        cr_assert(rig_write(&rig, 4, 100, NULL));
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 1103);
    cr_assert(rig_is(rig.frames[0].bytes, 1, N));
    cr_assert(rig_is(rig.frames[1].bytes, 2, JOURNAL_UNIT_MAX));
    cr_assert(rig_is(rig.frames[2].bytes, 3, JOURNAL_UNIT_MAX));
    rig_fini(&rig);
}

UNIT(journal, recycles_released_segments)
{
    struct rig rig;
    struct journal_place old, place = {0};
    rig_init(&rig);
    rig_write(&rig, 1, 100, &old);
    uint8_t back[100];
    cr_assert(journal_read(rig.journal, old, back, 100));
    cr_assert_not(journal_read(rig.journal, old, back, RIG_SEGMENT));
    for (uint32_t i = 2; i < 2000; i++) {
        cr_assert_eq(rig_write(&rig, i, 5000, &place), i);
        if (i > 30)
            journal_release(rig.journal, i - 30);
        if (i % 100 == 0)
            while (!journal_prepared(rig.journal))
                cr_assert_eq(journal_prepare(rig.journal), JOURNAL_OK);
    }
    cr_assert_leq(rig_files(&rig), JOURNAL_KEEP + 4);
    cr_assert_not(journal_read(rig.journal, old, back, 100), "released");
    cr_assert(journal_read(rig.journal, place, back, 100));
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 1969, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 30, "%zu", rig.frame_count);
    cr_assert_eq(rig.damage_count, 0);
    for (uint32_t i = 0; i < 30; i++)
        cr_assert(rig_is(rig.frames[i].bytes, 1970 + i, 5000));
    rig_fini(&rig);
}

UNIT(journal, keeps_a_segment_until_all_its_frames_are_released)
{
    struct rig rig;
    struct journal_place first, place;
    uint8_t back[10];
    rig_init(&rig);
    uint64_t last = 0;
    rig_write(&rig, 1, 1000, &first);
    for (uint32_t i = 2;; i++) {
        uint64_t lsn = rig_write(&rig, i, 1000, &place);
        if (place.segment != first.segment)
            break;
        last = lsn;
    }
    journal_release(rig.journal, last - 1);
    cr_assert(journal_read(rig.journal, first, back, 10));
    journal_release(rig.journal, last);
    cr_assert_not(journal_read(rig.journal, first, back, 10));
    /* the one that is being written is not recycled, whatever is released */
    journal_release(rig.journal, UINT64_MAX);
    cr_assert(journal_read(rig.journal, place, back, 10));
    rig_fini(&rig);
}

UNIT(journal, goes_on_in_another_segment)
{
    struct rig rig;
    struct journal_place before, after;
    rig_init(&rig);
    for (uint32_t life = 1; life < 8; life++) {
        cr_assert_eq(rig_write(&rig, life, 10, &before), life);
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        rig_restart(&rig, 0, DISK_MEMORY_LOSE_SOME);
        cr_assert_eq(rig.frame_count, life);
    }
    cr_assert_eq(rig_write(&rig, 8, 10, &after), 8);
    cr_assert_neq(before.segment, after.segment);
    rig_fini(&rig);
}

UNIT(journal, prepares_in_pieces)
{
    struct rig rig;
    struct journal_stats stats;
    rig_init(&rig);
    rig_close(&rig);
    rig.options.segment_size = 3 * JOURNAL_PIECE / 2;
    disk_close(&rig.disk);
    rig.disk = disk_memory_new(1);
    cr_assert(rig_open(&rig, 0));
    journal_read_stats(rig.journal, &stats);
    cr_assert_eq(stats.segments, 1, "the first is there at once");
    cr_assert_not(journal_prepared(rig.journal));
    int calls = 0;
    for (; !journal_prepared(rig.journal); calls++)
        cr_assert_eq(journal_prepare(rig.journal), JOURNAL_OK);
    cr_assert_eq(calls, 2, "%d", calls);
    cr_assert_eq(rig_write(&rig, 1, 1, NULL), 1);
    cr_assert_not(journal_prepared(rig.journal));
    cr_assert_eq(journal_prepare(rig.journal), JOURNAL_OK);
    cr_assert_eq(rig_files(&rig), 3);
    rig_close(&rig);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig_files(&rig), 2, "what is half made does not stay");
    cr_assert_eq(rig.frame_count, 1);
    rig_fini(&rig);
}

UNIT(journal, does_not_wait_for_a_segment_that_is_ready)
{
    struct rig rig;
    rig_init(&rig);
    while (!journal_prepared(rig.journal))
        cr_assert_eq(journal_prepare(rig.journal), JOURNAL_OK);
    uint64_t opened = disk_memory_calls(rig.disk, DISK_MEMORY_OPEN);
    for (uint32_t i = 0; i < 2 * RIG_SEGMENT / 1024 - 10; i++)
        cr_assert(rig_write(&rig, i, 900, NULL));
    cr_assert_eq(disk_memory_calls(rig.disk, DISK_MEMORY_OPEN), opened);
    rig_fini(&rig);
}

UNIT(journal, changes_the_size_of_segments)
{
    struct rig rig;
    rig_init(&rig);
    for (uint32_t i = 1; i <= 200; i++)
        cr_assert_eq(rig_write(&rig, i, 3000, NULL), i);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig.options.segment_size = 2 * RIG_SEGMENT;
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 200);
    cr_assert_eq(rig_write(&rig, 201, RIG_SEGMENT, NULL), 201);
    journal_release(rig.journal, 200);
    cr_assert_eq(rig_files(&rig), 1, "those of the other size are gone");
    rig.options.segment_size = RIG_SEGMENT / 2;
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 200, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 1);
    cr_assert(rig_is(rig.frames[0].bytes, 201, RIG_SEGMENT));
    rig_fini(&rig);
}

UNIT(journal, counts)
{
    struct rig rig;
    struct journal_stats stats;
    rig_init(&rig);
    journal_read_stats(rig.journal, &stats);
    uint64_t syncs = stats.syncs;
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_write(&rig, 1, 100, NULL);
    rig_write(&rig, 1, 1000, NULL);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_write(&rig, 1, 1, NULL);
    journal_read_stats(rig.journal, &stats);
    cr_assert_eq(stats.lsn, 3);
    cr_assert_eq(stats.durable, 2);
    cr_assert_eq(stats.frames, 3);
    cr_assert_eq(stats.syncs, syncs + 1, "nothing to do is no sync");
    cr_assert_geq(stats.bytes, 1101 + 3 * FRAME_HEAD);
    cr_assert_leq(stats.bytes, 4 * JOURNAL_PAGE);
    rig_fini(&rig);
}

UNIT(journal, is_read_without_being_changed)
{
    struct rig rig;
    rig_init(&rig);
    for (uint32_t i = 1; i <= 50; i++)
        rig_write(&rig, i, 3000, NULL);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_close(&rig);
    rig.options.read_only = true;
    uint64_t writes = disk_memory_calls(rig.disk, DISK_MEMORY_WRITE);
    uint64_t unlinks = disk_memory_calls(rig.disk, DISK_MEMORY_UNLINK);
    cr_assert(rig_open(&rig, 10));
    cr_assert_eq(rig.frame_count, 40);
    uint8_t back[3000];
    cr_assert(journal_read(rig.journal, rig.frames[5].place, back, sizeof back));
    cr_assert(rig_is(slice_of(back, sizeof back), 16, sizeof back));
    cr_assert_eq(disk_memory_calls(rig.disk, DISK_MEMORY_WRITE), writes);
    cr_assert_eq(disk_memory_calls(rig.disk, DISK_MEMORY_UNLINK), unlinks);
    rig_close(&rig);
    disk_close(&rig.disk);
    rig.disk = disk_memory_new(1);
    cr_assert(rig_open(&rig, 0), "no directory is an empty journal");
    cr_assert_eq(rig.frame_count, 0);
    rig_fini(&rig);
}

UNIT(journal, leaves_other_files_alone)
{
    struct rig rig;
    static const char *const names[] = {"journal/segment-1", "journal/segment-00001",
                                        "journal/notes", "journal/segment-0007.old"};
    rig_init(&rig);
    rig_close(&rig);
    for (unsigned i = 0; i < 4; i++) {
        int file = disk_open_file(rig.disk, names[i], DISK_CREATE);
        cr_assert_geq(file, 0);
        disk_close_file(rig.disk, file);
    }
    unsigned files = rig_files(&rig);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig_files(&rig), files);
    rig_fini(&rig);
}

/* ---- threads ---- */

struct readers_work {
    struct rig *rig;
    pthread_mutex_t lock;
    struct {
        uint64_t lsn;
        struct journal_place place;
    } ring[64];
    uint64_t written, done;
    bool end;
};

/* Reads every frame and releases behind itself, as the checkpointer does. */
static void *read_and_release(void *arg)
{
    struct readers_work *work = arg;
    uint8_t back[2000];
    for (;;) {
        pthread_mutex_lock(&work->lock);
        bool end = work->end && work->done == work->written, idle = work->done == work->written;
        uint64_t lsn = work->ring[work->done % 64].lsn;
        struct journal_place place = work->ring[work->done % 64].place;
        pthread_mutex_unlock(&work->lock);
        if (end)
            return NULL;
        if (idle) {
            sched_yield();
            continue;
        }
        if (!journal_read(work->rig->journal, place, back, sizeof back) ||
            !rig_is(slice_of(back, sizeof back), (uint32_t)lsn, sizeof back))
            return work;
        if (lsn % 7 == 0)
            journal_release(work->rig->journal, lsn);
        if (lsn % 5 == 0 && journal_prepare(work->rig->journal) != JOURNAL_OK)
            return work;
        pthread_mutex_lock(&work->lock);
        work->done++;
        pthread_mutex_unlock(&work->lock);
    }
}

UNIT(journal, is_released_and_read_while_it_is_written)
{
    struct rig rig;
    rig_init(&rig);
    struct readers_work work = {.rig = &rig};
    pthread_mutex_init(&work.lock, NULL);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, read_and_release, &work), 0);
    for (uint32_t i = 1; i <= 20000;) {
        pthread_mutex_lock(&work.lock);
        bool full = work.written - work.done == 64;
        pthread_mutex_unlock(&work.lock);
        if (full) {
            if (pthread_tryjoin_np(thread, NULL) == 0)
                cr_assert_fail("the reader ended");
            sched_yield();
            continue;
        }
        struct journal_place place;
        cr_assert_eq(rig_write(&rig, i, 2000, &place), i, "%s", journal_error(rig.journal));
        if (i % 10 == 0)
            cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        pthread_mutex_lock(&work.lock);
        work.ring[work.written % 64].lsn = i;
        work.ring[work.written % 64].place = place;
        work.written++;
        pthread_mutex_unlock(&work.lock);
        i++;
    }
    pthread_mutex_lock(&work.lock);
    work.end = true;
    pthread_mutex_unlock(&work.lock);
    void *wrong;
    pthread_join(thread, &wrong);
    cr_assert_null(wrong);
    pthread_mutex_destroy(&work.lock);
    cr_assert_leq(rig_files(&rig), 16);
    rig_fini(&rig);
}
