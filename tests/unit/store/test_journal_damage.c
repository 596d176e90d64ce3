/* What replay makes of torn ends, old frames, flipped bits and lost heads. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "journal_rig.h"
#include "store/journal_priv.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

/* n frames of 1000 bytes, each synced, from where the rig is; and closed. */
static void write_frames(struct rig *rig, uint32_t n, struct journal_place *ret_places)
{
    for (uint32_t i = 1; i <= n; i++) {
        cr_assert_eq(rig_write(rig, i, 1000, &ret_places[i]), i);
        cr_assert_eq(journal_sync(rig->journal), JOURNAL_OK);
    }
}

static const char *name_of(struct rig *rig, struct journal_place place)
{
    static char name[64]; /* the journal is closed before it is used */
    snprintf(name, sizeof name, "%s", rig_name(rig, place));
    return name;
}

static void assert_frames(const struct rig *rig, uint32_t from, uint32_t to)
{
    cr_assert_eq(rig->frame_count, to - from + 1, "%zu frames", rig->frame_count);
    for (uint32_t i = from; i <= to; i++) {
        cr_assert_eq(rig->frames[i - from].lsn, i);
        cr_assert(rig_is(rig->frames[i - from].bytes, i, 1000));
    }
}

UNIT(journal_damage, cuts_a_torn_end)
{
    for (uint32_t torn = 0; torn < 3; torn++) {
        struct rig rig;
        struct journal_place places[11];
        static const uint8_t old[512];
        rig_init(&rig);
        write_frames(&rig, 10, places);
        const char *name = name_of(&rig, places[10]);
        rig_close(&rig);
        /* one of the sectors of the last frame did not get there */
        disk_memory_poke(rig.disk, name, places[10].offset - FRAME_HEAD + torn * 512, old, 512);
        cr_assert(rig_open(&rig, 0));
        assert_frames(&rig, 1, 9);
        cr_assert_eq(rig.damage_count, 0);
        cr_assert_eq(rig_write(&rig, 10, 1000, NULL), 10);
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
        assert_frames(&rig, 1, 10);
        rig_fini(&rig);
    }
}

/* Neither head nor frames nor zeros: something was there. What was being made is zeros. */
UNIT(journal_damage, reports_a_segment_that_is_none)
{
    struct rig rig;
    struct journal_place places[4];
    uint8_t *noise = mem_alloc(RIG_SEGMENT);
    for (uint32_t i = 0; i < RIG_SEGMENT; i++)
        noise[i] = (uint8_t)(i * 31 + i / 251);
    rig_init(&rig);
    write_frames(&rig, 3, places);
    const char *name = name_of(&rig, places[1]);
    rig_close(&rig);
    disk_memory_poke(rig.disk, name, 0, noise, RIG_SEGMENT);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 0);
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_str_eq(rig.damages[0].segment, name);
    cr_assert(rig.damages[0].offset == 0 && rig.damages[0].bytes == RIG_SEGMENT);
    cr_assert_eq(rig_write(&rig, 1, 1000, &places[1]), 1);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.damage_count, 0);
    name = name_of(&rig, places[1]);
    rig_close(&rig);
    memset(noise, 0, RIG_SEGMENT);
    disk_memory_poke(rig.disk, name, 0, noise, RIG_SEGMENT);
    cr_assert(rig_open(&rig, 0));
    cr_assert(rig.frame_count == 0 && rig.damage_count == 0);
    free(noise);
    rig_fini(&rig);
}

UNIT(journal_damage, ignores_frames_of_older_generations)
{
    struct rig rig;
    struct journal_place place;
    rig_init(&rig);
    uint32_t i = 1;
    for (; i <= 1000; i++) {
        cr_assert_eq(rig_write(&rig, i, 1000, &place), i);
        journal_release(rig.journal, i);
    }
    /* on to the front of a segment that is full of old frames of the same size */
    for (uint64_t before = place.segment; place.segment == before; i++)
        cr_assert_eq(rig_write(&rig, i, 1000, &place), i);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 900, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frames[rig.frame_count - 1].lsn, i - 1);
    for (size_t k = 1; k < rig.frame_count; k++)
        cr_assert_eq(rig.frames[k].lsn, rig.frames[k - 1].lsn + 1);
    cr_assert_eq(rig.frame_count, i - rig.frames[0].lsn);
    rig_fini(&rig);
}

UNIT(journal_damage, reports_what_is_lost_in_the_middle)
{
    struct rig rig;
    struct journal_place places[201];
    rig_init(&rig);
    write_frames(&rig, 200, places); /* in several segments */
    const char *name = name_of(&rig, places[100]);
    rig_close(&rig);
    for (unsigned i = 100; i <= 102; i++)
        disk_memory_flip(rig.disk, name, (places[i].offset + i) * 8);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 197);
    for (size_t i = 0; i < 197; i++) {
        uint32_t lsn = (uint32_t)(i < 99 ? i + 1 : i + 4);
        cr_assert_eq(rig.frames[i].lsn, lsn);
        cr_assert(rig_is(rig.frames[i].bytes, lsn, 1000));
    }
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_str_eq(rig.damages[0].segment, name);
    cr_assert_eq(rig.damages[0].offset, places[100].offset - FRAME_HEAD);
    cr_assert_eq(rig.damages[0].bytes, places[103].offset - places[100].offset);
    cr_assert_eq(rig.damages[0].after_lsn, 99);
    cr_assert_eq(rig.damages[0].before_lsn, 103);
    /* what was applied before is no loss */
    rig_close(&rig);
    cr_assert(rig_open(&rig, 102));
    assert_frames(&rig, 103, 200);
    cr_assert_eq(rig.damage_count, 0);
    cr_assert_eq(rig_write(&rig, 201, 1000, NULL), 201);
    rig_fini(&rig);
}

UNIT(journal_damage, finds_the_frames_behind_a_lost_segment)
{
    struct rig rig;
    struct journal_place places[201];
    rig_init(&rig);
    write_frames(&rig, 200, places);
    const char *name = name_of(&rig, places[100]);
    uint32_t first = 100, last = 100;
    while (places[first - 1].segment == places[100].segment)
        first--;
    while (places[last + 1].segment == places[100].segment)
        last++;
    rig_close(&rig);
    disk_memory_remove(rig.disk, name);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 200 - (last - first + 1));
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_eq(rig.damages[0].after_lsn, first - 1);
    cr_assert_eq(rig.damages[0].before_lsn, last + 1);
    rig_fini(&rig);
}

UNIT(journal_damage, does_not_need_the_head_of_a_segment)
{
    for (uint32_t victim = 1; victim <= 200; victim += 66) {
        struct rig rig;
        struct journal_place places[201];
        static const uint8_t nothing[512];
        rig_init(&rig);
        write_frames(&rig, 200, places);
        const char *name = name_of(&rig, places[victim]);
        rig_close(&rig);
        disk_memory_poke(rig.disk, name, 0, nothing, sizeof nothing);
        cr_assert(rig_open(&rig, 0));
        assert_frames(&rig, 1, 200);
        cr_assert_eq(rig.damage_count, 1);
        cr_assert_str_eq(rig.damages[0].segment, name);
        cr_assert_eq(rig.damages[0].offset, 0);
        cr_assert_eq(rig.damages[0].after_lsn + 1, rig.damages[0].before_lsn);
        journal_release(rig.journal, 200);
        for (uint32_t i = 201; i < 600; i++) {
            cr_assert_eq(rig_write(&rig, i, 1000, NULL), i);
            journal_release(rig.journal, i);
        }
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        rig_restart(&rig, 200, DISK_MEMORY_LOSE_ALL);
        cr_assert_eq(rig.frames[rig.frame_count - 1].lsn, 599);
        rig_fini(&rig);
    }
}

UNIT(journal_damage, refuses_a_newer_format)
{
    struct rig rig;
    struct journal_place place;
    rig_init(&rig);
    rig_write(&rig, 1, 10, &place);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    const char *name = name_of(&rig, place);
    rig_close(&rig);
    size_t size;
    uint8_t head[512];
    memcpy(head, disk_memory_bytes(rig.disk, name, &size), sizeof head);
    put_le32(head + SEGMENT_VERSION, JOURNAL_VERSION + 1);
    memset(head + 300, 7, 100); /* it may hold more */
    put_le32(head + SEGMENT_CRC, crc32c(0, head + SEGMENT_VERSION, 512 - SEGMENT_VERSION));
    disk_memory_poke(rig.disk, name, 0, head, sizeof head);
    for (int read_only = 0; read_only < 2; read_only++) {
        rig.options.read_only = read_only;
        cr_assert_not(rig_open(&rig, 0));
        cr_assert_eq(rig.why.code, ERR_PRECONDITION_FAILED);
        cr_assert(strstr(rig.why.text, "newer release"), "%s", rig.why.text);
        cr_assert(strstr(rig.why.text, name));
    }
    rig_fini(&rig);
}

/* A frame with a crc that fits, whatever it says. */
static void poke_frame(struct rig *rig, const char *name, struct journal_place place,
                       uint32_t length, uint32_t crc_length, uint64_t lsn, uint64_t durable)
{
    size_t size;
    uint32_t at = place.offset - FRAME_HEAD;
    uint8_t *frame = mem_alloc(FRAME_HEAD + crc_length);
    memcpy(frame, disk_memory_bytes(rig->disk, name, &size) + at, FRAME_HEAD + crc_length);
    put_le32(frame + FRAME_LENGTH, length);
    put_le64(frame + FRAME_LSN, lsn);
    put_le64(frame + FRAME_DURABLE, durable);
    uint32_t crc = crc32c(0, frame, 4);
    crc = crc32c(crc, frame + FRAME_GENERATION, FRAME_HEAD - FRAME_GENERATION + crc_length);
    put_le32(frame + FRAME_CRC, crc);
    disk_memory_poke(rig->disk, name, at, frame, FRAME_HEAD);
    free(frame);
}

UNIT(journal_damage, bounds_lengths_that_lie)
{
    static const uint32_t lengths[] = {
        0,           1,           999,         1001,        RIG_SEGMENT,     JOURNAL_UNIT_MAX,
        0x7fffffffu, 0x80000000u, 0xfffffe00u, 0xffffffdfu, 0xffffffe0u - 1, 0xffffffffu};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct rig rig;
        struct journal_place places[11];
        rig_init(&rig);
        write_frames(&rig, 10, places);
        const char *name = name_of(&rig, places[5]);
        rig_close(&rig);
        poke_frame(&rig, name, places[5], lengths[i], 1000, 5, 4);
        cr_assert(rig_open(&rig, 0));
        cr_assert_eq(rig.frame_count, 9, "%u", lengths[i]);
        cr_assert_eq(rig.damage_count, 1);
        cr_assert_eq(rig.damages[0].after_lsn, 4);
        cr_assert_eq(rig.damages[0].before_lsn, 6);
        rig_fini(&rig);
    }
}

UNIT(journal_damage, does_not_believe_an_lsn_that_cannot_be)
{
    struct rig rig;
    struct journal_place places[11];
    rig_init(&rig);
    write_frames(&rig, 10, places);
    const char *name = name_of(&rig, places[5]);
    rig_close(&rig);
    poke_frame(&rig, name, places[5], 1000, 1000, 5, 5); /* durable before it was written */
    poke_frame(&rig, name, places[8], 1000, 1000, 3, 2); /* once more */
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 8);
    cr_assert_eq(rig.damage_count, 2);
    rig_fini(&rig);
}

/* Every frame but those that the bit is in is there; what is there was written. */
static void check_flip(struct rig *rig, uint32_t n, uint64_t bit)
{
    cr_assert_geq(rig->frame_count, n - 1, "bit %lu: %zu frames", bit, rig->frame_count);
    uint64_t last = 0;
    for (size_t i = 0; i < rig->frame_count; i++) {
        const struct rig_frame *f = &rig->frames[i];
        cr_assert_gt(f->lsn, last, "bit %lu", bit);
        cr_assert(rig_is(f->bytes, (uint32_t)f->lsn, 300 + f->lsn * 10), "bit %lu", bit);
        last = f->lsn;
    }
    bool last_lost = rig->frame_count == n - 1 && last == n - 1;
    if (rig->frame_count < n && !last_lost)
        cr_assert_eq(rig->damage_count, 1, "bit %lu", bit);
}

UNIT(journal_damage, bears_a_flipped_bit_anywhere)
{
    enum { N = 24 };
    struct rig rig;
    rig_init(&rig);
    rig_close(&rig);
    disk_close(&rig.disk);
    rig.disk = disk_memory_new(1);
    rig.options.segment_size = 8192;
    cr_assert(rig_open(&rig, 0));
    for (uint32_t i = 1; i <= N; i++) {
        cr_assert_eq(rig_write(&rig, i, 300 + i * 10, NULL), i);
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    }
    unsigned segments = rig_files(&rig);
    rig_close(&rig);
    struct disk *whole = rig.disk;
    for (unsigned s = 0; s < segments; s++) {
        char name[64];
        snprintf(name, sizeof name, "journal/segment-%04u", s);
        for (uint64_t bit = s; bit < 8192 * 8; bit += 13) {
            rig.disk = disk_memory_copy(whole, bit);
            disk_memory_flip(rig.disk, name, bit);
            cr_assert(rig_open(&rig, 0), "bit %lu of %s: %s", bit, name, rig.why.text);
            check_flip(&rig, N, bit);
            cr_assert(rig_write(&rig, 1, 100, NULL));
            rig_close(&rig);
            disk_close(&rig.disk);
        }
    }
    rig.disk = whole;
    rig_fini(&rig);
}

UNIT(journal_damage, bears_files_of_any_length_and_content)
{
    struct rig rig;
    struct journal_place places[101];
    rig_init(&rig);
    write_frames(&rig, 100, places);
    char name[64];
    snprintf(name, sizeof name, "%s", rig_name(&rig, places[30]));
    rig_close(&rig);
    struct disk *whole = rig.disk;
    static uint8_t noise[RIG_SEGMENT];
    for (uint32_t size = 0; size <= 2 * RIG_SEGMENT; size += 1021) {
        rig.disk = disk_memory_copy(whole, size);
        disk_memory_truncate(rig.disk, name, size);
        cr_assert(rig_open(&rig, 0));
        for (size_t i = 0; i < rig.frame_count; i++)
            cr_assert(rig_is(rig.frames[i].bytes, (uint32_t)rig.frames[i].lsn, 1000));
        rig_close(&rig);
        disk_close(&rig.disk);
        rig.disk = disk_memory_copy(whole, size);
        rig_fill(noise, size, sizeof noise);
        disk_memory_poke(rig.disk, name, size / 2, noise, sizeof noise - size / 3);
        cr_assert(rig_open(&rig, 0));
        for (size_t i = 0; i < rig.frame_count; i++)
            cr_assert(rig_is(rig.frames[i].bytes, (uint32_t)rig.frames[i].lsn, 1000));
        rig_close(&rig);
        disk_close(&rig.disk);
    }
    rig.disk = whole;
    rig_fini(&rig);
}

/* Frame 2 did not get to the disk, frame 3 did, neither was synced. */
UNIT(journal_damage, does_not_raise_frames_behind_the_end)
{
    struct rig rig;
    struct journal_place places[4];
    static const uint8_t nothing[2048];
    rig_init(&rig);
    rig_write(&rig, 1, 1000, &places[1]);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_write(&rig, 2, 1000, &places[2]);
    rig_write(&rig, 3, 1000, &places[3]);
    const char *name = name_of(&rig, places[1]);
    rig_close(&rig);
    disk_memory_poke(rig.disk, name, places[2].offset - FRAME_HEAD, nothing, 1024 + 512);
    cr_assert(rig_open(&rig, 0));
    assert_frames(&rig, 1, 1);
    cr_assert_eq(rig.damage_count, 0);
    struct journal_place new_two;
    cr_assert_eq(rig_write(&rig, 20, 1000, &new_two), 2);
    for (uint32_t i = 3; i <= 4; i++) {
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        cr_assert_eq(rig_write(&rig, i * 10, 1000, NULL), i);
    }
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, 4);
    for (uint32_t i = 2; i <= 4; i++)
        cr_assert(rig_is(rig.frames[i - 1].bytes, i * 10, 1000));
    /* and not when the new one is damaged either */
    name = name_of(&rig, new_two);
    rig_close(&rig);
    disk_memory_flip(rig.disk, name, new_two.offset * 8);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 3);
    cr_assert(rig_is(rig.frames[1].bytes, 30, 1000));
    cr_assert(rig_is(rig.frames[2].bytes, 40, 1000));
    cr_assert_eq(rig.damage_count, 1);
    rig_fini(&rig);
}

/* Damage to what was synced, and behind it a frame whose predecessor never was. */
UNIT(journal_damage, ends_behind_damage_where_nothing_was_synced)
{
    struct rig rig;
    struct journal_place places[11];
    rig_init(&rig);
    write_frames(&rig, 8, places);
    rig_write(&rig, 9, 1000, &places[9]);
    rig_write(&rig, 10, 1000, &places[10]);
    const char *name = name_of(&rig, places[8]);
    rig_close(&rig);
    disk_memory_flip(rig.disk, name, places[8].offset * 8);
    disk_memory_flip(rig.disk, name, places[9].offset * 8);
    cr_assert(rig_open(&rig, 0));
    assert_frames(&rig, 1, 7);
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_eq(rig.damages[0].after_lsn, 7);
    cr_assert_eq(rig.damages[0].before_lsn, 0);
    rig_fini(&rig);
}

UNIT(journal_damage, knows_after_a_start_what_was_synced_before)
{
    struct rig rig;
    struct journal_place places[12];
    rig_init(&rig);
    write_frames(&rig, 10, places);
    const char *name = name_of(&rig, places[10]);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    rig_write(&rig, 11, 1000, NULL);
    rig_close(&rig);
    disk_memory_flip(rig.disk, name, places[10].offset * 8);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 10);
    cr_assert_eq(rig.frames[9].lsn, 11);
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_eq(rig.damages[0].after_lsn, 9);
    rig_fini(&rig);
}

/* A message that looks like frames does not become some when its own frame is damaged. */
UNIT(journal_damage, does_not_take_a_payload_for_frames)
{
    struct rig rig, other;
    struct journal_place places[11], forged_place;
    rig_init(&rig);
    rig_init(&other);
    rig_close(&other);
    disk_close(&other.disk);
    other.disk = disk_memory_new(1);
    other.options.seed = 0;
    cr_assert(rig_open(&other, 0));
    cr_assert(rig_write(&other, 1, 1, NULL));
    cr_assert(rig_write(&other, 1, 1000, &forged_place));
    size_t size;
    uint8_t forged[FRAME_HEAD + 1000], body[8192];
    memcpy(forged,
           disk_memory_bytes(other.disk, rig_name(&other, forged_place), &size) +
               forged_place.offset - FRAME_HEAD,
           sizeof forged);
    memset(body, 0, sizeof body);
    for (size_t at = 512 - FRAME_HEAD; at + sizeof forged < sizeof body; at += 1536)
        memcpy(body + at, forged, sizeof forged);
    write_frames(&rig, 1, places);
    struct iovec unit = {body, sizeof body};
    uint64_t lsn;
    cr_assert_eq(journal_write(rig.journal, &unit, 1, &lsn, &places[2]), JOURNAL_OK);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    rig_write(&rig, 3, 1000, &places[3]);
    const char *name = name_of(&rig, places[2]);
    rig_close(&rig);
    disk_memory_flip(rig.disk, name, places[2].offset * 8);
    cr_assert(rig_open(&rig, 0));
    cr_assert_eq(rig.frame_count, 2);
    cr_assert_eq(rig.frames[1].lsn, 3);
    cr_assert_eq(rig.damage_count, 1);
    rig_fini(&rig);
    rig_fini(&other);
}

UNIT(journal_damage, reads_on_behind_what_the_disk_cannot_read)
{
    struct rig rig;
    struct journal_place places[101];
    rig_init(&rig);
    write_frames(&rig, 100, places);
    char name[64];
    snprintf(name, sizeof name, "%s", rig_name(&rig, places[10]));
    rig_close(&rig);
    disk_memory_set_unreadable(rig.disk, name, places[10].offset, 1);
    cr_assert(rig_open(&rig, 0));
    cr_assert_geq(rig.frame_count, 95);
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_leq(rig.damages[0].after_lsn, 9);
    rig_close(&rig);
    /* the end cannot be read: that is said, since there may have been more */
    char last[64];
    cr_assert(rig_open(&rig, 0));
    snprintf(last, sizeof last, "%s", rig_name(&rig, places[100]));
    rig_close(&rig);
    disk_memory_set_unreadable(rig.disk, name, 0, 0);
    disk_memory_set_unreadable(rig.disk, last, places[100].offset, RIG_SEGMENT);
    cr_assert(rig_open(&rig, 0));
    cr_assert_geq(rig.frame_count, 90);
    cr_assert_eq(rig.damage_count, 1);
    cr_assert_eq(rig.damages[0].before_lsn, 0);
    /* what comes instead stays, even if the disk can read the old ones again */
    size_t count = rig.frame_count;
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_eq(rig_write(&rig, 1000 + i, 1000, NULL), count + i + 1);
    cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
    disk_memory_set_unreadable(rig.disk, last, 0, 0);
    rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
    cr_assert_eq(rig.frame_count, count + 20);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert(rig_is(rig.frames[count + i].bytes, 1000 + i, 1000));
    rig_fini(&rig);
}

UNIT(journal_damage, reads_again_what_was_read_in_part)
{
    struct rig rig;
    struct journal_place places[101];
    rig_init(&rig);
    write_frames(&rig, 100, places);
    rig_close(&rig);
    disk_memory_fail(rig.disk, DISK_MEMORY_READ, 1, 0, true);
    cr_assert(rig_open(&rig, 0));
    assert_frames(&rig, 1, 100);
    uint8_t back[1000];
    cr_assert(journal_read(rig.journal, places[50], back, sizeof back));
    cr_assert(rig_is(slice_of(back, sizeof back), 50, 1000));
    rig_fini(&rig);
}
