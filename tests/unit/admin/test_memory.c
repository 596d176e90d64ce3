/* The watermark's decision, and the parts of the resident size. */
#include "admin/breakdown.h"
#include "admin/monitor.h"
#include "base/heap.h"
#include "base/mem.h"
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
    struct memory_facts facts = {.rss = 1000,
                                 .files = 400,
                                 .code = 300,
                                 .stacks = 20,
                                 .allocated = 600,
                                 .metadata = 50,
                                 .unused = 100,
                                 .definitions = 40,
                                 .reserved = 60};
    struct memory_use use = {.messages = 2,
                             .message_bytes = 200,
                             .queues = 30,
                             .streams = 25,
                             .connections = 20,
                             .channels = 10,
                             .store = 15};
    struct breakdown b = breakdown_of(&facts, &use);
    cr_assert_eq(b.total, 1400);
    cr_assert_eq(b.own, 1000);
    cr_assert_eq(sum(&b), 1400);
    cr_assert_eq(b.parts[PART_MESSAGES], 2 * 112); /* blocks of 100 take 112 */
    cr_assert_eq(b.parts[PART_OTHER], 600 - 60 - 224 - 30 - 25 - 20 - 10 - 15 - 40);
    cr_assert_eq(b.parts[PART_DATABASE], 100);
    cr_assert_eq(b.parts[PART_CODE], 300 + (1000 - 20 - 540 - 150));
    /* what was handed out is not all resident */
    use = (struct memory_use){.messages = 1, .message_bytes = 896, .queues = 300};
    b = breakdown_of(&facts, &use);
    cr_assert_eq(sum(&b), 1400);
    cr_assert_eq(b.parts[PART_QUEUES], 84);
    cr_assert_eq(b.parts[PART_OTHER], 0);
}

UNIT(memory, of_this_process)
{
    memory_open();
    uint64_t before = memory_rss();
    size_t size = 64 * 1024 * 1024;
    char *block = malloc(size);
    memset(block, 1, size);
    uint64_t with = memory_rss();
    cr_assert_gt(before, 1024 * 1024);
    cr_assert_geq(with, before + size * 9 / 10);
    struct memory_facts facts = memory_read();
    cr_assert_gt(facts.code, 1024 * 1024);
    cr_assert_gt(facts.stacks, 4096);
    cr_assert_lt(facts.stacks, 8 * 1024 * 1024);
    free(block);
    memory_give_back(false);
    memory_give_back(true);
}

static uint64_t grown(enum heap heap, uint64_t before)
{
    return heap_used(heap) - before;
}

UNIT(memory, by_use)
{
    enum { BLOCKS = 1000, SIZE = 4000 };
    void *blocks[BLOCKS];
    memory_count_by_use();
    uint64_t before = heap_used(HEAP_DEFINITIONS);
    bool counted = !strcmp(memory_read().allocator, "jemalloc");
    cr_assert_eq(heap_enter(HEAP_DEFINITIONS), HEAP_COMMON);
    for (unsigned i = 0; i < BLOCKS; i++)
        blocks[i] = mem_alloc(SIZE);
    char *zeros = mem_zalloc(SIZE);
    zeros = mem_realloc(zeros, 2 * SIZE);
    heap_enter(HEAP_COMMON);
    void *other = mem_alloc(100 * SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        cr_assert_eq(zeros[i], 0);
    uint64_t taken = grown(HEAP_DEFINITIONS, before);
    cr_assert(!counted || (taken >= BLOCKS * SIZE && taken < BLOCKS * SIZE * 5 / 4));
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    free(zeros);
    free(other);
    heap_adopt(HEAP_STORE);
    uint64_t store = heap_used(HEAP_STORE);
    void *block = mem_alloc((size_t)BLOCKS * SIZE);
    heap_adopt(HEAP_COMMON);
    cr_assert(!counted || grown(HEAP_STORE, store) >= BLOCKS * SIZE);
    free(block);
}
