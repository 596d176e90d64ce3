/* Frames that are written past the page cache, among others that are not. */
#include "base/mem.h"
#include "journal_rig.h"
#include "store/journal_priv.h"
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

static enum journal_status write_through(struct rig *rig, uint32_t tag, size_t n)
{
    uint8_t *data = mem_alloc(n);
    uint64_t lsn;
    struct journal_place place;
    rig_fill(data, tag, n);
    struct iovec units[2] = {{data, n / 2}, {data + n / 2, n - n / 2}};
    enum journal_status status = journal_write_through(rig->journal, units, 2, &lsn, &place);
    free(data);
    return status;
}

static uint64_t durable(const struct rig *rig)
{
    struct journal_stats stats;
    journal_read_stats(rig->journal, &stats);
    return stats.durable;
}

UNIT(journal_through, has_small_frames_on_the_disk_without_a_sync)
{
    struct rig rig;
    rig_init(&rig);
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(write_through(&rig, i, 1 + 800 * i), JOURNAL_OK);
        cr_assert_eq(durable(&rig), i + 1);
        if (i % 4 == 3)
            rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    }
    cr_assert_eq(rig.frame_count, 20);
    cr_assert_eq(write_through(&rig, 20, JOURNAL_THROUGH + 1), JOURNAL_OK);
    cr_assert_eq(durable(&rig), 20, "a large one waits for a sync");
    cr_assert_eq(write_through(&rig, 21, 1), JOURNAL_OK);
    cr_assert_eq(durable(&rig), 20, "and what comes behind it");
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    cr_assert_eq(write_through(&rig, 22, 1), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 23);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert(rig_is(rig.frames[i].bytes, i, 1 + 800 * i));
    rig_fini(&rig);
}

UNIT(journal_through, is_mixed_with_the_other_way)
{
    enum { N = 60 };
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct rig rig;
        uint32_t random = seed;
        size_t sizes[N];
        rig_init(&rig);
        for (uint32_t i = 0; i < N; i++) {
            random = random * 1664525u + 1013904223u;
            sizes[i] = 1 + (random >> 8) % (random >> 30 ? 1200 : JOURNAL_THROUGH + 5000);
            if (random >> 29 & 1)
                cr_assert_eq(rig_write(&rig, i, sizes[i], NULL), i + 1);
            else
                cr_assert_eq(write_through(&rig, i, sizes[i]), JOURNAL_OK);
            if (random >> 28 & 1)
                cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
            if (i == N / 2) /* the process is killed; what follows is in another segment */
                rig_restart(&rig, 0, DISK_MEMORY_LOSE_NONE);
        }
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
        cr_assert_eq(rig.frame_count, N);
        cr_assert_eq(rig.damage_count, 0);
        for (uint32_t i = 0; i < N; i++)
            cr_assert(rig_is(rig.frames[i].bytes, i, sizes[i]), "%u of seed %u", i, seed);
        rig_fini(&rig);
    }
}

UNIT(journal_through, does_without_where_the_disk_cannot)
{
    static const enum disk_memory_call calls[] = {DISK_MEMORY_OPEN, DISK_MEMORY_WRITE};
    for (int i = 0; i < 2; i++) {
        struct rig rig;
        rig_init(&rig);
        if (calls[i] == DISK_MEMORY_WRITE) {
            cr_assert_eq(write_through(&rig, 1, 100), JOURNAL_OK);
            cr_assert_eq(durable(&rig), 1);
        }
        uint64_t before = durable(&rig);
        disk_memory_fail(rig.disk, calls[i], 1, EINVAL, false);
        for (uint32_t k = 0; k < 3; k++) {
            cr_assert_eq(write_through(&rig, 2 + k, 100), JOURNAL_OK);
            cr_assert_eq(durable(&rig), before + k);
            cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        }
        rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
        cr_assert_eq(rig.frame_count, before + 3);
        cr_assert(rig_is(rig.frames[before + 2].bytes, 4, 100));
        rig_fini(&rig);
    }
}

UNIT(journal_through, tells_a_full_disk_from_one_that_fails)
{
    struct rig rig;
    rig_init(&rig);
    cr_assert_eq(write_through(&rig, 1, 700), JOURNAL_OK);
    disk_memory_fail(rig.disk, DISK_MEMORY_WRITE, 1, ENOSPC, false);
    cr_assert_eq(write_through(&rig, 2, 700), JOURNAL_FULL);
    cr_assert_eq(write_through(&rig, 2, 700), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 2);
    cr_assert_eq(write_through(&rig, 3, 700), JOURNAL_OK);
    disk_memory_fail(rig.disk, DISK_MEMORY_SYNC, 1, EIO, false);
    cr_assert_eq(write_through(&rig, 4, 700), JOURNAL_FAILED);
    cr_assert_eq(write_through(&rig, 4, 700), JOURNAL_FAILED, "it stays so");
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_geq(rig.frame_count, 3);
    rig_fini(&rig);
}
