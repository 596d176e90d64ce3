/* Random lives of a partition, each ended by a crash at a random call, against a list of what was
 * written: what was synced is there, in order, and nothing is that was not written last. SEEDS=n
 * for more of them, SEED=n for one. */
#include "segments_rig.h"
#include "unit.h"

#include <stdlib.h>

enum { LIVES = 8, OPS = 60, OFFSETS = 20000, SEEDS = 300 };

struct model {
    struct segments_rig rig;
    uint64_t seed, random;
    uint32_t tags[OFFSETS]; /* what was written there last */
    uint32_t tag;
    uint64_t time_ms;
    uint64_t next, seen;
};

static uint64_t pick(struct model *m, uint64_t n)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (m->random >> 33) % n;
}

static void check_one(uint64_t offset, struct slice entry, void *arg)
{
    struct model *m = arg;
    uint64_t says;
    uint32_t tag;
    cr_assert(rig_parse(entry, &says, &tag));
    cr_assert_eq(says, offset);
    cr_assert_eq(offset, m->seen, "seed %llu", (unsigned long long)m->seed);
    cr_assert_eq(tag, m->tags[offset], "seed %llu", (unsigned long long)m->seed);
    m->seen++;
}

static void check(struct model *m, uint64_t from)
{
    struct segments_state s = segments_look(m->rig.segments);
    m->seen = from > s.first ? from : s.first;
    if (m->seen > m->rig.synced || disk_memory_is_cut(m->rig.disk))
        return;
    int status = rig_each(&m->rig, m->seen, m->rig.synced, 300 + pick(m, 3000), check_one, m);
    if (status < 0 && disk_memory_is_cut(m->rig.disk))
        return;
    cr_assert_eq(status, 0, "seed %llu: %d", (unsigned long long)m->seed, status);
    cr_assert_eq(m->seen, m->rig.synced);
}

/* False: the power went. */
static bool act(struct model *m)
{
    uint32_t count = (uint32_t)(1 + pick(m, 6));
    switch (pick(m, 10)) {
    case 0:
        return segments_retain(m->rig.segments, 3000 + pick(m, 20000), UINT64_MAX, 0) >= 0;
    case 1:
        check(m, pick(m, m->next + 1));
        return true;
    case 2:
    case 3:
        return rig_sync(&m->rig) >= 0;
    default:
        for (uint32_t i = 0; i < count; i++)
            m->tags[m->next + i] = m->tag + 1;
        m->tag++;
        m->time_ms += pick(m, 3);
        if (rig_write(&m->rig, count, m->tag, pick(m, 20) ? pick(m, 200) : pick(m, 5000),
                      m->time_ms) < 0)
            return false;
        m->next += count;
        return true;
    }
}

static void live(struct model *m)
{
    enum disk_memory_loss loss = (enum disk_memory_loss)pick(m, 3);
    disk_memory_cut(m->rig.disk, pick(m, 3) ? 1 + pick(m, 80) : 0);
    for (unsigned i = 0; i < OPS; i++) {
        if (!act(m))
            break;
    }
    uint64_t synced = m->rig.synced;
    disk_memory_crash(m->rig.disk, loss);
    /* another crash while it starts */
    if (pick(m, 3) == 0) {
        disk_memory_cut(m->rig.disk, 1 + pick(m, 5));
        if (rig_recover(&m->rig) >= 0)
            synced = m->rig.synced;
        disk_memory_crash(m->rig.disk, (enum disk_memory_loss)pick(m, 3));
    }
    cr_assert_eq(rig_recover(&m->rig), 0);
    struct segments_state s = segments_look(m->rig.segments);
    cr_assert_geq(s.next, synced, "seed %llu: %llu of %llu", (unsigned long long)m->seed,
                  (unsigned long long)s.next, (unsigned long long)synced);
    m->next = s.next;
    check(m, 0);
}

UNIT(segments_crash, keep_what_was_synced_and_invent_nothing)
{
    const char *one = getenv("SEED"), *many = getenv("SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t count = one ? 1 : many ? strtoull(many, NULL, 10) : SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct model *m = calloc(1, sizeof *m);
        m->seed = seed;
        m->random = seed * 7919;
        rig_open(&m->rig, seed);
        m->time_ms = 1000;
        for (unsigned i = 0; i < LIVES; i++)
            live(m);
        rig_close(&m->rig);
        free(m);
    }
}
