/* Random lives of a journal, each ended by a crash, against a list of what was written: what was
 * synced is there, in order, and nothing is that was not written. SEEDS=n for more of them, SEED=n
 * for one. */
#include "journal_rig.h"
#include "store/journal_priv.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { LIVES = 8, OPS = 120, FRAMES = 20000, SEEDS = 400 };

struct model {
    struct rig rig;
    uint64_t random;
    uint64_t lsn;     /* the last that was written */
    uint64_t durable; /* and synced */
    uint64_t applied; /* and would be in the database */
    struct {
        uint32_t tag;
        uint32_t size;
    } frames[FRAMES];
    uint32_t tag;
    bool dead;
};

static uint64_t pick(struct model *m, uint64_t n)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (m->random >> 33) % n;
}

static void write_some(struct model *m)
{
    uint64_t next = m->lsn + 1;
    uint32_t size = (uint32_t)(pick(m, 4) ? 1 + pick(m, 1500) : 1 + pick(m, 12000));
    cr_assert_lt(next, FRAMES);
    m->tag++;
    m->frames[next].tag = m->tag;
    m->frames[next].size = size;
    uint8_t data[12000];
    rig_fill(data, m->tag, size);
    struct iovec units[3] = {{data, size / 3}, {data + size / 3, 0}, {data + size / 3, 0}};
    units[2].iov_len = size - size / 3;
    uint64_t lsn;
    struct journal_place place;
    enum journal_status status = journal_write(m->rig.journal, units, 3, &lsn, &place);
    if (status == JOURNAL_OK) {
        cr_assert_eq(lsn, next);
        m->lsn = next;
    } else if (status == JOURNAL_FAILED) {
        m->dead = true;
    }
}

static void sync_all(struct model *m)
{
    enum journal_status status = journal_sync(m->rig.journal);
    if (status == JOURNAL_OK)
        m->durable = m->lsn;
    else
        m->dead = true;
}

static void live(struct model *m)
{
    m->dead = false;
    if (pick(m, 3))
        disk_memory_cut(m->rig.disk, 1 + pick(m, 200));
    for (int i = 0; i < OPS && !m->dead; i++) {
        switch (pick(m, 8)) {
        case 0:
        case 1:
            sync_all(m);
            break;
        case 2:
            m->dead = journal_prepare(m->rig.journal) == JOURNAL_FAILED;
            break;
        case 3:
            m->applied += pick(m, m->durable - m->applied + 1);
            journal_release(m->rig.journal, m->applied);
            break;
        case 4:
            disk_memory_set_room(m->rig.disk, pick(m, 3) ? UINT64_MAX : pick(m, 40000));
            break;
        default:
            write_some(m);
        }
    }
}

static void check(struct model *m, unsigned seed, unsigned life)
{
    const struct rig *rig = &m->rig;
    cr_assert_eq(rig->damage_count, 0, "seed %u life %u: damage after %lu", seed, life,
                 rig->damage_count ? rig->damages[0].after_lsn : 0);
    uint64_t end = m->applied + rig->frame_count;
    cr_assert_geq(end, m->durable, "seed %u life %u: %lu was synced, %lu is the end", seed, life,
                  m->durable, end);
    cr_assert_leq(end, m->lsn + 1);
    for (size_t i = 0; i < rig->frame_count; i++) {
        const struct rig_frame *f = &rig->frames[i];
        cr_assert_eq(f->lsn, m->applied + 1 + i);
        cr_assert(rig_is(f->bytes, m->frames[f->lsn].tag, m->frames[f->lsn].size),
                  "seed %u life %u: lsn %lu is another", seed, life, f->lsn);
    }
    m->lsn = m->durable = end;
}

static void run(unsigned seed)
{
    static const enum disk_memory_loss losses[] = {DISK_MEMORY_LOSE_SOME, DISK_MEMORY_LOSE_SOME,
                                                   DISK_MEMORY_LOSE_ALL, DISK_MEMORY_LOSE_NONE};
    struct model *m = calloc(1, sizeof *m);
    m->random = seed;
    m->rig.disk = disk_memory_new(seed);
    m->rig.options = (struct journal_options){.segment_size = 16384u << pick(m, 3),
                                              .segments_max = (unsigned)(4 + pick(m, 5)),
                                              .seed = seed + 1};
    for (unsigned life = 0; life < LIVES; life++) {
        /* now and then the power goes while it is opened */
        if (pick(m, 3) == 0)
            disk_memory_cut(m->rig.disk, 1 + pick(m, 8));
        if (!rig_open(&m->rig, m->applied)) {
            cr_assert(disk_memory_is_cut(m->rig.disk) || disk_room(m->rig.disk) < 70000,
                      "seed %u life %u: %s", seed, life, m->rig.why.text);
        } else {
            if (!disk_memory_is_cut(m->rig.disk)) {
                check(m, seed, life);
                live(m);
            }
            rig_close(&m->rig);
        }
        disk_memory_crash(m->rig.disk, losses[pick(m, 4)]);
        disk_memory_set_room(m->rig.disk, UINT64_MAX);
    }
    rig_fini(&m->rig);
    free(m);
}

UNIT(journal_crash, keeps_what_was_synced_and_invents_nothing)
{
    const char *one = getenv("SEED"), *many = getenv("SEEDS");
    if (one) {
        run((unsigned)strtoul(one, NULL, 10));
        return;
    }
    unsigned n = many ? (unsigned)strtoul(many, NULL, 10) : SEEDS;
    for (unsigned seed = 0; seed < n; seed++)
        run(seed);
}

/* Killed at every step of its first start, started again, and then the power goes. */
UNIT(journal_crash, is_safe_though_it_was_killed_while_it_was_made)
{
    for (uint64_t n = 1; n <= 10; n++) {
        struct rig rig = {.disk = disk_memory_new(n), .options = {.segment_size = RIG_SEGMENT}};
        disk_memory_cut(rig.disk, n);
        if (rig_open(&rig, 0))
            rig_close(&rig);
        disk_memory_crash(rig.disk, DISK_MEMORY_LOSE_NONE);
        cr_assert(rig_open(&rig, 0), "%lu: %s", n, rig.why.text);
        cr_assert_eq(rig_write(&rig, 1, 100, NULL), 1);
        cr_assert_eq(journal_sync(rig.journal), JOURNAL_OK);
        rig_restart(&rig, 0, DISK_MEMORY_LOSE_ALL);
        cr_assert_eq(rig.frame_count, 1, "%lu", n);
        rig_fini(&rig);
    }
}
