/* A full disk, and one that fails. */
#include "journal_rig.h"
#include "store/journal_priv.h"
#include "unit.h"

#include <errno.h>

static enum journal_status try_write(struct rig *rig, uint32_t tag)
{
    uint8_t data[1000];
    rig_fill(data, tag, sizeof data);
    struct iovec unit = {data, sizeof data};
    struct journal_place place;
    uint64_t lsn = 0;
    enum journal_status status = journal_write(rig->journal, &unit, 1, &lsn, &place);
    cr_assert(status != JOURNAL_OK || lsn == tag, "%lu is not %u", lsn, tag);
    return status;
}

/* Until it is full. Returns the next lsn. */
static uint32_t write_until_full(struct rig *rig, uint32_t tag)
{
    enum journal_status status;
    while ((status = try_write(rig, tag)) == JOURNAL_OK)
        tag++;
    cr_assert_eq(status, JOURNAL_FULL);
    cr_assert(*journal_error(rig->journal));
    return tag;
}

static void assert_all(struct rig *rig, uint32_t from, uint32_t to)
{
    cr_assert_eq(rig->damage_count, 0);
    cr_assert_eq(rig->frame_count, to - from + 1);
    for (uint32_t i = from; i <= to; i++)
        cr_assert(rig_is(rig->frames[i - from].bytes, i, 1000));
}

UNIT(journal_faults, is_full_without_loss_and_goes_on)
{
    struct rig rig;
    rig_init(&rig);
    disk_memory_set_room(rig.disk, 2 * RIG_SEGMENT + 1000);
    uint32_t next = write_until_full(&rig, 1);
    cr_assert_eq(rig_files(&rig), 3, "%u", rig_files(&rig));
    cr_assert_eq(try_write(&rig, next), JOURNAL_FULL);
    cr_assert_eq(journal_prepare(rig.journal), JOURNAL_FULL);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK, "what is written can be synced");
    disk_memory_set_room(rig.disk, RIG_SEGMENT);
    next = write_until_full(&rig, next);
    /* or the checkpointer has got on */
    journal_release(rig.journal, next / 2);
    uint32_t end = write_until_full(&rig, next);
    cr_assert_gt(end, next);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, next / 2, DISK_MEMORY_LOSE_ALL);
    assert_all(&rig, next / 2 + 1, end - 1);
    /* no room at the start either */
    cr_assert_eq(disk_room(rig.disk), 0);
    cr_assert_eq(try_write(&rig, end), JOURNAL_FULL);
    journal_release(rig.journal, end - 1);
    cr_assert_eq(try_write(&rig, end), JOURNAL_OK);
    rig_fini(&rig);
}

UNIT(journal_faults, removes_the_segment_that_found_no_room)
{
    struct rig rig;
    rig_init(&rig);
    uint32_t next = 1;
    unsigned files = rig_files(&rig);
    for (unsigned n = 1; n < 4; n++) {
        /* the disk says that there is room, but then there is not */
        disk_memory_fail(rig.disk, DISK_MEMORY_WRITE, n, n == 2 ? EDQUOT : ENOSPC, false);
        enum journal_status status = journal_prepare(rig.journal);
        if (status == JOURNAL_OK)
            continue;
        cr_assert_eq(status, JOURNAL_FULL);
        cr_assert_eq(rig_files(&rig), files);
    }
    disk_memory_fail(rig.disk, DISK_MEMORY_OPEN, 1, ENOSPC, true);
    next = write_until_full(&rig, next);
    disk_memory_fail(rig.disk, DISK_MEMORY_OPEN, 0, 0, false);
    cr_assert_eq(try_write(&rig, next), JOURNAL_OK);
    rig_fini(&rig);
}

/* File systems that never write in place need room for that too. */
UNIT(journal_faults, is_full_when_a_frame_finds_no_room)
{
    struct rig rig;
    rig_init(&rig);
    cr_assert_eq(try_write(&rig, 1), JOURNAL_OK);
    disk_memory_fail(rig.disk, DISK_MEMORY_WRITE, 1, ENOSPC, false);
    cr_assert_eq(try_write(&rig, 2), JOURNAL_FULL);
    cr_assert_eq(try_write(&rig, 2), JOURNAL_OK);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    assert_all(&rig, 1, 2);
    rig_fini(&rig);
}

UNIT(journal_faults, has_so_many_segments_and_no_more)
{
    struct rig rig;
    rig_init(&rig);
    rig_close(&rig);
    rig.options.segments_max = 4;
    cr_assert(rig_open(&rig, 0));
    uint32_t next = write_until_full(&rig, 1);
    cr_assert_eq(rig_files(&rig), 4);
    journal_release(rig.journal, next - 1);
    next = write_until_full(&rig, next);
    cr_assert_eq(rig_files(&rig), 4);
    rig_fini(&rig);
}

UNIT(journal_faults, keeps_spares_for_a_full_disk)
{
    struct rig rig;
    rig_init(&rig);
    while (!journal_prepared(rig.journal))
        cr_assert_eq(journal_prepare(rig.journal), JOURNAL_OK);
    disk_memory_set_room(rig.disk, 0);
    uint32_t next = write_until_full(&rig, 1);
    cr_assert_geq(next, JOURNAL_SPARES * (RIG_SEGMENT / 1536 - 1));
    rig_fini(&rig);
}

UNIT(journal_faults, fails_for_good_with_the_disk)
{
    static const enum disk_memory_call calls[] = {DISK_MEMORY_WRITE, DISK_MEMORY_SYNC};
    static const char *const texts[] = {"cannot write journal/segment-0000: Input/output error",
                                        "cannot sync journal/segment-0000: Input/output error"};
    for (unsigned i = 0; i < 2; i++) {
        struct rig rig;
        rig_init(&rig);
        cr_assert_eq(try_write(&rig, 1), JOURNAL_OK);
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        disk_memory_fail(rig.disk, calls[i], 1, EIO, false);
        enum journal_status status = try_write(&rig, 2);
        cr_assert_eq(status, i == 0 ? JOURNAL_FAILED : JOURNAL_OK);
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_FAILED);
        cr_assert_str_eq(journal_error(rig.journal), texts[i]);
        /* a second sync would succeed, and mean nothing */
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_FAILED);
        cr_assert_eq(try_write(&rig, 3), JOURNAL_FAILED);
        cr_assert_eq(journal_prepare(rig.journal), JOURNAL_FAILED);
        cr_assert_str_eq(journal_error(rig.journal), texts[i]);
        rig_restart(&rig, 0, DISK_MEMORY_LOSE_SOME);
        cr_assert_geq(rig.frame_count, 1);
        rig_fini(&rig);
    }
}

UNIT(journal_faults, fails_when_a_segment_cannot_be_made)
{
    static const enum disk_memory_call calls[] = {DISK_MEMORY_OPEN, DISK_MEMORY_WRITE,
                                                  DISK_MEMORY_SYNC, DISK_MEMORY_SYNC_DIRECTORY};
    for (unsigned i = 0; i < 4; i++) {
        struct rig rig;
        rig_init(&rig);
        disk_memory_fail(rig.disk, calls[i], 1, EIO, false);
        cr_assert_eq(journal_prepare(rig.journal), JOURNAL_FAILED);
        cr_assert_str_eq(journal_error(rig.journal),
                         "cannot make journal/segment-0001: Input/output error");
        cr_assert_eq(rig_files(&rig), 1);
        rig_fini(&rig);
    }
}

UNIT(journal_faults, fails_when_a_segment_cannot_be_renewed)
{
    struct rig rig;
    rig_init(&rig);
    for (uint32_t i = 1; i <= 200; i++)
        cr_assert_eq(try_write(&rig, i), JOURNAL_OK);
    journal_release(rig.journal, 100);
    disk_memory_fail(rig.disk, DISK_MEMORY_SYNC, 1, EIO, false);
    cr_assert_eq(journal_prepare(rig.journal), JOURNAL_FAILED);
    cr_assert(strstr(journal_error(rig.journal), "new generation"));
    rig_fini(&rig);
}

UNIT(journal_faults, is_not_opened_where_it_cannot_be_made)
{
    static const struct {
        enum disk_memory_call call;
        int error;
        const char *text;
    } cases[] = {
        {DISK_MEMORY_MAKE_DIRECTORY, EROFS,
         "cannot make the directory journal: Read-only file system"},
        {DISK_MEMORY_SYNC_DIRECTORY, EIO, "cannot make the directory journal: Input/output error"},
        {DISK_MEMORY_LIST, EACCES, "cannot read the directory journal: Permission denied"},
        {DISK_MEMORY_OPEN, EACCES,
         "no journal: cannot make journal/segment-0000: Permission denied"},
        {DISK_MEMORY_OPEN, ENOSPC, "no journal: the disk has no room for another segment"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig rig = {.disk = disk_memory_new(1), .options = {.segment_size = RIG_SEGMENT}};
        disk_memory_fail(rig.disk, cases[i].call, 1, cases[i].error, false);
        cr_assert_not(rig_open(&rig, 0));
        cr_assert_str_eq(rig.why.text, cases[i].text);
        cr_assert(rig_open(&rig, 0), "the second time it is");
        rig_fini(&rig);
    }
}
