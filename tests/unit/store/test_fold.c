/* Entries: through the memtable into the database, and back in pages. */
#include "base/mem.h"
#include "fold_rig.h"
#include "unit.h"

static void fill(struct fold_rig *rig, uint64_t queue, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++) {
        rig_enq(rig, queue, seq);
        if (rig->unit.len > 100000)
            rig_feed(rig);
    }
    if (rig->unit.len)
        rig_feed(rig);
}

static void settle(struct fold_rig *rig, uint64_t queue, uint64_t first, uint64_t last)
{
    record_put_settle(&rig->unit, queue, 0, first, last);
    rig_feed(rig);
}

static void expect(struct fold_rig *rig, uint64_t queue, uint64_t n)
{
    cr_assert_eq(rig_count(rig, queue), n, "%llu counted",
                 (unsigned long long)rig_count(rig, queue));
    cr_assert_eq(rig_read_all(rig, queue, 0, 100), n);
    rig_check(rig, queue);
}

UNIT(fold, keeps_messages)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 7, true);
    fill(&rig, 7, 1, 1000);
    expect(&rig, 7, 1000);
    rig_checkpoint(&rig);
    expect(&rig, 7, 1000);
    fill(&rig, 7, 1001, 1500);
    expect(&rig, 7, 1500);
    rig_restart(&rig);
    expect(&rig, 7, 1500);
    rig_checkpoint(&rig);
    expect(&rig, 7, 1500);
    cr_assert_eq(rig.queue.next_seq, 1501);
    cr_assert_eq(fold_last_queue_id(rig.fold), 7);
    rig_restart(&rig);
    expect(&rig, 7, 1500);
    cr_assert_eq(rig.damages, 0);
    rig_fini(&rig);
}

UNIT(fold, writes_nothing_of_what_was_settled)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 500);
    settle(&rig, 1, 1, 500);
    expect(&rig, 1, 0);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    expect(&rig, 1, 0);
    rig_restart(&rig);
    cr_assert_eq(rig_count(&rig, 1), 0);
    cr_assert_eq(rig.queue.next_seq, 501);
    rig_fini(&rig);
}

UNIT(fold, settles_what_is_in_the_database)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 2000);
    rig_checkpoint(&rig);
    settle(&rig, 1, 1, 100);
    settle(&rig, 1, 105, 105);
    settle(&rig, 1, 111, 1500);
    expect(&rig, 1, 2000 - 100 - 1 - 1390);
    rig_checkpoint(&rig);
    expect(&rig, 1, 509);
    cr_assert(rig_rows(&rig, KV_HOLES) > 0);
    settle(&rig, 1, 101, 110);
    rig_checkpoint(&rig);
    expect(&rig, 1, 500);
    cr_assert_leq(rig_rows(&rig, KV_HOLES), 1);
    rig_restart(&rig);
    expect(&rig, 1, 500);
    for (uint64_t seq = 1501; seq <= 2000; seq += 2)
        settle(&rig, 1, seq, seq);
    expect(&rig, 1, 250);
    rig_checkpoint(&rig);
    expect(&rig, 1, 250);
    for (uint64_t seq = 2000; seq > 1500; seq -= 2)
        settle(&rig, 1, seq, seq);
    rig_checkpoint(&rig);
    expect(&rig, 1, 0);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    cr_assert_eq(rig_rows(&rig, KV_HOLES), 0);
    rig_fini(&rig);
}

UNIT(fold, reads_pages)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 100);
    rig_checkpoint(&rig);
    fill(&rig, 1, 101, 200);
    struct fold_query query = {.queue = 1, .from = 50, .to = 150, .max_count = 30, .max_bytes = 1};
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 1);
    cr_assert_eq(rig.page.next, 51);
    query.max_bytes = 1 << 20;
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 30);
    cr_assert_eq(rig.page.entries[0].seq, 50);
    cr_assert_eq(rig.page.next, 80);
    query.max_count = 1000;
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 101);
    cr_assert_eq(rig.page.next, 151);
    query.from = 200;
    query.to = UINT64_MAX;
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 1);
    cr_assert_eq(rig.page.next, UINT64_MAX);
    query.queue = 99;
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 0);
    rig_fini(&rig);
}

/* By their numbers, from blocks and from the journal. */
UNIT(fold, reads_what_is_named)
{
    enum { N = 60 };
    struct fold_rig rig;
    uint64_t seqs[N];
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 1000);
    rig_checkpoint(&rig);
    fill(&rig, 1, 1001, 2000);
    settle(&rig, 1, 67, 67);
    settle(&rig, 1, 1321, 1321);
    for (uint64_t i = 0; i < N; i++)
        seqs[i] = 1 + i * 33;
    struct fold_query query = {.queue = 1,
                               .from = 1,
                               .to = seqs[N - 1],
                               .max_count = N,
                               .max_bytes = 1 << 20,
                               .seqs = seqs,
                               .seq_count = N};
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, N - 2);
    cr_assert_eq(rig.page.entries[2].seq, 100);
    cr_assert_eq(rig.page.entries[N - 3].seq, seqs[N - 1]);
    cr_assert_eq(rig.page.next, seqs[N - 1] + 1);
    query.max_count = 10;
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 10);
    cr_assert_eq(rig.page.next, seqs[11]);
    query.max_bytes = 1;
    fold_read(rig.fold, &query, &rig.page);
    cr_assert_eq(rig.page.count, 1);
    cr_assert_eq(rig.page.next, seqs[1]);
    rig_fini(&rig);
}

UNIT(fold, packs_messages_of_any_size)
{
    static const size_t sizes[] = {0, 1, 3900, 4000, 4048, 4080, 5000, 65000, 300000, 10, 0};
    enum { N = sizeof sizes / sizeof *sizes };
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    for (uint64_t i = 0; i < N; i++) {
        struct entry e = rig_entry(i + 1, sizes[i]);
        record_put_enq(&rig.unit, 1, &e);
    }
    rig_feed(&rig);
    for (unsigned round = 0; round < 3; round++) {
        rig_read(&rig, 1, 0, 1000);
        cr_assert_eq(rig.page.count, N);
        for (uint64_t i = 0; i < N; i++)
            cr_assert(rig_is(&rig.page.entries[i], i + 1, sizes[i]), "%zu", sizes[i]);
        rig_check(&rig, 1);
        if (round == 0)
            rig_checkpoint(&rig);
        else
            rig_restart(&rig);
    }
    settle(&rig, 1, 8, 9);
    rig_checkpoint(&rig);
    rig_read(&rig, 1, 0, 1000);
    cr_assert_eq(rig.page.count, N - 2);
    settle(&rig, 1, 1, N);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    rig_fini(&rig);
}

UNIT(fold, takes_messages_in_any_order)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 50);
    fill(&rig, 1, 101, 150);
    for (uint64_t seq = 300; seq > 200; seq -= 3)
        rig_enq(&rig, 1, seq);
    rig_feed(&rig);
    expect(&rig, 1, 134);
    rig_checkpoint(&rig);
    expect(&rig, 1, 134);
    settle(&rig, 1, 210, 219);
    fill(&rig, 1, 60, 70);
    rig_enq(&rig, 1, 202);
    rig_enq(&rig, 1, 204);
    rig_enq(&rig, 1, 205);
    rig_enq(&rig, 1, 206);
    rig_enq(&rig, 1, 1000);
    rig_enq(&rig, 1, 1000);
    rig_feed(&rig);
    rig_checkpoint(&rig); /* 204 and 1000 came twice */
    expect(&rig, 1, 145);
    fill(&rig, 1, 1, 50);
    rig_checkpoint(&rig);
    expect(&rig, 1, 145);
    rig_fini(&rig);
}

UNIT(fold, knows_levels_and_transient_messages)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        struct entry e = rig_entry(seq, 10);
        e.level = (uint8_t)(seq % 5 * 60);
        e.transient = seq % 2;
        e.expiry = seq % 7 ? 0 : 5000 - seq;
        record_put_enq(&rig.unit, 1, &e);
        if (seq % 100 == 0)
            rig_feed(&rig);
        if (seq == 500)
            rig_checkpoint(&rig);
    }
    for (unsigned round = 0; round < 2; round++) {
        rig_check(&rig, 1);
        cr_assert(fold_get_queue(rig.fold, 1, &rig.queue));
        cr_assert_eq(rig.queue.level_count, 5);
        for (unsigned i = 0; i < 5; i++) {
            cr_assert_eq(rig.queue.levels[i].level, i * 60);
            cr_assert_eq(rig.queue.levels[i].count, 200);
            cr_assert(rig.queue.levels[i].expiry > 4000 && rig.queue.levels[i].expiry < 4050);
        }
        rig_checkpoint(&rig);
    }
    rig_restart(&rig);
    for (unsigned round = 0; round < 2; round++) {
        rig_check(&rig, 1);
        cr_assert(fold_get_queue(rig.fold, 1, &rig.queue));
        for (unsigned i = 0; i < 5; i++)
            cr_assert_eq(rig.queue.levels[i].count, 100);
        rig_checkpoint(&rig);
    }
    record_put_settle(&rig.unit, 1, 60, 1, 900);
    rig_feed(&rig);
    rig_check(&rig, 1);
    rig_checkpoint(&rig);
    rig_check(&rig, 1);
    cr_assert(fold_get_queue(rig.fold, 1, &rig.queue));
    cr_assert_eq(rig.queue.levels[1].count, 10);
    cr_assert_eq(rig.queue.levels[2].count, 100);
    rig_fini(&rig);
}

UNIT(fold, forgets_queues_that_are_not_durable)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, false);
    record_put_open(&rig.unit, 2, true);
    fill(&rig, 1, 1, 300);
    fill(&rig, 2, 1, 300);
    rig_checkpoint(&rig);
    fill(&rig, 1, 301, 400);
    expect(&rig, 1, 400);
    rig_restart(&rig);
    struct fold_queue q;
    cr_assert_not(fold_get_queue(rig.fold, 1, &q));
    cr_assert_eq(rig_read_all(&rig, 1, 0, 100), 0);
    expect(&rig, 2, 300);
    rig_checkpoint(&rig);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_QUEUES), 1);
    uint64_t blocks = rig_rows(&rig, KV_BLOCKS);
    record_put_drop(&rig.unit, 2);
    record_put_settle(&rig.unit, 99, 0, 1, 2);
    rig_feed(&rig);
    cr_assert_not(fold_get_queue(rig.fold, 2, &q));
    rig_checkpoint(&rig);
    cr_assert_gt(blocks, 0);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    rig_restart(&rig);
    cr_assert_not(fold_get_queue(rig.fold, 2, &q));
    cr_assert_eq(fold_last_queue_id(rig.fold), 2);
    rig_fini(&rig);
}

/* What was given back in a transaction, and again before its COMMIT. */
UNIT(fold, keeps_the_higher_count)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 10);
    for (unsigned between = 0; between < 2; between++) {
        uint64_t seq = 3 + between;
        record_put_pending(&rig.unit, 9 + between);
        record_put_return(&rig.unit, 1, 0, seq, 1);
        record_put_return(&rig.unit, 1, 0, seq, 2);
        rig_feed(&rig);
        if (between)
            rig_checkpoint(&rig);
        record_put_commit(&rig.unit, 9 + between);
        rig_feed(&rig);
        for (unsigned round = 0; round < 2; round++) {
            rig_read(&rig, 1, seq, seq);
            cr_assert_eq(rig.page.count, 1);
            cr_assert_eq(rig.page.entries[0].count, 2);
            rig_checkpoint(&rig);
        }
    }
    rig_fini(&rig);
}

UNIT(fold, tells_what_was_delivered_before)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 100);
    record_put_return(&rig.unit, 1, 0, 3, 2);
    rig_feed(&rig);
    rig_checkpoint(&rig);
    record_put_return(&rig.unit, 1, 0, 5, 1);
    record_put_return(&rig.unit, 1, 0, 7, 4);
    record_put_settle(&rig.unit, 1, 0, 7, 7);
    rig_feed(&rig);
    for (unsigned round = 0; round < 3; round++) {
        rig_read(&rig, 1, 1, 10);
        cr_assert_eq(rig.page.count, 9);
        for (size_t i = 0; i < 9; i++) {
            uint64_t seq = rig.page.entries[i].seq;
            cr_assert_eq(rig.page.entries[i].count, seq == 3 ? 2 : seq == 5 ? 1 : 0);
            cr_assert_eq(rig.page.redelivered[i], seq == 3 || seq == 5);
        }
        rig_checkpoint(&rig);
    }
    cr_assert_eq(rig_rows(&rig, KV_COUNTS), 2);
    record_put_attach(&rig.unit, 1);
    rig_feed(&rig);
    rig_stop_and_start(&rig);
    rig_read(&rig, 1, 1, 2);
    cr_assert_not(rig.page.redelivered[0]);
    record_put_attach(&rig.unit, 1);
    rig_feed(&rig);
    rig_restart(&rig);
    fill(&rig, 1, 101, 102);
    for (unsigned round = 0; round < 2; round++) {
        rig_read(&rig, 1, 99, 102);
        cr_assert(rig.page.redelivered[0] && rig.page.redelivered[1]);
        cr_assert(!rig.page.redelivered[2] && !rig.page.redelivered[3]);
        rig_checkpoint(&rig);
    }
    settle(&rig, 1, 1, 102);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_COUNTS), 0);
    rig_fini(&rig);
}

UNIT(fold, purges)
{
    struct fold_rig rig;
    uint64_t kept[] = {5, 700, 1200};
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 1000);
    rig_checkpoint(&rig);
    fill(&rig, 1, 1001, 1500);
    record_put_purge(&rig.unit, 1, 1501, kept, 3);
    rig_feed(&rig);
    fill(&rig, 1, 1501, 1510);
    expect(&rig, 1, 13);
    rig_checkpoint(&rig);
    expect(&rig, 1, 13);
    rig_restart(&rig);
    expect(&rig, 1, 13);
    record_put_purge(&rig.unit, 1, 2000, NULL, 0);
    rig_feed(&rig);
    expect(&rig, 1, 0);
    rig_checkpoint(&rig);
    cr_assert_eq(rig_rows(&rig, KV_BLOCKS), 0);
    rig_fini(&rig);
}

static void put_next(struct fold_rig *rig, struct record_base *base, uint64_t seq, uint16_t level)
{
    struct entry e = rig_entry(seq, seq % 100 ? 100 : 9000);
    e.level = level;
    record_put_next(&rig->unit, base, 1, &e);
}

static void expect_next(struct fold_rig *rig, uint64_t at_0, uint64_t at_3)
{
    uint64_t n = 0;
    rig_read(rig, 1, 0, UINT64_MAX - 1);
    for (size_t i = 0; i < rig->page.count; i++) {
        const struct entry *e = &rig->page.entries[i];
        cr_assert(rig_is(e, e->seq, e->seq % 100 ? 100 : 9000), "%llu", (unsigned long long)e->seq);
        cr_assert(slice_eq(e->content.properties, SLICE("\0\0")) && !e->level && !e->transient);
        n++;
    }
    cr_assert_eq(n, at_0);
    cr_assert_eq(rig_read_all(rig, 1, 3, 0), at_3);
    rig_check(rig, 1);
}

/* What repeats the message before takes little more than its body, and is read back in full: from
 * the journal, from blocks, after a replay. */
UNIT(fold, keeps_what_repeats_the_message_before)
{
    enum { N = 5000, LEVEL_3 = 100 };
    struct fold_rig rig;
    struct record_base base = {0};
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    size_t bodies = 0, before = rig.unit.len;
    for (uint64_t seq = 1; seq <= N; seq++) {
        put_next(&rig, &base, seq, 0);
        bodies += seq % 100 ? 100 : 9000;
    }
    cr_assert_lt(rig.unit.len - before, bodies + 2 * N + 2000);
    for (uint64_t seq = N + 1; seq <= N + LEVEL_3; seq++)
        put_next(&rig, &base, seq, 3);
    put_next(&rig, &base, N + LEVEL_3 + 1, 0);
    rig_feed(&rig);
    record_put_settle(&rig.unit, 1, 0, 10, 19);
    rig_feed(&rig);
    expect_next(&rig, N + 1 - 10, LEVEL_3);
    rig_restart(&rig);
    cr_assert_eq(rig.damages, 0);
    expect_next(&rig, N + 1 - 10, LEVEL_3);
    fold_freeze(rig.fold);
    expect_next(&rig, N + 1 - 10, LEVEL_3);
    rig_checkpoint(&rig);
    expect_next(&rig, N + 1 - 10, LEVEL_3);
    rig_restart(&rig);
    expect_next(&rig, N + 1 - 10, LEVEL_3);
    cr_assert_eq(rig.damages, 0);
    rig_fini(&rig);
}

/* Only what is the same to the byte, but for number and body, is said so. */
UNIT(fold, repeats_only_what_is_the_same)
{
    struct fold_rig rig;
    struct record_base base = {0};
    struct entry e[8];
    struct record r;
    unsigned next = 0;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    for (unsigned i = 0; i < 8; i++)
        e[i] = rig_entry(i + 1, 10);
    e[1].content.properties = SLICE("\0\1");
    e[2].content.names = SLICE("\1f\1k");
    e[3].expiry = UINT64_MAX / 4;
    e[4].count = 1;
    e[5].transient = true;
    e[6].content.flags = 1;
    e[7].seq = 9;
    e[7].content.flags = 1;
    for (unsigned i = 0; i < 8; i++)
        record_put_next(&rig.unit, &base, 1, &e[i]);
    for (struct slice rest = buf_slice(&rig.unit); rest.len;) {
        cr_assert(record_get(&rest, &r));
        next += r.kind == RECORD_NEXT;
    }
    cr_assert_eq(next, 0);
    rig_feed(&rig);
    cr_assert_eq(rig_count(&rig, 1), 8);
    rig_check(&rig, 1);
    rig_fini(&rig);
}

UNIT(fold, reports_what_repeats_nothing)
{
    struct fold_rig rig;
    uint8_t alone[] = {RECORD_NEXT, 1, 'x'};
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    rig_enq(&rig, 1, 1);
    rig_feed(&rig);
    buf_append(&rig.unit, alone, sizeof alone);
    rig_feed(&rig);
    cr_assert_eq(rig.damages, 1);
    expect(&rig, 1, 1);
    rig_fini(&rig);
}

/* As a journal of format 1 has it: the kept one by one. */
UNIT(fold, purges_as_the_first_format_says_it)
{
    struct fold_rig rig;
    uint8_t old[] = {RECORD_PURGE, 1, 101, 3, 5, 7, 90};
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 110);
    buf_append(&rig.unit, old, sizeof old);
    rig_feed(&rig);
    expect(&rig, 1, 13);
    rig_fini(&rig);
}

/* However many consumers hold, no record is large; all of them together say what one would. */
UNIT(fold, purges_in_portions)
{
    enum { N = 3000000 };
    struct fold_rig rig;
    struct buf all = BUF_INIT;
    struct record r;
    uint64_t *kept = mem_alloc(N * sizeof *kept), from = 0, at = 0, first, last;
    for (size_t i = 0; i < N; i++)
        kept[i] = (1ull << 40) + 2 * i + (i % 5 == 0);
    for (size_t taken = 0; from < UINT64_MAX / 2;) {
        size_t before = all.len;
        taken += record_put_purge_some(&all, 7, &from, UINT64_MAX / 2, kept + taken, N - taken);
        cr_assert_leq(all.len - before, RECORD_PORTION);
    }
    size_t i = 0;
    for (struct slice rest = buf_slice(&all); rest.len;) {
        cr_assert(record_get(&rest, &r) && r.kind == RECORD_CLEAR && r.first == at);
        for (struct record_kept k = record_kept(&r); record_next_kept(&k, &first, &last);) {
            for (; first <= last; first++)
                cr_assert_eq(first, kept[i++]);
        }
        at = r.last;
    }
    cr_assert(i == N && at == UINT64_MAX / 2);
    free(kept);
    buf_fini(&all);

    uint64_t few[] = {3, 4, 5, 40, 99};
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    fill(&rig, 1, 1, 110);
    from = 0;
    size_t taken = record_put_purge_some(&rig.unit, 1, &from, 50, few, 4);
    cr_assert(taken == 4 && from == 50);
    rig_feed(&rig);
    expect(&rig, 1, 4 + 61);
    record_put_purge_some(&rig.unit, 1, &from, 101, few + 4, 1);
    rig_feed(&rig);
    expect(&rig, 1, 4 + 1 + 10);
    rig_fini(&rig);
}

UNIT(fold, reports_frames_that_cannot_be_parsed)
{
    struct fold_rig rig;
    rig_init(&rig);
    record_put_open(&rig.unit, 1, true);
    rig_enq(&rig, 1, 1);
    buf_append_str(&rig.unit, "\377\377");
    rig_enq(&rig, 1, 2);
    rig_feed(&rig);
    cr_assert_eq(rig.damages, 1);
    expect(&rig, 1, 1);
    fill(&rig, 1, 3, 3);
    expect(&rig, 1, 2);
    rig_fini(&rig);
}
