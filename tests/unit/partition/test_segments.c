/* What segments do one call at a time; test_segments_crash.c mixes it all. */
#include "partition/segments_priv.h"
#include "segments_rig.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

static void fill(struct segments_rig *r, unsigned batches)
{
    for (unsigned i = 0; i < batches; i++)
        cr_assert_eq(rig_write(r, 10, 1, 30, 1000 + i * 10), 0);
    cr_assert_eq(rig_sync(r), 0);
}

UNIT(segments, are_read_from_any_offset)
{
    struct segments_rig r;
    rig_open(&r, 1);
    fill(&r, 100);
    struct segments_state s = segments_look(r.segments);
    cr_expect_eq(s.first, 0);
    cr_expect_eq(s.next, 1000);
    cr_expect_eq(s.last, 990);
    cr_expect_gt(s.count, 5);
    for (uint64_t from = 0; from <= 1001; from += 7)
        cr_expect_eq(rig_count(&r, from, 1000), from < 1000 ? 1000 - from : 0);
    cr_expect_eq(rig_count(&r, 0, 500), 500);
    cr_expect_eq(rig_count(&r, 0, 505), 500, "whole batches below the limit");
    rig_close(&r);
}

UNIT(segments, are_the_same_after_a_start_with_and_without_indexes)
{
    struct segments_rig r;
    char name[64];
    size_t size;
    rig_open(&r, 2);
    fill(&r, 100);
    struct segments_state before = segments_look(r.segments);
    cr_assert_eq(rig_recover(&r), 0);
    struct segments_state after = segments_look(r.segments);
    cr_expect(before.first == after.first && before.next == after.next &&
              before.last == after.last && before.count == after.count &&
              before.bytes == after.bytes && before.last_ms == after.last_ms);
    cr_expect_eq(rig_count(&r, 0, 1000), 1000);
    for (uint64_t base = 0; base < 1000; base++) {
        snprintf(name, sizeof name, "partitions/%016x-%020llu.index", RIG_ID,
                 (unsigned long long)base);
        if (disk_memory_bytes(r.disk, name, &size))
            disk_memory_remove(r.disk, name);
    }
    cr_assert_eq(rig_recover(&r), 0);
    cr_expect_eq(segments_look(r.segments).next, 1000);
    for (uint64_t from = 3; from < 1000; from += 97)
        cr_expect_eq(rig_count(&r, from, 1000), 1000 - from);
    fill(&r, 1);
    cr_expect_eq(rig_count(&r, 0, 1010), 1010);
    rig_close(&r);
}

UNIT(segments, are_found_by_time)
{
    struct segments_rig r;
    uint64_t offset;
    rig_open(&r, 3);
    fill(&r, 100); /* the n-th batch at 1000 + 10 n */
    for (int again = 0; again < 2; again++) {
        for (uint64_t n = 0; n < 100; n += 9) {
            cr_assert_eq(segments_locate(r.segments, 1000 + n * 10, 1000, &offset), 0);
            cr_expect_eq(offset, n * 10);
            cr_assert_eq(segments_locate(r.segments, 1001 + n * 10, 1000, &offset), 0);
            cr_expect_eq(offset, n * 10 + 10);
        }
        cr_assert_eq(segments_locate(r.segments, 0, 1000, &offset), 0);
        cr_expect_eq(offset, 0);
        cr_assert_eq(segments_locate(r.segments, 9999, 1000, &offset), 0);
        cr_expect_eq(offset, 1000);
        cr_assert_eq(rig_recover(&r), 0);
    }
    rig_close(&r);
}

UNIT(segments, go_from_the_front_by_size_and_by_age)
{
    struct segments_rig r;
    rig_open(&r, 4);
    fill(&r, 100);
    cr_assert_eq(segments_retain(r.segments, UINT64_MAX, UINT64_MAX, 5000), 0);
    cr_assert_gt(segments_retain(r.segments, 20000, UINT64_MAX, 5000), 0);
    struct segments_state s = segments_look(r.segments);
    cr_expect_leq(s.bytes, 20000);
    cr_expect_gt(s.bytes, 12000);
    cr_expect_eq(rig_count(&r, 0, 1000), 1000 - s.first);
    uint64_t first = s.first;
    cr_assert_gt(segments_retain(r.segments, UINT64_MAX, 3200, 5000), 0);
    s = segments_look(r.segments);
    cr_expect_gt(s.first, first);
    cr_expect_leq(s.first, 800, "the batch of 1800 ms is not that old");
    cr_assert_gt(segments_retain(r.segments, 0, 0, 999999), 0);
    s = segments_look(r.segments);
    cr_expect_eq(s.count, 1);
    cr_expect_eq(s.next, 1000);
    cr_assert_eq(rig_recover(&r), 0);
    cr_expect_eq(segments_look(r.segments).first, s.first);
    cr_expect_eq(segments_look(r.segments).next, 1000);
    cr_assert_eq(segments_remove(r.segments), 0);
    cr_assert_eq(rig_recover(&r), 0);
    cr_expect_eq(segments_look(r.segments).count, 0);
    rig_close(&r);
}

UNIT(segments, lose_a_torn_end_alone)
{
    static const char name[] = "partitions/00000000000000ab-00000000000000000000.segment";
    size_t size, whole;
    for (unsigned cut = 1; cut < 300; cut += 13) {
        struct segments_rig r;
        rig_open(&r, cut);
        r.max_bytes = 100000;
        fill(&r, 5);
        disk_memory_bytes(r.disk, name, &whole);
        cr_assert_eq(rig_write(&r, 10, 1, 30, 2000), 0);
        disk_memory_bytes(r.disk, name, &size);
        disk_memory_truncate(r.disk, name, size - cut);
        cr_assert_eq(rig_recover(&r), 0);
        cr_expect_eq(segments_look(r.segments).next, 50, "cut %u", cut);
        cr_assert_eq(rig_write(&r, 3, 2, 30, 2001), 0);
        cr_assert_eq(rig_sync(&r), 0);
        cr_assert_eq(rig_recover(&r), 0);
        cr_expect_eq(rig_count(&r, 0, 53), 53);
        rig_close(&r);
    }
}

/* Also where the segment is not the last any more, and however little it was. */
UNIT(segments, pass_a_torn_end_in_silence)
{
    static const char name[] = "partitions/00000000000000ab-00000000000000000000.segment";
    static const uint8_t zeros[100];
    for (size_t rest = 1; rest < sizeof zeros; rest += 9) {
        struct segments_rig r;
        struct batch b;
        size_t size;
        rig_open(&r, rest);
        r.max_bytes = 2000;
        fill(&r, 8);
        disk_memory_bytes(r.disk, name, &size);
        struct scan scan = {.disk = r.disk, .size = size + rest, .position = size};
        scan.file = disk_open_file(r.disk, name, 0);
        struct iovec iov = {(void *)(uintptr_t)zeros, rest};
        cr_assert_eq(disk_pwritev(r.disk, scan.file, &iov, 1, size), 0);
        cr_expect_eq(scan_batch(&scan, &b), BATCH_END, "%zu bytes", rest);
        scan_fini(&scan);
        disk_close_file(r.disk, scan.file);
        cr_assert_eq(rig_recover(&r), 0);
        cr_expect_eq(rig_count(&r, 0, 80), 80);
        rig_close(&r);
    }
}

/* A flipped bit in what is safe costs its batch, not those behind. */
UNIT(segments, skip_what_is_damaged)
{
    static const char name[] = "partitions/00000000000000ab-00000000000000000000.segment";
    for (int again = 0; again < 2; again++) {
        struct segments_rig r;
        rig_open(&r, 5);
        r.max_bytes = 100000;
        for (unsigned i = 0; i < 20; i++)
            fill(&r, 1);
        disk_memory_flip(r.disk, name, 8 * (388 * 7 + 100)); /* in the eighth batch */
        if (again) {
            disk_memory_remove(r.disk, "partitions/00000000000000ab-00000000000000000000.index");
            cr_assert_eq(rig_recover(&r), 0);
        }
        cr_expect_eq(segments_look(r.segments).next, 200);
        cr_expect_eq(rig_count(&r, 0, 200), 190);
        cr_expect_eq(rig_count(&r, 75, 200), 120);
        fill(&r, 1);
        cr_expect_eq(rig_count(&r, 0, 210), 200);
        rig_close(&r);
    }
}

static const char first_name[] = "partitions/00000000000000ab-00000000000000000000.segment";

/* Lost blocks read as zeros: they cost what was in them. */
UNIT(segments, go_on_behind_zeros)
{
    static const uint8_t zeros[388];
    for (int last = 0; last < 2; last++) {
        struct segments_rig r;
        rig_open(&r, 7);
        r.max_bytes = last ? 100000 : 4000;
        fill(&r, 30);
        cr_expect_eq(segments_look(r.segments).count > 1, !last);
        disk_memory_poke(r.disk, first_name, sizeof zeros * 5, zeros, sizeof zeros);
        cr_expect_eq(rig_count(&r, 0, 300), 290);
        cr_expect_eq(rig_count(&r, 50, 300), 240);
        rig_close(&r);
    }
}

/* A batch as somebody may write who knows its form, within a message. */
static struct buf forged(uint64_t base)
{
    struct buf b = BUF_INIT;
    memset(buf_reserve(&b, 200), 0, 200);
    b.len = 200; /* one entry of 148 bytes */
    b.data[BATCH_HEAD] = 148;
    struct batch batch = {
        .base = base, .time_ms = 99999, .synced = base, .count = 1, .length = 200 - BATCH_HEAD};
    batch_finish(buf_slice(&b), &batch);
    return b;
}

UNIT(segments, believe_no_batch_that_is_in_a_message)
{
    for (int at_start = 0; at_start < 2; at_start++) {
        struct segments_rig r;
        size_t size;
        rig_open(&r, 8);
        r.max_bytes = 100000;
        if (!at_start)
            fill(&r, 5);
        uint64_t next = segments_look(r.segments).next;
        struct buf message = forged(next + 1000);
        cr_assert_eq(rig_write_entry(&r, buf_slice(&message), 2000), 0);
        disk_memory_bytes(r.disk, first_name, &size);
        disk_memory_flip(r.disk, first_name, 8 * (size - message.len - 2)); /* as if it was torn */
        cr_assert_eq(rig_recover(&r), 0);
        cr_expect_eq(segments_look(r.segments).next, next, "%llu",
                     (unsigned long long)segments_look(r.segments).next);
        cr_expect_eq(rig_count(&r, 0, next), next);
        fill(&r, 1);
        cr_expect_eq(rig_count(&r, 0, next + 10), next + 10);
        buf_fini(&message);
        rig_close(&r);
    }
}

/* What a moment's error keeps from being read is not taken for a torn end. */
UNIT(segments, clear_nothing_that_cannot_be_read)
{
    struct segments_rig r;
    rig_open(&r, 9);
    r.max_bytes = 10000000;
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(rig_write(&r, 10, 1, 6000, 1000), 0);
        cr_assert_eq(rig_sync(&r), 0);
    }
    disk_memory_remove(r.disk, "partitions/00000000000000ab-00000000000000000000.index");
    disk_memory_flip(r.disk, first_name, 8 * 130000);
    disk_memory_set_unreadable(r.disk, first_name, 700000, 4096);
    cr_expect_eq(rig_recover(&r), -EIO);
    cr_expect_eq(rig_recover(&r), -EIO);
    disk_memory_set_unreadable(r.disk, first_name, 0, 0);
    cr_expect_eq(rig_recover(&r), 0);
    cr_expect_eq(rig_count(&r, 0, 200), 190);
    rig_close(&r);
}

UNIT(segments, go_by_age_though_one_does_not_tell_its_own)
{
    struct segments_rig r;
    rig_open(&r, 10);
    fill(&r, 100);
    disk_memory_flip(r.disk, "partitions/00000000000000ab-00000000000000000100.segment", 8 * 24);
    cr_assert_eq(rig_recover(&r), 0);
    cr_assert_gt(segments_retain(r.segments, UINT64_MAX, 1000, 999999), 0);
    cr_expect_eq(segments_look(r.segments).count, 1);
    rig_close(&r);
}

UNIT(segments, keep_no_file_open_that_was_dropped)
{
    struct segments_rig r;
    rig_open(&r, 11);
    fill(&r, 100);
    cr_expect_eq(rig_count(&r, 0, 50), 50);
    segments_close_read(r.segments, false);
    cr_assert_gt(segments_retain(r.segments, 0, UINT64_MAX, 0), 0);
    segments_close_read(r.segments, false);
    cr_expect_eq(rig_count(&r, 0, 1000), 1000 - segments_look(r.segments).first);
    segments_close_written(r.segments);
    segments_close_read(r.segments, true);
    fill(&r, 1);
    cr_expect_eq(rig_count(&r, 1000, 1010), 10);
    rig_close(&r);
}

UNIT(segments, go_on_when_there_is_room_again)
{
    struct segments_rig r;
    rig_open(&r, 6);
    fill(&r, 10);
    disk_memory_set_room(r.disk, 300);
    cr_expect_eq(rig_write(&r, 10, 1, 30, 2000), -ENOSPC);
    cr_expect_eq(rig_write(&r, 10, 1, 30, 2000), -ENOSPC);
    disk_memory_set_room(r.disk, UINT64_MAX);
    cr_expect_eq(rig_write(&r, 10, 1, 30, 2000), 0);
    cr_expect_eq(rig_sync(&r), 0);
    cr_expect_eq(rig_count(&r, 0, 110), 110);
    cr_assert_eq(rig_recover(&r), 0);
    cr_expect_eq(rig_count(&r, 0, 110), 110);
    rig_close(&r);
}

UNIT(segments, know_their_names)
{
    uint64_t id, base;
    bool index;
    cr_assert(
        segments_parse_name("00000000000000ab-00000000000000000012.segment", &id, &base, &index));
    cr_expect(id == 0xab && base == 12 && !index);
    cr_assert(
        segments_parse_name("00000000000000ab-00000000000000000012.index", &id, &base, &index));
    cr_expect(index);
    cr_expect_not(segments_parse_name("ab-12.segment", &id, &base, &index));
    cr_expect_not(
        segments_parse_name("00000000000000ab-00000000000000000012.segmen", &id, &base, &index));
    cr_expect_not(segments_parse_name("lost+found", &id, &base, &index));
}
