/* When the disk's alarm stands, and how soon it is looked at again. */
#include "admin/disk_monitor.h"
#include "admin/store_report.h"
#include "unit.h"

enum { MIB = 1 << 20 };

UNIT(disk_monitor, judge)
{
    static const struct {
        uint64_t limit, free;
        bool waiting, alarm;
    } cases[] = {
        {50, 51, false, false}, {50, 50, false, false},       {50, 49, false, true},
        {50, 0, false, true},   {0, 0, false, false},         {50, 100, true, true},
        {0, 0, true, true},     {UINT64_MAX, 1, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct disk_facts f = {.limit = cases[i].limit,
                               .free = cases[i].free,
                               .known = true,
                               .waiting = cases[i].waiting};
        cr_assert_eq(disk_monitor_judge(&f), cases[i].alarm, "case %zu", i);
    }
}

/* What is not known any more is as it was. */
UNIT(disk_monitor, judge_of_the_unknown)
{
    struct disk_facts f = {.limit = 50, .free = 49, .alarm = true};
    cr_assert(disk_monitor_judge(&f));
    f = (struct disk_facts){.limit = 50, .free = UINT64_MAX};
    cr_assert_not(disk_monitor_judge(&f));
}

UNIT(disk_monitor, next_look)
{
    struct disk_facts f = {.known = true, .limit = 50u * MIB, .free = 100ull << 30};
    cr_assert_eq(disk_monitor_next_ms(&f), 1000);
    f.free = f.limit + 400u * MIB;
    cr_assert_eq(disk_monitor_next_ms(&f), 400);
    f.free = f.limit + 1;
    cr_assert_eq(disk_monitor_next_ms(&f), 100);
    f.free = f.limit;
    cr_assert_eq(disk_monitor_next_ms(&f), 100);
    f.free = 0;
    f.alarm = true;
    cr_assert_eq(disk_monitor_next_ms(&f), 500);
    f = (struct disk_facts){.free = UINT64_MAX};
    cr_assert_eq(disk_monitor_next_ms(&f), 500);
}

UNIT(store_report, json_and_text)
{
    struct store_stats s = {.journal = {.lsn = 7, .frames = 3, .segments = 4, .durable = 6},
                            .pending_bytes = 5,
                            .database_bytes = 2000000000,
                            .database_free = 1000000,
                            .last_sync_us = 1500,
                            .checkpoints = 2};
    struct buf out = BUF_INIT;
    store_report_put_json(&out, &s);
    cr_assert_not_null(strstr(buf_cstr(&out), "\"journal_lsn\":7,\"journal_durable_lsn\":6,"));
    cr_assert_not_null(strstr(buf_cstr(&out), "\"database_free_bytes\":1000000,"));
    buf_clear(&out);
    store_report_put(&out, &s, UNIT_GB);
    cr_assert_not_null(strstr(buf_cstr(&out), "Journal: frame 7, on the disk up to 6"));
    cr_assert_not_null(strstr(buf_cstr(&out), "Last sync (milliseconds): 1.500"));
    cr_assert_not_null(strstr(buf_cstr(&out), "Database: 2 gb, free in it: 0.001 gb"));
    buf_fini(&out);
}
