/* See journal_rig.h. */
#include "journal_rig.h"

#include "base/mem.h"
#include "store/journal_priv.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static void on_frame(void *arg, uint64_t lsn, struct journal_place place, struct slice bytes)
{
    struct rig *rig = arg;
    MEM_GROW(rig->frames, rig->frame_cap, rig->frame_count + 1);
    rig->frames[rig->frame_count++] = (struct rig_frame){lsn, place, slice_dup(bytes)};
}

static void on_damage(void *arg, const struct journal_damage *damage)
{
    struct rig *rig = arg;
    MEM_GROW(rig->damages, rig->damage_cap, rig->damage_count + 1);
    struct journal_damage *d = &rig->damages[rig->damage_count++];
    *d = *damage;
    d->segment = mem_strdup(damage->segment);
}

static void forget(struct rig *rig)
{
    for (size_t i = 0; i < rig->frame_count; i++)
        slice_free(&rig->frames[i].bytes);
    for (size_t i = 0; i < rig->damage_count; i++)
        free((char *)(uintptr_t)rig->damages[i].segment);
    rig->frame_count = rig->damage_count = 0;
}

bool rig_open(struct rig *rig, uint64_t applied)
{
    forget(rig);
    rig->options.disk = rig->disk;
    if (journal_open(&rig->options, &rig->journal, &rig->why))
        return false;
    struct journal_reader reader = {on_frame, on_damage, rig};
    if (journal_replay(rig->journal, applied, &reader, &rig->why)) {
        journal_close(&rig->journal);
        return false;
    }
    return true;
}

void rig_close(struct rig *rig)
{
    journal_close(&rig->journal);
}

void rig_init(struct rig *rig)
{
    *rig = (struct rig){.disk = disk_memory_new(1),
                        .options = {.segment_size = RIG_SEGMENT, .seed = 1}};
    cr_assert(rig_open(rig, 0), "%s", rig->why.text);
    cr_assert_eq(rig->frame_count, 0);
}

void rig_fini(struct rig *rig)
{
    forget(rig);
    rig_close(rig);
    free(rig->frames);
    free(rig->damages);
    disk_close(&rig->disk);
}

void rig_restart(struct rig *rig, uint64_t applied, enum disk_memory_loss loss)
{
    rig_close(rig);
    disk_memory_crash(rig->disk, loss);
    cr_assert(rig_open(rig, applied), "%s", rig->why.text);
}

void rig_fill(uint8_t *out, uint32_t tag, size_t n)
{
    uint32_t x = tag * 2654435761u + 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        out[i] = (uint8_t)(x >> 24);
    }
}

bool rig_is(struct slice bytes, uint32_t tag, size_t n)
{
    uint8_t *expected = mem_alloc(n + 1);
    rig_fill(expected, tag, n);
    bool same = slice_eq(bytes, slice_of(expected, n));
    free(expected);
    return same;
}

uint64_t rig_write(struct rig *rig, uint32_t tag, size_t n, struct journal_place *ret_place)
{
    uint8_t *data = mem_alloc(n);
    rig_fill(data, tag, n);
    struct iovec unit = {data, n};
    struct journal_place place;
    uint64_t lsn = 0;
    journal_write(rig->journal, &unit, 1, &lsn, ret_place ? ret_place : &place);
    free(data);
    return lsn;
}

const char *rig_name(struct rig *rig, struct journal_place place)
{
    for (size_t i = 0; i < rig->journal->segment_count; i++)
        if (rig->journal->segments[i]->generation == place.segment)
            return rig->journal->segments[i]->name;
    return NULL;
}

static bool count_name(const char *name, void *arg)
{
    (void)name;
    ++*(unsigned *)arg;
    return true;
}

unsigned rig_files(struct rig *rig)
{
    unsigned n = 0;
    cr_assert_eq(disk_list(rig->disk, "journal", count_name, &n), 0);
    return n;
}
