/* The watermark's decision, and the parts of the resident size. */
#include "admin/breakdown.h"
#include "admin/monitor.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

UNIT(monitor, judge)
{
    static const struct {
        uint64_t watermark;
        bool alarm;
        uint64_t used;
        enum monitor_verdict verdict;
    } cases[] = {
        {1000, false, 999, MONITOR_STAY},
        {1000, false, 1000, MONITOR_STAY},
        {1000, false, 1001, MONITOR_RAISE},
        {1000, true, 1001, MONITOR_STAY},
        {1000, true, 971, MONITOR_STAY},
        {1000, true, 970, MONITOR_CLEAR},
        {0, false, 1, MONITOR_RAISE},
        {0, true, 0, MONITOR_STAY},
        {UINT64_MAX, false, UINT64_MAX, MONITOR_STAY},
        {UINT64_MAX, true, 1, MONITOR_CLEAR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct monitor_state s = {cases[i].watermark, cases[i].alarm};
        cr_assert_eq(monitor_judge(&s, cases[i].used), cases[i].verdict, "case %zu", i);
    }
}

static uint64_t sum(const struct breakdown *b)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < PART_COUNT; i++)
        n += b->parts[i];
    return n;
}

UNIT(breakdown, adds_up)
{
    struct memory_facts facts = {.rss = 1000, .allocated = 500, .metadata = 50, .unused = 100};
    struct memory_use use = {.messages = 200, .queues = 30, .connections = 20, .channels = 10};
    struct breakdown b = breakdown_of(&facts, &use);
    cr_assert_eq(sum(&b), 1000);
    cr_assert_eq(b.parts[PART_MESSAGES], 200);
    cr_assert_eq(b.parts[PART_OTHER], 240);
    cr_assert_eq(b.parts[PART_PROCESS], 350);
    /* estimates that are too high */
    use = (struct memory_use){.messages = 400, .queues = 300};
    b = breakdown_of(&facts, &use);
    cr_assert_eq(sum(&b), 1000);
    cr_assert_eq(b.parts[PART_QUEUES], 100);
    cr_assert_eq(b.parts[PART_OTHER], 0);
}

UNIT(memory, of_this_process)
{
    uint64_t before = memory_rss();
    size_t size = 64 * 1024 * 1024;
    char *block = malloc(size);
    memset(block, 1, size);
    uint64_t with = memory_rss();
    cr_assert_gt(before, 1024 * 1024);
    cr_assert_geq(with, before + size * 9 / 10);
    struct memory_facts facts = memory_read();
    cr_assert_leq(facts.allocated + facts.metadata + facts.unused, facts.rss);
    free(block);
    memory_give_back(false);
    memory_give_back(true);
}
